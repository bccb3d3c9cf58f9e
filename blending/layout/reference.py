"""A tile's own part of a reference picture, whatever size the reference has.

The reference shows the same scene as the layout's canvas. Where the tile falls on whole
reference pixels its part is cut out as it is; where not, or where it must come at the
tile's own size, it is read between pixels: linear where it grows, a triangle as wide as
an output pixel's reach where it shrinks.
"""

from __future__ import annotations

import math

import torch

from ..pixels.alpha import weighted_by_alpha
from ..pixels.taps import continued, weighted_taps
from .cutting import crop
from .grid import Rect
from .tile_layout import TileLayout

# How far the two sides' scales may be apart, as a share, before it is another picture.
_ASPECT_TOLERANCE = 0.02
# And pixels by which a side of a small preview may be off on top: rounded up, down or to the nearest.
_ROUNDING = 1.0
_LEAST_VISIBLE = 1 / 1024


def _resample(pixels: torch.Tensor, start: float, length: float, count: int, dim: int, wraps: bool = False) -> torch.Tensor:
    """`count` samples of pixels start..start + length along `dim`."""
    if start == int(start) and length == count and start + length <= pixels.shape[dim]:
        return pixels.narrow(dim, int(start), count)
    ratio = length / count
    radius = max(1.0, ratio)
    centres = start + (torch.arange(count, dtype=torch.float64) + 0.5) * ratio - 0.5
    base = torch.floor(centres - radius) + 1
    steps = torch.arange(math.ceil(2 * radius) + 1, dtype=torch.float64)[:, None]
    weights = (1 - (base + steps - centres).abs() / radius).clamp_min(0)
    weights = (weights / weights.sum(0)).float()
    return weighted_taps(pixels, continued((base + steps).long(), pixels.shape[dim], wraps), weights, dim)


def sample(
    pixels: torch.Tensor, box: tuple[float, float, float, float], size: tuple[int, int], wrap: tuple[bool, bool] = (False, False)
) -> torch.Tensor:
    """The part `box` of a picture, at another size.

    Args:
        pixels: floating point [B, H, W, C]; with C = 4 colour is weighted by alpha.
        box: (y, x, height, width) in pixels, whole or not; beyond the end the picture is mirrored.
        size: (height, width) wanted.
        wrap: (y, x), whether it goes on at its other side instead.

    Returns:
        [B, *size, C]; a view where nothing had to be read between pixels.
    """

    def both(part: torch.Tensor) -> torch.Tensor:
        return _resample(_resample(part, box[0], box[2], size[0], 1, wrap[0]), box[1], box[3], size[1], 2, wrap[1])

    if tuple(size) == (box[2], box[3]) and all(v == int(v) for v in box):
        return crop(pixels, Rect(*(int(v) for v in box)), (1, 2), wrap)
    pixels = pixels.float()
    return weighted_by_alpha(pixels, both) if pixels.shape[-1] == 4 else both(pixels)


def resized(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The whole of `pixels` [B, H, W, C] at another size (height, width); the tensor itself where it has that size."""
    if tuple(pixels.shape[1:3]) == tuple(size):
        return pixels
    return sample(pixels, (0, 0, *pixels.shape[1:3]), size)


def clear_of_hidden(alpha: torch.Tensor, other: tuple[float, float]) -> torch.Tensor:
    """Alpha [..., h, w] without the edges of what is hidden, for a picture whose hidden colours are not marked in the other view of it.

    Where a view without alpha is brought to another size, hidden colour gets into the visible pixels beside it. Those
    within two pixels of the coarser view are left out; where that would leave nothing, alpha is returned as it is.

    Args:
        alpha: of the view that has one.
        other: height and width of the view without.
    """
    if tuple(alpha.shape[-2:]) == tuple(other):
        return alpha
    near = (alpha.reshape(-1, 1, *alpha.shape[-2:]) < _LEAST_VISIBLE).float()
    for dim in (0, 1):
        reach = math.ceil(2 * max(1.0, alpha.shape[dim - 2] / other[dim]))
        kernel, padding = ((2 * reach + 1, 1), (reach, 0)) if dim == 0 else ((1, 2 * reach + 1), (0, reach))
        near = torch.nn.functional.max_pool2d(near, kernel, 1, padding)
    clear = alpha * (1 - near.view(alpha.shape))
    return clear if (clear > 0).any() else alpha


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether pictures of two sizes (height, width) can show the same scene: one scale for both sides, but for rounding.

    The one rule for every reference, whoever asks. The sides of the smaller picture were rounded, so that each stands for
    a range of scales; the two ranges must meet.
    """
    small, large = sorted((size, other), key=lambda sides: (sides[0] * sides[1], sides))
    (low, high), (least, most) = (((a - _ROUNDING) / b, (a + _ROUNDING) / b) for a, b in zip(small, large, strict=True))
    return low <= most * (1 + _ASPECT_TOLERANCE) and least <= high * (1 + _ASPECT_TOLERANCE)


def check_shape(pixels: torch.Tensor, layout: TileLayout, name: str) -> None:
    """Raise ValueError unless `pixels` [B, H, W, ...] can show the whole canvas of `layout`, at any size."""
    height, width = pixels.shape[1:3]
    planned = layout.canvas
    if not same_shape((height, width), planned):
        raise ValueError(
            f"{name} is {width} x {height} and the layout was planned for {planned[1]} x {planned[0]}, which is another shape: "
            "connect one of the whole picture that was split, at any size"
        )


def check_scene(pixels: torch.Tensor, layout: TileLayout, name: str, batch: int | None = None) -> None:
    """Raise ValueError unless `pixels` [B, H, W, ...] can be the scene of `layout`: of its shape, and one picture or one for each.

    `batch` is how many pictures the tiles have, where that is not the layout's own count.
    """
    check_shape(pixels, layout, name)
    batch = layout.batch if batch is None else batch
    if pixels.shape[0] not in (1, batch):
        raise ValueError(
            f"{name} has a batch of {pixels.shape[0]} and the tiles one of {batch}: connect one, or one for each picture of the batch"
        )


def part_size(pixels: torch.Tensor, layout: TileLayout, index: int) -> tuple[float, float]:
    """Height and width of what tile `index` shows, in pixels of a whole picture of any size."""
    tile = layout.here[index]
    return tuple(pixels.shape[1 + dim] / layout.canvas[dim] * tile[2 + dim] for dim in (0, 1))


def tile_part(pixels: torch.Tensor, layout: TileLayout, index: int, size: tuple[int, int] | None = None) -> torch.Tensor:
    """The part of a whole picture that tile `index` shows.

    Args:
        pixels: floating point [B, H, W, C], the layout's scene at any size.
        layout: the plan, counted in pixels.
        index: which of the tiles that are here.
        size: (height, width) to bring it to, pixel on pixel with the tile; None for the reference's own, nearest whole pixels.
    """
    tile = layout.here[index]
    factors = [pixels.shape[1 + dim] / layout.canvas[dim] for dim in (0, 1)]
    box = [value * factors[i % 2] for i, value in enumerate(tile)]
    if size is not None:
        return sample(pixels, tuple(box), size, layout.wrap)
    starts = [min(round(box[dim]), pixels.shape[1 + dim] - 1) for dim in (0, 1)]
    return crop(pixels, Rect(*starts, *(max(1, round(side)) for side in box[2:])), (1, 2), layout.wrap)
