"""What tiles have in common: a distance between the statistics of two tiles, and the change that lowers it.

SyncDiffusion (Lee et al., NeurIPS 2023) pulls every window of a panorama towards one of them by the gradient of a perceptual
distance. That distance needs a network's weights and the decoded pictures. Here it is of plain statistics of the latents:
the mean and the deviation of every channel, and how much its details at three sizes go together (a Gram matrix of the bands
of a fixed Haar bank). The rest follows the paper, except for the length of the step, which belongs to the distance: see
`style_change`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

LEVELS = 3
DECAY = 0.95  # of the step, from one step of the sampler to the next: as published
LONGEST = 0.1  # a change is never larger than this share of what it changes


class TileStyle(NamedTuple):
    """Statistics of latents [B, C, ..., h, w].

    Attributes:
        mean, deviation: [B, C].
        grams: one per level of the bank, [B, 3 C, 3 C]: means of the products of two bands over all places.
    """

    mean: torch.Tensor
    deviation: torch.Tensor
    grams: tuple[torch.Tensor, ...]


def _halved(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(half the size, its three bands of detail [B, 3 C, ...]) of a Haar step; an odd last row or column is left out.

    Scaled to means of four cells, not to an equal sum of squares: so the details of every size are in the latents' own units,
    and do not outweigh the tone.
    """
    height, width = x.shape[-2] // 2 * 2, x.shape[-1] // 2 * 2
    a, b, c, d = (x[..., i:height:2, j:width:2] for i in (0, 1) for j in (0, 1))
    return (a + b + c + d) / 4, torch.cat([a - b + c - d, a + b - c - d, a - b - c + d], 1) / 4


def style_of(latents: torch.Tensor) -> TileStyle:
    """The statistics of latents [B, C, ..., h, w]; of sides of less than 8 cells, of fewer sizes of detail.

    Differentiable; the deviation is that of all cells (not of a sample), and its gradient is 0 where a channel is flat.
    """
    flat = latents.flatten(2)
    mean = flat.mean(2)
    variance = (flat - mean[..., None]).square().mean(2)
    deviation = torch.where(variance > 0, variance.clamp_min(1e-20).sqrt(), variance)
    grams, half = [], latents
    for _ in range(LEVELS):
        if min(half.shape[-2:]) < 2:
            break
        half, bands = _halved(half)
        places = bands.flatten(2)
        grams.append(places @ places.transpose(1, 2) / places.shape[-1])
    return TileStyle(mean, deviation, tuple(grams))


def style_distance(one: TileStyle, other: TileStyle) -> torch.Tensor:
    """How far two styles are apart, [B]: squared differences, summed; those of Gram matrices divided by the channels' square."""
    channels = one.mean.shape[1]
    apart = (one.mean - other.mean).square().sum(1) + (one.deviation - other.deviation).square().sum(1)
    return apart + sum((a - b).square().sum((1, 2)) / channels**2 for a, b in zip(one.grams, other.grams, strict=True))


def style_gradient(
    latents: torch.Tensor, anchor: TileStyle, predict: Callable[[torch.Tensor], torch.Tensor] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The distance to the anchor's style and its gradient.

    Works inside of torch.inference_mode and torch.no_grad.

    Args:
        latents: [B, C, ..., h, w].
        anchor: the style to come near to; its batch is B or 1.
        predict: latents -> the clean latents whose style counts, differentiable; None where `latents` are those.

    Returns:
        (distance [B], gradient of the distance with respect to `latents`).
    """
    with torch.inference_mode(False), torch.enable_grad():
        asked = latents.detach().clone().float().requires_grad_(True)
        aim = TileStyle(anchor.mean.clone(), anchor.deviation.clone(), tuple(gram.clone() for gram in anchor.grams))
        clean = asked if predict is None else predict(asked)
        distance = style_distance(style_of(clean.float()), aim)
        (gradient,) = torch.autograd.grad(distance.sum(), asked)
    return distance.detach(), gradient.detach()


def style_change(distance: torch.Tensor, gradient: torch.Tensor, share: float, size: torch.Tensor, response: float = 1.0) -> torch.Tensor:
    """The step down the gradient.

    The paper's weight of 20 belongs to its own distance. A step of 2 distance / |gradient|^2 ends a distance that is a square
    at once whatever its scale, which takes the place of that weight and of dividing by the gradient's length.

    Args:
        distance: [B].
        gradient: with respect to clean latents [B, C, ..., h, w], or to noisy ones.
        share: of that step: the strength, times `DECAY` for every step of the sampler that went before.
        size: the deviation of what is changed, [B]: the change is at most `LONGEST` of it, root mean square.
        response: by how much clean latents change with the noisy ones, where the gradient is with respect to clean ones.

    Returns:
        what to add to the noisy latents, shaped as the gradient; exactly 0 where there is no distance.
    """
    width = (-1, *[1] * (gradient.ndim - 1))
    squares = gradient.flatten(1).square()
    length = 2 * share * distance / squares.sum(1).clamp_min(1e-30) / response
    longest = LONGEST * size / squares.mean(1).sqrt().clamp_min(1e-30)
    return -torch.minimum(length, longest).view(width) * gradient
