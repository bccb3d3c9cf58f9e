"""How much each tile counts where: a partition of unity along each axis.

A tile's window is the product of one window per axis. Along an axis every window is
one where the tile is alone, one at the border of the image, and falls smoothly to zero
where a neighbour takes over. The windows are divided by their sum, so that they add
up to one everywhere however many tiles meet (three can, even at a small overlap); the
product of two such axes then adds up to one over the picture, and no weight canvas is
ever needed.

Windows are functions of the continuous distance to the tile's side, evaluated at pixel
centres. At scale 1 that is the half-sample raised cosine sin^2(pi (d + 1/2) / 2L),
whose pairs add up to one by themselves; at any other scale it is the same curve,
sampled finer or coarser (J. O. Smith, Spectral Audio Signal Processing, on the
half-sample Hann window).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from .grid import Axis
from .grid_layout import GridLayout

WINDOWS = ("hann", "linear", "gaussian", "average", "none")
RAMPS = ("hann", "linear", "gaussian", "none")  # those by which one picture gives way to another

# The Gaussian-integral ramp's sigma, as a share of the overlap: wide enough to stay below
# linear's steepness times 1.2, narrow enough that its jump where the tile ends is 0.6 % of a step.
GAUSSIAN_SIGMA = 0.2


class AxisWindow(NamedTuple):
    """One tile's window along one axis.

    Attributes:
        start: the first output pixel it counts at.
        weight: float64 [n], above zero, summing to one with the other tiles' windows.
        blend: float64 [n], what the tile counts against all tiles before it together
            (weight / running sum): blending tile after tile by `lerp` with it gives the
            weighted mean of all of them.
        fresh: the index in 0..n from which no earlier tile has counted; `blend` is one from there.
    """

    start: int
    weight: torch.Tensor
    blend: torch.Tensor
    fresh: int

    @property
    def stop(self) -> int:
        """One past the last output pixel it counts at."""
        return self.start + len(self.weight)


def rise(window: str, u: torch.Tensor) -> torch.Tensor:
    """The ramp of "hann", "linear" or "gaussian" from 0 to 1 as u goes from 0 to 1; rise(u) + rise(1 - u) = 1."""
    if window == "hann":
        return torch.sin(u * (math.pi / 2)).square()
    if window == "linear":
        return u
    return 0.5 * (1 + torch.erf((u - 0.5) / (GAUSSIAN_SIGMA * math.sqrt(2))))


def check_trim(layout: GridLayout, trim: int) -> None:
    """Raise ValueError unless `trim` (source pixels) leaves every overlap at least one pixel."""
    if trim < 0:
        raise ValueError(f"trim {trim} is negative: use 0 or more")
    for axis in layout.axes:
        overlap = axis.overlap
        if trim and overlap is not None and overlap < 2 * trim + 1:
            raise ValueError(
                f"trim {trim} takes more off both sides than the smallest overlap of {overlap} px has: "
                f"use a trim of {max((overlap - 1) // 2, 0)} or less, or split with an overlap of {2 * trim + 1} or more"
            )


def axis_windows(axis: Axis, centres: torch.Tensor, window: str, trim: int = 0, pairs: bool = False) -> list[AxisWindow]:
    """Every tile's window along `axis`, at the given output pixel centres.

    Args:
        axis: the grid along this direction.
        centres: float64 [n], increasing, in source pixels (pixel k of the source is centred on k + 1/2).
        window: one of WINDOWS; "average" weighs all tiles alike, "none" cuts in the middle of each overlap.
        trim: source pixels to disregard at each side that faces a neighbour.
        pairs: whether a tile ends where the next but one begins, so that no more than two count at a place.

    Returns:
        one window per tile, in order. Of an axis that wraps they are those of a line: `unrolled.py` has the circle's.

    Raises:
        ValueError: for a window that is not one of WINDOWS.
    """
    if window not in WINDOWS:
        raise ValueError(f"window {window!r} is not known: use one of {', '.join(WINDOWS)}")
    lows, highs = _reaches(axis, trim, pairs)
    if window == "none":
        cuts = [(high + low) / 2 for high, low in zip(highs, lows[1:], strict=False)]
        lows, highs = [-math.inf, *cuts], [*cuts, math.inf]
    raw: list[tuple[int, torch.Tensor]] = []
    total = torch.zeros_like(centres)
    for i, (low, high) in enumerate(zip(lows, highs, strict=True)):
        first, last = torch.searchsorted(centres, torch.tensor([low, high], dtype=centres.dtype)).tolist()
        at = centres[first:last]
        weight = torch.ones_like(at)
        if window not in ("average", "none"):
            if i > 0 and highs[i - 1] > low:
                weight *= rise(window, ((at - low) / (highs[i - 1] - low)).clamp(0, 1))
            if i + 1 < len(lows) and high > lows[i + 1]:
                weight *= rise(window, ((high - at) / (high - lows[i + 1])).clamp(0, 1))
        inside = torch.nonzero(weight > 0).flatten()
        if len(inside):
            first, weight = first + int(inside[0]), weight[int(inside[0]) : int(inside[-1]) + 1]
        else:
            weight = weight[:0]
        total[first : first + len(weight)] += weight
        raw.append((first, weight))
    return _running(raw, total)


def _reaches(axis: Axis, trim: int, pairs: bool) -> tuple[list[float], list[float]]:
    """From where and to where each tile counts: as far as it goes, less the trim, and within the axis' ramps where it has some."""
    lows = [float(o + trim) for o in axis.origins]
    highs = [float(o + axis.tile - trim) for o in axis.origins]
    if pairs:
        highs[:-2] = [min(high, float(after)) for high, after in zip(highs, axis.origins[2:], strict=False)]
    for i, (start, stop) in enumerate(axis.ramps or ()):
        low, high = max(lows[i + 1], start), min(highs[i], stop)
        if high - low >= 1:  # else the trim leaves nothing of the ramp, and what is left of the overlap takes its place
            lows[i + 1], highs[i] = low, high
    lows[0], highs[-1] = -math.inf, math.inf
    return lows, highs


def _running(raw: list[tuple[int, torch.Tensor]], total: torch.Tensor) -> list[AxisWindow]:
    """Normalise windows by their total and work out what each counts against those before it."""
    done = torch.zeros_like(total)
    reach = 0
    windows = []
    for first, weight in raw:
        span = slice(first, first + len(weight))
        weight = weight / total[span]
        done[span] += weight
        fresh = min(max(reach - first, 0), len(weight))
        blend = weight / done[span]
        blend[fresh:] = 1.0
        windows.append(AxisWindow(first, weight, blend, fresh))
        reach = max(reach, first + len(weight))
    return windows


def shared(windows: list[AxisWindow], size: int) -> torch.Tensor:
    """Bool [size]: the output pixels at which two or more tiles count."""
    count = torch.zeros(size, dtype=torch.int64)
    for window in windows:
        count[window.start : window.stop] += 1
    return count > 1
