"""Free ports on this machine, and plain HTTP past any proxy."""

from __future__ import annotations

import io
import json
import socket
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

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


def post_file(url: str, file: Path, name: str, fields: Mapping[str, str], timeout: float = 600) -> Any:
    """The JSON that comes back for posting `file` as a form's field "image" under the file name `name`, beside `fields`.

    The file is sent from the disk as it is read: it may be larger than the memory.
    """
    mark = uuid.uuid4().hex
    said = "".join(f'--{mark}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n' for key, value in fields.items())
    said += f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
    before, after = said.encode(), f"\r\n--{mark}--\r\n".encode()
    length = str(len(before) + file.stat().st_size + len(after))
    with file.open("rb") as stream:
        body = _Joined(io.BytesIO(before), stream, io.BytesIO(after))
        headers = {"Content-Type": f"multipart/form-data; boundary={mark}", "Content-Length": length}
        return get_json(urllib.request.Request(url, body, headers), timeout)


def open_url(url: str, timeout: float = 600) -> BinaryIO:
    """The body at `url`, to be read as it comes in and closed."""
    return _direct.open(url, timeout=timeout)


class _Joined:
    """Several streams read as one."""

    def __init__(self, *streams: Any) -> None:
        self.streams = list(streams)

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most `size`; b"" at the end of the last stream."""
        while self.streams:
            content = self.streams[0].read(size)
            if content:
                return content
            self.streams.pop(0)
        return b""
