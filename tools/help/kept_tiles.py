"""Pictures of a list of tiles that was stopped and went on. For `pages.py`, `template_pictures.py`."""

from __future__ import annotations

from pathlib import Path

import torch

from .sheet import UPPER, apart, write

TILE, OVERLAP, GAP = 208, 48, 24
COLUMNS = 3


def stopped_and_finished(photo: torch.Tensor, stopped: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The tiles [H, W, 3] of a first run, those that it lacks dark and grey; and of a second run, those that were kept dark."""
    from blending import TileLayout, cut

    tiles = list(cut(photo, TileLayout.grid(*photo.shape[1:3], TILE, TILE, OVERLAP, 8)))
    missing = [0.3 * tile.mean(-1, keepdim=True).expand_as(tile) for tile in tiles]
    kept = [0.45 * tile for tile in tiles]
    return apart(tiles[:stopped] + missing[stopped:], COLUMNS, GAP), apart(kept[:stopped] + tiles[stopped:], COLUMNS, GAP)


def kept_tiles(photo: torch.Tensor, folder: Path) -> None:
    """Keep Tiles."""
    first, second = stopped_and_finished(photo[:, :UPPER], 2)
    write(folder, "TileworkKeepTiles", [("cancelled: 2 of 6 tiles are done", first), ("run again: the other four", second)], 32_000)
