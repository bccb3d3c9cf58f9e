"""Mean and covariance of a picture's colours, weighted, exact and in one pass.

Everything is summed in float64 over strips, so that the answer
is as good for a hundred million pixels as for a hundred.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from ..pixels.chunks import planar, row_chunks

# Moments this close would change no value by more than float32 can tell; what is left is the order of sums.
_SAME_RELATIVE = 1e-7
_SAME_ABSOLUTE = 1e-10


class Moments(NamedTuple):
    """What colour statistics are made of.

    Attributes:
        total: the sum of all weights (the number of pixels where there were none).
        mean: float64 [C].
        covariance: float64 [C, C], divided by `total`.
    """

    total: float
    mean: torch.Tensor
    covariance: torch.Tensor

    def same_as(self, other: Moments) -> bool:
        """Whether mean and covariance are those of `other`, up to the rounding of sums."""
        pairs = ((self.mean, other.mean), (self.covariance, other.covariance))
        return all(torch.allclose(a, b, rtol=_SAME_RELATIVE, atol=_SAME_ABSOLUTE) for a, b in pairs)


def moments(
    pixels: torch.Tensor, weight: torch.Tensor | None = None, space: Callable[[torch.Tensor], torch.Tensor] | None = None
) -> Moments:
    """Mean and covariance.

    Args:
        pixels: [h, w, C].
        weight: [h, w], zero or more; None where all count alike.
        space: what to do with values [C, n] before they are measured; nothing where None.

    Returns:
        the moments; mean and covariance are zero where nothing has weight.
    """

    def sums(part: torch.Tensor, w: torch.Tensor | None) -> tuple[float, torch.Tensor, torch.Tensor]:
        y = (planar(part) if space is None else space(planar(part))).double()
        if w is None:
            return float(y.shape[1]), y.sum(1), y @ y.T
        w = w.reshape(-1).double()
        return float(w.sum()), (y * w).sum(1), (y * w) @ y.T

    totals, firsts, seconds = zip(*(sums(*parts) for parts in row_chunks(pixels, weight)), strict=True)
    total, first, second = sum(totals), torch.stack(firsts).sum(0), torch.stack(seconds).sum(0)
    if total <= 0:
        return Moments(0.0, torch.zeros_like(first), torch.zeros_like(second))
    mean = first / total
    # The sums are float64: what cancels here was known to 16 digits.
    covariance = second / total - mean[:, None] * mean
    return Moments(total, mean, (covariance + covariance.T) / 2)
