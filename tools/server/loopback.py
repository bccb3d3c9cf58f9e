"""Free ports and plain HTTP on this machine, past any proxy."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from typing import Any

ADDRESS = "127.0.0.1"

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    try:
        socket.create_server((ADDRESS, port)).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port that nobody listens on at this moment; somebody else may take it at the next."""
    with socket.create_server((ADDRESS, 0)) as probe:
        return probe.getsockname()[1]


def get(url: str | urllib.request.Request, timeout: float = 30) -> bytes:
    """The body at `url`. Raises OSError (urllib.error.HTTPError for a status of 400 and above)."""
    with _direct.open(url, timeout=timeout) as answer:
        return answer.read()


def get_json(url: str | urllib.request.Request, timeout: float = 60) -> Any:
    """The JSON at `url`."""
    return json.loads(get(url, timeout))


def post_json(url: str, value: Any) -> Any:
    """The JSON that comes back for posting `value` as JSON."""
    return get_json(urllib.request.Request(url, json.dumps(value).encode(), {"Content-Type": "application/json"}))
