"""Noise masks: cut in proportion to the latent they belong to, and blended back at their own resolution.

A mask may have any size: the latent's, eight times that, or one that does not divide.
Where the tiles fall on whole mask pixels it is cut and blended exactly; elsewhere each
tile's mask is resampled linearly, which keeps it within 0..1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import torch

from ..pixels.taps import continued, weighted_taps
from .cutting import crop
from .grid import Axis, Rect
from .grid_layout import GridLayout


def tile_mask_size(layout: GridLayout, mask_size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of one tile's mask where the whole mask is `mask_size`; at least one pixel."""
    return tuple(max(1, round(Fraction(axis.tile * size, axis.size))) for axis, size in zip(layout.axes, mask_size, strict=True))


def _whole(axis: Axis, size: int) -> bool:
    """Whether the tiles of `axis` fall on whole pixels of a mask of `size`."""
    return all(length * size % axis.size == 0 for length in (axis.tile, *axis.origins))


def _sample(mask: torch.Tensor, spans: Sequence[tuple[int, float, float, int, bool]]) -> torch.Tensor:
    """Linear samples of `mask`, mirrored beyond its ends, or from its other one on.

    Args:
        mask: any tensor.
        spans: per dimension (dim, start, step, length, wraps): samples whose pixel centres lie at start + (k + 1/2) step.
    """
    taps = []
    for dim, start, step, length, wraps in spans:
        at = start + (torch.arange(length, dtype=torch.float64) + 0.5) * step - 0.5
        low = torch.floor(at)
        first = int(low.min())
        line = continued(torch.arange(first, int(low.max()) + 2), mask.shape[dim], wraps)
        # All directions are narrowed before anything is copied, so that a tile costs a tile and not a strip of the mask.
        begin = int(line.min())
        mask = mask.narrow(dim, begin, int(line.max()) - begin + 1)
        taps.append((dim, line - begin, low.long() - first, at - low))
    for dim, line, left, share in taps:
        mask = weighted_taps(mask, line[torch.stack((left, left + 1))], torch.stack((1 - share, share)), dim)
    return mask


def cut_mask(mask: torch.Tensor, layout: GridLayout) -> Iterator[torch.Tensor]:
    """Each tile's part of `mask` [..., H, W], row by row.

    The mask's extent is the layout's canvas, whatever its resolution.
    """
    size = (mask.shape[-2], mask.shape[-1])
    tile_size = tile_mask_size(layout, size)
    if all(_whole(axis, n) for axis, n in zip(layout.axes, size, strict=True)):
        ratios = [Fraction(n, axis.size) for axis, n in zip(layout.axes, size, strict=True)]
        for rect in layout.tiles:
            place = Rect(int(rect.y * ratios[0]), int(rect.x * ratios[1]), *tile_size)
            yield crop(mask, place, (mask.ndim - 2, mask.ndim - 1), layout.wrap)
        return
    for rect in layout.tiles:
        spans = []
        for dim, axis, n, start, length in zip((mask.ndim - 2, mask.ndim - 1), layout.axes, size, (rect.y, rect.x), tile_size, strict=True):
            ratio = n / axis.size
            spans.append((dim, start * ratio, axis.tile * ratio / length, length, axis.wraps))
        yield _sample(mask, spans)
