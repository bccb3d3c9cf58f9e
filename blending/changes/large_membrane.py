"""The harmonic surface of `membrane.py` over areas of any size, in memory that does not grow with them.

Such a surface is smooth but for a narrow band at the area's border. So it is solved in cells of several pixels, of which there
are a bounded number, and read between them; at the border what the cells leave over is a second surface, solved in single
pixels tile by tile, that meets it there exactly and is 0 a few cells further in. What a tile does not see of its neighbours
falls by exp(-pi) over every width of the band, and a tile sees two widths beyond itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from .membrane import harmonic

CELLS = 1 << 20  # of which the coarse surface has at most so many
_BAND = 2  # cells from the border over which what is left over fades to nothing
_HALO = 2 * (_BAND + 1)  # cells that a tile sees beyond itself
_TILE = 48  # cells along a tile's side
_ROWS_PIXELS = 1 << 18

Window = tuple[slice, slice]
Differences = Callable[[Window], torch.Tensor]


class _Coarse(NamedTuple):
    """The surface in cells.

    Attributes:
        surface: float32 [C, n, m], the mean difference where the border runs through a cell, and what lies between.
        band: bool [n, m], cells that are no more than `_BAND` from one through which the border runs.
        side: pixels of a cell's side.
    """

    surface: torch.Tensor
    band: torch.Tensor
    side: int


def add_large_membrane(target: torch.Tensor, inside: torch.Tensor, border: torch.Tensor, differences: Differences) -> None:
    """Add to `target`, inside of a region, the surface that meets given differences at its border.

    Args:
        target: float32 [h, w, C], added to where `inside`, and left bit for bit elsewhere.
        inside: bool [h, w], the region.
        border: bool [h, w], the pixels around it that have a difference.
        differences: (rows, columns) -> float32 [C, n, m], what is to be met there; only what `border` has counts. It must
            not depend on what is added.

    Notes:
        Held are at most some eight planes of `CELLS` cells and of one tile, for all channels, whatever the region's size.
    """
    coarse = _solved(inside, border, differences)
    for window, around in _tiles(inside.shape, coarse.side):
        if not bool(inside[window].any()):
            continue
        surface = _between(coarse, around)
        near = _spread(coarse.band, around, coarse.side) & inside[around]
        inner = tuple(slice(own.start - more.start, own.stop - more.start) for own, more in zip(window, around, strict=True))
        if bool(near[inner].any()):
            left = (differences(around) - surface) * border[around]
            surface += harmonic(left, near) * near
        target[window] += (surface[(slice(None), *inner)] * inside[window]).movedim(0, -1)


def _solved(inside: torch.Tensor, border: torch.Tensor, differences: Differences) -> _Coarse:
    """The surface in as few pixels to a cell as `CELLS` allows."""
    height, width = inside.shape
    side = max(1, math.ceil(math.sqrt(height * width / CELLS)))
    rows = max(1, _ROWS_PIXELS // (width * side)) * side
    parts = []
    for top in range(0, height, rows):
        window = (slice(top, min(top + rows, height)), slice(0, width))
        known = border[window].float()[None]
        sums = F.avg_pool2d(torch.cat((differences(window) * known, known))[None], side, ceil_mode=True, count_include_pad=False)[0]
        # Beyond the picture nothing is outside.
        outside = F.max_pool2d((~inside[window]).float()[None], side, ceil_mode=True)
        parts.append(torch.cat((sums, outside)))
    whole = torch.cat(parts, 1)
    values, share, within = whole[:-2], whole[-2], whole[-1] == 0
    through = share > 0
    surface = harmonic(values / share.clamp_min(1e-12), within)
    band = F.max_pool2d(through.float()[None], 2 * _BAND + 1, 1, _BAND)[0] > 0
    # Cells outside are read between too, next to the border: they take on the mean of those that are known there.
    known = (through | within).float()[None]
    near = F.avg_pool2d(torch.cat((surface * known, known)), 3, 1, 1)
    return _Coarse(torch.where(known > 0, surface, near[:-1] / near[-1].clamp_min(1e-12)), band, side)


def _tiles(shape: torch.Size, side: int) -> Iterator[tuple[Window, Window]]:
    """Windows that cover a plane, and each with what is seen around it, in whole cells but for the plane's end."""
    lines = []
    for length in shape:
        starts = range(0, length, _TILE * side)
        spans = [(start, min(start + _TILE * side, length)) for start in starts]
        lines.append([(slice(*span), slice(max(0, span[0] - _HALO * side), min(length, span[1] + _HALO * side))) for span in spans])
    for (row, more_rows), (column, more_columns) in ((row, column) for row in lines[0] for column in lines[1]):
        yield (row, column), (more_rows, more_columns)


def _cells(around: Window, side: int) -> tuple[list[tuple[int, int]], list[int]]:
    """First and last cell of a window along both axes, and its lengths in pixels; a window begins at a cell's first pixel."""
    return [(span.start // side, -(-span.stop // side)) for span in around], [span.stop - span.start for span in around]


def _between(coarse: _Coarse, around: Window) -> torch.Tensor:
    """The coarse surface read between its cells, [C, n, m] of the pixels of a window."""
    spans, (height, width) = _cells(around, coarse.side)
    (top, end), (left, right) = spans
    # One cell more on every side; at the picture's border it is repeated, nothing flows over it.
    lines = [
        torch.arange(first - 1, last + 1, device=coarse.surface.device).clamp_(0, count - 1)
        for (first, last), count in zip(spans, coarse.surface.shape[1:], strict=True)
    ]
    part = coarse.surface[:, lines[0]][:, :, lines[1]]
    side = coarse.side
    fine = F.interpolate(part[None], size=((end - top + 2) * side, (right - left + 2) * side), mode="bilinear", align_corners=False)[0]
    return fine[:, side : side + height, side : side + width].contiguous()


def _spread(cells: torch.Tensor, around: Window, side: int) -> torch.Tensor:
    """Cells [n, m] as the pixels of a window."""
    ((top, end), (left, right)), (height, width) = _cells(around, side)
    part = cells[top:end, left:right]
    return part.repeat_interleave(side, 0)[:height].repeat_interleave(side, 1)[:, :width]
