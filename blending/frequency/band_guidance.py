"""Guidance by bands: as much of the prompt in the coarse of a prediction as one likes, and as much in the fine.

Plain guidance is u + w * (c - u), with c the prediction under the prompt and u the one without. Here every band b of a wavelet
transform has a weight of its own, sum over b of u_b + w_b * (c_b - u_b): HiWave's rule (arXiv 2506.20452) and FreCaS' before it
(arXiv 2410.18410). With a weight of 1 in the coarse, composition and light are those of c itself, however strong the fine.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from .decimated import decompose, recompose
from .wavelet_packages import filter_bank

# What lies farther than so many canvases has next to no part in a band, however far its filters reach.
MOST_PERIODS = 2


def guide_bands(
    conditional: torch.Tensor,
    unconditional: torch.Tensor,
    wavelet: str,
    levels: int,
    low: float,
    high: float,
    wrap: tuple[bool, bool] = (False, False),
) -> torch.Tensor:
    """A prediction that is guided by `low` in its low band and by `high` in its details.

    Low = high = w is plain guidance by w, low = high = 1 is `conditional` to the bit. With haar and low 1 the low band of what
    comes out is that of `conditional`, whatever `high` is and whatever size the canvas has; longer wavelets keep theirs but for
    some cells along the border, which they mirror.

    For whole canvases: the decimated transform depends on where the first cell lies. Memory: four times `conditional`; where the
    canvas goes on at its other side, with as much of that put on as the bands reach, and at most MOST_PERIODS canvases on each side.

    Args:
        conditional, unconditional: predictions of the clean picture [..., h, w] of one shape, floating point, any size from 1 cell.
            Frames are guided one by one.
        wavelet, levels: of `decompose`. The low band holds what is larger than about 2 ** levels cells.
        low, high: weights, any finite number.
        wrap: (y, x), where the canvas goes on at its other side. The transform closes there where the side is a multiple of
            2 ** levels: exactly where the bands reach no farther than MOST_PERIODS canvases, else to half a percent of the largest value.

    Returns:
        a new tensor of the shape and kind of `conditional`.

    Raises:
        ValueError: for predictions of two shapes, weights that are no number, and see `decompose`.
        RuntimeError: where the wavelet libraries are missing.
    """
    if conditional.shape != unconditional.shape:
        shapes = tuple(conditional.shape), tuple(unconditional.shape)
        raise ValueError(f"the predictions are {shapes[0]} with the prompt and {shapes[1]} without: they must be of one shape")
    for name, weight in (("low", low), ("high", high)):
        if not math.isfinite(weight):
            raise ValueError(f"{name} {weight} is no weight: use a number, 1 for what the prompt alone gives")
    difference = conditional.float() - unconditional.float()
    sides = difference.shape[-2:]
    top, left = (_put_on(_reach(wavelet, levels), side, levels) if wraps else 0 for side, wraps in zip(sides, wrap, strict=True))
    bands = decompose(_carried_on(difference, top, left), wavelet, levels)
    details = tuple(tuple(band * (high - 1) for band in level) for level in bands.details)
    # What is put on the conditional prediction, so that weights of 1 put nothing on.
    more = recompose(replace(bands, low=bands.low * (low - 1), details=details), wavelet)
    height, width = difference.shape[-2:]
    return (conditional.float() + more[..., top : top + height, left : left + width]).to(conditional.dtype)


def _reach(wavelet: str, levels: int) -> int:
    """Cells that a cell's guidance can come from, as whole cells of the last level. Haar looks into its own cell alone."""
    taps = len(filter_bank(wavelet)[0])
    return 0 if taps == 2 else 2**levels * math.ceil(2 * (taps - 1) * (2**levels - 1) / 2**levels)


def _put_on(reach: int, side: int, levels: int) -> int:
    """Cells that are put on at each end of an axis: whole cells of the last level, as long as one fits."""
    most = MOST_PERIODS * side
    return min(reach, most - most % 2**levels if most >= 2**levels else most)


def _carried_on(picture: torch.Tensor, top: int, left: int) -> torch.Tensor:
    """A picture [..., h, w] with what lies at its other side put on, as often as needed."""
    for axis, more in ((-2, top), (-1, left)):
        if more:
            side = picture.shape[axis]
            picture = picture.index_select(axis, torch.arange(-more, side + more, device=picture.device) % side)
    return picture
