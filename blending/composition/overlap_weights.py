"""How much each pixel of an overlap counts, where two tiles are compared.

As much as the windows would show a difference there. Along the overlap a line counts as much as the two tiles do. Across it
those count most where both tiles are mixed in halves; at either side one of them is near its own border, which the model
could not see past, is likely to be wrong, and hardly shows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..layout.mosaic import Mosaic
from ..layout.windows import AxisWindow

GRAIN = 64  # pixels along an overlap over which grain cancels


class Weights(NamedTuple):
    """Of one overlap of h x w pixels.

    Attributes:
        rows, columns: float32 [h] and [w], each adding up to one.
        across: the dimension across the overlap, 0 or 1.
        pieces: float32 [n, w or h], the other dimension's weights cut into pieces as long as the overlap is wide, or as grain
            needs: each zero outside its own, and all of them adding up to one.
    """

    rows: torch.Tensor
    columns: torch.Tensor
    across: int
    pieces: torch.Tensor

    def mean(self, values: torch.Tensor) -> float:
        """The weighted mean of [h, w, C]."""
        along = (self.rows.to(values) @ values.flatten(1)).view(values.shape[1:])
        return float(along.mean(1) @ self.columns.to(values))

    def over_cells(self, cell: int) -> Weights:
        """Of means over cells; lines at the end that fill none are left out."""
        rows, columns = (shares(part[: len(part) // cell * cell].view(-1, cell).sum(1)) for part in self[:2])
        return self._replace(rows=rows, columns=columns)


def shares(weight: torch.Tensor) -> torch.Tensor:
    """`weight` as float32 that adds up to one."""
    return (weight / weight.sum()).float()


class OverlapWeights:
    """The weights of every overlap of a mosaic; `columns` are its windows along x where they are not the mosaic's own."""

    def __init__(self, mosaic: Mosaic, columns: list[AxisWindow] | None = None) -> None:
        self.windows = (mosaic.windows[0], columns or mosaic.windows[1])
        self.known: dict[tuple, torch.Tensor] = {}

    def of(self, row: int, column: int, beside: bool, step: int = 1) -> Weights:
        """Of the overlap of the tile at (row, column) with the one before it, beside or above, one row of pixels in `step` looked at."""
        width = self.windows[1][column].fresh if beside else self.windows[0][row].fresh
        rows = self._line(0, row, not beside, step)
        columns = self._line(1, column, beside, 1)
        pieces = self._pieces(0, row, width, step) if beside else self._pieces(1, column, width, 1)
        return Weights(rows, columns, int(beside), pieces)

    def _line(self, dim: int, index: int, across: bool, step: int) -> torch.Tensor:
        key = (dim, index, across, step)
        if key not in self.known:
            window = self.windows[dim][index]
            self.known[key] = shares((_mixed(window.blend[: window.fresh]) if across else window.weight)[::step])
        return self.known[key]

    def _pieces(self, dim: int, index: int, width: int, step: int) -> torch.Tensor:
        key = (dim, index, "pieces", width, step)
        if key not in self.known:
            weight = self.windows[dim][index].weight
            count = max(1, len(weight) // max(width, GRAIN))
            line = torch.arange(len(weight))
            pieces = weight.new_zeros(count, len(weight)).index_put_((line * count // len(weight), line), weight)
            self.known[key] = shares(pieces[:, ::step])
        return self.known[key]


def _mixed(later: torch.Tensor) -> torch.Tensor:
    """How much lines of an overlap are mixed in which the later tile counts `later`, [L] in 0..1: the lesser weight, in power."""
    return torch.minimum(later, 1 - later).clamp_min(1e-6).square()
