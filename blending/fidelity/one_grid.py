"""A result and its source on one grid, a few rows at a time: the finer of the two is brought down, and the result is registered."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from ..layout.placement import KERNEL_RADIUS, cubic_convolution
from ..layout.reference import same_shape
from ..pixels.taps import weighted_taps
from ..registration.resample import sampled_at
from ..seam_check.surroundings import BACKGROUND, levels


class Registration(NamedTuple):
    """Where the result shows what the source shows: result(y + shift + stretch * y) = source(y), in pixels of the grid, for y and x.

    Attributes:
        shift: (dy, dx).
        stretch: (sy, sx), 0 where nothing is stretched.
        sure: whether enough of both pictures agreed on it.
    """

    shift: tuple[float, float] = (0.0, 0.0)
    stretch: tuple[float, float] = (0.0, 0.0)
    sure: bool = False

    def at(self, dim: int, places: torch.Tensor) -> torch.Tensor:
        """Where to read the result for these rows (dim 0) or columns (dim 1) of the grid."""
        return places + self.shift[dim] + self.stretch[dim] * places


class OneGrid:
    """One picture of the result and its source, both as 8-bit levels on the same grid.

    Args:
        image: [1, H, W, C], the result, C = 1, 3 or 4; colour under alpha is looked at as it is seen on grey.
        reference: [1, h, w, C], the source.

    Attributes:
        size: (height, width) of the grid: that of the smaller picture.
        registration: applied to the result when it is read; may be set.

    Raises:
        ValueError: where the two are not one scale apart.
    """

    def __init__(self, image: torch.Tensor, reference: torch.Tensor) -> None:
        own, other = tuple(image.shape[1:3]), tuple(reference.shape[1:3])
        if not same_shape(own, other):
            raise ValueError(
                f"image is {own[1]} x {own[0]} and reference {other[1]} x {other[0]}, which is not one scale for both sides: connect "
                "the picture that the result was made from, uncropped"
            )
        self.image, self.reference = image, reference
        self.size = min(own, other)
        self.registration = Registration()

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the result for one of the grid, down and across."""
        return tuple(have / want for have, want in zip(self.image.shape[1:3], self.size, strict=True))

    def rows(self, start: int, stop: int, columns: tuple[int, int] | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """(source, result) as levels [1, c, rows, columns], of rows start..stop of the grid; c = 3, or 1 where both are grey."""
        left, right = columns or (0, self.size[1])
        at = [torch.arange(a, b, dtype=torch.float64) for a, b in ((start, stop), (left, right))]
        moved = [self.registration.at(dim, places) for dim, places in enumerate(at)]
        source = read_levels(self.reference, self.size, *at)
        result = read_levels(self.image, self.size, *moved).to(source.device)
        # What is hidden in one picture is no change, where the other came without alpha (as a loaded picture does).
        with_alpha = [pixels.shape[-1] == 4 for pixels in (self.reference, self.image)]
        if with_alpha == [False, True]:
            source = _over_grey(source, read_levels(self.image[..., 3:], self.size, *moved).to(source.device))
        elif with_alpha == [True, False]:
            result = _over_grey(result, read_levels(self.reference[..., 3:], self.size, *at))
        channels = max(source.shape[1], result.shape[1])
        return source.expand(-1, channels, -1, -1), result.expand(-1, channels, -1, -1)


def _over_grey(seen: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Levels [1, c, n, m] through an alpha [1, 1, n, m] that is given in levels, too."""
    return BACKGROUND + (seen - BACKGROUND) * (alpha / 255).clamp(0, 1)


def read_levels(pixels: torch.Tensor, size: tuple[int, int], ys: torch.Tensor, xs: torch.Tensor) -> torch.Tensor:
    """Levels [1, c, n, m] of a picture at places of a grid of `size`, smoothed as far as the grid is coarser."""
    steps = [have / want for have, want in zip(pixels.shape[1:3], size, strict=True)]
    at = [(places + 0.5) * step - 0.5 for places, step in zip((ys, xs), steps, strict=True)]
    # Only what is looked at becomes levels.
    reach = [math.ceil(KERNEL_RADIUS * step) + 1 for step in steps]
    spans = [
        (min(max(math.floor(float(a[0])) - r, 0), length - 1), max(min(math.ceil(float(a[-1])) + r + 1, length), 1))
        for a, r, length in zip(at, reach, pixels.shape[1:3], strict=True)
    ]
    part = levels(pixels[:, spans[0][0] : spans[0][1], spans[1][0] : spans[1][1]])
    at = [a - span[0] for a, span in zip(at, spans, strict=True)]
    if all(step == 1 for step in steps):
        return sampled_at(part.movedim(1, -1), *at).movedim(-1, 1)
    for dim, (places, step) in enumerate(zip(at, steps, strict=True)):
        part = weighted_taps(part, *_smoothing_taps(places, step, part.shape[2 + dim]), 2 + dim)
    return part


def _smoothing_taps(at: torch.Tensor, step: float, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Places [taps, n] and weights of the cubic convolution, as wide as `step` pixels, around `at`; the ends are repeated."""
    base = torch.floor(at - KERNEL_RADIUS * step) + 1
    taps = torch.arange(math.ceil(2 * KERNEL_RADIUS * step) + 1, dtype=torch.float64)[:, None]
    places = base + taps
    weights = cubic_convolution((places - at) / step)
    return places.long().clamp(0, size - 1), weights / weights.sum(0)
