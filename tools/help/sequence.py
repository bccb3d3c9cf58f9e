"""Pictures of a loop over tiles: a grey photograph gets its colours back, tile after tile. For `pages.py`, `template_pictures.py`."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image, ImageDraw

from .sheet import write

TILE, OVERLAP, GAP = 288, 64, 8
FRAME = (255, 122, 46)
SHOWN = 3  # of four tiles, the one that the help pages show


def coloured(photo: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The photograph [1, H, W, 3] in grey, `count` of its four tiles in colour again, with the next tile of it and its mask."""
    from blending import TileLayout
    from blending.pixels.picture import in_channels
    from blending.regions.one_tile import put_tile, take_tile

    layout = TileLayout.grid(*photo.shape[1:3], TILE, TILE, OVERLAP, 8)
    now = in_channels(in_channels(photo, 1), 3).clone()
    for index in range(count):
        now = put_tile(now, take_tile(photo, layout, index)[0], layout, index)
    tile, mask = take_tile(now, layout, min(count, len(layout) - 1))
    return now, tile, mask


def framed(pixels: torch.Tensor, index: int) -> torch.Tensor:
    """A picture [1, H, W, 3] with tile `index` of the four framed: [H, W, 3]."""
    from blending import TileLayout

    rect = TileLayout.grid(*pixels.shape[1:3], TILE, TILE, OVERLAP, 8).tiles[index]
    drawn = Image.fromarray((pixels[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy())
    ImageDraw.Draw(drawn).rectangle((rect.x, rect.y, rect.x + rect.width - 1, rect.y + rect.height - 1), outline=FRAME, width=5)
    return torch.frombuffer(bytearray(drawn.tobytes()), dtype=torch.uint8).view(drawn.height, drawn.width, 3).float() / 255


def one_by_one(photo: torch.Tensor, folder: Path) -> None:
    """Take One Tile, Put Tile Back."""
    now, tile, mask = coloured(photo, SHOWN)
    named = f"the picture, {SHOWN} of 4 tiles finished"
    write(folder, "TileworkTileAt", [(named, framed(now, SHOWN)), ("tile 3: it sees them", tile[0]), ("mask: what of it is new", mask[0])])
    done, _, _ = coloured(photo, SHOWN + 1)
    write(folder, "TileworkPutTile", [("before: tile 3 is missing", framed(now, SHOWN)), ("tile 3 put back", done[0])])


def tile_after_tile(photo: torch.Tensor) -> Image.Image:
    """Four moments of a loop."""
    half = photo.shape[2] // 2
    sheet = Image.new("RGB", (2 * half + GAP, 2 * half + GAP), (24, 26, 30))
    for step in range(4):
        now = framed(coloured(photo, step)[0], step)
        small = Image.fromarray((now * 255).round().to(torch.uint8).numpy()).resize((half, half), Image.Resampling.LANCZOS)
        sheet.paste(small, (step % 2 * (half + GAP), step // 2 * (half + GAP)))
    return sheet
