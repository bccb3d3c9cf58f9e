"""Grids: equal tiles in rows and columns, evenly spread."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

from ..pixels.counted import counted
from .grid import MAX_LENGTH, MAX_TILES, Axis, Rect, check_plan, plan_axis, plan_circle, spread, tile_for_count
from .tile_layout import TileLayout, whole_numbers

# Tiles that reach over the picture are copies, filled up with mirrored picture. More pixels of those than this, and
# than MAX_PADDING times the picture itself, are a mistake or an attack on the memory.
MAX_PADDED = 1 << 26
MAX_PADDING = 8


Places = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class GridLayout(TileLayout):
    """Equal tiles, row by row, that cover the canvas; what can be asked of a grid alone.

    Attributes:
        ramp_places: (of y, of x): for each two neighbours the [start, stop] within which one takes over from the other, in
            source pixels within what they share; None where that is all of it.
    """

    ramp_places: tuple[Places, Places] | None = None

    def _check_tiles(self) -> None:
        if self.kind != "grid":
            raise ValueError(f"a grid is of kind 'grid', and this one of {self.kind!r}")
        ys = tuple(sorted({t.y for t in self.tiles}))
        xs = tuple(sorted({t.x for t in self.tiles}))
        height, width = self.tiles[0].height, self.tiles[0].width
        for name, size, tile, origins, wraps in (
            ("y", self.canvas[0], height, ys, self.wrap[0]),
            ("x", self.canvas[1], width, xs, self.wrap[1]),
        ):
            if not (1 <= size <= MAX_LENGTH and 1 <= tile <= MAX_LENGTH):
                raise ValueError(f"a canvas of {size} px or a tile of {tile} px along {name} is not between 1 and {MAX_LENGTH}")
            if wraps and tile > size:
                raise ValueError(
                    f"a tile of {tile} px along {name} is longer than the canvas of {size} px, which is joined to itself there"
                )
            ends = [0, *(o + tile for o in origins)]
            if any(o > end for o, end in zip(origins, ends, strict=False)) or origins[0] != 0 or ends[-1] < size:
                raise ValueError(f"the tiles do not cover the canvas along {name}: {tile} px tiles at {origins} over {size} px")
            # At the end of it is where a canvas that was rounded down leaves the last tile.
            if origins[-1] > size - wraps:
                raise ValueError(f"a tile lies outside of the canvas along {name}: at {origins[-1]} of {size} px")
        if len(ys) * len(xs) != len(self.tiles):
            raise ValueError(
                f"the tiles are not a grid: {counted(len(self.tiles), 'tile')} in {counted(len(ys), 'row')} and "
                f"{counted(len(xs), 'column')}"
            )
        if any(length % self.unit for length in (height, width, *ys, *xs)):
            raise ValueError(f"the tiles do not fall on whole cells of {self.unit} px")
        self._check_padding(len(ys), len(xs))
        if self.tiles != tuple(Rect(y, x, height, width) for y in ys for x in xs):
            raise ValueError("the tiles are not a grid of equal tiles in row order")
        self._check_ramps((ys, xs), (height, width))

    def _check_ramps(self, origins: tuple[tuple[int, ...], tuple[int, ...]], tile: tuple[int, int]) -> None:
        if self.ramp_places is not None and any(self.wrap):
            raise ValueError("ramps have a place only in a layout that does not wrap around")
        for name, places, at, length in zip("yx", self.ramp_places or (), origins, tile, strict=False):
            shared = [(b, a + length) for a, b in pairwise(at)]
            if len(places) != len(shared) or any(
                not (b <= start < stop <= end or b == start == stop == end) for (start, stop), (b, end) in zip(places, shared, strict=True)
            ):
                raise ValueError(f"the ramps along {name} do not lie in what neighbours share: {places} in {shared}"[:300])

    def _scaled_more(self, factor: Fraction) -> dict[str, Any]:
        return {"ramp_places": scaled_places(self.ramp_places, factor)}

    def _more_record(self) -> dict[str, Any]:
        return {} if self.ramp_places is None else {"ramp_places": places_record(self.ramp_places)}

    @classmethod
    def _read_more(cls, record: dict[str, Any]) -> dict[str, Any]:
        return {"ramp_places": read_places(record.get("ramp_places"))}

    def _check_padding(self, rows: int, columns: int) -> None:
        (height, width), last = self.tile_size, self.tiles[-1]
        # What reaches over a joined end is a copy, too, and of a tile that is no longer than the canvas: no more than twice the picture.
        inside_rows = rows - (last.y + height > self.canvas[0] and not self.wrap[0])
        inside_columns = columns - (last.x + width > self.canvas[1] and not self.wrap[1])
        copied = (rows * columns - inside_rows * inside_columns) * height * width * self.batch
        if copied > max(MAX_PADDED * self.unit**2, MAX_PADDING * self.canvas[0] * self.canvas[1] * self.batch):
            raise ValueError(
                f"tiles of {width} x {height} would be nearly all padding around a picture of {self.canvas[1]} x {self.canvas[0]}: "
                "use tiles of about the picture's size or smaller"
            )

    @classmethod
    def even(
        cls,
        height: int,
        width: int,
        tile_height: int,
        tile_width: int,
        overlap: int,
        multiple_of: int = 1,
        batch: int = 1,
        unit: int = 1,
        mask_size: tuple[int, int] | None = None,
        wrap: tuple[bool, bool] = (False, False),
        counts: tuple[int, int] = (0, 0),
    ) -> GridLayout:
        """Plan an even grid (`plan_axis` in both directions, `plan_circle` where it wraps).

        All lengths are source pixels. With a `unit` above 1 the canvas and the tile must be
        whole cells, and origins fall on the least common multiple of `multiple_of` and `unit`.
        `wrap` (y, x) joins the canvas to itself; `counts` are rows and columns where they are asked
        for, 0 where they follow from the tile's size, which they overrule.

        Raises ValueError, naming the value and the mend, for anything that cannot be planned.
        """
        if unit < 1:
            raise ValueError(f"unit {unit} is not a number of pixels per cell: use 1 or more")
        rows, columns = counts
        if rows < 0 or columns < 0:
            raise ValueError(f"rows {rows} and columns {columns} are numbers of tiles: use 1 or more, or 0 to go by the tile's size")
        lattice = math.lcm(max(multiple_of, 1), unit)
        # What a number of tiles overrules need make no sense.
        check_plan(
            height,
            width,
            max(tile_height, overlap + 1) if rows else tile_height,
            max(tile_width, overlap + 1) if columns else tile_width,
            overlap,
            multiple_of,
        )
        tile_height = tile_for_count("rows", height, rows, overlap, lattice, wrap[0]) if rows else tile_height
        tile_width = tile_for_count("columns", width, columns, overlap, lattice, wrap[1]) if columns else tile_width
        for name, value in (("tile_height", tile_height), ("tile_width", tile_width)):
            if value % unit:
                low = value // unit * unit
                raise ValueError(f"{name} {value} is not a whole number of latent cells of {unit} px: use {low or unit} or {low + unit}")
        ys = _origins(height, tile_height, overlap, lattice, rows, wrap[0])
        xs = _origins(width, tile_width, overlap, lattice, columns, wrap[1])
        if len(ys) * len(xs) > MAX_TILES:
            raise ValueError(
                f"tiles of {tile_width} x {tile_height} with overlap {overlap} cut a {width} x {height} picture into "
                f"{len(ys) * len(xs)} tiles, more than {MAX_TILES}: use a larger tile or a smaller overlap"
            )
        tiles = tuple(Rect(y, x, tile_height, tile_width) for y in ys for x in xs)
        return cls((height, width), tiles, batch=batch, unit=unit, mask_size=mask_size, wrap=tuple(wrap))

    @classmethod
    def of_axes(cls, ys: Axis, xs: Axis, **more: int) -> GridLayout:
        """The grid over two axes; `more` as the attributes of a TileLayout."""
        tiles = tuple(Rect(y, x, ys.tile, xs.tile) for y in ys.origins for x in xs.origins)
        places = None
        if ys.ramps is not None or xs.ramps is not None:
            shared = ([(b, a + axis.tile) for a, b in pairwise(axis.origins)] for axis in (ys, xs))
            places = tuple(tuple(axis.ramps or whole) for axis, whole in zip((ys, xs), shared, strict=True))
        return cls((ys.size, xs.size), tiles, wrap=(ys.wraps, xs.wraps), ramp_places=places, **more)

    @property
    def tile_size(self) -> tuple[int, int]:
        """(height, width) of every tile, in source pixels."""
        return self.tiles[0].height, self.tiles[0].width

    @cached_property
    def axes(self) -> tuple[Axis, Axis]:
        """The grid's two directions, (y, x)."""
        ys = tuple(dict.fromkeys(t.y for t in self.tiles))
        xs = tuple(dict.fromkeys(t.x for t in self.tiles))
        height, width = self.tile_size
        of_y, of_x = self.ramp_places or (None, None)
        return Axis(self.canvas[0], height, ys, self.wrap[0], of_y), Axis(self.canvas[1], width, xs, self.wrap[1], of_x)

    @property
    def repeated(self) -> Fraction:
        """Share of the canvas that two or more tiles cover, 0 to 1: those pixels are computed more than once."""
        ys, xs = self.axes
        return 1 - Fraction(ys.covered_once * xs.covered_once, ys.size * xs.size)

    @property
    def counts(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        ys, xs = self.axes
        return len(ys.origins), len(xs.origins)

    @property
    def least_overlap(self) -> int | None:
        """The smallest overlap of two neighbours, in source pixels; None where there is one tile."""
        return min((axis.overlap for axis in self.axes if axis.overlap is not None), default=None)

    @property
    def axes_in_cells(self) -> tuple[Axis, Axis]:
        """`axes`, counted in cells of `unit` pixels."""
        unit = self.unit
        ys, xs = (
            Axis(
                axis.size // unit,
                axis.tile // unit,
                tuple(at // unit for at in axis.origins),
                axis.wraps,
                axis.ramps and tuple((start / unit, stop / unit) for start, stop in axis.ramps),
            )
            for axis in self.axes
        )
        return ys, xs


def _origins(size: int, tile: int, overlap: int, lattice: int, count: int, wraps: bool) -> tuple[int, ...]:
    """Along one axis, by `count` where it is not 0."""
    if not count:
        return (plan_circle if wraps else plan_axis)(size, tile, overlap, lattice)
    if wraps:
        return spread(size, count, lattice) if count > 1 else (0,)
    steps = max(0, -(-(size - tile) // lattice))
    return tuple(lattice * (i * steps // max(count - 1, 1)) for i in range(count))


def scaled_places(places: tuple[Places, Places] | None, factor: Fraction) -> tuple[Places, Places] | None:
    """Ramps of the picture resized by `factor`, to whole pixels and at least one of them wide."""
    if places is None:
        return None
    of_y, of_x = (tuple((int(start * factor), max(int(stop * factor), int(start * factor) + 1)) for start, stop in axis) for axis in places)
    return of_y, of_x


def places_record(places: tuple[Places, Places] | None) -> list[list[list[int]]] | None:
    """Ramps as plain JSON values."""
    return None if places is None else [[list(place) for place in axis] for axis in places]


def read_places(record: Any) -> tuple[Places, Places] | None:
    """`places_record` read back, or TypeError."""
    if record is None:
        return None
    if not isinstance(record, list) or len(record) != 2 or any(not isinstance(axis, list) or len(axis) > MAX_TILES for axis in record):
        raise TypeError("expected the ramps of y and of x")
    of_y, of_x = (tuple(whole_numbers(place, 2) for place in axis) for axis in record)
    return of_y, of_x
