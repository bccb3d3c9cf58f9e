"""Where a processed tile lands on the output, at any scale.

Between split and blend anything may change the size of a tile. The scale is an exact
fraction. Where it puts every origin on a whole pixel, tiles are placed as they are;
where it does not, they are resampled to the output's own pixel grid. A position is
never rounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import torch

from .grid import MAX_LENGTH, Axis
from .tile_layout import FAMILIAR_DENOMINATORS

MAX_DENOMINATOR = 10_000

KERNEL_RADIUS = 3


def cubic_convolution(distance: torch.Tensor) -> torch.Tensor:
    """The six-point cubic convolution kernel at `distance` (pixels), zero from 3 on.

    Fourth-order exact, so that smooth gradients keep their level (Lanczos-3 ripples by a percent),
    and about as sharp as Lanczos-3 at half a pixel of shift. Keys, "Cubic convolution interpolation
    for digital image processing", IEEE ASSP 29 (1981), section on the six-point kernel.
    """
    s = distance.abs()
    near = (4 / 3 * s - 7 / 3) * s * s + 1
    middle = ((-7 / 12 * s + 3) * s - 59 / 12) * s + 5 / 2
    far = ((s / 12 - 2 / 3) * s + 7 / 4) * s - 3 / 2
    return torch.where(s < 1, near, torch.where(s < 2, middle, torch.where(s < 3, far, torch.zeros_like(s))))


def find_scale(planned: tuple[int, int], result: tuple[int, int]) -> Fraction:
    """The one scale that turns the planned tile size into the size that came back.

    Tries n/1, n/2, n/3, n/4, n/5, n/8, n/10, n/20, n/100 in turn, then the simplest fraction that does.
    A side may have been rounded or floored to whole pixels.

    Args:
        planned: (height, width) of the planned tile, in cells.
        result: (height, width) of the tiles that came back, in cells.

    Raises:
        ValueError: where no single scale explains both sides.
    """
    low = max(Fraction(2 * c - 1, 2 * p) for p, c in zip(planned, result, strict=True))
    high = min(Fraction(c + 1, p) for p, c in zip(planned, result, strict=True))
    if min(result) < 1 or low >= high:
        raise ValueError(
            f"the tiles came back {result[1]} x {result[0]} where {planned[1]} x {planned[0]} was planned, which is not one scale "
            f"for both sides ({result[1] / planned[1]:.4g} and {result[0] / planned[0]:.4g}): they may belong to another layout, or "
            "a node between split and blend cropped or stretched them; connect the layout of the Tile Split that cut them"
        )
    for denominator in FAMILIAR_DENOMINATORS:
        best = round(Fraction(result[0] + result[1], planned[0] + planned[1]) * denominator)
        for n in (best, best - 1, best + 1):
            if n > 0 and low <= Fraction(n, denominator) < high:
                return Fraction(n, denominator)
    for denominator in range(1, MAX_DENOMINATOR + 1):
        n = math.ceil(low * denominator)
        if Fraction(n, denominator) < high:
            return Fraction(n, denominator)
    raise ValueError(
        f"no scale with a denominator up to {MAX_DENOMINATOR} turns tiles of {planned[1]} x {planned[0]} into {result[1]} x {result[0]}: "
        "resize the tiles by one factor on both sides, or type it in scale"
    )


def read_scale(value: float) -> Fraction:
    """A scale that a person typed, as the fraction they meant: 1.1 is 11/10.

    Raises:
        ValueError: for a value that is not a finite number above 0.
    """
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"scale {value} is not a scale: use a number above 0, or 0 to take it from the tiles")
    return Fraction(value).limit_denominator(MAX_DENOMINATOR)


def check_scale(scale: Fraction, planned: tuple[int, int], result: tuple[int, int]) -> None:
    """Raise ValueError unless tiles of the `planned` size can come back as `came` at `scale`, within a pixel."""
    for name, p, c in (("high", planned[0], result[0]), ("wide", planned[1], result[1])):
        if abs(p * scale - c) > 1:
            raise ValueError(
                f"scale {float(scale):g} turns a tile {p} px {name} into {float(p * scale):g} px, and the tiles came back "
                f"{c} px {name}: set scale to 0 to take it from the tiles ({c / p:.4g}), or check what changed their size"
            )


@dataclass(frozen=True)
class Placement:
    """How tiles of one axis reach the output grid.

    Attributes:
        axis: the source grid.
        size: output pixels along this axis.
        tile: pixels of a processed tile along this axis.
        centres: float64 [size], output pixel centres in source pixels.
        offsets: output pixel at which each tile begins, where all of them are whole; else None.
    """

    axis: Axis
    size: int
    tile: int
    centres: torch.Tensor
    offsets: tuple[int, ...] | None

    def span(self, index: int, start: int, stop: int) -> slice:
        """The pixels of tile `index` that lie on output pixels start..stop; exact placement only."""
        return slice(start - self.offsets[index], stop - self.offsets[index])

    def taps(self, index: int, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cubic convolution taps of tile `index` for output pixels start..stop.

        Returns:
            (indices int64 [6, n], weights float32 [6, n]); taps beyond the tile repeat its edge.
        """
        at = (self.centres[start:stop] - self.axis.origins[index]) * (self.tile / self.axis.tile) - 0.5
        base = torch.floor(at)
        steps = torch.arange(1 - KERNEL_RADIUS, KERNEL_RADIUS + 1, dtype=at.dtype)[:, None]
        distance = at - base - steps
        indices = (base + steps).long().clamp(0, self.tile - 1)
        return indices, cubic_convolution(distance).float()


def place_axis(axis: Axis, tile: int, factor: Fraction, size: int | None = None) -> Placement:
    """Work out how tiles of one axis reach the output.

    Args:
        axis: the source grid, in source pixels.
        tile: length of a processed tile, in output cells.
        factor: output cells per source pixel.
        size: output cells along this axis, round(axis.size * factor) where None.

    Raises:
        ValueError: where the output would be empty or larger than any picture.
    """
    size = round(axis.size * factor) if size is None else size
    if not 1 <= size <= MAX_LENGTH:
        raise ValueError(
            f"scale {float(factor):g} turns {axis.size} px into {size}, and a picture side is 1 to {MAX_LENGTH}: use another scale"
        )
    offsets = [origin * factor for origin in axis.origins]
    if axis.tile * factor == tile and all(offset.denominator == 1 for offset in offsets):
        centres = (torch.arange(size, dtype=torch.float64) + 0.5) / float(factor)
        return Placement(axis, size, tile, centres, tuple(int(offset) for offset in offsets))
    # A resize maps the picture's whole extent onto the rounded size, so the output's pixels do too.
    centres = (torch.arange(size, dtype=torch.float64) + 0.5) * (axis.size / size)
    return Placement(axis, size, tile, centres, None)
