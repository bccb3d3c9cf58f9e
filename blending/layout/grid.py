"""One direction of a grid of tiles, and rectangles: where tiles begin, how long they must be, and what they cover."""

from __future__ import annotations

import math
from itertools import pairwise
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

    Where it `wraps`, its end is joined to its beginning: a tile that reaches over the end goes on at pixel 0. `ramps` are the
    [start, stop] within which neighbours change over, one for each two of them; None where that is all of what they share.
    """

    size: int
    tile: int
    origins: tuple[int, ...]
    wraps: bool = False
    ramps: tuple[tuple[float, float], ...] | None = None

    @property
    def starts(self) -> tuple[int, ...]:
        """The origins, and behind them that of the first tile once more where it is the last one's neighbour."""
        return (*self.origins, self.origins[0] + self.size) if self.wraps and len(self.origins) > 1 else self.origins

    @property
    def overlap(self) -> int | None:
        """The smallest overlap of two neighbours, or None where there is one tile."""
        gaps = [a + self.tile - b for a, b in pairwise(self.starts)]
        return min(gaps) if gaps else None

    @property
    def covered_once(self) -> int:
        """How many of the `size` pixels only one tile covers."""
        if self.wraps:
            ring = (self.origins[-1] - self.size, *self.origins, self.origins[0] + self.size)
            return sum(max(0, after - before - self.tile) for before, after in zip(ring, ring[2:], strict=False))
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


def plan_circle(size: int, tile: int, overlap: int, multiple_of: int) -> tuple[int, ...]:
    """Origins of equal tiles, evenly spread around a line of `size` pixels whose end is joined to its beginning.

    The first is 0, every origin is a multiple of `multiple_of`, and neighbours overlap by at least `overlap`, the last tile and
    the first one too, which no other tile of the line need be told: `size` may be any number. One tile of exactly `size` that
    is to overlap nothing is its own neighbour.

    Raises ValueError where no such plan exists.
    """
    if tile > size:
        raise ValueError(
            f"a tile of {tile} px is longer than the {size} px of the picture where it wraps around, and would show the same place "
            f"twice: use {size} or less, or set wrap to none"
        )
    if tile == size and overlap == 0:
        return (0,)
    for count in range(max(2, -(-size // (tile - overlap))), min(size // multiple_of, MAX_TILES) + 1):
        if _longest_stride(size, count, multiple_of) <= tile - overlap:
            return spread(size, count, multiple_of)
    raise ValueError(
        f"tile {tile} with overlap {overlap} moves on by {tile - overlap} px, and {size} px joined to themselves cannot be gone round in "
        f"such steps on a lattice of {multiple_of} px: use a smaller overlap, a larger tile, or a multiple_of that divides {size}"
    )


def spread(size: int, count: int, multiple_of: int) -> tuple[int, ...]:
    """`count` origins around a line of `size` pixels, as even as the lattice allows; the last stride takes what it leaves over."""
    steps = size // multiple_of
    rest = steps - steps // count
    return (0, *(multiple_of * (i * rest // (count - 1)) for i in range(1, count)))


def _longest_stride(size: int, count: int, multiple_of: int) -> int:
    """Of `spread`."""
    steps, last = size // multiple_of, size // multiple_of // count
    return max(-(-(steps - last) // (count - 1)) * multiple_of, size - (steps - last) * multiple_of)


def tile_for_count(name: str, size: int, count: int, overlap: int, multiple_of: int, wraps: bool) -> int:
    """The shortest tile on the lattice of which `count` cover `size` pixels and overlap by at least `overlap`.

    Args:
        name: "columns" or "rows", for the message.

    Raises:
        ValueError: where there is none.
    """
    if count == 1 and wraps:
        if overlap:
            raise ValueError(f"{name} 1 is a single tile, which cannot overlap itself where the picture wraps around: use 2 or more")
        return size
    steps, shared = -(-size // multiple_of), -(-overlap // multiple_of)
    if wraps:
        room = count <= size // multiple_of
        tile = -(-(_longest_stride(size, count, multiple_of) + overlap) // multiple_of) * multiple_of if room else 0
        possible = tile <= size
    else:
        tile = max(-(-(steps + (count - 1) * shared) // count), shared + (count > 1)) * multiple_of
        possible = steps - tile // multiple_of >= count - 1
    if not possible or not 0 < tile <= MAX_LENGTH:
        raise ValueError(
            f"{name} {count} with overlap {overlap} cannot cover {size} px in steps of {multiple_of} px: use fewer {name}, a smaller "
            "overlap, or 0 to go by the tile's size"
        )
    return tile


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
