"""Putting tiles together into one picture, streaming.

Tiles arrive one at a time, row by row, and are let go as soon as they are blended in
(`rows.py`). Held at a time: the output, one tile, and the rows in which two tile rows
overlap (with alpha: one tile row of colour beside them).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

import torch

from .alpha import AlphaRows
from .layout import TileLayout
from .memory import empty
from .mosaic import Mosaic
from .resample import on_grid
from .rows import RowBlend


def check_tiles(tiles: Iterable[torch.Tensor], layout: TileLayout) -> Iterable[torch.Tensor]:
    """Pass tiles on one by one, refusing a missing, odd-sized or broken one by its index.

    Raises:
        ValueError: naming the tile (counted from 0), what was expected and what came.
    """
    count, shape = 0, None
    for tile in tiles:
        if count == len(layout):
            raise ValueError(f"more than the {len(layout)} tiles of the layout came: connect the layout of the Tile Split that cut them")
        if tile.ndim != 4 or not tile.is_floating_point():
            raise ValueError(f"tile {count} is {tile.dtype} of shape {tuple(tile.shape)}: expected floating point [B, h, w, C]")
        if shape is None:
            shape = tile.shape
        elif tile.shape != shape:
            raise ValueError(
                f"tile {count} is {_size(tile.shape)} and tile 0 is {_size(shape)}: all tiles must come back alike; "
                "look for a node between split and blend that treats tiles differently"
            )
        tile = tile.detach()
        yield tile
        _check_finite(tile, count)
        count += 1
    if count < len(layout):
        raise ValueError(
            f"{count} tiles came and the layout has {len(layout)}: tile {count} is missing; "
            "pass every tile on, in order, from the Tile Split that made this layout"
        )


def _check_finite(tile: torch.Tensor, index: int) -> None:
    """Refuse NaN and Inf. One of them makes the sum one; only a sum that is not finite is worth looking at closely.

    Called when the tile has been blended in: it is then in the cache, where the sum costs half.
    """
    total = tile.sum() if tile.dtype == torch.float32 else tile.sum(dtype=torch.float32)
    if not math.isfinite(float(total)) and not torch.isfinite(tile).all():
        what = "NaN" if torch.isnan(tile).any() else "Inf"
        raise ValueError(
            f"tile {index} has {what} in it ({int((~torch.isfinite(tile)).sum())} values): the node before the blend broke it; "
            "a model in fp16 that overflows is the usual cause, try it in fp32 or bf16"
        )


def _size(shape: torch.Size) -> str:
    batch, height, width, channels = shape
    return f"{width} x {height} with {channels} channels, batch {batch}"


def compose(
    tiles: Iterable[torch.Tensor],
    layout: TileLayout,
    method: str = "hann",
    trim: int = 0,
    scale: float | Fraction = 0,
    out: torch.Tensor | None = None,
    device: torch.device | str | None = None,
    mosaic: Mosaic | None = None,
) -> torch.Tensor:
    """Blend tiles into one picture.

    Args:
        tiles: iterator of floating point [P, h, w, C], in the layout's order; each is let go before the next is asked for.
            P is whatever is blended alike: the pictures of a batch, or the channels of a latent with C = 1.
            C = 4 is RGBA, whose colour is weighted by alpha (`alpha.py`).
        layout: where they belong.
        method: one of `windows.METHODS`.
        trim: source pixels to disregard at sides that face a neighbour: the receptive radius of the model in between.
        scale: output pixels per source pixel; 0 takes it from the tiles.
        out: float32 [P, H, W, C] to write to; made here where None.
        device: where to make it; the first tile's device where None.
        mosaic: the geometry, where the caller has worked it out; method, trim and scale are then not looked at.

    Returns:
        float32 [P, H, W, C], whatever the tiles' dtype; round(size * scale) per side.

    Raises:
        ValueError: for tiles that are missing, too many, of different sizes, not finite or of another layout,
            and for a trim, scale or `out` that does not fit.
    """
    rows = alpha = None
    columns = len(layout.axes[1].origins)
    for index, tile in enumerate(check_tiles(tiles, layout)):
        if rows is None:
            mosaic = mosaic or Mosaic(layout, tuple(tile.shape[1:3]), method, trim, scale)
            if mosaic.tile_size != tuple(tile.shape[1:3]):
                raise ValueError(f"the tiles are {_size(tile.shape)} and the composition was planned for {mosaic.tile_size}")
            out = _output(out, (tile.shape[0], *mosaic.size, tile.shape[3]), device or tile.device)
            rows = RowBlend(mosaic, out)
            alpha = AlphaRows(mosaic, out) if tile.shape[3] == 4 else None
        row, column = divmod(index, columns)
        pixels = on_grid(mosaic, tile, row, column)
        for target in filter(None, (rows, alpha)):
            if column == 0:
                target.begin(row)
            target.add(column, pixels)
            if column == columns - 1:
                target.end(row)
    return out


def _output(out: torch.Tensor | None, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    if out is None:
        return empty(shape, device=device)
    if tuple(out.shape) != shape or out.dtype != torch.float32 or not out.is_contiguous():
        raise ValueError(f"the output buffer is {out.dtype} of shape {tuple(out.shape)}: expected contiguous float32 of shape {shape}")
    return out
