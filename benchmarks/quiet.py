"""Whether the machine was ours alone while we measured.

On a shared machine a neighbour's job does not slow everybody alike: an operation that
is split over all cores waits for the core that the neighbour has. So a round that was
disturbed is measured again, decided by what the others used and never by the times.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STAT = Path("/proc/stat")
_TICKS_PER_SECOND = 100  # what Linux counts processor time in, whatever its own clock is
_PAUSE = 0.2  # seconds; longer, and a hypervisor would take back the memory the last round freed


def _busy() -> float | None:
    """Processor seconds used by everybody since the machine started, taken by the hypervisor included."""
    try:
        fields = [int(field) for field in _STAT.read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    user, nice, system, _idle, _wait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_SECOND


class Neighbours:
    """Watches what other processes use, in cores."""

    def __init__(self) -> None:
        self.cores: float = 0.0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Afterwards `cores` is how many cores the others used meanwhile; 0 where the system cannot say."""
        busy, own, start = _busy(), time.process_time(), time.perf_counter()
        yield
        passed = time.perf_counter() - start
        now = _busy()
        self.cores = 0.0 if busy is None or now is None else max(0.0, (now - busy - (time.process_time() - own)) / passed)

    def wait(self, limit: float, until: float) -> None:
        """Pause until the others use at most `limit` cores, but not beyond the moment `until` (of time.monotonic)."""
        while time.monotonic() < until:
            with self.watched():
                time.sleep(_PAUSE)
            if self.cores <= limit:
                return
