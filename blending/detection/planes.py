"""The masks of tiles: checked, soft or logits, and the pieces of objects that they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..layout.grid_layout import GridLayout
from ..layout.landing import on_grid
from ..layout.mosaic import Mosaic
from ..pixels.counted import counted
from ..pixels.picture import check_finite

# Resizing a soft mask overshoots by a fifth at most; no network's logits stay as near to 0..1 as that.
OVERSHOOT = 0.5
# What lies below this counts as nothing: a thousandth.
FAINT_LOGIT = -7.0


@dataclass(frozen=True)
class MaskPiece:
    """Where one mask of one tile says that something is.

    Attributes:
        tile: the tile's number.
        plane: which of its masks.
        ends: (top, left, bottom, right) of what is there, in pixels of the output.
        area: pixels of it, each counted by the tile's window, so that the pieces of an object together give its area.
        there: bool, cut to `ends`; None once it is not needed any more.
        zone: whole numbers over the whole of the tile that lies on the output, and the one whose pixels are this piece;
            None where all of the mask is.
    """

    tile: int
    plane: int
    ends: tuple[int, int, int, int]
    area: float
    there: np.ndarray | None = None
    zone: tuple[np.ndarray, int] | None = None

    def within(self, place: tuple[int, int, int, int]) -> np.ndarray:
        """`there` inside a rectangle of the output that lies inside of `ends`."""
        top, left, bottom, right = place
        return self.there[top - self.ends[0] : bottom - self.ends[0], left - self.ends[1] : right - self.ends[1]]


class TileMasks:
    """The masks of all tiles, and where they land.

    Args:
        masks: one item per tile: floating point [N, h, w] or [h, w], N of any number, also none.
        layout: where the tiles are; one picture.

    Attributes:
        items: the same, [N, h, w] each.
        mosaic: the geometry, at the scale that the masks came at.
        logits: whether they are logits: values that lie outside of 0..1 by more than a resize can bring about.
        overshoots: whether they are soft masks with values a little outside of 0..1, which are then taken back to it.
        level: from which value on a pixel is in the object.
        nothing: up to which value a pixel counts as nothing at all.

    Raises:
        ValueError: for what is no mask, masks of different sizes, NaN, and a layout they do not belong to.
    """

    def __init__(self, masks: Sequence[Any], layout: GridLayout) -> None:
        if layout.batch != 1:
            raise ValueError(
                f"the layout is of {layout.batch} pictures in one batch, and along the batch of a mask are the objects of one: "
                "split the pictures as a list, one by one (Rebatch Images, batch_size 1, before Tile Split)"
            )
        if len(masks) != len(layout.tiles):
            raise ValueError(
                f"the layout has {counted(len(layout.tiles), 'tile')} and {counted(len(masks), 'item')} of masks came: give one item for "
                "each tile, with its objects along the batch, also where a tile has none"
            )
        self.items = [_as_planes(mask, f"item {index} of masks") for index, mask in enumerate(masks)]
        sizes: dict[tuple[int, ...], int] = {}
        for index, item in enumerate(self.items):
            if item.numel():
                sizes.setdefault(tuple(item.shape[1:]), index)
        if len(sizes) > 1:
            (one, first), (other, second) = list(sizes.items())[:2]
            raise ValueError(
                f"the masks of tile {first} are {one[1]} x {one[0]} and those of tile {second} {other[1]} x {other[0]}: all tiles must be "
                "treated alike"
            )
        planned = tuple(length // layout.unit for length in layout.tile_size)
        self.mosaic = Mosaic(layout, next(iter(sizes), planned))
        ends = [item.aminmax() for item in self.items if item.numel()]
        low, high = min((float(e.min) for e in ends), default=0.0), max((float(e.max) for e in ends), default=0.0)
        self.logits = low < -OVERSHOOT or high > 1 + OVERSHOOT
        self.overshoots = not self.logits and (low < 0 or high > 1)
        self.level = 0.0 if self.logits else 0.5
        self.nothing = FAINT_LOGIT if self.logits else 0.0

    def landed(self, tile: int, plane: int) -> torch.Tensor:
        """One mask on the output's grid, float32 [h, w]: all of it that lies on the output, soft ones within 0..1."""
        row, column = divmod(tile, len(self.mosaic.windows[1]))
        pixels = on_grid(self.mosaic, self.items[tile][plane : plane + 1, ..., None].float(), row, column)[0, ..., 0]
        return pixels.clamp(0, 1) if self.overshoots else pixels

    def weights(self, tile: int) -> tuple[Any, Any]:
        """The windows of a tile along y and x."""
        row, column = divmod(tile, len(self.mosaic.windows[1]))
        return self.mosaic.windows[0][row], self.mosaic.windows[1][column]

    def span(self, tile: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of a tile on the output."""
        ys, xs = self.weights(tile)
        return ys.start, xs.start, ys.stop, xs.stop

    def reached(self, pixels: torch.Tensor) -> np.ndarray:
        """Bool: where a mask says that something is."""
        return (pixels > self.level if self.logits else pixels >= self.level).numpy()

    def piece(self, tile: int, plane: int) -> MaskPiece | None:
        """What one mask holds, None where it reaches the level nowhere."""
        there = self.reached(self.landed(tile, plane))
        if not there.any():
            return None
        place, ends, area = self.place_of(there, tile)
        return MaskPiece(tile, plane, ends, area, there[place].copy())

    def place_of(self, there: np.ndarray, tile: int) -> tuple[tuple[slice, slice], tuple[int, int, int, int], float]:
        """The smallest rectangle around what is `there`, in the tile and on the output, and its area as the window counts it."""
        ys, xs = self.weights(tile)
        rows, columns = (np.flatnonzero(there.any(axis)) for axis in (1, 0))
        place = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        ends = ys.start + place[0].start, xs.start + place[1].start, ys.start + place[0].stop, xs.start + place[1].stop
        return place, ends, float(ys.weight.numpy() @ (there @ xs.weight.numpy()))


def _as_planes(mask: Any, name: str) -> torch.Tensor:
    if not isinstance(mask, torch.Tensor) or mask.ndim not in (2, 3) or not mask.is_floating_point():
        what = f"{mask.dtype} of shape {tuple(mask.shape)}" if isinstance(mask, torch.Tensor) else type(mask).__name__
        raise ValueError(f"{name} is {what}: expected masks, floating point [objects, height, width]")
    mask = (mask if mask.ndim == 3 else mask[None]).detach().cpu()
    check_finite(mask, name)
    return mask
