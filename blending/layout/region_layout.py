"""Regions: rectangles of any size, painted in order over a grid or over a picture.

Each has a core, which comes from this tile alone, and around it a ramp, over which it gives way to what lies below.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

from .grid import MAX_LENGTH, MAX_TILES, Rect
from .grid_layout import MAX_PADDED, MAX_PADDING, GridLayout, Places, places_record, read_places, scaled_places
from .tile_layout import TileLayout, read_rects, whole_numbers


@dataclass(frozen=True)
class RegionLayout(TileLayout):
    """A grid, or none, and regions over it; later ones lie on earlier ones.

    Attributes:
        grid_tiles: so many of the first tiles are a grid that covers the canvas (0 where there is none).
        ramp_places: of that grid, as in `GridLayout`.
        cores: of every region, what comes from it alone; within the region and the canvas.
        ramps: of every region, how many source pixels around its core it takes to fade out, at most to the region's end.
    """

    kind: str = "regions"
    grid_tiles: int = 0
    ramp_places: tuple[Places, Places] | None = None
    cores: tuple[Rect, ...] = ()
    ramps: tuple[int, ...] = ()

    least_tiles: ClassVar[int] = 0  # an empty mask has no regions

    def _check_tiles(self) -> None:
        if self.kind != "regions":
            raise ValueError(f"a layout of regions is of kind 'regions', and this one of {self.kind!r}")
        if any(self.wrap):
            raise ValueError("regions do not wrap around: plan them without wrap")
        if not len(self.cores) == len(self.ramps) == len(self.tiles) - self.grid_tiles >= 0:
            raise ValueError(
                f"a layout of {len(self.tiles)} tiles, {self.grid_tiles} of them a grid, has {len(self.cores)} cores and "
                f"{len(self.ramps)} ramps"
            )
        if self.grid_tiles:
            _ = self.below  # which checks the grid
        for name, size in zip(("high", "wide"), self.canvas, strict=True):
            if not 1 <= size <= MAX_LENGTH:
                raise ValueError(f"a canvas {size} px {name} is not between 1 and {MAX_LENGTH}")
        for number, (tile, core, ramp) in enumerate(zip(self.regions, self.cores, self.ramps, strict=True), self.grid_tiles):
            self._check_region(number, tile, core, ramp)

    def _check_region(self, number: int, tile: Rect, core: Rect, ramp: int) -> None:
        height, width = self.canvas
        if min(tile.height, tile.width) < 1 or tile.y >= height or tile.x >= width:
            raise ValueError(
                f"region {number} (x {tile.x}, y {tile.y}, {tile.width} x {tile.height}) lies outside of the canvas of {width} x {height}"
            )
        reaches_over = tile.y + tile.height > height or tile.x + tile.width > width
        if reaches_over and tile.height * tile.width * self.batch > max(MAX_PADDED, MAX_PADDING * height * width * self.batch):
            raise ValueError(f"region {number} of {tile.width} x {tile.height} would be nearly all padding: use smaller regions")
        ends = (min(tile.y + tile.height, height), min(tile.x + tile.width, width))
        within = core.y >= tile.y and core.x >= tile.x and core.y + core.height <= ends[0] and core.x + core.width <= ends[1]
        if not within or min(core.height, core.width) < 1 or ramp < 0:
            raise ValueError(
                f"region {number} (x {tile.x}, y {tile.y}, {tile.width} x {tile.height}) has a core at x {core.x}, y {core.y} of "
                f"{core.width} x {core.height} and a ramp of {ramp}: a core lies in its region and in the canvas, a ramp is 0 or more"
            )
        if any(value % self.unit for value in tile):
            raise ValueError(f"region {number} does not fall on whole cells of {self.unit} px")

    @property
    def regions(self) -> tuple[Rect, ...]:
        """The tiles that are no part of the grid."""
        return self.tiles[self.grid_tiles :]

    @property
    def needs_base(self) -> bool:
        """As in `TileLayout`: without a grid below, and where tiles are missing."""
        return not self.grid_tiles or super().needs_base

    @cached_property
    def below(self) -> GridLayout | None:
        """The grid that the regions are painted over, None where there is none."""
        if not self.grid_tiles:
            return None
        numbers = None if self.present is None else tuple(n for n in self.present if n < self.grid_tiles)
        return GridLayout(
            self.canvas,
            self.tiles[: self.grid_tiles],
            self.batch,
            self.unit,
            present=numbers,
            mask_size=self.mask_size,
            ramp_places=self.ramp_places,
        )

    def _scaled_more(self, factor: Fraction) -> dict[str, Any]:
        limit = [max(1, round(size * factor)) for size in self.canvas]
        return {
            "ramp_places": scaled_places(self.ramp_places, factor),
            "cores": tuple(_scaled_core(core, factor, limit) for core in self.cores),
            "ramps": tuple(int(ramp * factor) for ramp in self.ramps),
        }

    def _fitted_more(self, canvas: tuple[int, int]) -> dict[str, Any]:
        return {"cores": tuple(_scaled_core(core, Fraction(1), list(canvas)) for core in self.cores)}

    def _more_record(self) -> dict[str, Any]:
        return {
            "grid_tiles": self.grid_tiles,
            "ramp_places": places_record(self.ramp_places),
            "cores": [list(core) for core in self.cores],
            "ramps": list(self.ramps),
        }

    @classmethod
    def _read_more(cls, record: dict[str, Any]) -> dict[str, Any]:
        cores, ramps = record["cores"], record["ramps"]
        if not isinstance(cores, list) or not isinstance(ramps, list) or max(len(cores), len(ramps)) > MAX_TILES:
            raise TypeError("expected lists of cores and ramps")
        return {
            "grid_tiles": whole_numbers([record["grid_tiles"]], 1)[0],
            "ramp_places": read_places(record.get("ramp_places")),
            "cores": read_rects(cores),
            "ramps": whole_numbers(ramps, len(ramps)),
        }


def _scaled_core(core: Rect, factor: Fraction, limit: list[int]) -> Rect:
    """To whole pixels inwards, but at least one of them and within the canvas."""
    starts, lengths = [], []
    for at, length, size in ((core.y, core.height, limit[0]), (core.x, core.width, limit[1])):
        start = min(-int(-at * factor // 1), size - 1)
        stop = min(max(int((at + length) * factor), start + 1), size)
        starts.append(start)
        lengths.append(stop - start)
    return Rect(*starts, *lengths)
