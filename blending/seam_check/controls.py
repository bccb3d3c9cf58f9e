"""How far a figure at a boundary stands out from the same figure where no boundary is.

The controls are columns of the same rows, so texture, grain and edges near a boundary are their
own yardstick. Scale is the larger of 1.4826 x the median absolute deviation and the 95 % point,
so that the few strong columns of a natural picture count as what is normal there, and of the
same for columns that are a multiple of 8 px away, which share the blocks of a JPEG.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

MAD = 1.4826
MOST_Z = 999.0
_OUTER = 0.95
_OUTER_SCALE = 1.96
JPEG_BLOCK = 8
_LEAST_OF_A_PHASE = 12


class Normal(NamedTuple):
    """Median and scale of the controls, over the last dimension."""

    median: torch.Tensor
    scale: torch.Tensor


def normal(values: torch.Tensor, floor: float, outer: bool = True) -> Normal:
    """Median and robust scale over the last dimension of `values`, the scale at least `floor`; without the 95 % point if not `outer`."""
    median = values.median(-1).values
    away = (values - median[..., None]).abs().sort(-1).values
    count = away.shape[-1]
    scale = MAD * away[..., count // 2]
    if outer:
        scale = torch.maximum(scale, away[..., min(int(_OUTER * count), count - 1)] / _OUTER_SCALE)
    return Normal(median, scale.clamp_min(floor))


def z_score(values: torch.Tensor, line: int, columns: torch.Tensor, floor: float, signed: bool = True) -> torch.Tensor:
    """How many scales `values[..., line]` lies from the controls; over the last dimension.

    Args:
        values: [..., columns].
        line: index of the boundary.
        columns: int64, indices of the controls.
        floor: the least scale: what is below notice.
        signed: whether to look both ways (the absolute z) or only upwards.
    """
    here = normal(values[..., columns], floor)
    phase = columns[(columns - line) % JPEG_BLOCK == 0]
    scale = here.scale
    if len(phase) >= _LEAST_OF_A_PHASE:
        blocks = values[..., phase]
        away = (blocks - blocks.median(-1).values[..., None]).abs().median(-1).values
        scale = torch.maximum(scale, MAD * away)
    z = (values[..., line] - here.median) / scale
    return (z.abs() if signed else z).clamp(max=MOST_Z)
