"""Means and deviations of a latent, made those of a reference: enlarging a latent changes them, and the model sees it.

Bicubic enlargement takes away spread: of white noise 14 % at twice the size. The cure is statistical matching in the manner of
APT (arXiv 2507.21690, whose formulas are not published; this is our own form of the idea). Per tile the factors and offsets are
maps, interpolated between the tiles' middles, so that no tile's edge shows.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional

PER = ("tile", "channel")
# The interpolated maps answer for a tile only in part, and a second round takes most of the rest; more rounds would make the
# maps ring where the contrast changes at once.
ROUNDS = 2
# What varies less has nothing to be stretched.
FLAT = 1e-6


def match_channel_statistics(samples: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Every channel of every picture with the mean and the standard deviation that it has in the reference.

    Args:
        samples: floating point [B, C, ..., h, w].
        reference: [1 or B, C, ..., h', w'], of any size.

    Returns:
        a new tensor; a channel that is one tone only takes the mean.
    """
    over = tuple(range(2, samples.ndim))
    spread, mean = torch.std_mean(samples.float(), over, correction=0, keepdim=True)
    spread_to, mean_to = torch.std_mean(reference.float(), over, correction=0, keepdim=True)
    return _stretched(samples, mean, spread, mean_to, spread_to).to(samples.dtype)


def match_tile_statistics(samples: torch.Tensor, reference: torch.Tensor, cells: int) -> torch.Tensor:
    """The same for tiles of `cells` x `cells`, as near as maps without an edge come to it.

    The picture is divided evenly, into the whole number of tiles that is nearest.

    Args:
        samples: floating point [B, C, ..., h, w].
        reference: [1 or B, C, ..., h', w'], the same picture at another size.
        cells: of the samples.

    Returns:
        a new tensor. Two more of its size are held while it is made.
    """
    size = tuple(samples.shape[-2:])
    grid = tuple(max(round(side / cells), 1) for side in size)
    planes = samples.float().reshape(-1, 1, *size)
    wanted = reference.float().expand(samples.shape[0], *reference.shape[1:])
    mean_to, spread_to = _statistics(wanted.reshape(-1, 1, *reference.shape[-2:]), grid)
    for _ in range(ROUNDS):
        mean, spread = _statistics(planes, grid)
        factor = torch.where((spread > FLAT) & (spread_to > FLAT), spread_to / spread.clamp_min(FLAT), 1.0)
        around = _map(mean, size)
        planes = (planes - around).mul_(_map(factor, size)).add_(around).add_(_map(mean_to - mean, size))
    return planes.reshape(samples.shape).to(samples.dtype)


def _stretched(samples, mean, spread, mean_to, spread_to) -> torch.Tensor:
    factor = torch.where((spread > FLAT) & (spread_to > FLAT), spread_to / spread.clamp_min(FLAT), 1.0)
    return (samples.float() - mean) * factor + mean_to


def _statistics(planes: torch.Tensor, grid: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and deviations of the tiles, each [n, 1, rows, columns]."""
    mean = functional.adaptive_avg_pool2d(planes, grid)
    square = functional.adaptive_avg_pool2d(planes.double().square(), grid)
    return mean, (square - mean.double().square()).clamp_min(0).sqrt().float()


def _map(values: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return functional.interpolate(values, size=size, mode="bilinear", align_corners=False)
