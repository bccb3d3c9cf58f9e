"""Mixing random noise with the noise that a model finds in a picture, for samplers of one or two steps (PixelRush)."""

from __future__ import annotations

import torch


def slerp(first: torch.Tensor, second: torch.Tensor, share: float) -> torch.Tensor:
    """Between two noises along the arc between them, picture by picture: `first` at share 0, `second` at 1.

    A straight mix of two noises has less spread than either; the arc keeps it.

    Args:
        first, second: [B, ...].
        share: 0 to 1.

    Returns:
        [B, ...]; a straight mix for pictures of which the two lie in one line, or one is nothing.
    """
    a, b = first.float().flatten(1), second.float().flatten(1)
    cosine = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp_min(1e-12)
    angle = torch.acos(cosine.clamp(-1, 1))[:, None]
    sine = torch.sin(angle)
    apart = (sine > 1e-4) & (a.norm(dim=1, keepdim=True) > 0) & (b.norm(dim=1, keepdim=True) > 0)
    safe = torch.where(apart, sine, 1.0)
    weights = (torch.where(apart, torch.sin(way * angle) / safe, torch.tensor(way)) for way in (1 - share, share))
    mixed = sum(weight * one for weight, one in zip(weights, (a, b), strict=True))
    return mixed.view(first.shape).to(first.dtype)
