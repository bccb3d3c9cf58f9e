"""Smoothing of any width at full size: the undecimated B-spline wavelet (à trous), and a true Gaussian.

The B-spline filter [1, 4, 6, 4, 1] / 16 is [1, 2, 1] / 4 twice. Its taps are set apart ("with holes", Holschneider et al. 1989;
Starck, Murtagh and Bijaoui 1998) as far as the plane is smooth already, so a width of hundreds of pixels takes a dozen steps of
five taps in each direction, and nothing is made smaller on the way: what comes out does not depend on where a structure lies.
With [q, 1 - 2q, q] in place of [1, 2, 1] / 4 a step widens by less than its whole, so every width can be had.
"""

from __future__ import annotations

import math

import torch

# The standard deviation, in units of the taps' distance, from which on a plane has next to nothing left that the holes would
# alias: 0.14 % at the frequency that they take for none.
STANDING = 0.577
# A strip of rows, padded, and what is computed of it stay in a processor's cache.
VALUES_AT_ONCE = 1 << 18
# Wider than twice the plane, the smoothing is the mean: the slowest wave is left at exp(-2 pi^2), 3e-9.
WIDEST = 2


class Smoother:
    """One plane that is made smoother, further and further. Memory: two planes.

        >>> [round(value, 3) for value in Smoother(torch.eye(3)).to(100.0)[0].tolist()]
        [0.333, 0.333, 0.333]

    Args:
        plane: [h, w] of 1 px or more, of any floating point; it is not changed.

    Attributes:
        plane: float32 [h, w], as smooth as it was asked to be last. It is valid until `to` is called again.
        variance: of the smoothing that it has, in pixels squared.
    """

    def __init__(self, plane: torch.Tensor) -> None:
        self.plane = torch.empty(plane.shape, dtype=torch.float32, device=plane.device).copy_(plane)
        self.variance = 0.0
        self._spare: torch.Tensor | None = None

    def to(self, sigma: float) -> torch.Tensor:
        """The plane smoothed to `sigma` in all.

        Args:
            sigma: standard deviation in pixels, not below what it has already. Borders are mirrored.

        Returns:
            `plane`.
        """
        missing = min(sigma, WIDEST * max(self.plane.shape)) ** 2 - self.variance
        while missing > 1e-9:
            apart = max(int(math.sqrt(self.variance) / STANDING), 1)
            step = min(missing / apart**2, 1.0)
            if self._spare is None:
                self._spare = torch.empty_like(self.plane)
            _spline_step(self.plane, self._spare, apart, step / 4)
            self.plane, self._spare = self._spare, self.plane
            self.variance += step * apart**2
            missing -= step * apart**2
        return self.plane


def gaussian(plane: torch.Tensor, sigma: float) -> torch.Tensor:
    """A plane under a Gaussian blur of any width, by the cosine transform, whose borders are mirrored. Memory: two planes.

        >>> [round(value, 3) for value in gaussian(torch.tensor([[0.0, 1.0]]), 100.0)[0].tolist()]
        [0.5, 0.5]

    Args:
        plane: floating point [h, w]; it is not changed.
        sigma: standard deviation in pixels.

    Returns:
        float32 [h, w].
    """
    import numpy as np
    from scipy.fft import dctn, idctn

    values = np.array(plane.detach().float().cpu().numpy())
    values = dctn(values, norm="ortho", overwrite_x=True, workers=torch.get_num_threads())
    for axis, side in enumerate(values.shape):
        kept = np.exp(-((np.arange(side) * (math.pi * sigma / side)) ** 2) / 2).astype(np.float32)
        values *= kept[:, None] if axis == 0 else kept
    values = idctn(values, norm="ortho", overwrite_x=True, workers=torch.get_num_threads())
    return torch.from_numpy(values).to(plane.device)


def _spline_step(plane: torch.Tensor, out: torch.Tensor, apart: int, q: float) -> None:
    """[q, 1 - 2q, q] twice along both axes, the taps `apart` px from each other, from `plane` into `out`, a strip of rows at a time."""
    height, width = plane.shape
    taps = ((1 - 2 * q) ** 2 + 2 * q * q, 2 * q * (1 - 2 * q), q * q)
    margin = 2 * apart
    left = _mirrored(torch.arange(-margin, 0, device=plane.device), width)
    right = _mirrored(torch.arange(width, width + margin, device=plane.device), width)
    rows = min(max(VALUES_AT_ONCE // (width + 2 * margin), 1), height)
    padded = plane.new_empty(rows, width + 2 * margin)
    spare = plane.new_empty(rows, width)
    for top in range(0, height, rows):
        count = min(rows, height - top)
        strip, sums = padded[:count], spare[:count]
        middle = strip[:, margin : margin + width]
        _five_taps([_rows(plane, top + offset * apart, count) for offset in (-2, -1, 0, 1, 2)], taps, middle, sums)
        strip[:, :margin] = middle.index_select(1, left)
        strip[:, margin + width :] = middle.index_select(1, right)
        _five_taps([strip[:, i * apart : i * apart + width] for i in range(5)], taps, out[top : top + count], sums)


def _five_taps(at: list[torch.Tensor], taps: tuple[float, float, float], out: torch.Tensor, spare: torch.Tensor) -> None:
    centre, near, far = taps
    torch.mul(at[2], centre, out=out)
    out.add_(torch.add(at[1], at[3], out=spare), alpha=near)
    out.add_(torch.add(at[0], at[4], out=spare), alpha=far)


def _rows(plane: torch.Tensor, top: int, count: int) -> torch.Tensor:
    """Rows from `top` on, mirrored where the plane has none."""
    height = plane.shape[0]
    if top >= 0 and top + count <= height:
        return plane[top : top + count]
    return plane.index_select(0, _mirrored(torch.arange(top, top + count, device=plane.device), height))


def _mirrored(at: torch.Tensor, side: int) -> torch.Tensor:
    """Places on an endless axis as those of a plane that is mirrored again and again, the border's own value twice."""
    at = at.remainder(2 * side)
    return torch.minimum(at, 2 * side - 1 - at)
