"""Whose turn it is: how much one tile of a layout counts beside the tiles that were worked on before it.

In a whole grid the first half of an overlap stays its earlier tile's, and over the second half the later one takes over
(`layout/taking_over.py`). Of any other layout only the rectangles are known: each tile takes over just within its own
sides, those at the border of the picture left out, so that a tile fades into the picture where no other tile follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ..layout.grid import Axis, Rect
from ..layout.region_layout import RegionLayout
from ..layout.taking_over import RISES, rising, taking_over
from ..layout.tile_layout import TileLayout
from ..pixels.counted import counted

OPTIMAL = "optimal seam"
PUT_METHODS = (*RISES, OPTIMAL)
RAMP = 8  # a tile of no whole grid takes over within this share of its side, one eighth


class Side(NamedTuple):
    """One side of a tile along which it takes over from what is finished.

    Attributes:
        dim: 1 (y) or 2 (x), of pixels [B, h, w, C].
        far: whether it is the lower or right one.
        weight: float32 [n], how much the tile counts at its first n pixels from that side: 0 at first, then rising to 1.
    """

    dim: int
    far: bool
    weight: torch.Tensor

    @property
    def start(self) -> int:
        """The first pixel from that side at which the tile counts at all."""
        return int((self.weight > 0).int().argmax()) if bool((self.weight > 0).any()) else len(self.weight)


def check_turn(layout: TileLayout, index: int) -> Rect:
    """The rectangle of tile `index`.

    Raises:
        ValueError: where there is no such tile, and for a canvas that is joined to itself.
    """
    if any(layout.wrap):
        raise ValueError("the layout wraps around, and tiles are taken one at a time within the picture only: split with wrap set to none")
    tiles = layout.here
    if not tiles:
        raise ValueError("the layout has no tiles, as of an empty mask: there is nothing to take; mark something first")
    if not 0 <= index < len(tiles):
        numbers = "its number is 0" if len(tiles) == 1 else f"numbered 0 to {len(tiles) - 1}"
        raise ValueError(
            f"index {index} is not a tile of the layout, which has {counted(len(tiles), 'tile')}, {numbers}: "
            "let the loop run from 0 and as often as Tile Split's count says"
        )
    return tiles[index]


def takeover_sides(layout: TileLayout, index: int, window: str = "hann") -> list[Side]:
    """The sides along which tile `index` takes over, x before y; none for the first tile of a whole grid.

    Args:
        layout: in pixels.
        index: of the tiles that are here.
        window: one of `taking_over.RISES`.
    """
    rect = check_turn(layout, index)
    number = layout.numbers[index]
    grid = layout.below if isinstance(layout, RegionLayout) else layout
    if grid is not None and number < len(grid.tiles) and grid.present in (None, tuple(range(len(grid.tiles)))):
        row, column = divmod(number, grid.counts[1])
        ys, xs = grid.axes
        return [*_grid_side(2, xs, column, window), *_grid_side(1, ys, row, window)]
    if isinstance(layout, RegionLayout) and number >= layout.grid_tiles:
        return _region_sides(layout, number, window)
    found = []
    for dim, start, length, size in ((2, rect.x, rect.width, layout.canvas[1]), (1, rect.y, rect.height, layout.canvas[0])):
        ramp = _ramp(layout.here, index, dim)
        weight = rising((torch.arange(ramp, dtype=torch.float64) + 0.5) / max(ramp, 1), window).float()
        inside = ((False, start > 0), (True, start + length < size))
        found += [Side(dim, far, weight) for far, there in inside if there and ramp]
    return found


def _region_sides(layout: RegionLayout, number: int, window: str) -> list[Side]:
    """A region takes over within its ramp, up to its core, which comes from it alone."""
    tile = layout.tiles[number]
    core, ramp = layout.cores[number - layout.grid_tiles], layout.ramps[number - layout.grid_tiles]
    found = []
    for dim, at in ((2, 1), (1, 0)):
        for far in (False, True):
            room = tile[at] + tile[at + 2] - core[at] - core[at + 2] if far else core[at] - tile[at]
            wide = min(ramp, room)
            rise = rising((torch.arange(wide, dtype=torch.float64) + 0.5) / max(wide, 1), window)
            if room:
                found.append(Side(dim, far, torch.cat((torch.zeros(room - wide), rise.float()))))
    return found


def _grid_side(dim: int, axis: Axis, index: int, window: str) -> list[Side]:
    shared = 0 if index == 0 else axis.origins[index - 1] + axis.tile - axis.origins[index]
    return [Side(dim, False, taking_over(axis, index, window=window)[:shared])] if shared > 0 else []


def _ramp(tiles: Sequence[Rect], index: int, dim: int) -> int:
    """Pixels within which a tile takes over: an eighth of its side, and no more than half of what it shares with another.

    So where two tiles overlap one of them is whole at every pixel, and nothing of the picture below is left between them.
    """
    at, length = (0, 2) if dim == 1 else (1, 3)
    mine = tiles[index]
    shared = [
        min(mine[at] + mine[length], other[at] + other[length]) - max(mine[at], other[at])
        for i, other in enumerate(tiles)
        if i != index and _meet(mine, other)
    ]
    return min(mine[length] // RAMP, *(n // 2 for n in shared)) if shared else mine[length] // RAMP


def _meet(a: Rect, b: Rect) -> bool:
    return a.y < b.y + b.height and b.y < a.y + a.height and a.x < b.x + b.width and b.x < a.x + a.width


def share_of(sides: Sequence[Side], height: int, width: int) -> torch.Tensor:
    """How much a tile of that size counts against what is finished: float32 [height, width], 0 where that stays, 1 where it is new."""
    along = {1: torch.ones(height), 2: torch.ones(width)}
    for side in sides:
        n = min(len(side.weight), len(along[side.dim]))
        if side.far:
            along[side.dim][-n:] *= side.weight[:n].flip(0)
        else:
            along[side.dim][:n] *= side.weight[:n]
    return along[1][:, None] * along[2]
