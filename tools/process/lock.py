"""A lock between processes that the operating system lets go of when its holder dies."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

if os.name == "nt":
    import msvcrt
else:
    import fcntl

HEARTBEAT = 10.0


class Lock:
    """An exclusive lock on the file `path`, which stays behind: deleting lock files is a race."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take the lock if nobody has it. Returns whether it is ours now."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if os.name == "nt":
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let go of the lock; does nothing where it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def held(path: Path, report: Callable[[str], object], pause: float = 0.5) -> Iterator[None]:
    """Hold the lock on `path`, waiting for another process that has it and saying so."""
    lock = Lock(path)
    start = said = time.monotonic()
    taken = lock.take()
    if not taken:
        report(f"Another set-up is at work in {path.parent}: waiting for it (Ctrl-C gives up).")
    try:
        while not taken:
            time.sleep(pause)
            taken = lock.take()
            if not taken and time.monotonic() - said >= HEARTBEAT:
                said = time.monotonic()
                report(f"  {said - start:4.0f} s  still waiting for the other set-up")
        yield
    finally:
        lock.release()
