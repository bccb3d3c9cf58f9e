"""Skip residual: what a sampler holds is drawn to the reference, noised to the same level with the run's own noise.

DemoFusion (PRIS-CV/DemoFusion, CVPR 2024): x <- (1 - c^3) x + c^3 z, c falling with the time as a cosine. HiWave (arXiv
2506.20452) takes for z the states that an inversion of the reference went through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


class StateFollower:
    """The states of a recorded run, made again from its predictions, for noise levels that fall.

    Euler's step from the level b to a, x <- (a/b) x + (1 - a/b) x0, goes through every recorded level. For diffusion and for flow
    models it is the same. One state is kept.

    Args:
        levels: recorded noise levels.
        predicted: (noise level, a tensor of the same device) -> the run's prediction at it [B or 1, C, ..., h, w].
    """

    def __init__(self, levels: Sequence[float], predicted: Callable[[float, torch.Tensor], torch.Tensor]) -> None:
        self._levels, self._predicted = sorted(levels, reverse=True), predicted
        self._state: torch.Tensor | None = None
        self._level = 0.0

    def at(self, held: torch.Tensor, level: float) -> torch.Tensor:
        """The state at a noise level.

        Args:
            held: what the sampler holds; at the first call the run is begun with it.
            level: of this call; lower than that of the last call, or the same.
        """
        if self._state is None or level > self._level:
            self._state, self._level = held.clone(), level
        for target in [*(one for one in self._levels if level < one < self._level), level]:
            if target < self._level:
                kept = target / self._level
                predicted = self._predicted(self._level, held).to(self._state.dtype)
                self._state, self._level = predicted.lerp(self._state, kept), target
        return self._state
