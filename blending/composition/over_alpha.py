"""Compositions of colour under alpha: blended by how much of it can be seen.

Averaging straight colours lets the colour hidden under transparent pixels bleed into visible ones (a dark fringe around a
cut-out). So colour is weighted by alpha and divided by the blended alpha (Porter and Duff 1984, premultiplied compositing).
Where hardly any alpha is left the quotient means nothing, and colour is blended straight, which also brings untouched hidden
colour back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..layout.mosaic import Mosaic
from ..pixels.alpha import LEAST_ALPHA
from ..pixels.memory import empty
from .rows import Above, RowBlend

_ROWS_AT_ONCE = 64
_ROUNDING = 5e-7  # of planes that were added up from several tiles


class AlphaRows:
    """RGBA composition by windows, colour weighted by alpha; same protocol as `RowBlend`.

    `out` is composed straight. Beside it this keeps the sum of alpha-weighted colour for one
    tile row, and overwrites the colour of each row of `out` once all its tiles are in, where
    more than one tile counted. `above` is told of rows that meet, straight, as in `RowBlend`.
    """

    def __init__(self, mosaic: Mosaic, out: torch.Tensor, above: Above | None = None) -> None:
        self.out = out
        self.straight = RowBlend(mosaic, out, above=above)
        self.windows = mosaic.windows[0]
        self.shared = tuple(s.to(out.device) for s in mosaic.shared)
        most = max(len(w.weight) for w in self.windows)
        self.band = empty((out.shape[0], most, out.shape[2], 3), device=out.device)
        self.rows = RowBlend(mosaic, self.band)

    def take(self, row: int, column: int, pixels: torch.Tensor, look: Callable[[int], None] | None = None) -> None:
        """Take in the tile at (row, column): RGBA [P, h, w, 4] of exactly the windows' size."""
        self.straight.take(row, column, pixels, look)
        colour, alpha = pixels[..., :3].float(), pixels[..., 3:].float()
        self.rows.take(row, column, colour * alpha)
        if column == len(self.rows.columns) - 1:
            self._end(row)

    def finish(self) -> None:
        """Nothing is left to do."""

    def _end(self, row: int) -> None:
        """All tiles of the row are in: finish what no later row touches."""
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
        weighted = self.band[:, start - self.rows.top : stop - self.rows.top]
        _divide(self.out[:, start:stop], weighted, ys[start:stop, None] | xs)


def _divide(pixels: torch.Tensor, weighted: torch.Tensor, shared: torch.Tensor) -> None:
    """Overwrite the colour of RGBA `pixels` by `weighted` / alpha, where tiles mix and there is alpha to divide by."""
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    seen = (alpha >= LEAST_ALPHA) & shared[..., None]
    colour.copy_(torch.where(seen, weighted / alpha.clamp_min(LEAST_ALPHA), colour))


class PremultipliedPlanes:
    """Any linear composition of RGBA: seven planes, straight colour, alpha, and colour times alpha, divided at the end.

    Bands and cuts over- and undershoot, and where that leaves hardly any alpha the quotient would run away: colour and alpha
    are kept within what the tiles have. Takes the seven planes beside the output.
    """

    def __init__(self, mosaic: Mosaic, out: torch.Tensor, make: Callable[[torch.Tensor, slice], Any]) -> None:
        self.out = out
        self.shared = tuple(s.to(out.device) for s in mosaic.shared)
        self.planes = empty((*out.shape[:3], 7), device=out.device)
        self.inner = make(self.planes, slice(3, 7))
        self.range = [[float("inf"), float("-inf")] for _ in range(2)]  # of colour and of alpha

    def take(self, row: int, column: int, pixels: torch.Tensor, look: Callable[[int], None] | None = None) -> None:
        """Take in the tile at (row, column): RGBA [P, h, w, 4] of exactly the windows' size."""
        pixels = pixels.float()
        for known, part in zip(self.range, (pixels[..., :3], pixels[..., 3]), strict=True):
            if part.numel():
                least, most = part.aminmax()
                known[:] = min(known[0], float(least)), max(known[1], float(most))
        self.inner.take(row, column, torch.cat((pixels, pixels[..., :3] * pixels[..., 3:]), -1))

    def finish(self) -> None:
        """All tiles are in: leave RGBA."""
        self.inner.finish()
        ys, xs = self.shared
        rounding = _ROUNDING * max(1.0, *(abs(end) for end in self.range[0]))
        for start in range(0, self.out.shape[1], _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            straight, weighted = self.planes[:, rows, :, :4], self.planes[:, rows, :, 4:]
            self.out[:, rows] = straight
            # Rounding is not to be divided by a small alpha: where both blends agree but for that, the straight one stands.
            agreed = straight[..., :3] * straight[..., 3:]
            weighted = torch.where((weighted - agreed).abs() < rounding, agreed, weighted)
            _divide(self.out[:, rows], weighted, ys[rows, None] | xs)
            for known, part in zip(self.range, (self.out[:, rows, :, :3], self.out[:, rows, :, 3]), strict=True):
                part.clamp_(*known)


def by_windows(mosaic: Mosaic, out: torch.Tensor, above: Above | None = None) -> RowBlend | AlphaRows:
    """The composer that blends into `out` by the windows of `mosaic` alone; `above` is told of rows that meet, as in `RowBlend`."""
    return AlphaRows(mosaic, out, above) if out.shape[3] == 4 else RowBlend(mosaic, out, above=above)


def over_alpha(mosaic: Mosaic, out: torch.Tensor, make: Callable[[torch.Tensor, slice], Any]) -> Any:
    """The composer `make(target, channels that can be seen)`, writing to `out`, through premultiplied planes if that is RGBA."""
    return PremultipliedPlanes(mosaic, out, make) if out.shape[3] == 4 else make(out, slice(None))
