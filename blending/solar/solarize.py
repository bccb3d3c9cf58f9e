"""A picture through a solar curve, and the edges that such a curve makes visible."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from ..pixels.lab import to_f
from ..pixels.memory import empty
from ..pixels.picture import REC_709, check_finite, colours
from .curves import CHANNELS, EACH, LUMINANCE, SolarCurve, best_slope

SMOOTHING = 2.0  # pixels: sigma of the Gaussian under `edges`
LOWEST, HIGHEST = 0.01, 0.99
LEAST_RANGE = 1 / 1024
_MOST_SAMPLES = 1 << 22
_PIXELS_AT_ONCE = 1 << 20


class Range(NamedTuple):
    """What is stretched to 0..1 before the curve."""

    low: float = 0.0
    high: float = 1.0

    def stretch(self, values: torch.Tensor) -> torch.Tensor:
        """Values with low at 0 and high at 1; beyond, they go on."""
        return values if self == (0.0, 1.0) else (values - self.low) / (self.high - self.low)


def curve_input(pixels: torch.Tensor, channel: str) -> torch.Tensor:
    """What the curve is applied to: [..., C] -> [..., 1], or [..., c] colours for "each channel".

    luminance: 0.2126 R + 0.7152 G + 0.0722 B of the values as they are (Rec. 709 luma). lightness: L* / 100
    of CIELAB, D65. Values outside 0..1 go on beyond. Alpha takes no part.
    """
    if channel not in CHANNELS:
        raise ValueError(f"channel {channel!r} does not exist: use one of {', '.join(CHANNELS)}")
    values = colours(pixels).float()
    if channel == EACH:
        return values
    if channel == LUMINANCE:
        if values.shape[-1] == 1:
            return values
        red, green, blue = values.split(1, dim=-1)
        return red * REC_709[0] + green * REC_709[1] + blue * REC_709[2]
    f = to_f(values.reshape(-1, values.shape[-1]).T)
    return (1.16 * f[min(1, f.shape[0] - 1)] - 0.16).view(*values.shape[:-1], 1)


def range_of(picture: torch.Tensor, channel: str) -> Range:
    """The 1st and 99th percentile of what the curve is applied to, all colours of "each channel" together.

    Of a picture [H, W, C] with more than four million pixels every few are taken. One that is flat (less than
    LEAST_RANGE from end to end) is left as it is: there is nothing to stretch.
    """
    step = max(1, math.ceil(math.sqrt(picture.shape[0] * picture.shape[1] / _MOST_SAMPLES)))
    values = curve_input(picture[::step, ::step], channel).reshape(-1)
    low, high = (float(values.kthvalue(1 + round(share * (len(values) - 1))).values) for share in (LOWEST, HIGHEST))
    return Range(low, high) if high - low >= LEAST_RANGE else Range()


def solarize(
    image: torch.Tensor,
    curve: SolarCurve,
    channel: str = LUMINANCE,
    expand: bool = False,
    watch: Callable[[int], None] | None = None,
) -> torch.Tensor:
    """The pictures through the curve.

    Args:
        image: [B, H, W, C], C = 1, 3 or 4, any range.
        curve: from `curves.solar_curve`.
        channel: one of CHANNELS. For luminance and lightness the result is grey, with as many channels as came.
        expand: stretch the 1st to 99th percentile of each picture to 0..1 first.
        watch: called with the number of rows just done; may raise to stop.

    Returns:
        float32 [B, H, W, C]; alpha as it came.

    Raises:
        ValueError: an unknown channel, a channel count other than 1, 3, 4, or NaN or Inf in a picture.
    """
    out = empty(tuple(image.shape), device=image.device)
    for index, picture in enumerate(image):
        _check(picture, index)
        span = range_of(picture, channel) if expand else Range()
        for rows in _row_parts(picture, 0):
            part = curve.at(span.stretch(curve_input(picture[rows], channel)))
            target = out[index, rows]
            colours(target).copy_(part.expand(colours(target).shape))
            if image.shape[-1] == 4:
                target[..., 3] = picture[rows][..., 3]
            if watch is not None:
                watch(rows.stop - rows.start)
    return out


def edges(
    image: torch.Tensor,
    curve: SolarCurve,
    channel: str = LUMINANCE,
    expand: bool = False,
    smoothing: float = SMOOTHING,
    watch: Callable[[int], None] | None = None,
) -> torch.Tensor:
    """How strongly the curve shows each edge, at the best of four phases: float32 [B, H, W], 0..1.

    The gradient of the smoothed picture times the curve's slope there. Its unit is the height of a step: a clean
    step of 2/255 through a curve with five runs reads 10/255. What exceeds 1 is 1. With "each channel" the
    strongest colour counts.

    Args:
        image, curve, channel, expand, watch: as for `solarize`.
        smoothing: sigma of the Gaussian in pixels, over 0. Grain falls with its square.

    Raises:
        ValueError: as `solarize`, or a smoothing out of range.
    """
    if not 0 < smoothing <= 64:
        raise ValueError(f"smoothing {smoothing} is out of range: use a number of pixels over 0, at most 64")
    from kornia.filters import get_gaussian_kernel1d

    reach = max(1, math.ceil(4 * smoothing))
    halo = reach + 1  # the gradient takes a pixel more
    weights = get_gaussian_kernel1d(2 * reach + 1, smoothing)[0]
    # A clean step is highest in the mean of the two central weights: the unit of the result.
    unit = 2 / float(weights[reach - 1] + weights[reach])
    out = empty(tuple(image.shape[:3]), device=image.device)
    for index, picture in enumerate(image):
        _check(picture, index)
        span = range_of(picture, channel) if expand else Range()
        for rows in _row_parts(picture, halo):
            inputs = span.stretch(curve_input(_with_halo(picture, rows, halo), channel)).movedim(-1, 0)
            strength = torch.zeros(1, device=image.device)
            for plane in inputs:
                smooth, gradient = _smooth_gradient(plane, smoothing, halo)
                strength = torch.maximum(strength, gradient.mul_(unit).mul_(best_slope(curve, smooth)))
            out[index, rows] = strength.clamp_(max=1)
            if watch is not None:
                watch(rows.stop - rows.start)
    return out


def _check(picture: torch.Tensor, index: int) -> None:
    if picture.shape[-1] not in (1, 3, 4):
        raise ValueError(f"picture {index} has {picture.shape[-1]} channels: expected 1, 3 or 4")
    check_finite(picture, f"picture {index}")


def _row_parts(picture: torch.Tensor, halo: int) -> list[slice]:
    height, width = picture.shape[:2]
    rows = max(1, 4 * halo, _PIXELS_AT_ONCE // width)
    return [slice(start, min(start + rows, height)) for start in range(0, height, rows)]


def _with_halo(picture: torch.Tensor, rows: slice, halo: int) -> torch.Tensor:
    """Rows of [H, W, C] with `halo` more on every side, the outermost repeated beyond the border."""
    height, width = picture.shape[:2]
    ys = torch.arange(rows.start - halo, rows.stop + halo, device=picture.device).clamp_(0, height - 1)
    xs = torch.arange(-halo, width + halo, device=picture.device).clamp_(0, width - 1)
    return picture.index_select(0, ys).index_select(1, xs)


def _smooth_gradient(plane: torch.Tensor, sigma: float, halo: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A plane [h + 2 halo, w + 2 halo] smoothed, and the length of its gradient by central differences; [h, w] each."""
    from kornia.filters import gaussian_blur2d, spatial_gradient

    side = 2 * halo - 1
    smooth = gaussian_blur2d(plane[None, None], (side, side), (sigma, sigma), "replicate")
    across, down = spatial_gradient(smooth, "diff")[0, 0, :, halo:-halo, halo:-halo]
    return smooth[0, 0, halo:-halo, halo:-halo], torch.hypot(across, down)
