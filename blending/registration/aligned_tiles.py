"""Tiles brought back to their places: read at the shift that was found, with what that uncovers taken from the neighbours."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from ..layout.grid_layout import GridLayout
from ..pixels.counted import counted
from ..pixels.picture import check_pixels
from .joint_solve import solve_shifts
from .resample import sampled_at
from .shift import AMBIGUOUS, DIFFERENT, FEATURELESS
from .tile_shifts import check_room, measure_shifts

# A shift nearer to whole pixels than this is taken as whole: reading between pixels would cost more than it mends.
_WHOLE = 0.03
_WHY = {
    FEATURELESS: "too little detail to see a shift by, in one direction at least",
    DIFFERENT: "its detail is not the one it was compared with",
    AMBIGUOUS: "more than one shift would do, or one larger than max_shift",
}


@dataclass(frozen=True)
class Alignment:
    """At which shift each tile is to be read.

    Attributes:
        layout: the plan.
        size: (height, width) of the tiles as they came.
        shifts: float64 [tiles, P, 2], pixels of the tiles along y and x; 0 for tiles that stay.
        known: bool [tiles, P], whether the place of a tile was found.
        doubts: per picture and tile, what kept comparisons from being sure, as `judged_shifts` names it.
    """

    layout: GridLayout
    size: tuple[int, int]
    shifts: np.ndarray
    known: np.ndarray
    doubts: list[list[list[int]]]

    def moves(self, index: int) -> bool:
        """Whether tile `index` is to be read anywhere but where it is."""
        return bool(self.shifts[index].any())

    def aligned(self, tile_at: Callable[[int], torch.Tensor], index: int) -> torch.Tensor:
        """Tile `index` at its place.

        Args:
            tile_at: index -> tile [P, h, w, C] as it came; asked for the neighbours as well.
            index: which tile.

        Returns:
            the tile itself where it stays, else float32 [P, h, w, C]. Strips that no neighbour has repeat its edge.
        """
        tile = tile_at(index)
        if not self.moves(index):
            return tile
        pictures = [self._one(tile_at, index, picture) for picture in range(len(tile))]
        return torch.cat(pictures) if len(pictures) > 1 else pictures[0]

    def _one(self, tile_at: Callable[[int], torch.Tensor], index: int, picture: int) -> torch.Tensor:
        mine = slice(picture, picture + 1)
        dy, dx = self.shifts[index, picture]
        lines = [torch.arange(length, dtype=torch.float64) for length in self.size]
        out = sampled_at(tile_at(index)[mine], lines[0] + dy, lines[1] + dx)
        spans = [_spans(length, shift) for length, shift in zip(self.size, (dy, dx), strict=True)]
        for (side_y, rows), (side_x, columns) in product(*spans):
            if (side_y or side_x) and rows.start < rows.stop and columns.start < columns.stop:
                self._fill(out[:, rows, columns], tile_at, index, picture, (side_y, side_x), (rows, columns))
        return out

    def _fill(
        self,
        target: torch.Tensor,
        tile_at: Callable[[int], torch.Tensor],
        index: int,
        picture: int,
        sides: tuple[int, int],
        spans: tuple[slice, slice],
    ) -> None:
        """Write into `target` what a neighbour shows there, of those at its `sides` the one that shows most of it; none may."""
        count = self.layout.counts
        place = divmod(index, count[1])
        best, where = 0, None
        for step in product(*({0, side} for side in sides)):
            there = tuple(at + more for at, more in zip(place, step, strict=True))
            if not any(step) or not all(0 <= at < of for at, of in zip(there, count, strict=True)):
                continue
            other = there[0] * count[1] + there[1]
            at = self._positions(index, other, picture, spans)
            shown = math.prod(int(((line > -0.5) & (line < length - 0.5)).sum()) for line, length in zip(at, self.size, strict=True))
            if shown > best:
                best, where = shown, (other, at)
        if where is not None:
            other, at = where
            target.copy_(sampled_at(tile_at(other)[picture : picture + 1], *at))

    def _positions(self, index: int, other: int, picture: int, spans: tuple[slice, slice]) -> list[torch.Tensor]:
        """Where tile `other` is to be read for the pixels `spans` of tile `index`."""
        a, b = self.layout.tiles[index], self.layout.tiles[other]
        lines = []
        for dim in (0, 1):
            offset = (b[dim] - a[dim]) * self.size[dim] / self.layout.tile_size[dim]
            line = torch.arange(spans[dim].start, spans[dim].stop, dtype=torch.float64)
            lines.append(line - offset + self.shifts[other, picture, dim])
        return lines

    def report(self) -> list[str]:
        """What was moved, and what was left and why: a line for all, then a line for each tile that did not stay where it was sure."""
        lengths = np.linalg.norm(self.shifts, axis=2)
        moved, left = int((lengths > 0).sum()), int((~self.known).sum())
        first = f"{moved} of {counted(self.known.size, 'tile')} moved"
        first += f" (at most {lengths.max():.2f} px)" if moved else ""
        stay = self.known.size - moved - left
        first += f", {stay} in place" if stay else ""
        first += f", {left} left as they came because no shift was sure" if left else ""
        lines = [first]
        for tile, picture in product(*map(range, self.known.shape)):
            whose = f"tile {tile}" + (f", picture {picture}" if self.known.shape[1] > 1 else "")
            if not self.known[tile, picture]:
                lines.append(f"{whose}: left, {self._why(tile, picture)}")
            elif lengths[tile, picture]:
                lines.append(f"{whose}: moved {_in_words(self.shifts[tile, picture])}")
        return lines

    def _why(self, tile: int, picture: int) -> str:
        doubts = Counter(self.doubts[picture][tile])
        return _WHY[doubts.most_common(1)[0][0]] if doubts else "nothing to compare it with"


def _spans(length: int, shift: float) -> list[tuple[int, slice]]:
    """A side of a tile in three: what a shift uncovers before it (-1), what it has (0), and what it uncovers behind (1)."""
    low = min(max(math.ceil(-shift - 1e-9), 0), length)
    high = min(length, max(low, length - max(math.ceil(shift - 1e-9), 0)))
    return [(-1, slice(0, low)), (0, slice(low, high)), (1, slice(high, length))]


def _in_words(shift: np.ndarray) -> str:
    """The way a picture goes that is read at a shift."""
    ways = [(-shift[1], "right", "left"), (-shift[0], "down", "up")]
    return ", ".join(f"{abs(way):.2f} px {ahead if way > 0 else back}" for way, ahead, back in ways if way)


def _check_alike(tile_at: Callable[[int], torch.Tensor], count: int) -> None:
    """Refuse tiles of different sizes, or that are no pictures, by their number."""
    shape = tuple(tile_at(0).shape)
    for index in range(count):
        tile = check_pixels(tile_at(index), f"tile {index}")
        if tuple(tile.shape) != shape:
            raise ValueError(
                f"tile {index} is {tile.shape[2]} x {tile.shape[1]} with {tile.shape[3]} channels and tile 0 is {shape[2]} x "
                f"{shape[1]} with {shape[3]}: all tiles must come back alike"
            )


def align_tiles(
    tile_at: Callable[[int], torch.Tensor],
    layout: GridLayout,
    max_shift: float = 4.0,
    reference: torch.Tensor | None = None,
    step: Callable[[], None] = lambda: None,
) -> Alignment:
    """Find how far each tile lies beside its place, jointly over all overlaps.

    Without a reference only differences between tiles can be known: the median tile of those that hang together stays, so
    that where most agree those are not touched.

    Args:
        tile_at: index -> tile [P, h, w, C], any one size; C = 4 is RGBA.
        layout: the grid they were cut by, counted in pixels.
        max_shift: source pixels, the largest shift between two tiles, or against the reference, that is looked for.
        reference: [P or 1, H, W, C'] of the same scene, any size.
        step: told after each tile is measured.

    Raises:
        ValueError: for a max_shift that the overlap leaves no room for, broken tiles, or a reference of another shape.
    """
    first = tile_at(0)
    _check_alike(tile_at, len(layout))
    size = tuple(first.shape[1:3])
    reach = check_room(layout, size, max_shift, reference is None)
    found = measure_shifts(tile_at, layout, reach, reference, step)
    solved = [solve_shifts(len(layout), one.measurements) for one in found]
    shifts = np.stack([shift for shift, _ in solved], 1)
    whole = np.round(shifts)
    shifts = np.where(np.abs(shifts - whole) < _WHOLE, whole, shifts)
    known = np.stack([known for _, known in solved], 1)
    return Alignment(layout, size, shifts, known, [one.doubts for one in found])
