"""The geometry of one composition: which output pixels see which tiles, and how much."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import torch

from ..pixels.memory import empty
from .grid_layout import GridLayout
from .placement import check_scale, find_scale, place_axis, read_scale
from .windows import axis_windows, check_trim, shared


class Mosaic:
    """Layout, size of the tiles that came, scale and windows, worked out once.

    Args:
        layout: where the tiles are.
        tile_size: (height, width) of the processed tiles, in cells.
        window: one of `windows.WINDOWS`.
        trim: source pixels to disregard at sides that face a neighbour.
        scale: output cells per planned cell; 0 takes it from the tiles.
        size: (height, width) of the output in cells, where it is known and need not follow from one scale.

    Attributes:
        scale: the exact fraction (of the height, where `size` was given).
        size: (height, width) of the output, in cells.
        window, trim: as they were given.

    Raises:
        ValueError: for a trim or scale that does not fit, in words for the user.
    """

    def __init__(
        self,
        layout: GridLayout,
        tile_size: tuple[int, int],
        window: str = "hann",
        trim: int = 0,
        scale: float | Fraction = 0,
        size: tuple[int, int] | None = None,
    ) -> None:
        check_trim(layout, trim)
        self.layout, self.window, self.trim = layout, window, trim
        self.tile_size = tuple(tile_size)
        if size is None:
            self.scale = self._find_scale(scale)
            factors = (self.scale / layout.unit,) * 2
        else:
            factors = tuple(Fraction(n, canvas) for n, canvas in zip(size, layout.canvas, strict=True))
            self.scale = factors[0] * layout.unit
        self.places = tuple(
            place_axis(axis, tile, factor, n)
            for axis, tile, factor, n in zip(layout.axes, tile_size, factors, size or (None, None), strict=True)
        )
        self.size = (self.places[0].size, self.places[1].size)
        self.windows = tuple(
            axis_windows(axis, placed.centres, window, trim) for axis, placed in zip(layout.axes, self.places, strict=True)
        )

    def _find_scale(self, scale: float | Fraction) -> Fraction:
        planned = tuple(length // self.layout.unit for length in self.layout.tile_size)
        if scale == 0:
            return find_scale(planned, self.tile_size)
        scale = scale if isinstance(scale, Fraction) else read_scale(scale)
        check_scale(scale, planned, self.tile_size)
        return scale

    @property
    def shared(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Bool per output row and per output column: whether two or more tiles count there."""
        ys, xs = (shared(windows, size) for windows, size in zip(self.windows, self.size, strict=True))
        return ys, xs

    @property
    def exact(self) -> bool:
        """Whether tiles are placed as they are, without resampling."""
        return all(placed.offsets is not None for placed in self.places)

    def seams(self, batch: int, device: torch.device | str = "cpu") -> torch.Tensor:
        """Where two or more tiles mix: float32 [batch, H, W], 1 there and 0 elsewhere.

        All pictures of the batch share one plane of memory.
        """
        ys, xs = self.shared
        plane = empty(self.size, device=device)
        torch.maximum(ys.to(plane)[:, None], xs.to(plane), out=plane)
        return plane.expand(batch, -1, -1)


def smallest_overlap(mosaic: Mosaic) -> int | None:
    """The smallest overlap of neighbouring tiles in output pixels, trimmed pixels not counted; None where there is one tile."""
    pairs = (pair for axis in mosaic.windows for pair in pairwise(axis))
    return min((before.stop - after.start for before, after in pairs), default=None)
