"""The canvas as its own guide: pooled to the model's size it is a valid picture at a lower noise level, which can be denoised.

The mean of s x s cells keeps the scene and has 1 / s of the noise. So at every step a model can be asked what a small
picture of the very scene looks like, without one having been made: Tilework's own, beside ScaleDiff's structure guidance.
"""

from __future__ import annotations

import torch


def pooled_level(pooled: torch.Tensor, sigma: float, stride: int, flow: bool, least: float = 0.0) -> tuple[torch.Tensor, float]:
    """A pooled canvas as a model takes it, and its noise level.

    For flow models, whose noisy latent is (1 - sigma) x0 + sigma n, the means are (1 - sigma) x0 + sigma / s n: divided by
    a = 1 - sigma + sigma / s they are a noisy latent of level sigma / (s a).

        >>> pooled_level(torch.ones(1), 1.0, 2, True)
        (tensor([2.]), 1.0)

    Args:
        pooled: means of blocks of stride x stride cells.
        sigma: the canvas' noise level.
        stride: cells.
        flow: whether the model's noisy latent is (1 - sigma) x0 + sigma n; else it is x0 + sigma n.
        least: the model's lowest noise level; a lower one is told as this.

    Returns:
        (the latent, the level).
    """
    if not flow:
        return pooled, max(sigma / stride, least)
    share = 1 - sigma + sigma / stride
    return pooled / share, max(sigma / (stride * share), least)
