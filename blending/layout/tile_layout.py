"""Where the tiles are.

`TileLayout` is the one idea that every Tilework node shares. It is made once, when
a picture is cut, and travels beside the tiles untouched; whoever puts the tiles
together again asks it for everything and nothing is ever typed twice.

All lengths are pixels of the source picture, also for latents, whose `unit` says how
many of those pixels one latent cell stands for.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from .grid import MAX_LENGTH, MAX_TILES, Axis, Rect, check_plan, plan_axis

RECORD_VERSION = 1

# Tiles that reach over the picture are copies, filled up with mirrored picture. More pixels of those than this, and
# than MAX_PADDING times the picture itself, are a mistake or an attack on the memory.
MAX_PADDED = 1 << 26
MAX_PADDING = 8

FAMILIAR_DENOMINATORS = (1, 2, 3, 4, 5, 8, 10, 20, 100)


@dataclass(frozen=True)
class TileLayout:
    """An immutable, hashable plan of tiles over one canvas.

    Attributes:
        canvas: (height, width) of the source picture, in pixels.
        tiles: every tile's place, row by row; border tiles may reach over the canvas.
        batch: how many pictures lie on the canvas at once; tile lists are tile-major.
        unit: source pixels per cell (1 for pictures, 8, 16, 32 for latents).
        kind: "grid" is the only kind so far; other kinds may hold rectangles of any size.
        wrap: (y, x), whether the canvas is joined to itself there; off for now.
        present: indices of the tiles that are here, None for all of them.
        mask_size: (height, width) of the noise mask that was cut along, None where there was none.
    """

    canvas: tuple[int, int]
    tiles: tuple[Rect, ...]
    batch: int = 1
    unit: int = 1
    kind: str = "grid"
    wrap: tuple[bool, bool] = (False, False)
    present: tuple[int, ...] | None = None
    mask_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.kind != "grid":
            raise ValueError(f"a layout of kind {self.kind!r} is not known to this Tilework, which knows 'grid': update Tilework")
        if len(self.wrap) != 2 or any(self.wrap) or self.present is not None:
            raise ValueError("this layout wraps around or lacks tiles, which this version of Tilework cannot place: update Tilework")
        if self.mask_size is not None and min(self.mask_size) < 1:
            raise ValueError(f"a layout's mask_size is at least 1 x 1, and this one is {self.mask_size}")
        if self.batch < 1 or self.unit < 1:
            raise ValueError(f"a layout needs a batch and a unit of 1 or more, and has batch {self.batch}, unit {self.unit}")
        if not 1 <= len(self.tiles) <= MAX_TILES:
            raise ValueError(f"a layout holds 1 to {MAX_TILES} tiles, and this one has {len(self.tiles)}")
        self._check_grid()

    def _check_grid(self) -> None:
        ys = tuple(sorted({t.y for t in self.tiles}))
        xs = tuple(sorted({t.x for t in self.tiles}))
        height, width = self.tiles[0].height, self.tiles[0].width
        for name, size, tile, origins in (("y", self.canvas[0], height, ys), ("x", self.canvas[1], width, xs)):
            if not (1 <= size <= MAX_LENGTH and 1 <= tile <= MAX_LENGTH):
                raise ValueError(f"a canvas of {size} px or a tile of {tile} px along {name} is not between 1 and {MAX_LENGTH}")
            ends = [0, *(o + tile for o in origins)]
            if any(o > end for o, end in zip(origins, ends, strict=False)) or origins[0] != 0 or ends[-1] < size:
                raise ValueError(f"the tiles do not cover the canvas along {name}: {tile} px tiles at {origins} over {size} px")
        if len(ys) * len(xs) != len(self.tiles):
            raise ValueError(f"the tiles are not a grid: {len(self.tiles)} tiles in {len(ys)} rows and {len(xs)} columns")
        if any(length % self.unit for length in (height, width, *ys, *xs)):
            raise ValueError(f"the tiles do not fall on whole cells of {self.unit} px")
        self._check_padding(len(ys), len(xs))
        if self.tiles != tuple(Rect(y, x, height, width) for y in ys for x in xs):
            raise ValueError("the tiles are not a grid of equal tiles in row order")

    def _check_padding(self, rows: int, columns: int) -> None:
        (height, width), last = self.tile_size, self.tiles[-1]
        inside_rows = rows - (last.y + height > self.canvas[0])
        inside_columns = columns - (last.x + width > self.canvas[1])
        copied = (rows * columns - inside_rows * inside_columns) * height * width * self.batch
        if copied > max(MAX_PADDED * self.unit**2, MAX_PADDING * self.canvas[0] * self.canvas[1] * self.batch):
            raise ValueError(
                f"tiles of {width} x {height} would be nearly all padding around a picture of {self.canvas[1]} x {self.canvas[0]}: "
                "use tiles of about the picture's size or smaller"
            )

    @classmethod
    def grid(
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
    ) -> TileLayout:
        """Plan an even grid (`plan_axis` in both directions).

        All lengths are source pixels. With a `unit` above 1 the canvas and the tile must be
        whole cells, and origins fall on the least common multiple of `multiple_of` and `unit`.

        Raises ValueError, naming the value and the mend, for anything that cannot be planned.
        """
        if unit < 1:
            raise ValueError(f"unit {unit} is not a number of pixels per cell: use 1 or more")
        check_plan(height, width, tile_height, tile_width, overlap, multiple_of)
        for name, value in (("tile_height", tile_height), ("tile_width", tile_width)):
            if value % unit:
                low = value // unit * unit
                raise ValueError(f"{name} {value} is not a whole number of latent cells of {unit} px: use {low or unit} or {low + unit}")
        lattice = math.lcm(multiple_of, unit)
        ys = plan_axis(height, tile_height, overlap, lattice)
        xs = plan_axis(width, tile_width, overlap, lattice)
        if len(ys) * len(xs) > MAX_TILES:
            raise ValueError(
                f"tiles of {tile_width} x {tile_height} with overlap {overlap} cut a {width} x {height} picture into "
                f"{len(ys) * len(xs)} tiles, more than {MAX_TILES}: use a larger tile or a smaller overlap"
            )
        tiles = tuple(Rect(y, x, tile_height, tile_width) for y in ys for x in xs)
        return cls((height, width), tiles, batch=batch, unit=unit, mask_size=mask_size)

    def __len__(self) -> int:
        return len(self.tiles)

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
        return Axis(self.canvas[0], height, ys), Axis(self.canvas[1], width, xs)

    @property
    def repeated(self) -> Fraction:
        """Share of the canvas that two or more tiles cover, 0 to 1: those pixels are computed more than once."""
        ys, xs = self.axes
        return 1 - Fraction(ys.alone * xs.alone, ys.size * xs.size)

    def scaled(self, scale: int | float | str | Fraction) -> TileLayout:
        """The same plan for the picture resized by `scale`.

        The canvas becomes round(size * scale); every origin and the tile size must land on
        whole pixels.

        Raises ValueError naming the first length that does not.
        """
        try:
            factor = Fraction(scale)
        except (ValueError, OverflowError, ZeroDivisionError) as error:
            raise ValueError(f"a layout cannot be scaled by {scale}: use a finite number above 0") from error
        if not 0 < factor <= MAX_LENGTH:
            raise ValueError(f"a layout cannot be scaled by {float(factor):g}: use a number above 0")
        for index, tile in enumerate(self.tiles):
            for name, value in zip(Rect._fields, tile, strict=True):
                if (value * factor).denominator != 1:
                    raise ValueError(
                        f"scale {factor} puts tile {index}'s {name} of {value} px at {float(value * factor):g}, not on a whole "
                        f"pixel: plan with tile sizes and multiple_of that are multiples of {factor.denominator}"
                    )
        tiles = tuple(Rect(*(int(value * factor) for value in tile)) for tile in self.tiles)
        canvas = tuple(max(1, round(size * factor)) for size in self.canvas)
        return replace(self, canvas=canvas, tiles=tiles)

    def _scale_to(self, canvas: tuple[int, int]) -> Fraction | None:
        """The scale that makes this canvas into that one, rounded or floored; a familiar one before an exact one."""
        for denominator in (*FAMILIAR_DENOMINATORS, self.canvas[0]):
            scale = Fraction(round(Fraction(canvas[0] * denominator, self.canvas[0])), denominator)
            if scale > 0 and all(abs(have * scale - want) < 1 for have, want in zip(self.canvas, canvas, strict=True)):
                return scale
        return None

    def in_pixels(self) -> TileLayout:
        """The same plan counted in pixels: what decoded tiles of a latent layout belong to."""
        return self if self.unit == 1 else replace(self, unit=1, mask_size=None)

    def fit(self, height: int, width: int, batch: int, unit: int = 1, mask_size: tuple[int, int] | None = None) -> TileLayout:
        """The same plan for another picture or latent of the same scene, such as its depth map or its half-size copy.

        Args:
            height, width: cells of that picture.
            batch: its batch.
            unit: source pixels per cell (1 for pictures).
            mask_size: (height, width) of its noise mask, if any.

        Raises:
            ValueError: where the tiles do not fall on whole cells, or the sizes are not one scale apart.
        """
        canvas = (height * unit, width * unit)
        plan = self
        if any(abs(have - want) >= unit for have, want in zip(self.canvas, canvas, strict=True)):
            scale = self._scale_to(canvas)
            if scale is None:
                raise ValueError(
                    f"the layout was planned for a picture of {self.canvas[1]} x {self.canvas[0]} and this one is {canvas[1]} x "
                    f"{canvas[0]}, which is not one scale for both sides: resize one of them, or split without the layout"
                )
            plan = self.scaled(scale)
        for index, tile in enumerate(plan.tiles):
            if any(value % unit for value in tile):
                raise ValueError(
                    f"tile {index} of the layout (x {tile.x}, y {tile.y}, {tile.width} x {tile.height} px) does not fall on whole "
                    f"latent cells of {unit} px: plan with tile sizes and multiple_of that are multiples of {unit}"
                )
        return replace(plan, canvas=canvas, batch=batch, unit=unit, mask_size=mask_size)

    def to_record(self) -> dict[str, Any]:
        """The layout as plain JSON values, with its version."""
        return {
            "version": RECORD_VERSION,
            "kind": self.kind,
            "canvas": list(self.canvas),
            "batch": self.batch,
            "unit": self.unit,
            "tiles": [list(tile) for tile in self.tiles],
            "wrap": list(self.wrap),
            "present": "all" if self.present is None else list(self.present),
            "mask_size": None if self.mask_size is None else list(self.mask_size),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> TileLayout:
        """Read `to_record` back. The record is untrusted: everything in it is checked.

        Raises ValueError for a record that is malformed or of a later version.
        """
        if not isinstance(record, dict) or type(record.get("version")) is not int or record["version"] < 1:
            raise ValueError("this is not a Tilework layout: it has no version number")
        if record["version"] > RECORD_VERSION:
            raise ValueError(
                f"this layout was written by a later Tilework (record version {record['version']}, known up to "
                f"{RECORD_VERSION}): update Tilework"
            )
        try:
            present = record.get("present", "all")
            mask_size = record.get("mask_size")
            rows = record["tiles"]
            if not isinstance(rows, list) or len(rows) > MAX_TILES:
                raise ValueError(f"a layout holds a list of 1 to {MAX_TILES} tiles")
            return cls(
                canvas=_ints(record["canvas"], 2),
                tiles=tuple(Rect(*_ints(row, 4)) for row in rows),
                batch=_ints([record.get("batch", 1)], 1)[0],
                unit=_ints([record.get("unit", 1)], 1)[0],
                kind=record.get("kind", "grid"),
                wrap=tuple(bool(w) for w in record.get("wrap", (False, False))),
                present=None if present == "all" else _ints(present, len(present)),
                mask_size=None if mask_size is None else _ints(mask_size, 2),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is not a Tilework layout: {str(error)[:200]}") from error

    def to_json(self) -> str:
        """`to_record` as JSON text."""
        return json.dumps(self.to_record(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> TileLayout:
        """`from_record` of JSON text."""
        try:
            return cls.from_record(json.loads(text))
        except (json.JSONDecodeError, RecursionError, TypeError) as error:
            raise ValueError(f"this is not a Tilework layout: {str(error)[:200]}") from error


def _ints(values: Any, count: int) -> tuple[int, ...]:
    """`values` as `count` whole numbers within MAX_LENGTH, or TypeError."""
    if not isinstance(values, (list, tuple)) or len(values) != count:
        raise TypeError(f"expected {count} whole numbers, got {values!r}"[:200])
    if any(isinstance(v, bool) or not isinstance(v, int) or not 0 <= v <= MAX_LENGTH for v in values):
        raise TypeError(f"expected whole numbers from 0 to {MAX_LENGTH}, got {values!r}"[:200])
    return tuple(values)
