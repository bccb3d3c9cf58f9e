"""Tile after tile: how much a new tile counts beside what is finished already.

Where a new tile overlaps finished ones, the first half of the overlap is theirs: the new tile sees it as
known content and may not change it. Over the second half the new tile takes over, by a raised cosine or a straight ramp.
"""

from __future__ import annotations

import math

import torch

from .grid import Axis

RISES = ("hann", "linear")


def rising(u: torch.Tensor, window: str = "hann") -> torch.Tensor:
    """The ramp from 0 to 1 as `u` goes from 0 to 1, and flat beyond; `window` is one of RISES, or ValueError."""
    if window not in RISES:
        raise ValueError(f"{window!r} is no ramp that tiles take over by: use one of {', '.join(RISES)}")
    u = u.clamp(0, 1)
    return torch.sin(u * (math.pi / 2)).square() if window == "hann" else u


def taking_over(axis: Axis, index: int, trim: int = 0, window: str = "hann") -> torch.Tensor:
    """How much tile `index` counts along one axis against the tiles before it.

    Args:
        axis: the tiles, in cells.
        index: which of them.
        trim: cells at each side that faces a neighbour in which a tile is not to be trusted.
        window: one of RISES.

    Returns:
        float32 [axis.tile]: 0 where what is finished stays, 1 where only the new tile is; 1 everywhere for the first. Where the
        axis' ramps have a place, the tile takes over within them.
    """
    if index == 0:
        return torch.ones(axis.tile)
    start, reach = axis.origins[index] + trim, axis.origins[index - 1] + axis.tile - trim
    middle = (start + reach) / 2
    if axis.ramps is not None:
        middle, reach = axis.ramps[index - 1]
    at = axis.origins[index] + torch.arange(axis.tile, dtype=torch.float64) + 0.5
    return rising((at - middle) / max(reach - middle, 1e-9), window).float()
