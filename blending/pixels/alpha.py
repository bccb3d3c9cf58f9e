"""Linear filters of RGBA: colour is weighted by alpha, so that what is hidden under transparent pixels does not bleed out."""

from __future__ import annotations

from collections.abc import Callable

import torch

LEAST_ALPHA = 1 / 1024
# Within one tile the quotient is kept as long as it means anything: what a neighbour makes of it is not known yet.
_LEAST_FILTERED_ALPHA = 1e-6


def weighted_by_alpha(tile: torch.Tensor, linear: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Apply a linear filter to an RGBA tile [P, h, w, 4] with its colour weighted by alpha.

    The filter may overshoot; colour and alpha are kept within what the tile had.
    """
    colour, alpha = tile[..., :3], tile[..., 3:]
    straight = linear(colour)
    premultiplied = linear(torch.cat((colour * alpha, alpha), -1))
    weight = premultiplied[..., 3:]
    quotient = premultiplied[..., :3] / weight.clamp_min(_LEAST_FILTERED_ALPHA)
    colour_out = torch.where(weight >= _LEAST_FILTERED_ALPHA, quotient, straight)
    return torch.cat((colour_out.clamp(float(colour.min()), float(colour.max())), weight.clamp(float(alpha.min()), float(alpha.max()))), -1)
