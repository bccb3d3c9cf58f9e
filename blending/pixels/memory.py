"""Large buffers that are cheap to write to.

Writing to fresh memory costs far more than writing to memory that is already mapped, because the system hands it out
in small pages, one fault each: up to twenty times a plain copy for a 4096 x 4096 picture. Where the system offers huge
pages on request, asking for them takes nearly all of that away.

A virtual machine may have given its free memory back to the machine it runs on. A huge page is then fetched piece by
piece, thirty times as slow as any other, while small pages mostly come from memory that is still there. So the pages
are touched one by one here, and after a few slow ones the rest is left to small pages.

What a run gave back is taken again by the next that wants as much: its pages are still there unless somebody else was
short of memory, for meanwhile they are the system's to take (MADV_FREE, `man 2 madvise`). It counts as available.
"""

from __future__ import annotations

import ctypes
import functools
import math
import mmap
import os
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

_WORTH_IT = 4 << 20  # bytes; smaller blocks the allocator keeps for the next time, and those are mapped already

_HUGE = 2 << 20
_SLOW = 0.7e-3  # seconds for one huge page; zeroing it takes a tenth of a millisecond
_SLOW_ALLOWED = 3  # one alone may have been another process' turn


def _touch(buffer: mmap.mmap, size: int) -> None:
    """Have every huge page handed out, by as many threads as torch uses, for as long as that is fast."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    pages = -(-size // _HUGE)
    workers = min(torch.get_num_threads(), pages)
    slow: list[int] = []

    def span(worker: int) -> None:
        first, last = (pages * end // workers * _HUGE for end in (worker, worker + 1))
        for start in range(first, last, _HUGE):
            if len(slow) > _SLOW_ALLOWED:
                buffer.madvise(mmap.MADV_NOHUGEPAGE, start, min(last, size) - start)
                return
            began = time.perf_counter()
            ctypes.memset(address + start, 0, 1)  # lets the other threads run meanwhile
            if time.perf_counter() - began > _SLOW:
                slow.append(start)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(span, range(workers)))


@functools.cache
def _addresses_count() -> bool:
    """Whether a buffer is in others' way although the system may take its pages: there is a limit to addresses, too."""
    import resource  # not on every system, and neither are such pages

    try:
        strict = Path("/proc/sys/vm/overcommit_memory").read_text().strip() == "2"
    except OSError:
        strict = False
    return strict or resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


class _Shelf:
    """Buffers that nobody uses any more, the latest last, of so many bytes in all. The system may take their pages."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.buffers: list[mmap.mmap] = []
        # A tensor may end in any thread, also in the middle of what is done here.
        self.lock = threading.RLock()

    def put(self, buffer: mmap.mmap) -> None:
        if _addresses_count():
            return
        try:
            buffer.madvise(mmap.MADV_FREE)
        except (AttributeError, OSError):  # a system that cannot leave it open: with the buffer goes its memory
            return
        with self.lock:
            self.buffers.append(buffer)
            while sum(map(len, self.buffers)) > self.most:
                del self.buffers[0]

    def take(self, size: int) -> mmap.mmap | None:
        with self.lock:
            for buffer in reversed(self.buffers):
                if len(buffer) == size:
                    self.buffers.remove(buffer)
                    return buffer
        return None

    def clear(self) -> None:
        with self.lock:
            self.buffers.clear()


# The small ones are scratch, as many as there are tiles, and never in the way of a large one; of the large ones only
# addresses are left, as far as the system has taken the pages.
_SMALL = 32 << 20
_small, _large = _Shelf(64 << 20), _Shelf(8 << 30)


def _forked() -> None:
    """In a child: another thread may have held a lock, and what is on the shelves is the parent's."""
    for shelf in (_small, _large):
        shelf.buffers, shelf.lock = [], threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _buffer(size: int) -> mmap.mmap:
    """One that was given back and has just this size, else a fresh one, in the place of all large ones if it is large."""
    shelf = _small if size <= _SMALL else _large
    buffer = shelf.take(size)
    if buffer is None:
        if shelf is _large:
            shelf.clear()
        buffer = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        buffer.madvise(mmap.MADV_HUGEPAGE)
        _touch(buffer, size)
    return buffer


def _give_back(buffer: mmap.mmap) -> None:
    (_small if len(buffer) <= _SMALL else _large).put(buffer)


def release() -> None:
    """Hand what was given back and not used again to the system for good."""
    _small.clear()
    _large.clear()


def empty(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> torch.Tensor:
    """An uninitialised tensor like torch.empty, on huge pages where they can be had.

    With the last tensor that uses it the memory is the system's again, or the next call's of the same size.
    """
    size = math.prod(shape) * dtype.itemsize
    if torch.device(device).type == "cpu" and size >= _WORTH_IT and hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            buffer = _buffer(size)
        except (OSError, ValueError, RuntimeError, MemoryError):  # no addresses, no such advice, no more threads
            return torch.empty(shape, dtype=dtype, device=device)
        # The tensor keeps the array, and the end of the array is the end of the last tensor.
        array = (ctypes.c_char * size).from_buffer(buffer)
        weakref.finalize(array, _give_back, buffer).atexit = False
        return torch.frombuffer(array, dtype=dtype).view(shape)
    return torch.empty(shape, dtype=dtype, device=device)
