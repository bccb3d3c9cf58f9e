"""A line of tiles that is joined to itself, unrolled: every tile again and again, as far as one looks.

On the circle there is no first tile and no last one. Unrolled, tile p of the endless line is tile p modulo their number,
turn after turn; what composes tiles along a line composes these, and never learns of the circle.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from .grid import Axis
from .grid_layout import GridLayout
from .placement import Placement
from .windows import AxisWindow, axis_windows


class Unrolled(NamedTuple):
    """Tiles first..stop of the endless line of `axis`; of one that does not wrap, all of its tiles.

    Attributes:
        axis: the circle.
        first, stop: numbers on the line; tile 0 is the first of the axis at its own place.
    """

    axis: Axis
    first: int
    stop: int

    def origin(self, number: int) -> int:
        """Where a tile of the line begins, in source pixels."""
        turn, index = divmod(number, len(self.axis.origins))
        return self.axis.origins[index] + turn * self.axis.size

    @property
    def sources(self) -> tuple[int, ...]:
        """Which tile of the axis each of them is."""
        return tuple(number % len(self.axis.origins) for number in range(self.first, self.stop))

    def line(self, more: int = 0) -> Axis:
        """They as an axis that does not wrap, with so many more at both ends; origins may lie before and behind the picture."""
        numbers = range(self.first - more, self.stop + more)
        return Axis(self.axis.size, self.axis.tile, tuple(self.origin(number) for number in numbers), ramps=self.axis.ramps)

    def windows(self, placed: Placement, window: str, trim: int, pairs: bool) -> list[AxisWindow]:
        """Their windows over all of `placed.centres`; the tiles beyond them count there as well."""
        more = 2 if self.axis.wraps else 0
        found = axis_windows(self.line(more), placed.centres, window, trim, pairs and self.axis.wraps)
        return found[more : len(found) - more]


def turns(start: int, stop: int, size: int) -> list[tuple[slice, slice]]:
    """Where start..stop lie on a ring of `size`: (there, in themselves) of every piece, one where the end is not passed."""
    found, at = [], start
    while at < stop:
        there = at % size
        end = min(stop, at + size - there)
        found.append((slice(there, there + end - at), slice(at - start, end - start)))
        at = end
    return found


def unroll(axis: Axis, before: float = 0, behind: float = 0) -> Unrolled:
    """All tiles that reach into the picture, or into so many source pixels before it and behind it."""
    count = len(axis.origins)
    if not axis.wraps:
        return Unrolled(axis, 0, count)
    endless = Unrolled(axis, 0, 0)
    first, stop = 0, count
    while endless.origin(first - 1) + axis.tile > -before:
        first -= 1
    while endless.origin(stop) < axis.size + behind:
        stop += 1
    return Unrolled(axis, first, stop)


def only_counting(unrolled: Unrolled, windows: list[AxisWindow]) -> Unrolled:
    """Without tiles at both ends that count nowhere; every tile of the axis stays once, at its own place."""
    first, stop = unrolled.first, unrolled.stop
    while first < 0 and not len(windows[first - unrolled.first].weight):
        first += 1
    while stop > len(unrolled.axis.origins) and not len(windows[stop - 1 - unrolled.first].weight):
        stop -= 1
    return unrolled._replace(first=first, stop=stop)


def widened(placed: Placement, factor: float, before: int, behind: int) -> Placement:
    """A placement whose output goes on for `before` and `behind` output pixels more; its pixel 0 is the first of those before."""
    if not before and not behind:
        return placed
    centres = (torch.arange(-before, placed.size + behind, dtype=torch.float64) + 0.5) / float(factor)
    offsets = None if placed.offsets is None else tuple(offset + before for offset in placed.offsets)
    return Placement(placed.axis, placed.size + before + behind, placed.tile, centres, offsets)


def unrolled_grid(layout: GridLayout) -> tuple[GridLayout, tuple[int, int]]:
    """A layout that wraps around as one that does not, of a picture that begins before this one and ends behind it.

    Composed on that, what lies on this picture is the same: whoever only knows lines of tiles runs those at the border twice.

    Returns:
        the layout, and how many source pixels (y, x) before this picture its canvas begins.
    """
    axes, before = [], []
    for axis in layout.axes:
        line = unroll(axis)
        line = line._replace(stop=len(axis.origins))
        start = line.origin(line.first)
        origins = tuple(origin - start for origin in line.line().origins)
        axes.append(Axis(origins[-1] + axis.tile if axis.wraps else axis.size, axis.tile, origins, ramps=axis.ramps))
        before.append(-start)
    return GridLayout.of_axes(*axes, batch=layout.batch, unit=layout.unit), tuple(before)


def unrolled_picture(image: torch.Tensor, layout: GridLayout) -> tuple[torch.Tensor, GridLayout, tuple[int, int]]:
    """A picture [B, H, W, C] of a layout that wraps around, as large as the canvas of its `unrolled_grid`; and that grid, and its begin."""
    grid, before = unrolled_grid(layout)
    for dim, (start, size) in enumerate(zip(before, grid.canvas, strict=True), 1):
        if layout.wrap[dim - 1]:
            at = torch.arange(-start, size - start, device=image.device) % image.shape[dim]
            image = image.index_select(dim, at)
    return image, grid, before
