"""Refusing tiles that are missing, odd or broken, by their number."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from .layout import TileLayout
from .pixels import check_finite


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
                f"tile {count} is {describe(tile.shape)} and tile 0 is {describe(shape)}: all tiles must come back alike; "
                "look for a node between split and blend that treats tiles differently"
            )
        tile = tile.detach()
        yield tile
        # When it has been blended in: it is then in the cache, where the sum costs half.
        check_finite(tile, f"tile {count}", "the node before the blend")
        count += 1
    if count < len(layout):
        raise ValueError(
            f"{count} tiles came and the layout has {len(layout)}: tile {count} is missing; "
            "pass every tile on, in order, from the Tile Split that made this layout"
        )


def describe(shape: torch.Size) -> str:
    batch, height, width, channels = shape
    return f"{width} x {height} with {channels} channels, batch {batch}"
