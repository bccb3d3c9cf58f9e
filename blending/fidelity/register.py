"""Where the result shows what the source shows: one shift and one stretch for each side, from blocks spread over the picture."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..registration.shift import Shifts, find_shifts, least_side
from ..seam_check.surroundings import luminance
from .comparable import robust_fit
from .one_grid import OneGrid, Registration

MOST_SHIFT = 4.0  # pixels of the grid
_BLOCK = 64
_BLOCKS = 24  # along a side, at most
_LEAST_SURE = 3
_LEAST_FOR_STRETCH = 12
_LEAST_SHIFT = 0.04  # px; less is not worth reading between pixels
_LEAST_STRETCH = 0.3  # px over the whole side, from where a stretch is more than what blocks scatter by


class Blocks(NamedTuple):
    """What blocks spread over the picture say of its place.

    Attributes:
        at: (y, x) of their first pixels.
        side: pixels.
        shifts: of each.
    """

    at: list[tuple[int, int]]
    side: int
    shifts: Shifts

    def off(self, registration: Registration) -> torch.Tensor:
        """By how many pixels each is away from where the registration says, float64 [N]."""
        middles = torch.tensor(self.at, dtype=torch.float64) + (self.side - 1) / 2
        said = [registration.at(dim, middles[:, dim]) - middles[:, dim] for dim in (0, 1)]
        return torch.hypot(self.shifts.dy - said[0], self.shifts.dx - said[1])


def spread_blocks(grid: OneGrid) -> Blocks | None:
    """The shifts of up to 24 by 24 blocks of 64 px against the source, before registration; None for a picture too small for one."""
    side = min(_BLOCK, *grid.size)
    if side < least_side(MOST_SHIFT):
        return None
    places = [_spread(length, side) for length in grid.size]
    at = [(y, x) for y in places[0] for x in places[1]]
    return Blocks(at, side, shifts_at(OneGrid(grid.image, grid.reference), at, side))


def registered(blocks: Blocks, size: tuple[int, int]) -> Registration:
    """The shift and stretch of the result against its source.

    Where fewer than three blocks are sure of theirs, nothing is moved, and `sure` is false.

    Args:
        blocks: of both pictures.
        size: (height, width) of the grid.
    """
    sure = blocks.shifts.sure
    if int(sure.sum()) < _LEAST_SURE:
        return Registration()
    middles = torch.tensor(blocks.at, dtype=torch.float64)[sure] + (blocks.side - 1) / 2
    fits = [_line(shift[sure], middles[:, dim], size[dim]) for dim, shift in enumerate((blocks.shifts.dy, blocks.shifts.dx))]
    return Registration(tuple(fit[0] for fit in fits), tuple(fit[1] for fit in fits), True)


def shifts_at(grid: OneGrid, at: list[tuple[int, int]], side: int) -> Shifts:
    """The shift of square blocks of the result against the source.

    Args:
        grid: both pictures; its registration is applied first.
        at: (y, x) of the blocks' first pixels; blocks must lie inside the grid.
        side: of a block, pixels.
    """
    pairs = [grid.rows(y, y + side, (x, x + side)) for y, x in at]
    source, result = (torch.cat([luminance(pair[k]) for pair in pairs]) / 255 for k in (0, 1))
    return find_shifts(source, result, MOST_SHIFT)


def _spread(length: int, side: int) -> list[int]:
    count = min(_BLOCKS, max(1, length // side))
    return [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]


def _line(shift: torch.Tensor, place: torch.Tensor, length: int) -> tuple[float, float]:
    """(shift at 0, stretch) of shifts [n] found at places [n]; single blocks that contradict the others do not count."""
    if len(shift) >= _LEAST_FOR_STRETCH:
        fit = robust_fit(shift, place[:, None] / length)
        first, last = int(place.argmin()), int(place.argmax())
        run = float(place[last] - place[first])
        stretch = float(fit[last] - fit[first]) / run if run else 0.0
        if abs(stretch) * length >= _LEAST_STRETCH:
            return float(fit[first]) - stretch * float(place[first]), stretch
    middle = float(shift.median())
    return (middle if abs(middle) >= _LEAST_SHIFT else 0.0), 0.0
