"""Structure guidance: the coarse of every prediction is led to the coarse of a reference (ScaleDiff, arXiv 2510.25818)."""

from __future__ import annotations

import torch

from ..frequency.low_pass import low_pass


def guide_structure(
    x0: torch.Tensor, reference_low: torch.Tensor, strength: float, kind: str, factor: float, wrap: tuple[bool, bool] = (False, False)
) -> torch.Tensor:
    """x0 + strength (LP(reference) - LP(x0)).

    With kind haar and strength 1 the coarse of what comes out is the reference's, to rounding; the other two kinds are no
    projectors and only lead there, from step to step.

    Args:
        x0: prediction of the whole canvas [B, C, ..., h, w].
        reference_low: the low pass of the reference, of the same kind and factor; batch 1 or B.
        strength: 0 (nothing) to 1.
        kind, factor, wrap: see `low_pass`.

    Returns:
        a new tensor.
    """
    return x0 + strength * (reference_low - low_pass(x0, kind, factor, wrap))
