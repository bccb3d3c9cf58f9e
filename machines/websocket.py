"""The server's messages about a run, over a websocket made of the standard library: enough of RFC 6455 to listen.

Progress is a comfort: where the websocket cannot be had or breaks, `Listener` says nothing and waits, and a run goes on.
"""

from __future__ import annotations

import base64
import os
import socket
import ssl
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .process.json_text import as_number, as_table, parse_json

if TYPE_CHECKING:
    from .queue_client import Progress

CONNECT_SECONDS = 10
LARGEST_MESSAGE = 64 << 20
CONTINUED, TEXT, CLOSE, PING, PONG = 0, 1, 8, 9, 10
OVER = ("execution_success", "execution_error", "execution_interrupted")


class Listener:
    """What the server tells client `client_id` about `prompt`: that it is over, and Progress to `on_progress`."""

    def __init__(self, address: str, client_id: str, prompt: Mapping[str, Any], on_progress: Callable[[Progress], object] | None) -> None:
        self.prompt, self.on_progress = prompt, on_progress
        self._socket: socket.socket | None = None
        self._come = b""
        self._text: bytes | None = None
        self._finished: set[str] = set()
        try:
            self._socket = _connect(address, client_id)
        except (OSError, ValueError):
            self._socket = None

    @property
    def hears(self) -> bool:
        """Whether the server would be heard."""
        return self._socket is not None

    def listen(self, seconds: float) -> bool:
        """Hear messages for `seconds`; true as soon as the run is said to be over. Returns at once when the connection breaks."""
        heard, until = self.hears, time.monotonic() + seconds
        while self._socket is not None and (left := until - time.monotonic()) > 0:
            try:
                self._socket.settimeout(left)
                more = self._socket.recv(65536)
                self._come += more
                over = any([self._take(text) for text in self._texts()])
            except TimeoutError:
                return False
            except (OSError, ValueError):
                self._leave()
                break
            if over:
                return True
            if not more:
                self._leave()
        if not heard:
            time.sleep(max(0.0, until - time.monotonic()))
        return False

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _take(self, text: bytes) -> bool:
        """Tell `on_progress` of a message; whether it says that the run is over."""
        said = as_table(parse_json(text))
        kind, data = said.get("type"), as_table(said.get("data"))
        if kind == "progress_state" and self.on_progress is not None:
            for node, state in ((node, as_table(state)) for node, state in as_table(data.get("nodes")).items()):
                if state.get("state") == "finished":
                    # Nodes that a node has put in its place while it ran are none of the prompt's.
                    self._finished |= {str(node)} & set(self.prompt)
                elif state.get("state") == "running":
                    self._tell(str(state.get("display_node_id") or node), as_number(state.get("value")), as_number(state.get("max")))
        return kind in OVER

    def _tell(self, node: str, done: float, total: float) -> None:
        from .queue_client import Progress

        kind = self.prompt.get(node, {}).get("class_type", "?")
        self.on_progress(Progress(node, kind, done, total, len(self._finished), len(self.prompt)))

    def _texts(self) -> Iterator[bytes]:
        """The texts that have come in whole; other messages (previews) are passed by."""
        while (frame := self._frame()) is not None:
            last, kind, content = frame
            if kind == CLOSE:
                self._leave()
                return
            if kind == PING:
                self._answer(content)
            elif kind == TEXT or (kind == CONTINUED and self._text is not None):
                self._text = content if kind == TEXT else self._text + content
                if len(self._text) > LARGEST_MESSAGE:
                    raise ValueError(f"a message of more than {LARGEST_MESSAGE} bytes")
                if last:
                    yield self._text
                    self._text = None

    def _frame(self) -> tuple[bool, int, bytes] | None:
        """The next frame (last of its message, kind, content); None where it has not come in whole, and then nothing is taken."""
        come = self._come
        if len(come) < 2:
            return None
        length, begin = come[1] & 127, 2
        if length > 125:
            begin = 4 if length == 126 else 10
            length = int.from_bytes(come[2:begin], "big")
        if length > LARGEST_MESSAGE:
            raise ValueError(f"a message of {length} bytes")
        if len(come) < begin + length:
            return None
        self._come = come[begin + length :]
        return bool(come[0] & 128), come[0] & 15, come[begin : begin + length]

    def _answer(self, content: bytes) -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(content))
        self._socket.sendall(bytes((128 | PONG, 128 | len(content))) + mask + masked)


def _connect(address: str, client_id: str) -> socket.socket:
    """A socket past the handshake. Raises OSError or ValueError where the server will not."""
    parts = urllib.parse.urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    plain = socket.create_connection((parts.hostname, port), CONNECT_SECONDS)
    try:
        made = ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname) if parts.scheme == "https" else plain
        asked = (
            f"GET {parts.path}/ws?clientId={client_id} HTTP/1.1\r\nHost: {parts.hostname}:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        made.sendall(asked.encode())
        answer = b""
        # A byte at a time: what follows the header is the first message already.
        while not answer.endswith(b"\r\n\r\n") and len(answer) < 8192:
            more = made.recv(1)
            if not more:
                break
            answer += more
        if b" 101 " not in answer.split(b"\r\n", 1)[0]:
            raise ValueError(f"no websocket: {answer[:100]!r}")
        return made
    except BaseException:
        plain.close()
        raise
