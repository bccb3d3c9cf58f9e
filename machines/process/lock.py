"""A lock between processes that the operating system lets go of when its holder dies."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .long_step import Report, signs_of_life

if os.name == "nt":
    import msvcrt
else:
    import fcntl


def taken(path: Path) -> int | None:
    """Take the lock on the file `path`: the descriptor to close to let go of it, None where somebody else has it.

    The file stays behind: deleting lock files is a race.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if os.name == "nt":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def held(path: Path, report: Report, pause: float = 0.5) -> Iterator[None]:
    """Hold the lock on `path`, waiting for another process that has it and saying so."""
    lock = taken(path)
    if lock is None:
        report(f"Another set-up is at work in {path.parent}: waiting for it (Ctrl-C gives up).")
        tick = signs_of_life(report, lambda: "still waiting for the other set-up")
        while (lock := taken(path)) is None:
            time.sleep(pause)
            tick()
    try:
        yield
    finally:
        os.close(lock)


def make_once(root: Path, is_made: Callable[[], bool], make: Callable[[], object], report: Report) -> None:
    """Call `make` where `is_made` says no, one process at a time in the host folder `root`."""
    if is_made():
        return
    with held(root / "setup.lock", report):
        # Whoever had the lock may have made it.
        if not is_made():
            make()
