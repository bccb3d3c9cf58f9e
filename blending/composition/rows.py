"""Blending tile after tile into place, exactly, without a sum of weights.

Along a row each tile is blended into what is already there by `lerp`, with the share
it has against all tiles before it, which gives their exact weighted mean; rows are
blended with those before them in the same way. Pixels that see one tile only are copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from ..layout.mosaic import Mosaic
from ..pixels.memory import empty

# Bytes of a tile that stay in a processor's cache while they are blended in, along with the place where they go.
CACHED = 4 << 20

Above = Callable[[int, torch.Tensor, torch.Tensor], None]


class RowBlend:
    """Blends tile rows into `target`, whose first row is output row `top`.

    `above` is told, before a row of tiles is blended into those above it, its number and what comes to lie on what:
    [P, n, W * C] of the picture so far, and of the row.
    """

    def __init__(self, mosaic: Mosaic, target: torch.Tensor, top: int = 0, above: Above | None = None) -> None:
        self.rows, self.columns = mosaic.windows
        self.target = target.flatten(2)
        self.top, self.above = top, above
        c = target.shape[-1]
        self.x_blend = [w.blend[: w.fresh].float().repeat_interleave(c).to(target.device) for w in self.columns]
        self.places = [(w.start * c, w.fresh * c, w.stop * c) for w in self.columns]
        self.band = self.aside = self.target[:, :0]

    def take(self, row: int, column: int, pixels: torch.Tensor, look: Callable[[int], None] | None = None) -> None:
        """Take in the tile at (row, column): `pixels` [P, h, w, C] of exactly the windows' size.

        `look` is told how many rows of them are in, a few megabytes at a time.
        """
        if column == 0:
            self.begin(row)
        self.add(row, column, pixels, look)
        if column == len(self.columns) - 1:
            self.end(row)

    def finish(self) -> None:
        """Nothing is left to do."""

    def begin(self, row: int) -> None:
        """Start tile row `row`: what it shares with rows before is gathered beside the picture, the rest goes straight into it."""
        y = self.rows[row]
        self.band = self.target[:, y.start - self.top : y.stop - self.top]
        if self.aside.shape[1] < y.fresh:
            batch, _, width = self.target.shape
            self.aside = empty((batch, y.fresh, width), device=self.target.device)

    def add(self, row: int, column: int, pixels: torch.Tensor, look: Callable[[int], None] | None = None) -> None:
        """Blend the tile at (row, column) into its row."""
        start, fresh, stop = self.places[column]
        pixels = pixels.flatten(2)
        step = pixels.shape[1] if look is None else CACHED * pixels.shape[1] // max(pixels.nbytes, 1)
        for rows, band in self.strips(row, max(step, 1)):
            part = pixels[:, rows]
            if fresh:
                mixed = band[:, :, start : start + fresh]
                mixed.lerp_(part[:, :, :fresh].to(mixed.device, mixed.dtype), self.x_blend[column])
            band[:, :, start + fresh : stop].copy_(part[:, :, fresh:])
            if look is not None:
                look(rows.stop)

    def strips(self, row: int, step: int) -> Iterator[tuple[slice, torch.Tensor]]:
        """At most `step` rows of tile row `row` at a time, and where they go."""
        y = self.rows[row]
        shared, height = y.fresh, y.stop - y.start
        for first, last, into in ((0, shared, self.aside), (shared, height, self.band[:, shared:])):
            for top in range(first, last, step):
                bottom = min(top + step, last)
                yield slice(top, bottom), into[:, top - first : bottom - first]

    def end(self, row: int) -> None:
        """All tiles of the row are in: blend what is beside the picture into it."""
        shared = self.rows[row].fresh
        if shared:
            if self.above is not None:
                self.above(row, self.band[:, :shared], self.aside[:, :shared])
            weight = self.rows[row].blend[:shared, None].to(self.target.device, torch.float32)
            self.band[:, :shared].lerp_(self.aside[:, :shared], weight)
