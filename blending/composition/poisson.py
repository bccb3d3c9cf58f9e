"""The screened Poisson equation on a rectangle, solved directly.

Finding the field c whose gradient comes nearest to a given one while c itself stays near a
reference, min ||grad c + J||^2 + lam ||c - r||^2, leads to (lam - Laplace) c = lam r + div J
with no flow through the border (Bhat et al., "Fourier analysis of the 2D screened Poisson
equation for gradient domain problems", ECCV 2008). On whole pixels the type-II cosine
transform makes that a division, and along an axis that is joined to itself Fourier's.
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


def solve(divergence: torch.Tensor, lam: float, mean: float | None = None, wrap: tuple[bool, bool] = (False, False)) -> torch.Tensor:
    """Solve (lam - Laplace) c = `divergence` for c, in place where the memory allows.

    Args:
        divergence: float32 [H, W] on the CPU; overwritten.
        lam: 0 or more. With 0 the mean, which nothing determines, is set to 0.
        mean: of c, where it is known better than from a sum of rounded numbers divided by a small lam.
        wrap: (y, x), where the plane is joined to itself instead of ending.

    Returns:
        float32 [H, W].
    """
    from scipy import fft  # here, because loading it takes longer than the rest of the pack

    height, width = divergence.shape
    threads = torch.get_num_threads()
    if any(wrap):
        return _solve_around(divergence, lam, mean, wrap, threads)
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


def _solve_around(divergence: torch.Tensor, lam: float, mean: float | None, wrap: tuple[bool, bool], threads: int) -> torch.Tensor:
    """`solve` where at least one axis is joined to itself. Takes a plane more than `solve` does."""
    from scipy import fft

    height, width = divergence.shape
    inner = 1 if wrap[1] else 0  # the axis whose transform halves; the other one is then turned as it is
    outer = 1 - inner
    values = divergence.contiguous().numpy()
    if not wrap[outer]:
        values = fft.dct(values, type=2, axis=outer, norm="ortho", overwrite_x=True, workers=threads)
    values = fft.rfft(values, axis=inner, norm="ortho", workers=threads)
    if wrap[outer]:
        values = fft.fft(values, axis=outer, norm="ortho", overwrite_x=True, workers=threads)
    waves = torch.from_numpy(values)
    ky, kx = (
        2 - 2 * torch.cos(torch.arange(count, dtype=torch.float64) * ((2 if wrap[axis] else 1) * math.pi / n))
        for axis, (n, count) in enumerate(zip((height, width), waves.shape, strict=True))
    )
    for top in range(0, waves.shape[0], _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        stiffness = ky[rows, None] + (kx + lam)
        if top == 0 and lam == 0:
            stiffness[0, 0] = math.inf
        waves[rows] /= stiffness.to(torch.float32)
    if mean is not None:
        waves[0, 0] = mean * math.sqrt(height * width)
    values = waves.numpy()
    if wrap[outer]:
        values = fft.ifft(values, axis=outer, norm="ortho", overwrite_x=True, workers=threads)
    values = fft.irfft(values, n=(height, width)[inner], axis=inner, norm="ortho", workers=threads)
    if not wrap[outer]:
        values = fft.idct(values, type=2, axis=outer, norm="ortho", overwrite_x=True, workers=threads)
    return torch.from_numpy(values)
