"""Both pictures boiled down to numbers per cell of 8 x 8 pixels: all that is judged later is made of these.

Two views of detail are compared: the gradient of the picture as it is (fine: lettering, weave), and the gradient after a
slight Gaussian (structure: edges, in what direction and how strong). Of each the sums of squares and of products are kept;
with them what is left over of one picture after the other was taken off, multiplied by any gain, is known without its pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn.functional import avg_pool2d

from .one_grid import OneGrid

CELL = 8
FINE, STRUCTURE = 0, 1
SIGMA = 1.0  # px: what reading between pixels and the kernel of an enlargement leave alone
_MARGIN = 8
_PIXELS_AT_ONCE = 1 << 20


class CellSums(NamedTuple):
    """Means over the pixels of each cell, float32, n x m cells.

    Attributes:
        source, result: [2, n, m], squared gradient of both pictures, fine and structure; levels squared per pixel squared.
        common: [2, n, m], product of the two gradients.
        colour_source, colour_result: [c, n, m], mean colour in levels.
    """

    source: torch.Tensor
    result: torch.Tensor
    common: torch.Tensor
    colour_source: torch.Tensor
    colour_result: torch.Tensor


def cell_sums(grid: OneGrid, watch: Callable[[int, int], None] | None = None) -> CellSums:
    """Go once over both pictures, about a million pixels at a time.

    Args:
        grid: both pictures.
        watch: called with (done, total) rows; may raise to stop.
    """
    height, width = grid.size
    step = max(CELL, _PIXELS_AT_ONCE // width // CELL * CELL)
    parts = []
    for start in range(0, height, step):
        stop = min(start + step, height)
        low, high = max(start - _MARGIN, 0), min(stop + _MARGIN, height)
        source, result = grid.rows(low, high)
        parts.append(_strip(source, result, slice(start - low, stop - low)))
        if watch is not None:
            watch(stop, height)
    return CellSums(*(torch.cat(column, 1) for column in zip(*parts, strict=True)))


def _strip(source: torch.Tensor, result: torch.Tensor, inner: slice) -> tuple[torch.Tensor, ...]:
    views = [_gradients(picture) for picture in (source, result)]
    pairs = ((0, 0), (1, 1), (0, 1))
    sums = [torch.stack([_cells((views[a][k] * views[b][k])[:, :, inner]).mean(0) for k in (FINE, STRUCTURE)]) for a, b in pairs]
    return (*sums, *(_cells(picture[:, :, inner]) for picture in (source, result)))


def _gradients(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradient as it is and after the Gaussian, each [1, 2 c, h, w], levels per pixel."""
    from kornia.filters import gaussian_blur2d, spatial_gradient

    side = min(7, 2 * min(picture.shape[2:]) - 1)  # a mirrored border is at most the picture
    smooth = gaussian_blur2d(picture, (side, side), (SIGMA, SIGMA), border_type="reflect") if side > 1 else picture
    return tuple(spatial_gradient(view, "sobel").flatten(1, 2) for view in (picture, smooth))


def _cells(plane: torch.Tensor) -> torch.Tensor:
    """[1, c, h, w] -> [c, n, m] means; a cell at the end is as large as what is left."""
    return avg_pool2d(plane, CELL, ceil_mode=True, count_include_pad=False)[0]
