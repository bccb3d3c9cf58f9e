"""Multiband composition: each band changes over in the width of its own wavelength.

Every tile is split into Laplacian bands, every band is weighted by a mask that has been
blurred as much as the band, and the bands are added up (Burt and Adelson, "A multiresolution
spline with application to image mosaics", ACM TOG 2(4), 1983). Tone changes over widely,
detail within a pixel or two.

All tiles stand on one lattice of the whole picture, and the masks are reduced from cuts that
add up to one, so they add up to one in every band. Expanding and adding is linear: the bands
of a tile are collapsed by themselves, and pictures are added instead of pyramids, which takes
no more memory than a tile. A tile is continued by its own mirrored pixels, never by black.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch

from ..layout.mosaic import Mosaic, smallest_overlap
from ..pixels.taps import mirrored

_KERNEL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
LEAST_BAND_OVERLAP = 8  # a band more would reach further than a tile does


def band_count(overlap: int | None) -> int:
    """Bands below the finest that fit an overlap of that many output pixels: floor(log2(overlap / 6)), at least 1; 0 below 8 px.

    Level k reaches about 3 * 2^k pixels to either side of the cut.
    """
    if overlap is None or overlap < LEAST_BAND_OVERLAP:
        return 0
    return max(1, int(math.log2(overlap / 6)))


def _along(pixels: torch.Tensor, dim: int, start: int, stop: int | None, step: int) -> torch.Tensor:
    return pixels[(slice(None),) * dim + (slice(start, stop, step),)]


def reduce_axis(pixels: torch.Tensor, dim: int) -> torch.Tensor:
    """Blur along `dim` and keep every second sample, the first one included; the ends are repeated. Even lengths only."""
    n = pixels.shape[dim] // 2
    ends = (pixels.narrow(dim, 0, 1),) * 2, pixels.narrow(dim, 2 * n - 1, 1)
    padded = torch.cat((*ends[0], pixels, ends[1]), dim)
    out = _along(padded, dim, 0, 2 * n, 2) * _KERNEL[0]
    for tap in range(1, 5):
        out.add_(_along(padded, dim, tap, tap + 2 * n - 1, 2), alpha=_KERNEL[tap])
    return out


def expand_axis(pixels: torch.Tensor, dim: int) -> torch.Tensor:
    """Twice as many samples along `dim`, the transpose of `reduce_axis` times two: even ones see 1 6 1, odd ones 4 4."""
    before = torch.cat((pixels.narrow(dim, 0, 1), pixels.narrow(dim, 0, pixels.shape[dim] - 1)), dim)
    after = torch.cat((pixels.narrow(dim, 1, pixels.shape[dim] - 1), pixels.narrow(dim, pixels.shape[dim] - 1, 1)), dim)
    even = (before + after).mul_(1 / 8).add_(pixels, alpha=6 / 8)
    odd = (pixels + after).mul_(0.5)
    return torch.stack((even, odd), dim + 1).flatten(dim, dim + 1)


class Stretch(NamedTuple):
    """One tile's part of the lattice along one axis.

    Attributes:
        start, stop: output pixels that the tile covers.
        low, high: the same, enlarged to whole cells of the coarsest level and by what the bands reach.
        weights: per level, float32, how much its samples between low and high count.
    """

    start: int
    stop: int
    low: int
    high: int
    weights: list[torch.Tensor]


def stretches(windows: list, cuts: list[int], size: int, levels: int) -> list[Stretch]:
    """Every tile's stretch of the lattice along one axis.

    Args:
        windows: the tiles' windows (start, stop), in order.
        cuts: output pixel at which tile i ends and tile i + 1 begins, one per neighbouring pair.
        size: output pixels.
        levels: how often the lattice is halved.
    """
    cell = 1 << levels
    margin = 8 * cell
    origin, end = -margin, size + margin
    end += (origin - end) % cell
    position = torch.arange(origin, end)
    ramps = tone_ramps(windows, position[::cell].double(), 2 * (cell - 1)) if levels else None
    bounds = [origin, *cuts, end]
    out = []
    for window, first, last in zip(windows, bounds[:-1], bounds[1:], strict=True):
        weight = ((position >= first) & (position < last)).double()
        weights = [weight]
        for _ in range(levels):
            weights.append(reduce_axis(weights[-1], 0))
        if ramps is not None:
            weights[-1] = ramps[len(out)]
        low = (window.start - origin) // cell * cell + origin - margin // 2
        high = -((origin - window.stop) // cell) * cell + origin + margin // 2
        spans = [slice((low - origin) >> k, (high - origin) >> k) for k in range(levels + 1)]
        out.append(Stretch(window.start, window.stop, low, high, [w[s].float() for w, s in zip(weights, spans, strict=True)]))
    return out


def tone_ramps(windows: list, position: torch.Tensor, reach: int) -> list[torch.Tensor]:
    """How much each tile counts in what is left below the bands: raised cosines over all of the overlap that can be used.

    A cut blurred as often as there are bands is a fifth of the overlap wide, a ramp for detail, steep for tone.

    Args:
        windows: the tiles' windows (start, stop), in order.
        position: float64 [n], output pixel of every sample.
        reach: output pixels from a tile's end in which its samples have seen its mirrored continuation.

    Returns:
        per tile, float64 [n]; they sum to one.
    """
    rises = [torch.ones_like(position)]
    for before, after in pairwise(windows):
        start, stop = after.start + reach, before.stop - 1 - reach
        middle, half = (start + stop) / 2, max(stop - start, 1) / 2
        rises.append(torch.sin(((position - middle) / (2 * half) + 0.5).clamp(0, 1) * (math.pi / 2)).square())
    raw = [rise * (1 - later) for rise, later in zip(rises, [*rises[1:], torch.zeros_like(position)], strict=True)]
    total = sum(raw)
    return [weight / total for weight in raw]


class Bands:
    """Adds the tiles' masked bands up in `target`, which it clears first.

    Args:
        mosaic: with windows that reach as far as the tiles may count.
        target: float32 [P, H, W, C] to write to.
        levels: how often to halve; None takes it from the smallest overlap.

    The target is the picture; the mosaic may be wider (`over_the_border`), and what it has more is dropped.
    """

    def __init__(self, mosaic: Mosaic, target: torch.Tensor, levels: int | None = None) -> None:
        self.target, self.before = target.zero_(), mosaic.before
        self.levels = band_count(smallest_overlap(mosaic)) if levels is None else levels
        self.axes = [
            stretches(windows, middle_cuts(windows), size, self.levels) for windows, size in zip(mosaic.windows, mosaic.size, strict=True)
        ]

    def take(self, row: int, column: int, pixels: torch.Tensor, look: Callable[[int], None] | None = None) -> None:
        """Add the tile at (row, column) up: `pixels` [P, h, w, C] of exactly the windows' size."""
        y, x = self.axes[0][row], self.axes[1][column]
        spans, ends = [], zip((y, x), self.before, self.target.shape[1:3], strict=True)
        for along, before, size in ends:
            # Bands reach a little further than the tile itself, and what lies outside the picture is nobody's.
            low, high = max(along.low - before, 0), min(along.high - before, size)
            if low >= high:
                return
            spans.append((slice(low, high), slice(low + before - along.low, high + before - along.low)))
        pixels = pixels.to(self.target.device, self.target.dtype)
        for dim, along in ((1, y), (2, x)):
            at = mirrored(torch.arange(along.low, along.high) - along.start, along.stop - along.start)
            pixels = pixels.index_select(dim, at.to(pixels.device))
        blended = self._collapse(self._masked_bands(pixels, y, x))
        (rows, own_rows), (columns, own_columns) = spans
        self.target[:, rows, columns] += blended[:, own_rows, own_columns]

    def finish(self) -> None:
        """Nothing is left to do."""

    def _masked_bands(self, pixels: torch.Tensor, y: Stretch, x: Stretch) -> list[torch.Tensor]:
        bands = []
        for level in range(self.levels + 1):
            band = pixels
            if level < self.levels:
                pixels = reduce_axis(reduce_axis(band, 1), 2)
                band = band - expand_axis(expand_axis(pixels, 1), 2)
            weight_y, weight_x = (along.weights[level].to(band.device) for along in (y, x))
            bands.append(band * (weight_y[:, None] * weight_x)[..., None])
        return bands

    @staticmethod
    def _collapse(bands: list[torch.Tensor]) -> torch.Tensor:
        out = bands.pop()
        while bands:
            out = expand_axis(expand_axis(out, 1), 2).add_(bands.pop())
        return out


def over_the_border(mosaic: Mosaic) -> Mosaic:
    """The mosaic with so much of the other side of axes that wrap that bands are whole wherever they reach into the picture.

    By whole cells of the coarsest level, so that both ends of the picture stand on one lattice where its sides are such cells.
    """
    cell = 1 << band_count(smallest_overlap(mosaic))
    ends = (-(-(tile + 16 * cell) // cell) * cell for tile in mosaic.tile_size)
    return mosaic.widened(tuple((end, end) for end in ends))


def middle_cuts(windows: list) -> list[int]:
    """The output pixel in the middle of each overlap of neighbouring windows."""
    return [(a.stop + b.start + 1) // 2 for a, b in pairwise(windows)]
