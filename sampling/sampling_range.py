"""When in a run a patch is at work: shares of the sampling range, as the core's start_percent and end_percent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

_TIMESTEPS = 999.0  # of the discrete models: the last one


def time_of(model_sampling: Any, sigma: torch.Tensor | float) -> float:
    """The time of a noise level: 1 where sampling begins with pure noise, 0 at the clean picture.

    The share of the timesteps that a discrete model was trained on; for flow models the noise level itself, as it is in force
    (after a shift); for those that count no steps (EDM, Stable Cascade) the share of the sampling range that is left.

    Args:
        model_sampling: the model's.
        sigma: a number or a tensor, of which the first value counts.
    """
    level = float(sigma.flatten()[0]) if isinstance(sigma, torch.Tensor) else float(sigma)
    if is_flow(model_sampling):
        return level
    if level >= float(model_sampling.sigma_max):
        return 1.0
    if abs(float(model_sampling.timestep(torch.as_tensor(model_sampling.sigma_max).view(1))[0]) - _TIMESTEPS) > 1:
        return _share_left(model_sampling, level)
    return min(max(float(model_sampling.timestep(torch.tensor([level]))[0]) / _TIMESTEPS, 0.0), 1.0)


def _share_left(model_sampling: Any, level: float) -> float:
    """By halving: `percent_to_sigma` falls, and has no inverse in the host."""
    low, high = 0.0, 1.0
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if float(model_sampling.percent_to_sigma(middle)) > level else (low, middle)
    return 1 - low


def is_flow(model_sampling: Any) -> bool:
    """Whether a noisy latent is (1 - sigma) * clean + sigma * noise; else it is clean + sigma * noise."""
    import comfy.model_sampling

    return isinstance(model_sampling, comfy.model_sampling.CONST)


def check_strength(strength: float) -> None:
    """Refuse what is no share, in words."""
    if not 0 <= strength <= 1:
        raise ValueError(f"strength {strength} is no share: use 0 (off) to 1 (in full)")


@dataclass(frozen=True)
class SamplingRange:
    """From where to where in the sampling range; 0 is its start, 1 its end.

    Raises:
        ValueError: in words for the user, for values outside of 0..1 or in the wrong order.
    """

    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("end", self.end)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} {value} is no share of the sampling range: use 0 (its beginning) to 1 (its end)")
        if self.start > self.end:
            raise ValueError(f"start {self.start} lies behind end {self.end}: use a start of {self.end} or less")

    @property
    def empty(self) -> bool:
        """Whether nothing lies in it."""
        return self.start == self.end

    def holds(self, model_sampling: Any, sigma: torch.Tensor) -> bool:
        """Whether a noise level lies inside; the end itself does not, but at 1 everything to the last step does."""
        if self.empty:
            return False
        level = float(sigma.flatten()[0])
        if self.start > 0 and level > float(model_sampling.percent_to_sigma(self.start)):
            return False
        return self.end == 1 or level > float(model_sampling.percent_to_sigma(self.end))
