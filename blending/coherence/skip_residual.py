"""Skip residual: what a sampler holds is drawn to the reference, noised to the same level with the run's own noise.

DemoFusion (PRIS-CV/DemoFusion, CVPR 2024): x <- (1 - c^3) x + c^3 z, c falling with the time as a cosine.
"""

from __future__ import annotations

import torch

from .schedules import cosine

POWER = 3.0


def skip_weight(time: float, strength: float) -> float:
    """How much of the noised reference is taken at a time, 0 to `strength`; exactly that at time 1."""
    return strength * cosine(time, POWER)


def draw_to(state: torch.Tensor, noised: torch.Tensor, weight: float) -> None:
    """state <- (1 - weight) state + weight noised, in place; at weight 1 it is `noised` to the bit.

    Args:
        state: what the sampler holds [B, C, ..., h, w].
        noised: the reference at the same noise level; batch 1 or B.
        weight: 0 to 1.
    """
    state.lerp_(noised.to(state.dtype).expand_as(state), weight)
