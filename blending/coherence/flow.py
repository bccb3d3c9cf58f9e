"""Flow guidance: a large run follows the way that a small one took (HiFlow, arXiv 2504.06232, Bujiazi/HiFlow).

The reference moves with the run: at every noise level it is what the small run predicted there, enlarged. Direction leads the
coarse of the prediction to the reference's, which is structure guidance by it; acceleration leads the prediction's change from
step to step to the reference's change. Published are a direction of 1 at twice the size and of 0.25 at four times, the latter
along the run at twice the size and from a noised start; from noise, 1 was measured to be needed at three times too.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

ACCELERATION = 0.5


class FlowStep(NamedTuple):
    """What the next step has to know of this one.

    Attributes:
        step: its number, from 0.
        velocity: (x - x0) / sigma after guidance.
        reference: the same of the reference.
    """

    step: int
    velocity: torch.Tensor
    reference: torch.Tensor


def guide_acceleration(
    x: torch.Tensor, x0: torch.Tensor, reference: torch.Tensor, sigma: float, step: int, before: FlowStep | None, strength: float
) -> tuple[torch.Tensor, FlowStep]:
    """v + strength (v_before + r - r_before - v), told as a prediction.

    Args:
        x: what the model was given [B, C, ..., h, w].
        x0: its prediction.
        reference: the small run's at the same level, enlarged.
        sigma: the noise level; v = (x - x0) / sigma, r = (x - reference) / sigma.
        step: of the run, from 0.
        before: what was returned at the step before; None, or that of another step, at the first: then nothing changes.
        strength: 0 to 1.

    Returns:
        (x0, what the next step needs).
    """
    velocity, led = (x - x0) / sigma, (x - reference) / sigma
    if before is not None and before.step == step - 1 and before.velocity.shape == velocity.shape:
        velocity = velocity + strength * (before.velocity + led - before.reference - velocity)
        x0 = x - sigma * velocity
    return x0, FlowStep(step, velocity, led)
