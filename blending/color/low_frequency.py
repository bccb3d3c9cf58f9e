"""The low frequencies of a picture, by the a-trous wavelet.

The kernel [1 2 1] / 4 along both axes, again and again at distances 1, 2, 4, 8 ...; what
is left after L levels is the low-pass, everything taken off on the way are the details
(Holschneider et al. 1989; as a colour fix, Wang et al., "Exploiting Diffusion Prior for
Real-World Image Super-Resolution", 2023). The picture's edge is repeated outwards.
"""

from __future__ import annotations

import math

import torch


def blur_count(size: float) -> int:
    """How many levels leave only what is larger than details of a picture or tile `size` pixels long: round(log2(size / 2))."""
    return max(1, round(math.log2(max(size, 2) / 2)))


def _blur(pixels: torch.Tensor, distance: int, dim: int) -> torch.Tensor:
    """[1 2 1] / 4 at `distance` along `dim`, the ends repeated."""
    length = pixels.shape[dim]
    out = pixels * 0.5
    reach = min(distance, length)
    inner = length - reach
    first, last = pixels.narrow(dim, 0, 1), pixels.narrow(dim, length - 1, 1)
    out.narrow(dim, reach, inner).add_(pixels.narrow(dim, 0, inner), alpha=0.25)
    out.narrow(dim, 0, reach).add_(first, alpha=0.25)
    out.narrow(dim, 0, inner).add_(pixels.narrow(dim, reach, inner), alpha=0.25)
    out.narrow(dim, inner, reach).add_(last, alpha=0.25)
    return out


def repeated_blur(pixels: torch.Tensor, levels: int) -> torch.Tensor:
    """What is left of `pixels` [h, w, C] after `levels` levels; float32."""
    pixels = pixels.float()
    for level in range(levels):
        for dim in (0, 1):
            pixels = _blur(pixels, 1 << level, dim)
    return pixels


def weighted_low_pass(pixels: torch.Tensor, weight: torch.Tensor | None, levels: int) -> torch.Tensor:
    """`repeated_blur` of what has weight, spread over what has none (Knutsson and Westin 1993, normalized convolution).

    Args:
        pixels: [h, w, C].
        weight: [h, w], zero or more; None where all count alike.
        levels: as in `repeated_blur`.

    Returns:
        float32 [h, w, C]; zero where nothing with weight is within reach.
    """
    if weight is None:
        return repeated_blur(pixels, levels)
    weight = weight[..., None].float()
    both = repeated_blur(torch.cat((pixels * weight, weight), -1), levels)
    share = both[..., -1:]
    return torch.where(share > 1e-6, both[..., :-1] / share.clamp_min(1e-6), torch.zeros((), device=share.device))
