"""One ComfyUI after the other: started when it is needed, and anew when it is lost, has done its share or has grown."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .comfy_server import ComfyServer
from .queue_client import ServerLostError

# Its memory is steady after so many pictures; from then on it may grow by so much before it is started anew.
STEADY_AFTER = 3
GROWTH, ALLOWANCE = 1.5, 2 << 30


class KeptServer:
    """A server for several threads, which each `use` it for one picture at a time.

    Args:
        start: starts a ComfyUI; what it raises goes to whoever wanted to use it.
        restart_after: pictures after which another one is started.

    Attributes:
        starts: how many were started.
    """

    def __init__(self, start: Callable[[], ComfyServer], restart_after: int) -> None:
        self._start, self.restart_after = start, restart_after
        self._changed = threading.Condition()
        self._server: ComfyServer | None = None
        self._users = self._served = self.starts = 0
        self._lost = self._closed = False
        self._steady: int | None = None

    @contextmanager
    def use(self) -> Iterator[ComfyServer]:
        """A server that runs; nobody ends it before the block is over. ServerLostError out of the block marks it as gone."""
        server = self._enter()
        try:
            yield server
        except ServerLostError:
            with self._changed:
                self._lost = self._lost or server is self._server
            raise
        finally:
            with self._changed:
                self._users -= 1
                self._served += 1
                self._changed.notify_all()

    def close(self) -> None:
        """End the server for good, also while it is at work: its users find it lost."""
        with self._changed:
            self._closed = True
            self._end()
            self._changed.notify_all()

    def _enter(self) -> ComfyServer:
        with self._changed:
            # Whoever comes while an old one is still at work waits, and does not keep it at work.
            self._changed.wait_for(lambda: self._closed or not self._users or not self._is_due())
            if self._closed:
                raise ServerLostError("This worker is ending.")
            if self._server is not None and self._is_due():
                self._end()
            if self._server is None:
                self._server = self._start()
                self.starts += 1
                self._served, self._lost, self._steady = 0, False, None
            self._users += 1
            return self._server

    def _is_due(self) -> bool:
        """Whether another one is to be started."""
        if self._server is None:
            return False
        return self._lost or self._served >= self.restart_after or self._has_grown(self._server)

    def _has_grown(self, server: ComfyServer) -> bool:
        resident = server.resident_bytes()
        if resident is None or self._served < STEADY_AFTER:
            return False
        self._steady = self._steady or resident
        return resident > GROWTH * self._steady + ALLOWANCE

    def _end(self) -> None:
        if self._server is not None:
            with contextlib.suppress(OSError):
                self._server.close()
            self._server = None
