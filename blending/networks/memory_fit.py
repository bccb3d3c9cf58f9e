"""How many bytes a model needs for a tile: a + b * pixels.

Convolutions, normalisations and attention without a stored matrix all take memory in proportion to the pixels, so two
numbers tell it all: what is there whatever the tile, and what every pixel adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class MemoryFit:
    """Bytes of working memory, weights not counted.

    Attributes:
        fixed: bytes, whatever the tile.
        per_pixel: bytes for each pixel of the tile that is given to the model.
    """

    fixed: float
    per_pixel: float

    def needs(self, width: int, height: int, batch: int = 1) -> float:
        """Bytes for `batch` tiles of `width` x `height` pixels that go through the model together."""
        return self.fixed + self.per_pixel * width * height * batch


@dataclass(frozen=True)
class SharedFit:
    """Several models that take turns with the same tiles: the hungriest one decides.

    Attributes:
        fits: one for each model, or for each thing that one model does.
    """

    fits: tuple[MemoryFit | SharedFit, ...]

    def needs(self, width: int, height: int, batch: int = 1) -> float:
        """Bytes for `batch` tiles of `width` x `height` pixels, of the model that needs most."""
        return max(fit.needs(width, height, batch) for fit in self.fits)


def fit(samples: Sequence[tuple[int, float]]) -> MemoryFit:
    """The line that comes nearest to what was measured, by least squares of the relative error.

    Relative, because a tile that is ten times larger must not make the small one's figure worthless. Neither term is
    negative: where the best line has one, that term is 0 and the other is fitted alone. One sample gives a line through 0.

    Args:
        samples: (pixels, bytes), both above 0.

    Raises:
        ValueError: where there is no sample, or one that is no measurement.
    """
    if not samples:
        raise ValueError("a fit of memory needs at least one measurement (pixels, bytes), and there is none")
    for pixels, size in samples:
        if not (0 < pixels < float("inf") and 0 < size < float("inf")):
            raise ValueError(f"{size} bytes at {pixels} pixels is no measurement: both must be finite and above 0")
    # Not nnls: SciPy 1.12 to 1.15 return points that are not the best ones.
    from scipy.optimize import lsq_linear

    # In units of each sample's own bytes; columns in units of the largest picture, so that both are of one size.
    most = max(pixels for pixels, _ in samples)
    alone = len({pixels for pixels, _ in samples}) == 1
    rows = [[0.0 if alone else most / size, pixels / size] for pixels, size in samples]
    fixed, per_pixel = lsq_linear(rows, [1.0] * len(rows), bounds=(0, float("inf")), method="bvls").x
    return MemoryFit(float(fixed) * most, float(per_pixel))
