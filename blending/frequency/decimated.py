"""The decimated wavelet transform of a whole canvas: each level has a quarter of the coefficients of the one before.

What it gives depends on where the first pixel lies, so it is for whole canvases and never for single tiles: see `stationary`.
The transform is ptwt's, which follows PyWavelets to the coefficient and can be differentiated.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .wavelet_packages import check_levels, filter_bank, wavelet_library

BORDERS = ("symmetric", "periodic")


@dataclass(frozen=True)
class DecimatedBands:
    """What `decompose` gives: `low` [..., h, w]; `details`, finest first, each (horizontal, vertical, diagonal) of its level."""

    low: torch.Tensor
    details: tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor], ...]
    # Height and width of what was decomposed.
    size: tuple[int, int]


def decompose(picture: torch.Tensor, wavelet: str, levels: int, border: str = "symmetric") -> DecimatedBands:
    """The bands of a picture or a latent, as `pywt.wavedec2` has them.

    Args:
        picture: floating point [..., h, w], any size from 1 px. Half precision is made float32, which the bands then are.
        wavelet: a name, see `wavelet_packages.filter_bank`.
        levels: 1 to 12.
        border: what lies beyond: the picture mirrored (symmetric), or itself again (periodic).

    Raises:
        ValueError: for an unknown wavelet or border, other levels, or a periodic picture smaller than the wavelet's filter.
        RuntimeError: where the libraries are missing.
    """
    _check(picture, wavelet, levels, border)
    if picture.dtype not in (torch.float32, torch.float64):
        picture = picture.float()
    flat = picture.reshape(-1, *picture.shape[-2:])
    low, *details = wavelet_library("ptwt").wavedec2(flat, wavelet, level=levels, mode=border)
    leading = picture.shape[:-2]

    def unfolded(band: torch.Tensor) -> torch.Tensor:
        return band.reshape(*leading, *band.shape[-2:])

    return DecimatedBands(
        unfolded(low), tuple(tuple(unfolded(band) for band in level) for level in reversed(details)), tuple(picture.shape[-2:])
    )


def recompose(bands: DecimatedBands, wavelet: str) -> torch.Tensor:
    """The picture [..., h, w] that has these bands: `decompose` undone.

    Raises:
        ValueError: for an unknown wavelet.
        RuntimeError: where the libraries are missing.
    """
    filter_bank(wavelet)

    def flat(band: torch.Tensor) -> torch.Tensor:
        return band.reshape(-1, *band.shape[-2:])

    details = [tuple(flat(band) for band in level) for level in reversed(bands.details)]
    height, width = bands.size
    picture = wavelet_library("ptwt").waverec2((flat(bands.low), *details), wavelet)[..., :height, :width]
    return picture.reshape(*bands.low.shape[:-2], height, width)


def _check(picture: torch.Tensor, wavelet: str, levels: int, border: str) -> None:
    check_levels(levels)
    taps = len(filter_bank(wavelet)[0])
    if border not in BORDERS:
        raise ValueError(f"border {border!r} is not known: use one of {', '.join(BORDERS)}")
    if not picture.is_floating_point() or picture.dim() < 2 or 0 in picture.shape:
        raise ValueError(f"a picture of floating point numbers [..., h, w] is needed, not {picture.dtype} {tuple(picture.shape)}")
    # The last level's picture is the smallest.
    least = (taps - 1) * 2 ** (levels - 1)
    if border == "periodic" and min(picture.shape[-2:]) < least:
        raise ValueError(
            f"{picture.shape[-1]} x {picture.shape[-2]} is too small for {levels} levels of {wavelet} with a periodic border "
            f"({least} at least): use fewer levels, haar, or a symmetric border"
        )
