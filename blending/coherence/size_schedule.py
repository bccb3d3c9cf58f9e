"""A noise schedule for another picture size: a larger picture shows more of itself through the same noise, and needs more of it.

- signal: FreCaS' published schedule (Zhang, Li, Zhang: "FreCaS", arXiv 2410.18410). Diffusion: the share of the signal,
  abar' = s abar / (1 + (s - 1) abar) with s = (old side / new side)^2, which for sigma is sigma * scale. Flow:
  t' = k t / (1 + (k - 1) t) with k = sqrt(new side / old side).
- linear: the logarithm of the signal-to-noise ratio falls by 2 ln scale in both: sigma * scale for diffusion, k = scale for flow.
  For flow it shifts twice as far as signal; for diffusion the two are one.
"""

from __future__ import annotations

import math

import torch

SHIFTS = ("signal", "linear")


def shifted_sigmas(sigmas: torch.Tensor, scale: float, method: str, flow: bool, most: float) -> torch.Tensor:
    """Noise levels for a picture whose sides are `scale` times as long as those that the schedule is for.

    A level that would pass the model's highest is spread, by its logarithm, between that and the highest of the others that does
    not; so levels stay apart and in their order.

        >>> shifted_sigmas(torch.tensor([1.0, 0.5, 0.0]), 4.0, "signal", True, 1.0)
        tensor([1.0000, 0.6667, 0.0000])

    Args:
        sigmas: noise levels [n], 0 and more, in any order.
        scale: over 0; the new side over the old one. 1 changes nothing.
        method: one of SHIFTS.
        flow: whether the model is a flow model, whose levels are its times, 0 to 1.
        most: the model's highest noise level.

    Returns:
        [n], of the type and on the device of the given ones. 0 stays 0, order stays.

    Raises:
        ValueError: for another method, a scale that is none, or levels that are none.
    """
    if method not in SHIFTS:
        raise ValueError(f"method {method!r} is not known: use one of {', '.join(SHIFTS)}")
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale {scale} is no ratio of sides: use the new side over the old one, 2 for a picture twice as wide")
    if sigmas.ndim != 1 or sigmas.numel() == 0 or not bool(((sigmas >= 0) & sigmas.isfinite()).all()):
        raise ValueError("sigmas are no list of noise levels of 0 and more: connect the SIGMAS of a scheduler")
    if scale == 1:
        return sigmas.clone()
    levels = sigmas.double()
    if flow:
        if float(levels.max()) > 1:
            raise ValueError(
                f"a noise level of {float(levels.max()):g} is none of a flow model's, which are 0 to 1: connect its own scheduler"
            )
        shift = math.sqrt(scale) if method == "signal" else scale
        return (shift * levels / (1 + (shift - 1) * levels)).to(sigmas)
    return _held_below(levels, levels * scale, most).to(sigmas)


def _held_below(levels: torch.Tensor, shifted: torch.Tensor, most: float) -> torch.Tensor:
    over = shifted > most
    if not bool(over.any()):
        return shifted
    top = float(levels.max())
    # What was as high before stays; nothing is raised above the higher of the two.
    limit = max(most, top)
    below = ~over & (levels > 0)
    if not bool(below.any()):
        return torch.where(over, limit * levels / top, shifted)
    low, low_to = float(levels[below].max()), float(shifted[below].max())
    share = (levels.clamp_min(low).log() - math.log(low)) / (math.log(top) - math.log(low))
    return torch.where(over, (math.log(low_to) + share * (math.log(limit) - math.log(low_to))).exp(), shifted)
