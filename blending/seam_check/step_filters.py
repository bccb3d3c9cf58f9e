"""Filters that answer with the height of a step between two columns, whatever smooth shade lies under it.

The least-squares step between two sides that share their odd derivatives (Savitzky and Golay 1964 on fits as filters):
`SHARP` answers to an edge that rises over 6 px and more with next to nothing; `WIDE` has less than half the grain.
"""

from __future__ import annotations

from functools import cache

import torch

SHARP = (6, (1, 3, 5, 7))
WIDE = (16, (1, 3))


@cache
def step_filter(arm: int, powers: tuple[int, ...]) -> tuple[float, ...]:
    """Weights on the columns c-arm .. c+arm-1 that give the step between columns c-1 and c.

    Exact for every polynomial up to the highest of `powers` (odd ones are fitted, even ones cancel).
    """
    x = torch.arange(arm, dtype=torch.float64) + 0.5
    basis = torch.stack([torch.full_like(x, 0.5), *((x / arm) ** p for p in powers)], 1)
    half = torch.linalg.pinv(basis)[0] / 2
    return tuple(torch.cat((-half.flip(0), half)).tolist())


def steps(mean: torch.Tensor, kind: tuple[int, tuple[int, ...]]) -> torch.Tensor:
    """The step before each column of `mean` [..., columns]; zero within an arm of the ends."""
    arm, powers = kind
    out = torch.zeros_like(mean)
    count = mean.shape[-1] - 2 * arm + 1
    if count > 0:
        inner = out[..., arm : arm + count]
        for offset, weight in enumerate(step_filter(arm, powers)):
            inner.add_(mean[..., offset : offset + count], alpha=weight)
    return out
