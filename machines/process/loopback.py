"""Free ports on this machine, and plain HTTP past any proxy."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from .json_text import parse_json

ADDRESS = "127.0.0.1"
HTTP_1_1 = 11  # as http.client writes it

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
    """The body at `url`. Raises OSError: urllib.error.HTTPError for a status of 400 and above, ConnectionError for half a body."""
    with _as_connection_error(), _open(url, timeout) as answer:
        return answer.read()


def get_json(url: str | urllib.request.Request, timeout: float = 60) -> dict[str, Any]:
    """The JSON at `url`, where every answer of ComfyUI is a table. Raises OSError as `get`, and ValueError, in words, for anything else."""
    body = get(url, timeout)
    try:
        answer = parse_json(body)
    except ValueError as error:
        raise ValueError(f"its answer begins with {body[:40]!r}, and {error}: is it a ComfyUI?") from error
    if not isinstance(answer, dict):
        raise ValueError(f"its answer is {body[:40]!r}, and not a table: is it a ComfyUI?")
    return answer


def post_json(url: str, value: Any) -> dict[str, Any]:
    """The JSON that comes back for posting `value` as JSON; raises as `get_json`."""
    return get_json(urllib.request.Request(url, json.dumps(value).encode(), {"Content-Type": "application/json"}))


def post_file(url: str, file: Path, name: str, fields: Mapping[str, str], timeout: float = 600) -> dict[str, Any]:
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
    """The body at `url`, to be read as it comes in and closed. Opening and reading raise OSError as `get` does."""
    with _as_connection_error():
        return io.BufferedReader(_Body(_open(url, timeout)), 1 << 16)


def _open(url: str | urllib.request.Request, timeout: float) -> http.client.HTTPResponse:
    answer = _direct.open(url, timeout=timeout)
    if answer.length is None and not answer.chunked and answer.version >= HTTP_1_1:
        # From HTTP 1.1 on the length is always said: this answer broke off before it was.
        answer.close()
        raise ConnectionError("the answer does not say how long it is")
    return answer


@contextlib.contextmanager
def _as_connection_error() -> Iterator[None]:
    """What a server that is killed in the middle of an answer leaves is a broken connection, however the library calls it."""
    try:
        yield
    except http.client.HTTPException as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error


class _Body(io.RawIOBase):
    """The body of an answer, which may not end before the length that was announced.

    http.client takes the end of the connection for the end of the body where it is read in pieces.
    """

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.answer = answer

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; 0 at the end. Raises ConnectionError where bytes are missing."""
        with _as_connection_error():
            count = self.answer.readinto(buffer)
        if not count and self.answer.length:
            raise ConnectionError(f"the answer broke off {self.answer.length} bytes before its end")
        return count

    def close(self) -> None:
        """Close the connection."""
        self.answer.close()
        super().close()


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
