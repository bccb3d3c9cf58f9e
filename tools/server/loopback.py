"""Free ports and plain HTTP on this machine, under the name that tests know."""

from ..process.loopback import ADDRESS, free_port, get, get_json, is_free, post_json

__all__ = ["ADDRESS", "free_port", "get", "get_json", "is_free", "post_json"]
