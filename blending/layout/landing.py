"""Bringing a processed tile onto the output's pixel grid."""

from __future__ import annotations

import torch

from ..pixels.alpha import weighted_by_alpha
from ..pixels.taps import weighted_taps
from .mosaic import Mosaic
from .placement import Placement
from .windows import AxisWindow


def _resample(pixels: torch.Tensor, placed: Placement, index: int, window: AxisWindow, dim: int) -> torch.Tensor:
    """Bring `pixels` onto the output's grid along `dim` (1 = y, 2 = x): a slice, or six taps of cubic convolution."""
    if placed.offsets is not None:
        span = placed.span(index, window.start, window.stop)
        return pixels.narrow(dim, span.start, span.stop - span.start)
    if window.start == window.stop:
        return pixels.narrow(dim, 0, 0)  # shrunk so far that no output pixel sees this tile
    indices, weights = placed.taps(index, window.start, window.stop)
    out = weighted_taps(pixels, indices, weights, dim)
    # The kernel overshoots at hard edges; nothing may become brighter or darker than the tile is.
    return out.clamp_(*pixels.aminmax()) if pixels.numel() else out


def on_grid(mosaic: Mosaic, tile: torch.Tensor, row: int, column: int) -> torch.Tensor:
    """The part of a tile that counts, on the output's pixel grid."""

    def along(pixels: torch.Tensor) -> torch.Tensor:
        for dim, index in ((1, row), (2, column)):
            pixels = _resample(pixels, mosaic.places[dim - 1], index, mosaic.windows[dim - 1][index], dim)
        return pixels

    if mosaic.exact:
        return along(tile)
    tile = tile.float()
    return along(tile) if tile.shape[-1] != 4 else weighted_by_alpha(tile, along)
