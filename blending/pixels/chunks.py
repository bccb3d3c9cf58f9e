"""Working through a picture in parts, so that what is made on the way stays small."""

from __future__ import annotations

import torch

# Large enough that torch's threads are worth their start, small enough to need little memory.
_PIXELS_AT_ONCE = 1 << 18


def row_chunks(*planes: torch.Tensor | None, pixels: int = _PIXELS_AT_ONCE) -> list[tuple[torch.Tensor | None, ...]]:
    """The same rows of several tensors [h, w, ...], in order, about `pixels` pixels at a time; None stays None."""
    height, width = planes[0].shape[:2]
    rows = max(1, pixels // width)
    return [tuple(None if plane is None else plane[y : y + rows] for plane in planes) for y in range(0, height, rows)]


def planar(colour: torch.Tensor) -> torch.Tensor:
    """Pixels [h, w, C] as float32 [C, n]."""
    return colour.reshape(-1, colour.shape[-1]).T.float()
