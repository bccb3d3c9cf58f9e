"""Large buffers that are cheap to touch for the first time.

Writing to fresh memory costs far more than writing to memory that is already mapped,
because the system hands it out in small pages, one fault each: up to twenty times a
plain copy for a 4096 x 4096 picture. Where the system offers huge pages on request,
asking for them takes nearly all of that away.
"""

from __future__ import annotations

import math
import mmap

import torch

_WORTH_IT = 32 << 20  # bytes; smaller blocks the allocator keeps for the next time, and those are mapped already


def empty(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> torch.Tensor:
    """An uninitialised tensor like torch.empty, on huge pages where they can be had.

    The memory goes back to the system with the last tensor that uses it.
    """
    size = math.prod(shape) * dtype.itemsize
    if torch.device(device).type == "cpu" and size >= _WORTH_IT and hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            buffer = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            buffer.madvise(mmap.MADV_HUGEPAGE)
        except (OSError, ValueError):
            return torch.empty(shape, dtype=dtype, device=device)
        return torch.frombuffer(buffer, dtype=dtype).view(shape)
    return torch.empty(shape, dtype=dtype, device=device)
