"""CIELAB in float, one to one over all real numbers.

sRGB (D65) to CIELAB is matrix, cube root, matrix: RGB -> linear -> XYZ / white -> f ->
Lab, where the last step is linear. So statistics in Lab and an affine change of Lab are
both taken in f, one matrix earlier, and cost nothing extra.

Written out here and not taken from kornia, whose conversion back cuts off negative Z:
inside 0..1 the two agree to 0.005, but of values in -0.5..1.5 some come back 0.3 away
from where they started. Negative light follows the odd extension of the sRGB curve
(IEC 61966-2-2) and the straight part of f (CIE 15), so that every step has an inverse.
Greys have a = b = 0: the white is the matrix's own.
"""

from __future__ import annotations

import torch

_XYZ = torch.tensor(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]], dtype=torch.float64
)
_TO_XYZ = _XYZ / _XYZ.sum(1, keepdim=True)
_FROM_XYZ = torch.linalg.inv(_TO_XYZ)
_LAB = torch.tensor([[0, 116, 0], [500, -500, 0], [0, 200, -200]], dtype=torch.float64)
_LAB_SHIFT = torch.tensor([-16, 0, 0], dtype=torch.float64)

_BEND = 6 / 29
_KNEE_SRGB = 0.04045
_KNEE_LINEAR = _KNEE_SRGB / 12.92


def lab_map(channels: int, device: torch.device | str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """Matrix [C, C] and shift [C], float64, with Lab = matrix @ f + shift; one channel has L only."""
    if channels == 1:
        return torch.full((1, 1), 116.0, dtype=torch.float64, device=device), torch.full((1,), -16.0, dtype=torch.float64, device=device)
    return _LAB.to(device), _LAB_SHIFT.to(device)


def to_f(rgb: torch.Tensor) -> torch.Tensor:
    """sRGB values [3, n] (or grey [1, n]) to f(XYZ / white), same shape, float32."""
    size = rgb.abs()
    linear = torch.where(size <= _KNEE_SRGB, rgb / 12.92, ((size + 0.055) / 1.055).pow_(2.4).copysign_(rgb))
    xyz = linear if rgb.shape[0] == 1 else _TO_XYZ.to(linear) @ linear
    return torch.where(xyz > _BEND**3, xyz.clamp_min(0).pow_(1 / 3), xyz / (3 * _BEND**2) + 4 / 29)


def from_f(f: torch.Tensor) -> torch.Tensor:
    """The inverse of `to_f`, over all real numbers."""
    xyz = torch.where(f > _BEND, f * f * f, 3 * _BEND**2 * (f - 4 / 29))
    linear = xyz if f.shape[0] == 1 else _FROM_XYZ.to(xyz) @ xyz
    size = linear.abs()
    return torch.where(size <= _KNEE_LINEAR, linear * 12.92, (size.pow_(1 / 2.4) * 1.055 - 0.055).copysign_(linear))


def rgb_to_lab(rgb: torch.Tensor) -> torch.Tensor:
    """sRGB [3, n] to CIELAB [3, n] (L 0..100), or grey [1, n] to L; values outside 0..1 go on beyond the gamut."""
    matrix, shift = lab_map(rgb.shape[0], rgb.device)
    return matrix.to(rgb.dtype) @ to_f(rgb) + shift.to(rgb.dtype)[:, None]
