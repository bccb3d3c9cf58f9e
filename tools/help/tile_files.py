"""What Write Tile File and Read Tile File show."""

from __future__ import annotations

from pathlib import Path

import torch

from .sheet import UPPER, apart, write


def tile_files(photo: torch.Tensor, folder: Path) -> None:
    """Write Tile File: some of the tiles are there, and the picture when all are."""
    from blending import TileLayout, compose, cut

    layout = TileLayout.grid(*photo.shape[1:3], 208, 208, overlap=48, multiple_of=8)
    tiles = list(cut(photo, layout))
    there = [tile if number < 6 else torch.full_like(tile, 0.2) for number, tile in enumerate(tiles)]
    panels = [("6 of 9 tile files are there", apart(there, 3, 24)), ("all are: blended", compose(tiles, layout)[0, :UPPER])]
    write(folder, "TileworkWriteTile", [(title, pixels[::2, ::2]) for title, pixels in panels])
