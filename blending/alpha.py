"""Colour under alpha: blended by how much of it can be seen.

Averaging straight colours lets the colour hidden under transparent pixels bleed into
visible ones (a dark fringe around a cut-out). So colour is weighted by alpha and
divided by the blended alpha (Porter and Duff 1984, premultiplied compositing). Where
hardly any alpha is left the quotient means nothing, and colour is blended straight,
which also brings untouched hidden colour back.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from .memory import empty
from .mosaic import Mosaic
from .rows import RowBlend

LEAST_ALPHA = 1 / 1024
# Within one tile the quotient is kept as long as it means anything: what a neighbour makes of it is not known yet.
_LEAST_FILTERED_ALPHA = 1e-6
_ROWS_AT_ONCE = 64


class AlphaRows:
    """Alpha-weighted colour beside a straight RGBA composition; same protocol as `RowBlend`.

    `out` is composed straight by someone else. This keeps the sum of alpha-weighted colour
    for one tile row, and overwrites the colour of each row of `out` once all its tiles are
    in, where more than one tile counted.
    """

    def __init__(self, mosaic: Mosaic, out: torch.Tensor) -> None:
        self.out = out
        self.windows = mosaic.windows[0]
        self.shared = tuple(s.to(out.device) for s in mosaic.shared)
        most = max(len(w.weight) for w in self.windows)
        self.band = empty((out.shape[0], most, out.shape[2], 3), device=out.device)
        self.rows = RowBlend(mosaic, self.band)

    def begin(self, row: int) -> None:
        """Start tile row `row`."""
        self.rows.begin(row)

    def add(self, column: int, pixels: torch.Tensor) -> None:
        """Take in the tile of this row at `column`, RGBA [P, h, w, 4]."""
        colour, alpha = pixels[..., :3].float(), pixels[..., 3:].float()
        self.rows.add(column, colour * alpha)

    def end(self, row: int) -> None:
        """All tiles of the row are in, and `out` has its straight blend: finish what no later row touches."""
        self.rows.end(row)
        top = self.rows.top
        last = row + 1 == len(self.windows)
        done = self.out.shape[1] if last else self.windows[row + 1].start
        for start in range(top, done, _ROWS_AT_ONCE):
            self._finish(start, min(start + _ROWS_AT_ONCE, done))
        left = self.windows[row].stop - done
        self.band[:, :left] = self.band[:, done - top : done - top + left].clone()
        self.rows.top = done

    def _finish(self, start: int, stop: int) -> None:
        ys, xs = self.shared
        pixels = self.out[:, start:stop]
        colour, alpha = pixels[..., :3], pixels[..., 3:]
        weighted = self.band[:, start - self.rows.top : stop - self.rows.top]
        seen = (alpha >= LEAST_ALPHA) & (ys[start:stop, None] | xs)[..., None]
        colour.copy_(torch.where(seen, weighted / alpha.clamp_min(LEAST_ALPHA), colour))


def weighted_by_alpha(tile: torch.Tensor, linear: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Apply a linear filter to an RGBA tile [P, h, w, 4] with its colour weighted by alpha.

    The filter may overshoot; colour and alpha are kept within what the tile had.
    """
    colour, alpha = tile[..., :3], tile[..., 3:]
    straight = linear(colour)
    premultiplied = linear(torch.cat((colour * alpha, alpha), -1))
    weight = premultiplied[..., 3:]
    quotient = premultiplied[..., :3] / weight.clamp_min(_LEAST_FILTERED_ALPHA)
    colour_out = torch.where(weight >= _LEAST_FILTERED_ALPHA, quotient, straight)
    return torch.cat((colour_out.clamp(float(colour.min()), float(colour.max())), weight.clamp(float(alpha.min()), float(alpha.max()))), -1)
