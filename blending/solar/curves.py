"""Solar curves: tone curves that go up and down several times, so that a faint step becomes a strong one.

Retouchers lay such a curve over a photograph to find spots, banding and seams. Its slope is its
gain: with k inversions a ramp from black to white comes out as k + 1 stripes, and a step k + 1
times as high. The four-point and six-point curves are tables, as published (mk-retouching.com,
"solar curves"): their points are whole 8-bit levels, so their slopes differ a little from run to run.

A wave is two steps: the value to its place along the wave (`turns`: whole numbers are the
points, straight lines in between), and the place to an output, by a triangle (straight) or a
cosine (smooth, flat at every point, as Photoshop draws it nearly). Shifting the place shifts
the wave; one phase is one whole wave (two runs). Below 0 and above 1 the wave goes on.
Own points are joined by straight lines or by cosine halves; below 0, above 1 and when shifted they
go on as their mirror image, which for the waves is the same thing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import torch

from ..pixels.counted import counted

FOUR, SIX, PEAK, INVERSIONS, POINTS = PRESETS = ("four points", "six points", "one peak", "inversions", "curve")
STRAIGHT, SMOOTH = SHAPES = ("straight", "smooth")

# 8-bit levels; what comes out alternates between 0 and 255, starting at 0.
TABLES: dict[str, tuple[int, ...]] = {
    FOUR: (0, 51, 101, 152, 203, 255),
    SIX: (0, 36, 72, 109, 145, 181, 218, 255),
    PEAK: (0, 128, 255),
}
# What a curve is applied to.
LUMINANCE, EACH, LIGHTNESS = CHANNELS = ("luminance", "each channel", "lightness")
PHASES = (0.0, 0.25, 0.5, 0.75)
MOST_INVERSIONS = 16
MOST_GAIN = 8.0
MOST_POINTS = 64
LEAST_DISTANCE = 1 / 256  # between two points, along x: about one 8-bit level
DEFAULT_POINTS = ((0.0, 0.0), (0.25, 1.0), (0.75, 0.0), (1.0, 1.0))


class SolarCurve(Protocol):
    """What a picture is sent through."""

    def at(self, x: torch.Tensor) -> torch.Tensor:
        """What becomes of the values `x`, any shape and range; 0..1 at gain 1."""

    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """How steep the curve is there, without its sign; on a corner, the run to the right."""

    def shifted(self, phase: float) -> SolarCurve:
        """The same curve, `phase` of a wave further on."""


@dataclass(frozen=True)
class Wave:
    """A curve that alternates between 0 and 1.

    Attributes:
        knots: where it turns, rising, from 0 to 1.
        smooth: cosine instead of straight lines.
        phase: how far the wave is shifted, in whole waves.
        gain: contrast about mid-grey. Above 1, results leave 0..1; they are not clipped.
    """

    knots: tuple[float, ...]
    smooth: bool = False
    phase: float = 0.0
    gain: float = 1.0

    def at(self, x: torch.Tensor) -> torch.Tensor:
        """See `SolarCurve`."""
        turns = self._turns(x)[0]
        if self.phase:
            turns = turns + 2 * self.phase
        out = (1 - torch.cos(math.pi * turns)) / 2 if self.smooth else 1 - (1 - torch.remainder(turns, 2)).abs_()
        return _contrast(out, self.gain)

    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """See `SolarCurve`."""
        turns, per_turn = self._turns(x)
        if self.smooth:
            per_turn = per_turn * (math.pi / 2) * torch.sin(math.pi * (turns + 2 * self.phase)).abs_()
        return per_turn * self.gain

    def shifted(self, phase: float) -> Wave:
        """See `SolarCurve`."""
        return replace(self, phase=self.phase + phase)

    def _turns(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The place along the wave, and how fast it grows there."""
        knots = torch.tensor(self.knots, dtype=torch.float64, device=x.device).to(x.dtype)
        run = _run(x, knots)
        start, width = knots[:-1], knots.diff()
        return run + (x - start[run]) / width[run], width.reciprocal()[run]


@dataclass(frozen=True)
class PointCurve:
    """A curve through points.

    Attributes:
        points: (x, y), x rising.
        smooth, gain: as for `Wave`.
        phase: as for `Wave`; one phase is the curve and its mirror image.
    """

    points: tuple[tuple[float, float], ...]
    smooth: bool = False
    phase: float = 0.0
    gain: float = 1.0

    def at(self, x: torch.Tensor) -> torch.Tensor:
        """See `SolarCurve`."""
        way, _, low, high, _ = self._between(x)
        if self.smooth:
            way = (1 - torch.cos(math.pi * way)) / 2
        return _contrast(torch.lerp(low, high, way), self.gain)

    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """See `SolarCurve`."""
        way, width, low, high, inside = self._between(x)
        steep = (high - low).abs() / width * inside
        if self.smooth:
            steep = steep * (math.pi / 2) * torch.sin(math.pi * way)
        return steep * self.gain

    def shifted(self, phase: float) -> PointCurve:
        """See `SolarCurve`."""
        return replace(self, phase=self.phase + phase)

    def _between(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The way (0..1) from one point to the next, their distance and outputs, and 1 where there are points on both sides."""
        points = torch.tensor(self.points, dtype=torch.float64, device=x.device).to(x.dtype)
        xs, ys = points.unbind(1)
        u = 1 - (1 - torch.remainder(x + 2 * self.phase, 2)).abs_()
        run = _run(u, xs)
        width = xs.diff()[run]
        way = ((u - xs[:-1][run]) / width).clamp_(0, 1)
        inside = ((u >= xs[0]) & (u <= xs[-1])).to(x.dtype)
        return way, width, ys[:-1][run], ys[1:][run], inside


def _run(x: torch.Tensor, knots: torch.Tensor) -> torch.Tensor:
    """The index of the run between two knots that each value belongs to; outside, of the nearest."""
    # The inner knots alone: below the second is the first run, from the last but one on is the last.
    return torch.bucketize(x.contiguous(), knots[1:-1].contiguous(), right=True)


def _contrast(out: torch.Tensor, gain: float) -> torch.Tensor:
    return out if gain == 1 else (out - 0.5) * gain + 0.5


def best_slope(curve: SolarCurve, x: torch.Tensor) -> torch.Tensor:
    """The largest slope that the four phases of `curve` have at `x`: no level is blind to all of them.

    For a straight wave exactly its runs' slope, k + 1; for a smooth one at least 1.11 (k + 1).
    """
    best = curve.slope(x)
    for phase in PHASES[1:]:
        best = torch.maximum(best, curve.shifted(phase).slope(x))
    return best


def solar_curve(
    preset: str,
    shape: str = STRAIGHT,
    inversions: int = 4,
    phase: float = 0.0,
    gain: float = 1.0,
    points: Any = DEFAULT_POINTS,
) -> SolarCurve:
    """The curve that these settings name.

        >>> [round(value, 2) for value in solar_curve("one peak").at(torch.tensor([0.0, 0.5, 1.0])).tolist()]
        [0.0, 1.0, 0.0]

    Args:
        preset: one of PRESETS.
        shape: one of SHAPES.
        inversions: for "inversions": how often the curve turns between black and white, 1 to MOST_INVERSIONS.
        phase: shift in whole waves.
        gain: contrast about mid-grey, 0 to MOST_GAIN.
        points: for "curve": see `check_points`.

    Raises:
        ValueError: a setting that does not exist or is out of range.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset {preset!r} does not exist: use one of {', '.join(PRESETS)}")
    if shape not in SHAPES:
        raise ValueError(f"shape {shape!r} does not exist: use one of {', '.join(SHAPES)}")
    if not math.isfinite(phase):
        raise ValueError(f"phase {phase} is no number: use 0 to 1")
    if not 0 <= gain <= MOST_GAIN:
        raise ValueError(f"gain {gain} is out of range: use 0 to {MOST_GAIN:g}")
    smooth = shape == SMOOTH
    if preset == POINTS:
        return PointCurve(check_points(points), smooth, phase, gain)
    if preset != INVERSIONS:
        return Wave(tuple(level / 255 for level in TABLES[preset]), smooth, phase, gain)
    if not 1 <= inversions <= MOST_INVERSIONS:
        raise ValueError(f"inversions {inversions} is out of range: use 1 to {MOST_INVERSIONS}")
    return Wave(tuple(turn / (inversions + 1) for turn in range(inversions + 2)), smooth, phase, gain)


def sampled_curve(values: Sequence[float], phase: float = 0.0, gain: float = 1.0) -> PointCurve:
    """The curve with these outputs at equal distances from 0 to 1, straight in between."""
    if len(values) < 2 or not all(math.isfinite(value) for value in values):
        raise ValueError("the curve has NaN or Inf in it, or fewer than two values: look at the node that made it")
    last = len(values) - 1
    return PointCurve(tuple((i / last, float(value)) for i, value in enumerate(values)), False, phase, gain)


def check_points(points: Any, most: int = MOST_POINTS, apart: float = LEAST_DISTANCE) -> tuple[tuple[float, float], ...]:
    """Points from a saved workflow, which may hold anything, as [(x, y)] with x rising; or ValueError.

    Args:
        points: two to `most` pairs of numbers in 0..1, in any order, no two closer along x than `apart`.
    """
    if not isinstance(points, list | tuple):
        raise ValueError(f"points is a {type(points).__name__}: expected a list of pairs such as [[0, 0], [0.5, 1], [1, 0]]")
    if not 2 <= len(points) <= most:
        raise ValueError(f"points has {counted(len(points), 'point')}: use 2 to {most}")
    for index, point in enumerate(points):
        if not isinstance(point, list | tuple) or len(point) != 2 or not all(_is_share(value) for value in point):
            raise ValueError(f"point {index} of points is {_short(point)}: expected two numbers from 0 to 1")
    ordered = sorted((float(x), float(y)) for x, y in points)
    for (x, _), (after, _) in pairwise(ordered):
        if after - x < apart:
            raise ValueError(f"two points of points are at x = {x:g} and {after:g}: keep them at least {apart:.4f} apart")
    return tuple(ordered)


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _short(value: Any) -> str:
    words = repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return words if len(words) <= 40 else words[:40] + "..."
