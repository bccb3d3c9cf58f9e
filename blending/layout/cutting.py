"""Cutting a picture into the tiles of a layout.

Tiles are views of the picture. Only a border tile that reaches over the canvas is a
copy; what lies outside is the picture mirrored, again and again where it is small, or its
other side where the layout wraps around, and is made for that tile alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..pixels.taps import continued
from .grid import Rect
from .tile_layout import TileLayout


def crop(pixels: torch.Tensor, rect: Rect, dims: tuple[int, int], wrap: tuple[bool, bool] = (False, False)) -> torch.Tensor:
    """`pixels` inside `rect`, mirrored where it reaches over the end, or from the beginning on; a view where it does not.

    Args:
        pixels: any tensor.
        rect: in units of its pixels.
        dims: which of its dimensions are y and x.
        wrap: whether they go on at their beginning behind their end.
    """
    # Both directions are narrowed before anything is copied, so that a border tile costs a tile and not a strip of the picture.
    outside = []
    for dim, start, length, wraps in ((dims[0], rect.y, rect.height, wrap[0]), (dims[1], rect.x, rect.width, wrap[1])):
        if start + length <= pixels.shape[dim]:
            pixels = pixels.narrow(dim, start, length)
            continue
        at = continued(torch.arange(start, start + length), pixels.shape[dim], wraps)
        first = int(at.min())
        pixels = pixels.narrow(dim, first, int(at.max()) - first + 1)
        outside.append((dim, at - first))
    for dim, at in outside:
        pixels = pixels.index_select(dim, at.to(pixels.device))
    return pixels


def cut(image: torch.Tensor, layout: TileLayout) -> Iterator[torch.Tensor]:
    """The tiles of `image` [B, H, W, C], row by row, each [B, h, w, C].

        >>> [tuple(tile.shape) for tile in cut(torch.zeros(1, 96, 160, 3), TileLayout.grid(96, 160, 96, 96, overlap=32))]
        [(1, 96, 96, 3), (1, 96, 96, 3)]

    Raises:
        ValueError: where the picture is not the size the layout was planned for.
    """
    return _cut(image, layout, (1, 2))


def cut_cells(samples: torch.Tensor, layout: TileLayout) -> Iterator[torch.Tensor]:
    """The tiles of latent `samples` [B, C, h, w] or [B, C, T, h, w], row by row, each of the same shape but smaller.

    Raises:
        ValueError: where the latent is not the size the layout was planned for.
    """
    return _cut(samples, layout, (-2, -1))


def _cut(pixels: torch.Tensor, layout: TileLayout, dims: tuple[int, int]) -> Iterator[torch.Tensor]:
    size = tuple(pixels.shape[dim] for dim in dims)
    planned = tuple(length // layout.unit for length in layout.canvas)
    if size != planned:
        raise ValueError(
            f"the layout was planned for {planned[1]} x {planned[0]} and this is {size[1]} x {size[0]}: "
            "resize one of them, or split without the layout"
        )
    return (crop(pixels, Rect(*(length // layout.unit for length in rect)), dims, layout.wrap) for rect in layout.here)
