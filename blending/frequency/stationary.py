"""The stationary (undecimated) wavelet transform: every band has the picture's size, and moves with the picture.

So it may be used tile by tile: away from the tile's border by `radius` its result does not depend on where the tile lies, to the
bit, because every number is made by the same sums in the same order. (ptwt has no such transform in two dimensions, and
`pywt.swt2` refuses odd sizes; the coefficients are those of `pywt.swt2` where that runs.)

The picture is enlarged once by mirrored pixels, transformed as a ring, and cut out again: a ring of any size is reconstructed
exactly, because the filters' product is one everywhere (no decimation, so there is no alias to cancel). A side that is shorter
than twice the radius is mirrored once: side and mirror image are one turn of what goes on for ever, so the ring closes there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .wavelet_packages import check_levels, filter_bank

BORDERS = ("symmetric", "periodic")
Details = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class StationaryBands:
    """What `stationary` gives: rings around a picture of `size` (h, w), which begins at `margin` (y, x) of them. `low`, and each of
    `details` (finest first; horizontal, vertical, diagonal), are [..., at least h, at least w]; `inside` cuts a band to the picture."""

    low: torch.Tensor
    details: tuple[Details, ...]
    margin: tuple[int, int]
    size: tuple[int, int]

    def inside(self, band: torch.Tensor, moved: tuple[int, int] = (0, 0)) -> torch.Tensor:
        """A band without its margin [..., h, w], or what lies (y, x) = `moved` beside that; a view where it can be one."""
        for axis, first, side, more in zip((-2, -1), self.margin, self.size, moved, strict=True):
            begin, ring = first + more, band.shape[axis]
            if begin >= 0 and begin + side <= ring:
                band = band.narrow(axis, begin, side)
            else:
                band = band.index_select(axis, torch.arange(begin, begin + side, device=band.device) % ring)
        return band


def radius(wavelet: str, levels: int) -> int:
    """How far, in pixels, a pixel of the reconstruction sees: 105 for db4 at four levels.

    Raises:
        ValueError: for an unknown wavelet or levels outside of 1 to 12.
        RuntimeError: where PyWavelets is missing.
    """
    check_levels(levels)
    return (len(filter_bank(wavelet)[0]) - 1) * (2**levels - 1)


def stationary(picture: torch.Tensor, wavelet: str, levels: int, border: str = "symmetric") -> StationaryBands:
    """The bands of a picture, each of the picture's size and what `ring_size` says is put on.

    Memory: 3 * levels + 1 times the enlarged picture: cut large pictures in tiles.

    Args:
        picture: floating point [..., h, w], any size from 1 px. Half precision is made float32, which the bands then are.
        wavelet, levels: see `radius`.
        border: what lies beyond: the picture mirrored, again and again (symmetric), or itself again (periodic: no margin).

    Raises:
        ValueError: for an unknown wavelet or border, other levels, or what is no picture.
        RuntimeError: where PyWavelets is missing.
    """
    margin = radius(wavelet, levels)
    if border not in BORDERS:
        raise ValueError(f"border {border!r} is not known: use one of {', '.join(BORDERS)}")
    if not picture.is_floating_point() or picture.dim() < 2 or 0 in picture.shape:
        raise ValueError(f"a picture of floating point numbers [..., h, w] is needed, not {picture.dtype} {tuple(picture.shape)}")
    low = picture if picture.dtype in (torch.float32, torch.float64) else picture.float()
    size, margins = tuple(picture.shape[-2:]), (0, 0)
    if border == "symmetric":
        margins = tuple(0 if ring_size(side, margin) == 2 * side else margin for side in size)
        for axis, side, before in zip((-2, -1), size, margins, strict=True):
            low = _enlarged(low, axis, before, ring_size(side, margin))
    analysis_low, analysis_high, _, _ = filter_bank(wavelet)
    details: list[Details] = []
    for level in range(levels):
        apart = 2**level
        coarse, fine = (_filtered(low, taps, -2, apart, len(taps) // 2) for taps in (analysis_low, analysis_high))
        low, vertical = (_filtered(coarse, taps, -1, apart, len(taps) // 2) for taps in (analysis_low, analysis_high))
        horizontal, diagonal = (_filtered(fine, taps, -1, apart, len(taps) // 2) for taps in (analysis_low, analysis_high))
        details.append((horizontal, vertical, diagonal))
    return StationaryBands(low, tuple(details), margins, size)


def reconstruct(bands: StationaryBands, wavelet: str) -> torch.Tensor:
    """The picture [..., h, w] of these bands: `stationary` undone.

    Raises:
        ValueError: for an unknown wavelet.
        RuntimeError: where PyWavelets is missing.
    """
    _, _, low_taps, high_taps = filter_bank(wavelet)
    low = bands.low
    for level in reversed(range(len(bands.details))):
        apart = 2**level
        horizontal, vertical, diagonal = bands.details[level]
        coarse = _joined(low, vertical, low_taps, high_taps, -1, apart)
        fine = _joined(horizontal, diagonal, low_taps, high_taps, -1, apart)
        low = _joined(coarse, fine, low_taps, high_taps, -2, apart)
    return bands.inside(low)


def ring_size(side: int, reach: int) -> int:
    """How long the ring is for a side, whose pixels see `reach` to each end: one turn of the mirrored side, where that is less."""
    return min(side + 2 * reach, 2 * side) if reach else side


def _enlarged(picture: torch.Tensor, axis: int, before: int, ring: int) -> torch.Tensor:
    """A ring with `before` mirrored pixels at its beginning and as many as it takes at its end, the border pixel twice."""
    side = picture.shape[axis]
    index = torch.arange(-before, ring - before, device=picture.device) % (2 * side)
    return picture.index_select(axis, torch.where(index < side, index, 2 * side - 1 - index))


def _joined(
    low: torch.Tensor, high: torch.Tensor, low_taps: Sequence[float], high_taps: Sequence[float], axis: int, apart: int
) -> torch.Tensor:
    lead = len(low_taps) - 1 - len(low_taps) // 2
    return (_filtered(low, low_taps, axis, apart, lead) + _filtered(high, high_taps, axis, apart, lead)) / 2


def _filtered(picture: torch.Tensor, taps: Sequence[float], axis: int, apart: int, lead: int) -> torch.Tensor:
    """The sum over k of taps[k] * picture[n + apart * (lead - k)] on a ring.

    Product and sum are rounded one after the other: an operation that joins them may round otherwise at the end of a row.
    """
    total: torch.Tensor | None = None
    for index, tap in enumerate(taps):
        if tap == 0:
            continue
        moved = torch.roll(picture, apart * (index - lead), axis) * tap
        total = moved if total is None else total + moved
    assert total is not None
    return total
