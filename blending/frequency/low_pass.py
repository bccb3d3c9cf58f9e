"""What of a latent or a picture a smaller one can hold: its low pass, in three kinds.

- resize: ScaleDiff's (KSH00906/ScaleDiff): made smaller by an antialiased bilinear resize and larger again by a bilinear one.
  Smooth; no projector: the low pass of a low pass is lower still.
- haar: the means of square cells, whose side is the power of two nearest to the factor. A projector: applied twice it is the
  same, so what is held to it is held exactly; its cells are seen where the strength is high.
- butterworth: HiFlow's (Bujiazi/HiFlow): 1 / (1 + (d / d0)^8) of the frequency's distance d, without a step anywhere.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

FILTERS = ("resize", "haar", "butterworth")
ORDER = 4
# Cells of the smaller picture that are put on behind a border that goes on at the other side.
REACH = 4


def low_pass(latent: torch.Tensor, kind: str, factor: float, wrap: tuple[bool, bool] = (False, False)) -> torch.Tensor:
    """What of `latent` a picture can hold whose sides are `factor` times smaller.

        >>> low_pass(torch.tensor([[[[1.0, 3.0, 5.0]]]]), "haar", 2).tolist()
        [[[[2.0, 2.0, 5.0]]]]

    Memory: three times the latent, with butterworth one plane's transform of four times its size (eight times its bytes) more.

    Args:
        latent: floating point [..., h, w].
        kind: one of FILTERS.
        factor: 1 or more: the large side over the small one.
        wrap: (y, x), where the picture goes on at its other side. Elsewhere it is mirrored or ends.

    Returns:
        a new tensor of the same shape, device and kind of number.

    Raises:
        ValueError: for another kind, or a factor under 1.
    """
    if kind not in FILTERS:
        raise ValueError(f"filter {kind!r} is not known: use one of {', '.join(FILTERS)}")
    if not (math.isfinite(factor) and factor >= 1):
        raise ValueError(f"a picture cannot be {factor} times smaller: use 1 (everything) or more")
    planes = latent.reshape(1, -1, *latent.shape[-2:]).float()
    low = {"resize": _resized, "haar": _cell_means, "butterworth": _butterworth}[kind](planes, factor, wrap)
    return low.reshape(latent.shape).to(latent.dtype)


def factor_of(cutoff: float, canvas: float, native: float) -> float:
    """The factor that a cutoff means.

        >>> factor_of(0.25, 96, 32), factor_of(0.0, 96, 32), factor_of(0.0, 40, 32)
        (4.0, 3.0, 2.0)

    Args:
        cutoff: share of the picture's own resolution that is kept, over 0 and up to 1; 0 for the ratio of the sides.
        canvas, native: a side of the picture, and of the smaller one that it is compared with. From their ratio a half is kept
            at most: a low pass that keeps nearly everything leaves nothing to paint.

    Raises:
        ValueError: for a cutoff outside of 0 to 1.
    """
    if not 0 <= cutoff <= 1:
        raise ValueError(
            f"cutoff {cutoff} is no share of the picture's resolution: use 0 (from the ratio of the sizes), or up to 1 (everything)"
        )
    return 1 / cutoff if cutoff else max(2.0, canvas / native)


def _resized(planes: torch.Tensor, factor: float, wrap: tuple[bool, bool]) -> torch.Tensor:
    height, width = planes.shape[-2:]
    rows, columns = (min(math.ceil(REACH * factor), side) if wraps else 0 for wraps, side in zip(wrap, (height, width), strict=True))
    if rows or columns:
        planes = functional.pad(planes, (columns, columns, rows, rows), mode="circular")
    size = tuple(planes.shape[-2:])
    small = tuple(max(int(side / factor + 1e-6), 1) for side in size)
    low = functional.interpolate(planes, size=small, mode="bilinear", antialias=True, align_corners=False)
    return functional.interpolate(low, size=size, mode="bilinear", align_corners=False)[
        ..., rows : rows + height, columns : columns + width
    ]


def _cell_means(planes: torch.Tensor, factor: float, wrap: tuple[bool, bool]) -> torch.Tensor:
    height, width = planes.shape[-2:]
    # A cell larger than the picture is the picture.
    cell = min(2 ** round(math.log2(factor)), 2 ** max(height, width).bit_length())
    means = functional.avg_pool2d(planes, cell, ceil_mode=True, count_include_pad=False)
    return means.repeat_interleave(cell, -2)[..., :height, :].repeat_interleave(cell, -1)[..., :width]


def _butterworth(planes: torch.Tensor, factor: float, wrap: tuple[bool, bool]) -> torch.Tensor:
    """Beyond a border that does not wrap the plane is mirrored whole, so that there is no step at its ends."""
    height, width = planes.shape[-2:]
    rows, columns = (side if wraps else 2 * side for wraps, side in zip(wrap, (height, width), strict=True))
    device = planes.device
    # As shares of the highest frequency there is.
    down, across = 2 * torch.fft.fftfreq(rows, device=device)[:, None], 2 * torch.fft.rfftfreq(columns, device=device)
    kept = 1 / (1 + ((down**2 + across**2) * factor**2) ** ORDER)
    low = torch.empty_like(planes)
    for index, plane in enumerate(planes[0]):
        whole = plane if wrap[0] else torch.cat([plane, plane.flip(-2)], -2)
        whole = whole if wrap[1] else torch.cat([whole, whole.flip(-1)], -1)
        low[0, index] = torch.fft.irfft2(torch.fft.rfft2(whole) * kept, s=(rows, columns))[:height, :width]
    return low
