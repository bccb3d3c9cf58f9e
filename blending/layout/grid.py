"""One direction of a grid of tiles, and rectangles: where tiles begin, how long they must be, and what they cover."""

from __future__ import annotations

import math
from typing import NamedTuple

MAX_TILES = 65_536
MAX_LENGTH = 1 << 20


class Rect(NamedTuple):
    """A tile's place: top left corner and size, in source pixels."""

    y: int
    x: int
    height: int
    width: int


class Axis(NamedTuple):
    """One direction of a grid: `size` pixels covered by tiles `tile` long that start at `origins`.

    `ramps` are the [start, stop] within which neighbours change over, one for each two of them; None where that is all of
    what they share.
    """

    size: int
    tile: int
    origins: tuple[int, ...]
    ramps: tuple[tuple[float, float], ...] | None = None

    @property
    def overlap(self) -> int | None:
        """The smallest overlap of two neighbours, or None where there is one tile."""
        gaps = [a + self.tile - b for a, b in zip(self.origins, self.origins[1:], strict=False)]
        return min(gaps) if gaps else None

    @property
    def covered_once(self) -> int:
        """How many of the `size` pixels only one tile covers."""
        starts = (0, *(min(origin + self.tile, self.size) for origin in self.origins))
        stops = (*self.origins[1:], self.size)
        return sum(max(0, stop - start) for start, stop in zip(starts, stops, strict=False))


def plan_axis(size: int, tile: int, overlap: int, multiple_of: int) -> tuple[int, ...]:
    """Origins of equal tiles, evenly spread over `size` pixels.

    Every origin is a multiple of `multiple_of` and neighbours overlap by at least
    `overlap`. The last tile may reach over the end by fewer than `multiple_of` pixels
    (or by as much as the tile is longer than `size`): the planner rounds the way to
    the last origin up to the lattice instead of pulling the last tile back off it.

    Raises ValueError where no such plan exists.
    """
    if size <= tile:
        return (0,)
    lattice_steps = math.ceil((size - tile) / multiple_of)
    longest_stride = (tile - overlap) // multiple_of
    if longest_stride < 1:
        room = f"an overlap of {tile - multiple_of} or less, " if tile >= multiple_of else ""
        raise ValueError(
            f"tile {tile} with overlap {overlap} moves on by {tile - overlap} px, less than multiple_of {multiple_of}: "
            f"use {room}a larger tile, or multiple_of {tile - overlap} or less"
        )
    strides = math.ceil(lattice_steps / longest_stride)
    return tuple(multiple_of * (i * lattice_steps // strides) for i in range(strides + 1))


def check_plan(height: int, width: int, tile_height: int, tile_width: int, overlap: int, multiple_of: int) -> None:
    for name, value in (("height", height), ("width", width)):
        if not 1 <= value <= MAX_LENGTH:
            raise ValueError(f"an image {name} of {value} px cannot be cut: it must be 1 to {MAX_LENGTH}")
    for name, value in (("tile_height", tile_height), ("tile_width", tile_width)):
        if not 1 <= value <= MAX_LENGTH:
            raise ValueError(f"{name} {value} is not a tile size: use 1 to {MAX_LENGTH}, for example 1024")
    if multiple_of < 1:
        raise ValueError(f"multiple_of {multiple_of} is not a lattice: use 1 or more, for example 8")
    if overlap < 0:
        raise ValueError(f"overlap {overlap} is negative: use 0 or more, for example an eighth of the tile")
    smaller = min(tile_height, tile_width)
    if overlap >= smaller:
        raise ValueError(f"overlap {overlap} must be smaller than the tile ({tile_width} x {tile_height}): use {smaller // 2} or less")


class Cover(NamedTuple):
    """`count` tiles of `tile` pixels that cover one axis."""

    tile: int
    count: int

    @property
    def pixels(self) -> int:
        """Computed along this axis."""
        return self.tile * self.count


def covers(size: int, overlap: int, multiple_of: int, smallest: int, largest: int) -> list[Cover]:
    """The shortest tile for every number of tiles that can cover `size` pixels, longest first.

    Numbers that call for the same tile are given once, as the grid would lay it out (`plan_axis`).

    Args:
        size, overlap: pixels.
        multiple_of: tiles and their origins are multiples of it.
        smallest, largest: sides of a tile; multiples of it, too, and above the overlap.
    """
    steps, shared = -(-size // multiple_of), -(-overlap // multiple_of)
    least, most = smallest // multiple_of, largest // multiple_of

    def number(tile: int) -> int:
        return 1 if steps <= tile else 1 - (tile - steps) // (tile - shared)

    found: list[Cover] = []
    tile = most + 1
    while tile > least:
        count = number(tile - 1)
        tile = max(-(-(steps + (count - 1) * shared) // count), least)
        found.append(Cover(tile * multiple_of, count))
    return found
