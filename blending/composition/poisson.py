"""The screened Poisson equation on a rectangle, solved directly.

Finding the field c whose gradient comes nearest to a given one while c itself stays near a
reference, min ||grad c + J||^2 + lam ||c - r||^2, leads to (lam - Laplace) c = lam r + div J
with no flow through the border (Bhat et al., "Fourier analysis of the 2D screened Poisson
equation for gradient domain problems", ECCV 2008). On whole pixels the type-II cosine
transform makes that a division.
"""

from __future__ import annotations

import math

import torch

_ROWS_AT_ONCE = 256


def screening(length: float) -> float:
    """lam for which structure longer than `length` pixels follows the reference: (2 pi / length)^2.

    At a wavelength of exactly `length` half of it does; the share falls with the square of the frequency.
    """
    return (2 * math.pi / length) ** 2


def solve(divergence: torch.Tensor, lam: float, mean: float | None = None) -> torch.Tensor:
    """Solve (lam - Laplace) c = `divergence` for c, in place where the memory allows.

    Args:
        divergence: float32 [H, W] on the CPU; overwritten.
        lam: 0 or more. With 0 the mean, which nothing determines, is set to 0.
        mean: of c, where it is known better than from a sum of rounded numbers divided by a small lam.

    Returns:
        float32 [H, W].
    """
    from scipy import fft  # here, because loading it takes longer than the rest of the pack

    height, width = divergence.shape
    threads = torch.get_num_threads()
    spectrum = fft.dctn(divergence.contiguous().numpy(), type=2, norm="ortho", overwrite_x=True, workers=threads)
    waves = torch.from_numpy(spectrum)
    ky, kx = (2 - 2 * torch.cos(torch.arange(n, dtype=torch.float64) * (math.pi / n)) for n in (height, width))
    for top in range(0, height, _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        stiffness = ky[rows, None] + (kx + lam)
        if top == 0 and lam == 0:
            stiffness[0, 0] = math.inf
        waves[rows] /= stiffness
    if mean is not None:
        waves[0, 0] = mean * math.sqrt(height * width)
    return torch.from_numpy(fft.idctn(waves.numpy(), type=2, norm="ortho", overwrite_x=True, workers=threads))
