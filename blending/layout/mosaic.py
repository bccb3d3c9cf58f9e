"""The geometry of one composition: which output pixels see which tiles, and how much."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

import torch

from ..pixels.memory import empty
from .grid_layout import GridLayout
from .placement import Placement, check_scale, find_scale, place_axis, read_scale
from .tile_layout import check_whole
from .unrolled import Unrolled, only_counting, unroll, widened
from .windows import check_trim, shared

Beyond = tuple[tuple[int, int], tuple[int, int]]
NOTHING: Beyond = ((0, 0), (0, 0))


class Mosaic:
    """Layout, size of the tiles that came, scale and windows, worked out once.

    Where the layout wraps around, its rows and columns are unrolled: a tile that reaches over the end is there twice, at the end
    and at the beginning, each time cut off where the picture ends, and composers work as on any other picture. `visits` says
    which tile each of them is.

    Args:
        layout: where the tiles are.
        tile_size: (height, width) of the processed tiles, in cells.
        window: one of `windows.WINDOWS`.
        trim: source pixels to disregard at sides that face a neighbour.
        scale: output cells per planned cell; 0 takes it from the tiles.
        size: (height, width) of the output in cells, where it is known and need not follow from one scale.

    Attributes:
        scale: the exact fraction (of the height, where `size` was given).
        size: (height, width) of the output, in cells.
        window, trim: as they were given.
        sources: per axis, which row (column) of the layout each row (column) is.
        own: per axis, those that lie at the layout's own place, each once, in order.
        before, behind: (y, x), output pixels of the canvas before and behind the picture; 0 but where it was `widened`.

    Raises:
        ValueError: for a trim or scale that does not fit, in words for the user.
    """

    def __init__(
        self,
        layout: GridLayout,
        tile_size: tuple[int, int],
        window: str = "hann",
        trim: int = 0,
        scale: float | Fraction = 0,
        size: tuple[int, int] | None = None,
    ) -> None:
        check_trim(layout, trim)
        self.layout, self.window, self.trim = layout, window, trim
        self.tile_size = tuple(tile_size)
        if size is None:
            self.scale = self._find_scale(scale)
            factors = (self.scale / layout.unit,) * 2
        else:
            factors = tuple(Fraction(n, canvas) for n, canvas in zip(size, layout.canvas, strict=True))
            self.scale = factors[0] * layout.unit
        self._factors, self._size = factors, size or (None, None)
        for dim, factor in enumerate(factors):
            check_whole(layout, dim, factor)
        self._lay(NOTHING, False)

    def _lay(self, beyond: Beyond, pairs: bool) -> None:
        """Work out rows and columns on the picture, and on so many pixels before and behind it."""
        lines = [
            unroll(axis, before / factor, behind / factor)
            for axis, factor, (before, behind) in zip(self.layout.axes, self._factors, beyond, strict=True)
        ]
        for dim, line in enumerate(lines):
            placed = self._placed(dim, line, beyond[dim])
            lines[dim] = only_counting(line, line.windows(placed, self.window, self.trim, pairs))
        self.sources = tuple(line.sources for line in lines)
        self.places = tuple(self._placed(dim, line, beyond[dim]) for dim, line in enumerate(lines))
        self.windows = tuple(line.windows(placed, self.window, self.trim, pairs) for line, placed in zip(lines, self.places, strict=True))
        self.size = (self.places[0].size, self.places[1].size)
        self.before, self.behind = (tuple(ends) for ends in zip(*beyond, strict=True))
        self.own = tuple(range(-line.first, -line.first + len(line.axis.origins)) for line in lines)
        self._lines, self._pairs = tuple(lines), pairs

    def _placed(self, dim: int, line: Unrolled, beyond: tuple[int, int]) -> Placement:
        placed = place_axis(line.line(), self.tile_size[dim], self._factors[dim], self._size[dim])
        return widened(placed, self._factors[dim], *beyond)

    def widened(self, beyond: Beyond, pairs: bool = False) -> Mosaic:
        """The same where the picture goes on at its other side for some output pixels, along axes that wrap.

        Args:
            beyond: per axis (before, behind).
            pairs: whether only two tiles count at a place along them, see `axis_windows`.
        """
        other = copy.copy(self)
        other._lay(tuple(ends if wraps else (0, 0) for ends, wraps in zip(beyond, self.layout.wrap, strict=True)), pairs)
        return other

    def around(self) -> Mosaic:
        """The same with every tile once and whole: what reaches over the end of an axis that wraps lies behind it.

        Windows may end up to a tile behind `size`; the pixel there is that modulo `size`.
        """
        if not any(self.layout.wrap):
            return self
        beyond = tuple((0, math.ceil(axis.tile * factor)) for axis, factor in zip(self.layout.axes, self._factors, strict=True))
        other = self.widened(beyond, self._pairs)
        once = [line._replace(first=0, stop=len(line.axis.origins)) for line in other._lines]
        other.windows = tuple(
            tuple(windows[-line.first : -line.first + len(own.sources)])
            for windows, line, own in zip(other.windows, other._lines, once, strict=True)
        )
        ends = [ends if axis.wraps else (0, 0) for ends, axis in zip(beyond, self.layout.axes, strict=True)]
        other.places = tuple(self._placed(dim, own, ends[dim]) for dim, own in enumerate(once))
        other.sources, other._lines = tuple(own.sources for own in once), tuple(once)
        other.own = tuple(range(len(own.sources)) for own in once)
        other.size = tuple(n - before - behind for n, before, behind in zip(self.size, self.before, self.behind, strict=True))
        return other

    def picture(self, canvas: torch.Tensor) -> torch.Tensor:
        """The part of a canvas [P, H, W, ...] of `size` that is the picture, where the mosaic was `widened`: a view."""
        size = (self.size[0] - self.before[0] - self.behind[0], self.size[1] - self.before[1] - self.behind[1])
        return canvas.narrow(1, self.before[0], size[0]).narrow(2, self.before[1], size[1])

    @property
    def visits(self) -> list[tuple[int, int, int]]:
        """(tile, row, column) in row order: which tile lies where. Of a layout that wraps a tile may be there up to four times."""
        columns = self.layout.counts[1]
        return [(r * columns + c, row, column) for row, r in enumerate(self.sources[0]) for column, c in enumerate(self.sources[1])]

    def number(self, row: int, column: int) -> int:
        """Which tile lies at a row and column."""
        return self.sources[0][row] * self.layout.counts[1] + self.sources[1][column]

    def _find_scale(self, scale: float | Fraction) -> Fraction:
        planned = tuple(length // self.layout.unit for length in self.layout.tile_size)
        if scale == 0:
            return find_scale(planned, self.tile_size)
        scale = scale if isinstance(scale, Fraction) else read_scale(scale)
        check_scale(scale, planned, self.tile_size)
        return scale

    @property
    def shared(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Bool per output row and per output column: whether two or more tiles count there."""
        ys, xs = (shared(windows, size) for windows, size in zip(self.windows, self.size, strict=True))
        return ys, xs

    @property
    def exact(self) -> bool:
        """Whether tiles are placed as they are, without resampling."""
        return all(placed.offsets is not None for placed in self.places)

    def seams(self, batch: int, device: torch.device | str = "cpu") -> torch.Tensor:
        """Where two or more tiles mix: float32 [batch, H, W], 1 there and 0 elsewhere.

        All pictures of the batch share one plane of memory.
        """
        ys, xs = self.shared
        plane = empty(self.size, device=device)
        torch.maximum(ys.to(plane)[:, None], xs.to(plane), out=plane)
        return plane.expand(batch, -1, -1)


def laid_out(tiles: Iterable[torch.Tensor], mosaic: Mosaic) -> Iterator[tuple[torch.Tensor, int, int]]:
    """Every tile, and the row and column where it lies; of a layout that wraps around all are kept, and some come several times."""
    if not any(mosaic.layout.wrap):
        for index, tile in enumerate(tiles):
            yield tile, *divmod(index, len(mosaic.windows[1]))
        return
    held = list(tiles)
    for index, row, column in mosaic.visits:
        yield held[index], row, column


def smallest_overlap(mosaic: Mosaic) -> int | None:
    """The smallest overlap of neighbouring tiles in output pixels, trimmed pixels not counted; None where there is one tile."""
    around, found = mosaic.around(), []
    for windows, size, wraps in zip(around.windows, around.size, mosaic.layout.wrap, strict=True):
        starts = [window.start for window in windows[1:]]
        if wraps and len(windows) > 1:
            starts.append(windows[0].start + size)
        found += [window.stop - start for window, start in zip(windows, starts, strict=False)]
    return min(found, default=None)
