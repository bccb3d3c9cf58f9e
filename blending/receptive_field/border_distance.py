"""Windows in a probe: what lies beyond their borders is replaced, and what changes inside is sorted by distance.

Distances are counted in the pixels that the model is given, from the border to the nearer edge of an output pixel.
"""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

Window = tuple[int, int, int, int]
"""top, bottom, left, right."""

MIRRORED, NOTHING, OTHER_PICTURE = "mirrored", "nothing", "other picture"


def axis_distance(cells: int, start: int, stop: int, size: int, scale: Fraction, side: int | None = None) -> Tensor:
    """How far each output pixel of an axis lies from the nearest border of a window, in pixels given.

    The nearer edge of the output pixel counts. An end of the window that is an end of the picture is no border.

    Args:
        cells: output pixels along the axis.
        start, stop: of the window, in pixels given.
        size: of the picture along the axis.
        scale: output pixels per pixel given.
        side: 0 or 1 to count one border only, None for both.

    Returns:
        int64 [cells], negative outside of the window.
    """
    index = torch.arange(cells)
    far = torch.full_like(index, torch.iinfo(torch.int64).max)
    low = torch.div(index * scale.denominator, scale.numerator, rounding_mode="floor") - start
    high = stop + torch.div(-(index + 1) * scale.denominator, scale.numerator, rounding_mode="floor")
    inside = (low >= 0) & (high >= 0)
    low, high = (low if start > 0 and side != 1 else far), (high if stop < size and side != 0 else far)
    return torch.where(inside, torch.minimum(low, high), -1)


def profile(change: Tensor, distance: Tensor, depth: int) -> Tensor:
    """Largest of `change` [h, w] at each `distance` [h, w] from 0 to `depth` - 1; 0 where there is none."""
    inside = (distance >= 0) & (distance < depth)
    out = torch.zeros(depth, dtype=change.dtype)
    return out.scatter_reduce(0, distance[inside], change[inside], "amax")


def reach(values: Tensor, limit: float) -> int:
    """The first distance from which on no value is above `limit`."""
    over = torch.nonzero(values > limit)
    return int(over[-1]) + 1 if len(over) else 0


def replaced(kind: str, base: Tensor, other: Tensor, window: Window) -> Tensor:
    """`base` [1, C, h, w] with all beyond the window replaced: by the window mirrored, by zeros, or by `other`."""
    top, bottom, left, right = window
    inside = base[..., top:bottom, left:right]
    height, width = base.shape[-2:]
    if kind == MIRRORED:
        return inside[..., reflected(height, top, bottom), :][..., reflected(width, left, right)]
    out = torch.zeros_like(base) if kind == NOTHING else other.clone()
    out[..., top:bottom, left:right] = inside
    return out


def reflected(size: int, start: int, stop: int) -> Tensor:
    """For each position of an axis, where in the window its mirror image lies (the border pixel twice)."""
    length = stop - start
    place = torch.remainder(torch.arange(size) - start, 2 * length)
    return torch.minimum(place, 2 * length - 1 - place)
