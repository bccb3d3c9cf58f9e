"""CIEDE2000, the colour difference a person sees, in torch.

G. Sharma, W. Wu, E. N. Dalal, "The CIEDE2000 color-difference formula: implementation notes,
supplementary test data, and mathematical observations", Color Research and Application 30 (2005).
"""

from __future__ import annotations

import math

import torch

_25_TO_7 = 25.0**7


def ciede2000(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Colour difference Delta-E 2000 of two Lab colours [..., 3], with kL = kC = kH = 1.

    Returns:
        float64 [...]; about 1 is what a trained eye just sees.
    """
    lightness_1, a_1, b_1 = first.double().unbind(-1)
    lightness_2, a_2, b_2 = second.double().unbind(-1)
    chroma_7 = ((torch.hypot(a_1, b_1) + torch.hypot(a_2, b_2)) / 2) ** 7
    stretch = 1.5 - 0.5 * torch.sqrt(chroma_7 / (chroma_7 + _25_TO_7))
    a_1, a_2 = a_1 * stretch, a_2 * stretch
    chroma_1, chroma_2 = torch.hypot(a_1, b_1), torch.hypot(a_2, b_2)
    hue_1, hue_2 = (torch.rad2deg(torch.atan2(b, a)) % 360 for a, b in ((a_1, b_1), (a_2, b_2)))
    grey = chroma_1 * chroma_2 == 0
    turn, middle = _hues(hue_1, hue_2, grey)

    by_lightness = lightness_2 - lightness_1
    by_chroma = chroma_2 - chroma_1
    by_hue = 2 * torch.sqrt(chroma_1 * chroma_2) * torch.sin(torch.deg2rad(turn) / 2)
    off = ((lightness_1 + lightness_2) / 2 - 50) ** 2
    chroma = (chroma_1 + chroma_2) / 2
    weight = 1 - 0.17 * _cos(middle - 30) + 0.24 * _cos(2 * middle) + 0.32 * _cos(3 * middle + 6) - 0.20 * _cos(4 * middle - 63)
    lightness_scale = 1 + 0.015 * off / torch.sqrt(20 + off)
    chroma_scale = 1 + 0.045 * chroma
    hue_scale = 1 + 0.015 * chroma * weight
    rotation = 60 * torch.exp(-(((middle - 275) / 25) ** 2))
    twist = -torch.sin(torch.deg2rad(rotation)) * 2 * torch.sqrt(chroma**7 / (chroma**7 + _25_TO_7))
    parts = (by_lightness / lightness_scale, by_chroma / chroma_scale, by_hue / hue_scale)
    return torch.sqrt((sum(part**2 for part in parts) + twist * parts[1] * parts[2]).clamp_min(0))


def _cos(degrees: torch.Tensor) -> torch.Tensor:
    return torch.cos(degrees * (math.pi / 180))


def _hues(hue_1: torch.Tensor, hue_2: torch.Tensor, grey: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Hue difference and mean hue, in degrees, the short way round; a grey has no hue."""
    turn = hue_2 - hue_1
    far = turn.abs() > 180
    total = hue_1 + hue_2
    middle = torch.where(far, torch.where(total < 360, total + 360, total - 360), total) / 2
    turn = torch.where(far, turn - 360 * turn.sign(), turn)
    return torch.where(grey, 0.0, turn), torch.where(grey, total, middle)
