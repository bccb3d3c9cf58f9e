"""Blending tile after tile into place, exactly, without a sum of weights.

Along a row each tile is blended into what is already there by `lerp`, with the share
it has against all tiles before it, which gives their exact weighted mean; rows are
blended into the canvas in the same way. Pixels that see one tile only are copied.
"""

from __future__ import annotations

import torch

from .memory import empty
from .mosaic import Mosaic
from .windows import AxisWindow


class RowBlend:
    """Blends tile rows into `target`, whose first row is output row `top`."""

    def __init__(self, mosaic: Mosaic, target: torch.Tensor, top: int = 0) -> None:
        self.rows, self.columns = mosaic.windows
        self.target = target.flatten(2)
        self.channels = target.shape[-1]
        self.top = top
        self.x_blend = [self._spread(w.blend[: w.fresh]).to(target.device) for w in self.columns]
        self.strip = self.target[:, :0]

    def _spread(self, weight: torch.Tensor) -> torch.Tensor:
        """Per-pixel weights as per-value weights of a row whose channels lie interleaved."""
        return weight.float().repeat_interleave(self.channels)

    def begin(self, row: int) -> None:
        """Start tile row `row`: the rows it shares with those before are gathered beside the canvas."""
        shared_rows = self.rows[row].fresh
        if self.strip.shape[1] < shared_rows:
            batch, _, width = self.target.shape
            self.strip = empty((batch, shared_rows, width), device=self.target.device)

    def add(self, row: int, column: int, pixels: torch.Tensor) -> None:
        """Blend in tile (row, column): `pixels` [P, h, w, C] of exactly the windows' size."""
        y, x = self.rows[row], self.columns[column]
        pixels = pixels.flatten(2)
        first = y.start - self.top
        if y.fresh:
            self._across(self.strip[:, : y.fresh], pixels[:, : y.fresh], column, x)
        self._across(self.target[:, first + y.fresh : first + len(y.weight)], pixels[:, y.fresh :], column, x)

    def _across(self, into: torch.Tensor, pixels: torch.Tensor, column: int, x: AxisWindow) -> None:
        c = self.channels
        into = into[:, :, x.start * c : x.stop * c]
        if x.fresh:
            start = into[:, :, : x.fresh * c]
            start.lerp_(pixels[:, :, : x.fresh * c].to(into.device, into.dtype), self.x_blend[column])
        into[:, :, x.fresh * c :].copy_(pixels[:, :, x.fresh * c :])

    def end(self, row: int) -> None:
        """All tiles of the row are in: blend what was gathered into the canvas."""
        y = self.rows[row]
        if y.fresh:
            first = y.start - self.top
            weight = y.blend[: y.fresh, None].to(self.target.device, torch.float32)
            self.target[:, first : first + y.fresh].lerp_(self.strip[:, : y.fresh], weight)
