"""Consistency with a reference in bands: the exact step of least squares, in closed form, for pictures of any size.

Of all pictures x the step gives the one that minimises

    |x - x0|^2 + low |Q (x - reference)|^2 + high |(1 - Q) (x - reference)|^2

where Q x is what the wavelet's low band can tell of x: the orthogonal projection on all that its low coefficients (mirrored
at the borders, as pywt's *symmetric*) depend on, and on one tone. Because Q is a projection the minimiser is, in each band,
x_b <- (x0_b + mu_b reference_b) / (1 + mu_b), without a gradient through a model. For an orthonormal wavelet on a picture whose
sides halve without a rest, these are the wavelet's own bands. Elsewhere the coefficients near a border depend on one another,
and the same rule on them would not be the minimiser; Q takes them together, so it is. A large weight meets the reference's low
coefficients exactly, and a difference that is the same everywhere lies in the low band alone, so that there is no rim.

Our own closed form of the band penalty of *Frequency-Aware Guidance*.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn import functional

from .wavelet_packages import check_levels, filter_bank

HELD_WAVELETS = ("haar", "db4", "sym4")
# Of the largest: coefficients that see less of a picture than this say nothing that the others do not say.
RANK = 1e-10


class LowBand(NamedTuple):
    """Orthonormal rows that span the low band, of an axis each.

    Attributes:
        down: [n, h].
        across: [m, w].
    """

    down: torch.Tensor
    across: torch.Tensor

    def project(self, planes: torch.Tensor) -> torch.Tensor:
        """The low part of planes [..., h, w]: a new tensor of the same shape. Memory: twice the planes."""
        inner = self.down @ planes @ self.across.mT
        return self.down.mT @ inner @ self.across


def low_band_for(shape: tuple[int, int], wavelet: str, levels: int, wrap: tuple[bool, bool] = (False, False)) -> LowBand:
    """What the low band of planes of (h, w) cells is.

    Takes a tenth of a second for 1,000 cells at one level, and h * h / 2 ** levels numbers for h cells.

    Args:
        shape: (h, w), 1 or more each.
        wavelet: one of HELD_WAVELETS.
        levels: 1 to 12.
        wrap: (y, x), where the picture goes on at its other side; elsewhere it is mirrored.

    Returns:
        float32, on the CPU.

    Raises:
        ValueError: in words, for another wavelet or number of levels.
        RuntimeError: in words, where PyWavelets is not installed.
    """
    check_bands(wavelet, levels)
    taps = filter_bank(wavelet)[0]
    return LowBand(*(_rows(length, taps, levels, wraps) for length, wraps in zip(shape, wrap, strict=True)))


def check_bands(wavelet: str, levels: int) -> None:
    """Refuse bands that there are not, in words; RuntimeError where PyWavelets is not installed."""
    if wavelet not in HELD_WAVELETS:
        raise ValueError(f"wavelet {wavelet!r} is not known: use one of {', '.join(HELD_WAVELETS)}")
    check_levels(levels)
    filter_bank(wavelet)


def hold_bands(x0: torch.Tensor, reference: torch.Tensor, low: float, high: float, band: LowBand, cell: int = 1) -> torch.Tensor:
    """The minimiser that this file's text gives, for a reference of the same size or for means over square cells.

    With cells, the reference is compared with the means of x, and each of its cells counts as the pixels it stands for; what
    is inside of the cells stays as it was in x0.

        >>> mean_of_two = LowBand(torch.ones(1, 1), torch.full((1, 2), 0.5**0.5))
        >>> hold_bands(torch.tensor([[1.0, 3.0]]), torch.tensor([[9.0, 3.0]]), 1.0, 0.0, mean_of_two)
        tensor([[3., 5.]])

    Memory: three times the reference, and x0 once more.

    Args:
        x0: floating point [..., h, w].
        reference: [..., h / cell, w / cell], of the same number of dimensions; batch 1 or as many.
        low, high: weights mu of the bands, 0 (free) or more; 1 is the middle of both, 1e5 and more the reference.
        band: of the reference's size, on the same device.
        cell: side of the cells.

    Returns:
        a new tensor as x0 is.

    Raises:
        ValueError: in words, for weights that are none, or a size that does not fit.
    """
    share_low, share_high = reference_share(low), reference_share(high)
    wanted, given = (x0.shape[-2] / cell, x0.shape[-1] / cell), tuple(reference.shape[-2:])
    if given != wanted or given != (band.down.shape[1], band.across.shape[1]):
        raise ValueError(f"the reference has {given[0]} x {given[1]} cells and {wanted[0]:g} x {wanted[1]:g} are needed")
    now = x0.float()
    off = reference.float() - (now if cell == 1 else _means(now, cell))
    change = share_high * off + (share_low - share_high) * band.project(off)
    if cell > 1:
        change = change.repeat_interleave(cell, -2).repeat_interleave(cell, -1)
    return (now + change).to(x0.dtype)


def reference_share(weight: float) -> float:
    """How much of the way to the reference a weight goes: weight / (1 + weight).

        >>> reference_share(0), reference_share(1), reference_share(3)
        (0.0, 0.5, 0.75)

    Raises:
        ValueError: in words, for a weight under 0 or none at all.
    """
    if not (math.isfinite(weight) and weight >= 0):
        raise ValueError(f"weight {weight} is not how firmly a band can be held: use 0 (free), 1 (half of the way) or more")
    return weight / (1 + weight)


def _means(x: torch.Tensor, cell: int) -> torch.Tensor:
    planes = x.reshape(1, -1, *x.shape[-2:])
    return functional.avg_pool2d(planes, cell).reshape(*x.shape[:-2], x.shape[-2] // cell, x.shape[-1] // cell)


def _rows(length: int, taps: Sequence[float], levels: int, wraps: bool) -> torch.Tensor:
    """Orthonormal rows [n, length] that span what the low coefficients along one axis depend on, and one tone."""
    rows = torch.eye(length, dtype=torch.float64)
    for _ in range(levels):
        rows = _filtered(rows, taps, wraps)
    # At a border the coefficients alone cannot be combined to one tone.
    rows = torch.cat([rows, torch.full((1, length), length**-0.5, dtype=rows.dtype)])
    sizes, vectors = torch.linalg.eigh(rows @ rows.mT)
    kept = sizes > RANK * sizes[-1]
    return ((vectors[:, kept] / sizes[kept].sqrt()).mT @ rows).float()


def _filtered(rows: torch.Tensor, taps: Sequence[float], wraps: bool) -> torch.Tensor:
    """One level along the first dimension: c[k] = sum over j of taps[j] x[2 k + 1 - j], as pywt counts."""
    length = len(rows)
    count = -(-length // 2) if wraps else (length + len(taps) - 1) // 2
    places = 2 * torch.arange(count) + 1
    out = torch.zeros(count, rows.shape[1], dtype=rows.dtype)
    for j, tap in enumerate(taps):
        at = (places - j) % (length if wraps else 2 * length)
        out += tap * rows[at if wraps else torch.minimum(at, 2 * length - 1 - at)]
    return out
