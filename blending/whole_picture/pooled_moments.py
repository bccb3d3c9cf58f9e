"""Mean and variance of a whole picture, put together from its tiles.

The variance of the whole is not the average of the tiles' variances: what the tiles' means differ by counts too,
var = sum p_i (var_i + (mean_i - mean)^2). Leaving that out is off by a tenth and more wherever brightness drifts over
the picture (Chan, Golub and LeVeque 1979 give the stable form that is used here).
"""

from __future__ import annotations

import torch


class PooledMoments:
    """Mean and variance of everything that was added, in float64.

    Add every pixel once: only the core of each tile, not what it shares with its neighbours.

    Attributes:
        count: how many values went into each mean.
        mean: float64, of the shape that was added; None before the first.
        variance: float64, divided by `count` (biased, as norms use it); None before the first.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: torch.Tensor | None = None
        self.variance: torch.Tensor | None = None

    def add(self, values: torch.Tensor, dims: tuple[int, ...]) -> None:
        """Add the values of one tile's core.

        Args:
            values: floating point, any shape; nothing is added where it is empty.
            dims: what to average over, for instance (2, 3) for each channel of [B, C, h, w].
        """
        if not values.numel():
            return
        count = 1
        for dim in dims:
            count *= values.shape[dim]
        variance, mean = torch.var_mean(values.double(), dims, correction=0)
        self.merge(count, mean, variance)

    def merge(self, count: int, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Add values of which only number, mean and biased variance are known."""
        mean, variance = mean.double(), variance.double()
        if self.mean is None or self.variance is None:
            self.count, self.mean, self.variance = count, mean, variance
            return
        total = self.count + count
        share, step = count / total, mean - self.mean
        self.variance = self.variance + (variance - self.variance) * share + step.square() * (share * (1 - share))
        self.mean = self.mean + step * share
        self.count = total
