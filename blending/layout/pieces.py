"""What the network is given at a time: a tile, or the pieces of one that was too large for the memory.

Every piece has a core; the cores of all pieces fill the picture exactly once, so that what is counted over them is
counted once for every pixel.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from .grid import Axis, Rect, covers
from .grid_layout import GridLayout
from .tile_layout import TileLayout

COARSE = (8, 4, 2, 1)


class Core(NamedTuple):
    """The part of a tile or a piece that no other one counts, in its own pixels; may be empty.

    Attributes:
        y, x, height, width: as of a Rect.
        first_row, last_row, first_column, last_column: whether the picture ends there. What a network adds to a picture beyond
            its ends counts with it.
    """

    y: int
    x: int
    height: int
    width: int
    first_row: bool = True
    last_row: bool = True
    first_column: bool = True
    last_column: bool = True

    def to_the_end(self, height: int, width: int) -> Core:
        """The same; of a tile of that size, up to its end where the picture ends."""
        return self._replace(
            height=height - self.y if self.last_row and self.height else self.height,
            width=width - self.x if self.last_column and self.width else self.width,
        )


class Piece(NamedTuple):
    """A part of one tile.

    Attributes:
        rect: where it lies in its tile, in source pixels.
        core: the part of `rect` that no other piece of the picture counts.
    """

    rect: Rect
    core: Core


def snug_grid(height: int, width: int, tile_height: int, tile_width: int, overlap: int, multiple_of: int, batch: int = 1) -> GridLayout:
    """The grid with as many tiles as `tile_height` x `tile_width` would make, and tiles no larger than that number needs.

    Equal tiles of just the size that was asked for overlap more than they must wherever the picture is no whole number of
    them; smaller ones compute fewer pixels for the same picture.

    Raises:
        ValueError: as `TileLayout.grid` does.
    """
    asked = TileLayout.grid(height, width, tile_height, tile_width, overlap, multiple_of, batch)
    sides = []
    for size, tile, axis in ((height, tile_height, asked.axes[0]), (width, tile_width, asked.axes[1])):
        largest = tile // multiple_of * multiple_of
        least = (-(-overlap // multiple_of) + 1) * multiple_of
        snug = covers(size, overlap, multiple_of, least, largest)[0] if largest >= least else None
        fewer = snug is not None and snug.count <= len(axis.origins) and snug.tile < tile
        sides.append(snug.tile if fewer else tile)
    return TileLayout.grid(height, width, *sides, overlap, multiple_of, batch)


def piece_grid(height: int, width: int, tile_height: int, tile_width: int, overlap: int, multiple_of: int) -> GridLayout:
    """The grid that a tile is cut by: `snug_grid` along each side; one that is no longer than the overlap stays whole."""
    ys, xs = (
        Axis(size, size, (0,)) if tile <= overlap else snug_grid(size, size, tile, tile, overlap, multiple_of).axes[0]
        for size, tile in ((height, tile_height), (width, tile_width))
    )
    return GridLayout.of_axes(ys, xs)


def _lines(axis: Axis) -> list[int]:
    """Where the core of each tile along an axis begins, and where the last one ends: in the middle of each overlap."""
    lines = [0]
    for before, after in pairwise(axis.origins):
        middle = (before + axis.tile - after) // 2
        # Where the overlap has room for it, between two cells of a network that works at a half, a quarter or an eighth.
        lattice = next(step for step in COARSE if after % step == 0 and 4 * (middle % step) <= middle)
        lines.append(after + middle - middle % lattice)
    return [*lines, axis.size]


def cores(layout: GridLayout) -> list[Core]:
    """The core of every tile, in the tile's own pixels; what reaches over the picture belongs to none."""
    ys, xs = layout.axes
    rows, columns = _lines(ys), _lines(xs)
    return [
        Core(top - y, left - x, bottom - top, right - left, top == 0, bottom == ys.size, left == 0, right == xs.size)
        for y, (top, bottom) in zip(ys.origins, pairwise(rows), strict=True)
        for x, (left, right) in zip(xs.origins, pairwise(columns), strict=True)
    ]


def _common(a: Core, b: Core) -> Core:
    """What lies in both; without height or width where nothing does. The picture ends where `b` says, if that end is in it."""
    y, x = max(a.y, b.y), max(a.x, b.x)
    bottom, right = min(a.y + a.height, b.y + b.height), min(a.x + a.width, b.x + b.width)
    ends = (
        b.first_row and y == b.y,
        b.last_row and bottom == b.y + b.height,
        b.first_column and x == b.x,
        b.last_column and right == b.x + b.width,
    )
    return Core(y, x, max(bottom - y, 0), max(right - x, 0), *ends)


def pieces(layout: GridLayout, core: Core) -> list[Piece]:
    """The tiles of `layout`, which is of one tile of a picture, as pieces of that tile, whose core is `core`."""
    found = []
    for rect, own in zip(layout.tiles, cores(layout), strict=True):
        inside = _common(own._replace(y=own.y + rect.y, x=own.x + rect.x), core)
        found.append(Piece(rect, inside._replace(y=inside.y - rect.y, x=inside.x - rect.x)))
    return found
