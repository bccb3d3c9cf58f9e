"""Smoothing of any width at full size: the undecimated B-spline wavelet (à trous), and a true Gaussian.

The B-spline filter [1, 4, 6, 4, 1] / 16 is [1, 2, 1] / 4 twice. Its taps are set apart ("with holes", Holschneider et al. 1989;
Starck, Murtagh and Bijaoui 1998) as far as the plane is smooth already, so a width of hundreds of pixels takes a dozen steps, and
nothing is made smaller on the way: what comes out does not depend on where a structure lies. With [q, 1 - 2q, q] in place of
[1, 2, 1] / 4 a step widens by less than its whole, so every width can be had.

With borders mirrored, a symmetric filter is a product in the cosine transform (DCT-II). So one transform there and one back for
each width do all steps of both axes at once, whatever the width (scipy.fft, on all cores).
"""

from __future__ import annotations

import math
from typing import Any

import torch

# The standard deviation, in units of the taps' distance, from which on a plane has next to nothing left that the holes would
# alias: 0.14 % at the frequency that they take for none.
STANDING = 0.577
# Wider than twice the plane, the smoothing is the mean: the slowest wave is left at exp(-2 pi^2), 3e-9.
WIDEST = 2


class _Waves:
    """The cosine transform of one plane. Memory: the transform, and one plane that `under` gives."""

    def __init__(self, plane: torch.Tensor) -> None:
        import numpy as np
        from scipy.fft import dctn

        self.device = plane.device
        copied = np.array(plane.detach().to("cpu", torch.float32).numpy(), dtype=np.float32, order="C")
        self._spectrum = dctn(copied, norm="ortho", overwrite_x=True, workers=torch.get_num_threads())
        self._made: Any = None

    def angles(self, axis: int) -> Any:
        """The frequencies of an axis, radians per pixel, float64."""
        import numpy as np

        side = self._spectrum.shape[axis]
        return np.arange(side) * (math.pi / side)

    def under(self, rows: Any, columns: Any) -> torch.Tensor:
        """The plane with every wave times what is kept of it along both axes; valid until the next call."""
        import numpy as np
        from scipy.fft import idctn

        if self._made is None:
            self._made = np.empty_like(self._spectrum)
        np.multiply(self._spectrum, rows.astype(np.float32)[:, None], out=self._made)
        self._made *= columns.astype(np.float32)
        self._made = idctn(self._made, norm="ortho", overwrite_x=True, workers=torch.get_num_threads())
        return torch.from_numpy(self._made).to(self.device)


class Smoother:
    """One plane that is made smoother, further and further. Memory: two planes.

        >>> [round(value, 3) for value in Smoother(torch.eye(3)).to(100.0)[0].tolist()]
        [0.333, 0.333, 0.333]

    Args:
        plane: [h, w] of 1 px or more, of any floating point; it is not changed.

    Attributes:
        plane: [h, w], as smooth as it was asked to be last; first the plane itself. It is valid until `to` is called again.
        variance: of the smoothing that it has, in pixels squared.
    """

    def __init__(self, plane: torch.Tensor) -> None:
        self.plane, self.variance = plane, 0.0
        self._waves = _Waves(plane)
        self._kept = [self._waves.angles(axis) * 0 + 1 for axis in (0, 1)]

    def to(self, sigma: float) -> torch.Tensor:
        """The plane smoothed to `sigma` in all.

        Args:
            sigma: standard deviation in pixels, not below what it has already. Borders are mirrored.

        Returns:
            `plane`, float32.
        """
        import numpy as np

        missing = min(sigma, WIDEST * max(self.plane.shape)) ** 2 - self.variance
        while missing > 1e-9:
            apart = max(int(math.sqrt(self.variance) / STANDING), 1)
            step = min(missing / apart**2, 1.0)
            for axis, kept in enumerate(self._kept):
                kept *= (1 - step / 2 * (1 - np.cos(apart * self._waves.angles(axis)))) ** 2
            self.variance += step * apart**2
            missing -= step * apart**2
        self.plane = self._waves.under(*self._kept)
        return self.plane


def gaussian(plane: torch.Tensor, sigma: float) -> torch.Tensor:
    """A plane under a Gaussian blur of any width; its borders are mirrored. Memory: two planes.

        >>> [round(value, 3) for value in gaussian(torch.tensor([[0.0, 1.0]]), 100.0)[0].tolist()]
        [0.5, 0.5]

    Args:
        plane: floating point [h, w]; it is not changed.
        sigma: standard deviation in pixels.

    Returns:
        float32 [h, w].
    """
    import numpy as np

    waves = _Waves(plane)
    return waves.under(*(np.exp(-((waves.angles(axis) * sigma) ** 2) / 2) for axis in (0, 1)))
