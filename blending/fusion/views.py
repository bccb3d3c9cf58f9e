"""Views of a canvas: rectangles of a grid, with the windows they count by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from ..layout.cutting import crop
from ..layout.grid import MAX_TILES, Axis, Rect, plan_axis
from ..layout.grid_layout import GridLayout
from ..layout.unrolled import turns
from .fuse import fusion_windows
from .jitter import shifted


class WindowSpan(NamedTuple):
    """One tile's window along one axis; float32 [n], from canvas cell `start` on.

    Attributes:
        start: the first cell it counts at.
        weight: how much; all tiles of the axis sum to one.
        before: what the tiles before it sum to.
        so_far: what they sum to with this one.
    """

    start: int
    weight: torch.Tensor
    before: torch.Tensor
    so_far: torch.Tensor


@dataclass(frozen=True)
class RectView:
    """One rectangle of the canvas, in cells. It counts by the product of its two windows.

    Attributes:
        index: its number, row by row, which is the order in which views are scattered.
        rect: what the model sees; may reach over the canvas at the right and bottom, and is mirrored there.
        y, x: its windows.
        wrap: (y, x), where it shows the canvas' other side there instead, and counts for it.
    """

    index: int
    rect: Rect
    y: WindowSpan
    x: WindowSpan
    wrap: tuple[bool, bool] = (False, False)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of what the model sees."""
        return self.rect.height, self.rect.width

    def gather(self, canvas: torch.Tensor) -> torch.Tensor:
        """The canvas inside the rectangle: a view of it where it does not reach over the end."""
        return crop(canvas, self.rect, (-2, -1), self.wrap)

    def share(self) -> torch.Tensor:
        """Its weight over that of all views up to it, float32 [rows, columns]; 1 where it is the first.

        Before it came the rows above, whose columns sum to one, and the columns to the left in its own row.
        """
        rows, columns = self.y.weight[:, None], self.x.weight
        return rows * columns / (self.y.before[:, None] + rows * self.x.so_far)

    def scatter(self, prediction: torch.Tensor, total: torch.Tensor) -> None:
        """Blend the prediction into `total`; cells without weight are left out. Views come in the order of their index."""
        height, width = len(self.y.weight), len(self.x.weight)
        counts = prediction.narrow(-2, self.y.start - self.rect.y, height).narrow(-1, self.x.start - self.rect.x, width)
        share = self.share()
        for rows, own_rows in turns(self.y.start, self.y.start + height, total.shape[-2]):
            for columns, own_columns in turns(self.x.start, self.x.start + width, total.shape[-1]):
                part = counts[..., own_rows, own_columns].to(total.dtype)
                total[..., rows, columns].lerp_(part, share[own_rows, own_columns])


def _spans(windows: list[tuple[int, torch.Tensor]], size: int, device: torch.device | str) -> list[WindowSpan]:
    done = torch.zeros(size, dtype=torch.float64)
    spans = []
    for start, weight in windows:
        at = torch.arange(start, start + len(weight)) % size  # a tile is no longer than the canvas, and meets no cell twice
        before = done[at]
        done[at] += weight
        spans.append(WindowSpan(start, *(part.float().to(device) for part in (weight, before, done[at]))))
    return spans


def plan_canvas(
    height: int, width: int, tile_height: int, tile_width: int, overlap: int, lattice: int, unit: int, batch: int = 1
) -> GridLayout:
    """The even grid for fused denoising: as `TileLayout.grid`, but a tile is never larger than the canvas.

    Args:
        height, width: the canvas in image pixels, whole cells.
        tile_height, tile_width, overlap: in image pixels.
        lattice: image pixels per step of the model's patches; tiles begin on multiples and are multiples.
        unit: image pixels per latent cell.
        batch: pictures on the canvas.

    Raises:
        ValueError: for sizes that cannot be planned, naming the input, the value and the mend.
    """
    if overlap < 0:
        raise ValueError(f"overlap {overlap} is negative: use 0 or more, for example an eighth of the tile")
    if overlap >= min(tile_height, tile_width):
        smaller = min(tile_height, tile_width)
        raise ValueError(f"overlap {overlap} must be smaller than the tile ({tile_width} x {tile_height}): use {smaller // 2} or less")
    axes = []
    for name, size, tile in (("tile_height", height, tile_height), ("tile_width", width, tile_width)):
        if tile >= size:
            axes.append(Axis(size, size, (0,)))
            continue
        _check_tile(name, tile, overlap, lattice, unit)
        axes.append(Axis(size, tile, plan_axis(size, tile, overlap, lattice)))
    ys, xs = axes
    if len(ys.origins) * len(xs.origins) > MAX_TILES:
        raise ValueError(
            f"tiles of {tile_width} x {tile_height} with overlap {overlap} cut a {width} x {height} picture into "
            f"{len(ys.origins) * len(xs.origins)} tiles, more than {MAX_TILES}: use a larger tile or a smaller overlap"
        )
    return GridLayout.of_axes(ys, xs, batch=batch, unit=unit)


def _check_tile(name: str, tile: int, overlap: int, lattice: int, unit: int) -> None:
    what = "the model's patch" if lattice > unit else "one latent cell"
    if tile < lattice:
        raise ValueError(f"{name} {tile} is smaller than {what} of {lattice} image pixels: use {lattice} or more, for example 1024")
    if tile % lattice:
        low = tile // lattice * lattice
        raise ValueError(f"{name} {tile} is not a whole number of times {what} of {lattice} image pixels: use {low} or {low + lattice}")
    if tile - overlap < lattice:
        raise ValueError(
            f"{name} {tile} with overlap {overlap} moves on by {tile - overlap} px, less than {what} of {lattice} image pixels: "
            f"use an overlap of {tile - lattice} or less, or a larger tile"
        )


def adopt_layout(layout: GridLayout, height: int, width: int, lattice: int, unit: int, batch: int = 1) -> GridLayout:
    """A layout that was planned elsewhere, for this canvas; its tiles no larger than the canvas.

    Args:
        layout: for the same picture, at any scale that keeps its tiles on whole cells.
        height, width: the canvas in latent cells.
        lattice, unit, batch: as in `plan_canvas`.

    Raises:
        ValueError: where it was planned for another canvas, or does not fall on the model's patches.
    """
    plan = layout.fit(height, width, batch, unit)
    axes = [Axis(axis.size, axis.size, (0,), axis.wraps) if len(axis.origins) == 1 else axis for axis in plan.axes]
    for name, axis in zip(("y", "x"), axes, strict=True):
        off = [value for value in (*axis.origins, axis.tile) if value % lattice and len(axis.origins) > 1]
        if off:
            raise ValueError(
                f"the layout's tiles lie at {name} = {off[0]} image pixels, and this model's patches are {lattice} px: "
                f"split with multiple_of {lattice} and a tile that is a multiple of {lattice}, or sample without the layout"
            )
        if axis.wraps and len(axis.origins) > 1 and axis.size % lattice:
            raise ValueError(
                f"the layout wraps around {axis.size} image pixels along {name}, which is no whole number of this model's patches of "
                f"{lattice} px: use a picture whose sides are multiples of {lattice}, or split with wrap set to none"
            )
    return GridLayout.of_axes(*axes, batch=batch, unit=unit)


def grid_views(
    layout: GridLayout,
    rule: str,
    trim: int = 0,
    offset: tuple[int, int] | None = None,
    device: torch.device | str = "cpu",
) -> list[RectView]:
    """The tiles of a layout as views of a canvas of latent cells, with windows that sum to one.

    Args:
        layout: whole cells of `layout.unit` image pixels.
        rule: one of `fuse.RULES`.
        trim: cells to disregard at sides that face a neighbour.
        offset: (y, x) cells to shift the grid up and left, see `jitter`; None for the layout's own places.
        device: where the weights lie.
    """
    ways = []
    for cells, away in zip(layout.axes_in_cells, offset or (None, None), strict=True):
        counted, seen = shifted(cells, away)
        spans = _spans(fusion_windows(counted, rule, trim), cells.size, device)
        ways.append((cells.tile, list(zip(seen, spans, strict=True))))
    (tall, rows), (wide, columns) = ways
    return [
        RectView(row * len(columns) + column, Rect(y, x, tall, wide), down, across, layout.wrap)
        for row, (y, down) in enumerate(rows)
        for column, (x, across) in enumerate(columns)
    ]
