"""Colour that cannot be seen, before a network looks at the picture.

A network mixes what lies side by side, and what lies under transparent pixels (often black, often rubbish) would shine
through at the rim of whatever can be seen. So hidden colour is replaced by the colour that can be seen around it. A pixel that is
transparent has no influence at all on what comes out; a half-transparent one keeps its own colour, unless it lies
beside more opaque ones (soft rims), where it counts by as much less as it is more transparent than they are.
"""

from __future__ import annotations

import torch
from torch.nn import functional

# Half widths of the windows that visible colour is looked for in, in pixels: the smallest one that has any decides.
REACHES = (2, 8, 32)
_BESIDE = 2
# How far `without_hidden` looks, in pixels.
REACH = REACHES[-1] + _BESIDE
_LEAST_WEIGHT = 1e-5
_ROWS_AT_ONCE = 256


def visible_mean(image: torch.Tensor) -> torch.Tensor:
    """The mean of all colour of RGBA [H, W, 4] that can be seen, weighted by alpha: float32 [3]; grey 0.5 where there is none."""
    total, weight = torch.zeros(3, dtype=torch.float64), 0.0
    for top in range(0, image.shape[0], _ROWS_AT_ONCE):
        rows = image[top : top + _ROWS_AT_ONCE].float()
        alpha = rows[..., 3:].clamp_min(0)
        # NaN times 0 is NaN: what is hidden has no say, whatever it is.
        seen = torch.where(alpha > 0, rows[..., :3] * alpha, torch.zeros_like(alpha))
        total += seen.sum((0, 1), dtype=torch.float64).cpu()
        weight += float(alpha.sum(dtype=torch.float64))
    return (total / weight).float() if weight > 0 else torch.full((3,), 0.5)


def without_hidden(pixels: torch.Tensor, backdrop: torch.Tensor) -> torch.Tensor:
    """The colour of RGBA `pixels` with what cannot be seen replaced by what can be seen beside it.

    Args:
        pixels: float32 [h, w, 4], straight (not premultiplied).
        backdrop: [3], for where nothing can be seen near by: `visible_mean` of the whole picture, so that tiles agree.

    Returns:
        float32 [h, w, 3].
    """
    planes = pixels.movedim(-1, 0)[None]
    colour, alpha = planes[:, :3], planes[:, 3:].clamp(0, 1)
    most = functional.max_pool2d(alpha, 2 * _BESIDE + 1, 1, _BESIDE)
    own = torch.where(most > 0, alpha / most.clamp_min(_LEAST_WEIGHT), torch.zeros_like(alpha))
    if bool((own >= 1).all()):
        return pixels[..., :3]
    weighted = torch.cat((torch.where(alpha > 0, colour * alpha, torch.zeros_like(colour)), alpha), 1)
    around = backdrop.to(pixels).view(1, 3, 1, 1).expand_as(colour)
    for reach in reversed(REACHES):
        seen = _box(weighted, reach)
        around = torch.where(seen[:, 3:] > _LEAST_WEIGHT, seen[:, :3] / seen[:, 3:].clamp_min(_LEAST_WEIGHT), around)
    filled = torch.where(own > 0, own * colour + (1 - own) * around, around)
    return filled[0].movedim(0, -1)


def _box(planes: torch.Tensor, reach: int) -> torch.Tensor:
    """The mean in a square window; what lies outside counts as nothing. By running sums: the same work for any window."""
    side = 2 * reach + 1
    for dim in (2, 3):
        length = planes.shape[dim]
        sums = functional.pad(planes.cumsum(dim, dtype=torch.float64), (0, 0, 1, 0) if dim == 2 else (1, 0))
        at = torch.arange(length, device=planes.device)
        upper, lower = (at + reach + 1).clamp_max(length), (at - reach).clamp_min(0)
        planes = (sums.index_select(dim, upper) - sums.index_select(dim, lower)) / side
    return planes.float()


def within_neighbours(alpha: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """`alpha` [H, W], made from `source` [h, w] at another size, kept between the least and the most of each pixel's neighbours.

    What was wholly opaque or wholly transparent stays so, to the last bit, and no rim rings.
    """
    planes = source[None, None]
    most, least = functional.max_pool2d(planes, 3, 1, 1), -functional.max_pool2d(-planes, 3, 1, 1)
    low, high = (functional.interpolate(plane, size=tuple(alpha.shape), mode="nearest")[0, 0] for plane in (least, most))
    return torch.minimum(torch.maximum(alpha, low), high)
