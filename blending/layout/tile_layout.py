"""Where the tiles are: what is true of every layout, whatever its tiles look like. `grid_layout.py` has the even grid.

`TileLayout` is the one idea that every Tilework node shares. It is made once, when
a picture is cut, and travels beside the tiles untouched; whoever puts the tiles
together again asks it for everything and nothing is ever typed twice.

All lengths are pixels of the source picture, also for latents, whose `unit` says how
many of those pixels one latent cell stands for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from .grid import MAX_LENGTH, MAX_TILES, Rect

if TYPE_CHECKING:
    from .grid_layout import GridLayout

RECORD_VERSION = 1

FAMILIAR_DENOMINATORS = (1, 2, 3, 4, 5, 8, 10, 20, 100)


@dataclass(frozen=True)
class TileLayout:
    """An immutable, hashable plan of tiles over one canvas. Made as one of its kinds, never by itself.

    Attributes:
        canvas: (height, width) of the source picture, in pixels.
        tiles: every tile's place, row by row; border tiles may reach over the canvas.
        batch: how many pictures lie on the canvas at once; tile lists are tile-major.
        unit: source pixels per cell (1 for pictures, 8, 16, 32 for latents).
        kind: one of `kinds`; what it tells of a layout is in the class.
        wrap: (y, x), whether the canvas is joined to itself there: tiles that reach over its end show its beginning.
        present: numbers of the tiles that are here, in order; None for all of them. Only those are cut and come back.
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

    least_tiles: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if len(self.wrap) != 2:
            raise ValueError(f"a layout wraps around along y, x, both or none, and this one has {len(self.wrap)} directions")
        if self.present is not None and not _in_order(self.present, len(self.tiles)):
            raise ValueError(f"a layout's present tiles are numbers from 0 to {len(self.tiles) - 1}, each once and in order")
        if self.mask_size is not None and min(self.mask_size) < 1:
            raise ValueError(f"a layout's mask_size is at least 1 x 1, and this one is {self.mask_size}")
        if self.batch < 1 or self.unit < 1:
            raise ValueError(f"a layout needs a batch and a unit of 1 or more, and has batch {self.batch}, unit {self.unit}")
        if not self.least_tiles <= len(self.tiles) <= MAX_TILES:
            raise ValueError(f"a layout holds {self.least_tiles} to {MAX_TILES} tiles, and this one has {len(self.tiles)}")
        self._check_tiles()

    def _check_tiles(self) -> None:
        """Raise ValueError for tiles that are no layout of this kind."""
        raise NotImplementedError

    @staticmethod
    def grid(
        height: int,
        width: int,
        tile_height: int,
        tile_width: int,
        overlap: int,
        multiple_of: int = 1,
        batch: int = 1,
        unit: int = 1,
        mask_size: tuple[int, int] | None = None,
        **more: tuple,
    ) -> GridLayout:
        """The even grid: `GridLayout.even`, which says what `more` there is.

        >>> [tile.x for tile in TileLayout.grid(512, 1000, 512, 512, overlap=64).tiles]
        [0, 244, 488]
        """
        from .grid_layout import GridLayout

        return GridLayout.even(height, width, tile_height, tile_width, overlap, multiple_of, batch, unit, mask_size, **more)

    def __len__(self) -> int:
        """How many tiles are here."""
        return len(self.tiles) if self.present is None else len(self.present)

    @property
    def numbers(self) -> Sequence[int]:
        """The numbers of the tiles that are here, in order."""
        return range(len(self.tiles)) if self.present is None else self.present

    @property
    def here(self) -> tuple[Rect, ...]:
        """The tiles that are here."""
        return self.tiles if self.present is None else tuple(self.tiles[number] for number in self.present)

    @property
    def needs_base(self) -> bool:
        """Whether its tiles leave something of the canvas to a picture below them."""
        return self.present is not None and len(self.present) < len(self.tiles)

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
        for dim in (0, 1):
            check_whole(self, dim, factor)
        canvas = tuple(max(1, round(size * factor)) for size in self.canvas)
        return replace(self, canvas=canvas, tiles=tiles, **self._scaled_more(factor))

    def _scaled_more(self, factor: Fraction) -> dict[str, Any]:
        """What else of a layout of this kind changes with the scale."""
        return {}

    def scale_to(self, canvas: tuple[int, int]) -> Fraction | None:
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
            scale = self.scale_to(canvas)
            if scale is None:
                raise ValueError(
                    f"the layout was planned for a picture of {self.canvas[1]} x {self.canvas[0]} and this one is {canvas[1]} x "
                    f"{canvas[0]}, which is not one scale for both sides: resize one of them, or split without the layout"
                )
            plan = self.scaled(scale)
        for dim, name in enumerate(("high", "wide")):
            if plan.wrap[dim] and plan.canvas[dim] != canvas[dim]:
                raise ValueError(
                    f"the layout wraps around a picture {plan.canvas[dim]} px {name} and this one is {canvas[dim]} px {name}: a picture "
                    "that is joined to itself cannot be a pixel longer or shorter; resize it, or split without the layout"
                )
        for index, tile in enumerate(plan.tiles):
            if any(value % unit for value in tile):
                raise ValueError(
                    f"tile {index} of the layout (x {tile.x}, y {tile.y}, {tile.width} x {tile.height} px) does not fall on whole "
                    f"latent cells of {unit} px: plan with tile sizes and multiple_of that are multiples of {unit}"
                )
        return replace(plan, canvas=canvas, batch=batch, unit=unit, mask_size=mask_size, **plan._fitted_more(canvas))

    def _fitted_more(self, canvas: tuple[int, int]) -> dict[str, Any]:
        """What else of a layout of this kind changes where its canvas becomes `canvas`, which is less than a cell larger or smaller."""
        return {}

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
            **self._more_record(),
        }

    def _more_record(self) -> dict[str, Any]:
        """What else is told of a layout of this kind, as plain JSON values."""
        return {}

    @classmethod
    def _read_more(cls, record: dict[str, Any]) -> dict[str, Any]:
        """Read `_more_record` back. KeyError, TypeError or ValueError for what is malformed."""
        return {}

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
            name = record.get("kind", "grid")
            kind = kinds().get(name)
            if kind is None:
                known = ", ".join(map(repr, kinds()))
                raise ValueError(f"a layout of kind {name!r} is not known to this Tilework, which knows {known}: update Tilework")
            present = record.get("present", "all")
            mask_size = record.get("mask_size")
            rows = record["tiles"]
            if not isinstance(rows, list) or len(rows) > MAX_TILES:
                raise ValueError(f"a layout holds a list of 1 to {MAX_TILES} tiles")
            return kind(
                canvas=whole_numbers(record["canvas"], 2),
                tiles=read_rects(rows),
                batch=whole_numbers([record.get("batch", 1)], 1)[0],
                unit=whole_numbers([record.get("unit", 1)], 1)[0],
                kind=name,
                wrap=_two_flags(record.get("wrap", [False, False])),
                present=None if present == "all" else whole_numbers(present, len(present)),
                mask_size=None if mask_size is None else whole_numbers(mask_size, 2),
                **kind._read_more(record),
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


def check_whole(layout: TileLayout, dim: int, factor: Fraction) -> None:
    """Raise ValueError where a canvas that is joined to itself along `dim` (0: y, 1: x) would not be whole pixels at `factor`."""
    length = layout.canvas[dim] * factor
    if layout.wrap[dim] and length.denominator != 1:
        raise ValueError(
            f"the layout wraps around a picture {layout.canvas[dim]} px {('high', 'wide')[dim]}, which at scale {float(factor):g} would be "
            f"{float(length):g} px: a picture that is joined to itself must be whole pixels; use another scale, or another size"
        )


def kinds() -> dict[str, type[TileLayout]]:
    """The classes of layouts by the kind that their records name."""
    from .grid_layout import GridLayout
    from .region_layout import RegionLayout

    return {"grid": GridLayout, "regions": RegionLayout}


def _two_flags(values: Any) -> tuple[bool, ...]:
    """Two truth values, or TypeError; ValueError is left to the layout for another number of them."""
    if not isinstance(values, (list, tuple)) or not all(isinstance(value, bool) for value in values):
        raise TypeError(f"expected two truth values for wrap, got {values!r}"[:200])
    return tuple(values)


def _in_order(numbers: tuple[int, ...], count: int) -> bool:
    return all(a >= 0 for a in numbers[:1]) and all(a < b for a, b in pairwise(numbers)) and all(a < count for a in numbers[-1:])


def read_rects(rows: list[Any]) -> tuple[Rect, ...]:
    """Rows of four whole numbers as rectangles, or TypeError."""
    return tuple(Rect(*whole_numbers(row, 4)) for row in rows)


def whole_numbers(values: Any, count: int) -> tuple[int, ...]:
    """`values` as `count` whole numbers within MAX_LENGTH, or TypeError."""
    if not isinstance(values, (list, tuple)) or len(values) != count:
        raise TypeError(f"expected {count} whole numbers, got {values!r}"[:200])
    if any(isinstance(v, bool) or not isinstance(v, int) or not 0 <= v <= MAX_LENGTH for v in values):
        raise TypeError(f"expected whole numbers from 0 to {MAX_LENGTH}, got {values!r}"[:200])
    return tuple(values)
