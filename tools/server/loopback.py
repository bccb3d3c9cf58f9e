"""Free ports and plain HTTP on this machine, past any proxy."""

from __future__ import annotations

import json
import os
import socket
import urllib.error
import urllib.request
from typing import Any

ADDRESS = "127.0.0.1"

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        if os.name == "nt":
            # There SO_REUSEADDR would let two programs share the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nobody listens on at this moment; somebody else may take it at the next."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return probe.getsockname()[1]


def get(url: str, timeout: float = 30) -> bytes:
    """The body at `url`. Raises OSError (urllib.error.HTTPError for a status of 400 and above)."""
    with _direct.open(url, timeout=timeout) as answer:
        return answer.read()


def get_json(url: str, timeout: float = 60) -> Any:
    """The JSON at `url`."""
    return json.loads(get(url, timeout))


def post_json(url: str, value: Any, timeout: float = 60) -> Any:
    """The JSON that comes back for posting `value` as JSON."""
    request = urllib.request.Request(url, json.dumps(value).encode(), {"Content-Type": "application/json"})
    with _direct.open(request, timeout=timeout) as answer:
        return json.loads(answer.read())
