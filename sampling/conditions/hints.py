"""The picture a control is given (its hint), cut to a tile.

The host resizes a hint to the latent it is called with: cut to the middle at the latent's proportions, then resampled.
Called with a tile it would squeeze the whole hint into the tile. Here the hint is laid over the canvas the way the host
does it, and what lies under the tile is taken from it.
"""

from __future__ import annotations

import comfy.utils
import torch

from ...blending.layout.grid import Rect
from ...blending.pixels.taps import continued
from .planes import ENDS, Wrap, cut_plane, pick

NEAREST = "nearest-exact"


def _margins(height: int, width: int, new_height: int, new_width: int) -> tuple[int, int]:
    """Rows and columns that the host cuts off each side of a picture so that it gets new proportions."""
    old, new = width / height, new_width / new_height
    if old > new:
        return 0, round((width - width * (new / old)) / 2)
    if old < new:
        return round((height - height * (old / new)) / 2), 0
    return 0, 0


def _sources(size: int, new_size: int, start: int, length: int, wraps: bool) -> torch.Tensor:
    """Which of `size` pixels the pixels start..start+length of a line resized to `new_size` are copies of."""
    # Asked of the resampler itself, so that its rounding is the host's.
    line = torch.arange(size, dtype=torch.float32).view(1, 1, size)
    copied = torch.nn.functional.interpolate(line, size=new_size, mode=NEAREST).flatten().long()
    return copied[continued(torch.arange(start, start + length), new_size, wraps)]


def cut_hint(
    hint: torch.Tensor, rect: Rect, size: tuple[int, int], algorithm: str, resized: dict[tuple, tuple], wrap: Wrap = ENDS
) -> torch.Tensor:
    """What lies under a tile of a hint that the host would resize to `size`; mirrored outside of it, or its other side.

    Args:
        hint: [n, c, H, W] or [n, c, t, H, W].
        rect: the tile, in pixels of the resized hint.
        size: (h, w) of the resized hint.
        algorithm: the host's name of the resampler. With "nearest-exact", which all its controls use, no picture of the
            canvas' size is made, and where the hint has that size already the result is a view of it.
        resized: where hints resized by any other resampler are kept, for one sampling run.
        wrap: (y, x), where the canvas is joined to itself.
    """
    if algorithm == NEAREST:
        top, left = _margins(*hint.shape[-2:], *size)
        inner = hint.narrow(-2, top, hint.shape[-2] - 2 * top).narrow(-1, left, hint.shape[-1] - 2 * left)
        rows = _sources(inner.shape[-2], size[0], rect.y, rect.height, wrap[0])
        return pick(inner, rows, _sources(inner.shape[-1], size[1], rect.x, rect.width, wrap[1]))
    key = (id(hint), size, algorithm)
    if key not in resized:
        # The hint is kept beside the result, so that no other tensor can get its id.
        resized[key] = (hint, comfy.utils.common_upscale(hint, size[1], size[0], algorithm, "center"))
    return cut_plane(resized[key][1], rect, wrap)
