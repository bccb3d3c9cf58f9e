"""What the user asked for, and what it means for one canvas of one model."""

from __future__ import annotations

from dataclasses import dataclass

from ..blending.fusion.fuse import RULES, check_rule
from ..blending.fusion.views import adopt_layout, plan_canvas
from ..blending.layout.grid_layout import GridLayout

GRIDS = ("fixed", "jitter")
POSITIONS = ("local", "canvas")
REFERENCE_LATENTS = ("crop", "whole")
ORDERS = ("fused", "sequential")


@dataclass(frozen=True)
class TileSettings:
    """The inputs of the nodes. Immutable, for clones of a model share it.

    Attributes:
        tile_width, tile_height, overlap, trim: image pixels.
        fusion: one of `blending.fusion.fuse.RULES`.
        grid: one of GRIDS.
        positions: one of POSITIONS.
        reference_latents: one of REFERENCE_LATENTS.
        tile_batch: tiles that go through the model together, 0 for as many as fit.
        layout: overrules the sizes.
        order: one of ORDERS.

    Raises:
        ValueError: for values that fit no canvas.
    """

    tile_width: int = 1024
    tile_height: int = 1024
    overlap: int = 128
    fusion: str = RULES[0]
    trim: int = 0
    grid: str = GRIDS[0]
    positions: str = POSITIONS[0]
    reference_latents: str = REFERENCE_LATENTS[0]
    tile_batch: int = 0
    layout: GridLayout | None = None
    order: str = ORDERS[0]

    def __post_init__(self) -> None:
        check_rule(self.fusion)
        for name, value, known in (
            ("grid", self.grid, GRIDS),
            ("positions", self.positions, POSITIONS),
            ("reference_latents", self.reference_latents, REFERENCE_LATENTS),
            ("order", self.order, ORDERS),
        ):
            if value not in known:
                raise ValueError(f"{name} {value!r} is not known: use one of {', '.join(known)}")
        if self.order == "sequential" and self.grid != "fixed":
            raise ValueError(
                "grid jitter moves the tiles at every step, and order sequential paints them one by one: use grid fixed, or order fused"
            )
        if self.order == "sequential" and self.layout is not None and any(self.layout.wrap):
            raise ValueError(
                "the layout wraps around, and order sequential paints tile after tile, with a first one and a last one that would not know "
                "of each other: use order fused, or split with wrap set to none"
            )
        for name, value in (("tile_width", self.tile_width), ("tile_height", self.tile_height)):
            if value < 1:
                raise ValueError(f"{name} {value} is not a tile size: use 1 or more, for example 1024")
        if self.trim < 0:
            raise ValueError(f"trim {self.trim} is negative: use 0 or more")
        if self.tile_batch < 0:
            raise ValueError(f"tile_batch {self.tile_batch} is negative: use 0 for as many as fit, or 1 and more")

    def plan(self, cells: tuple[int, int], batch: int, unit: int, patch: int) -> GridLayout:
        """Where the tiles lie on a canvas of latent cells.

        Args:
            cells: (height, width) of the canvas.
            batch: pictures on it.
            unit: image pixels per cell.
            patch: cells per patch of the model.

        Raises:
            ValueError: in words for the user, where no such plan exists.
        """
        height, width = cells
        lattice = unit * patch
        if self.layout is not None:
            layout = adopt_layout(self.layout, height, width, lattice, unit, batch)
        else:
            sizes = (self.tile_height, self.tile_width, self.overlap)
            layout = plan_canvas(height * unit, width * unit, *sizes, lattice, unit, batch)
        check_trim_cells(self.trim, unit)
        overlap = layout.least_overlap
        if self.trim > 0 and overlap is not None and overlap < 2 * self.trim + unit:
            most, least = max((overlap - unit) // 2 // unit * unit, 0), 2 * self.trim + unit
            raise ValueError(
                f"trim {self.trim} on both sides leaves nothing of the smallest overlap of {overlap} px: "
                f"use a trim of {most} or less, or an overlap of {least} or more"
            )
        return layout


def check_trim_cells(trim: int, unit: int) -> None:
    """Raise ValueError unless `trim` image pixels are whole latent cells of `unit` image pixels."""
    if trim % unit:
        low = trim // unit * unit
        raise ValueError(f"trim {trim} is not a whole number of latent cells of {unit} image pixels: use {low} or {low + unit}")
