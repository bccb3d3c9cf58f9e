"""Pictures of the nodes that plan for parts of a picture: Select Tiles, Tiles on a Mask, Tiles around Objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from .sheet import UPPER, write

EYE = (slice(150, 178), slice(196, 250))


def drawn(picture: torch.Tensor, layout: Any) -> torch.Tensor:
    """A picture [1, H, W, 3] with its layout over it, as the nodes draw it."""
    from pictures.grid import with_grid

    pixels = Image.fromarray((picture[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy())
    return torch.from_numpy(np.asarray(with_grid(pixels, layout), np.float32) / 255)


def objects() -> np.ndarray:
    """Discs, and a bar that no line can miss: bool [H, W]."""
    there = np.zeros((UPPER, 512), bool)
    y, x = np.ogrid[:UPPER, :512]
    for cy, cx, radius in ((160, 262, 30), (230, 120, 28), (60, 400, 28)):
        there |= (y - cy) ** 2 + (x - cx) ** 2 < radius**2
    there[290:306, 60:460] = True
    return there


def selected(photo: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
    """Two tiles of twelve, made lighter and put back."""
    from blending import TileLayout, cut
    from blending.composition.blend import blend
    from blending.regions.tile_numbers import chosen

    layout = chosen(TileLayout.grid(*photo.shape[1:3], 184, 144, 32, 8), "3, 7")
    tiles = [tile * 0.7 + 0.3 for tile in cut(photo, layout)]
    done = blend(tiles, layout, base=photo).image[0]
    return [("tiles 3 and 7 of twelve", drawn(photo, layout)[:UPPER]), ("made lighter, the rest as it was", done[:UPPER])]


def regions(photo: torch.Tensor, folder: Path) -> None:
    """Make all three."""
    from blending import TileLayout
    from blending.regions.mask_regions import mask_layout, soft_mask
    from blending.regions.object_tiles import OWN, object_layout

    write(folder, "TileworkSelectTiles", selected(photo))
    mask = torch.zeros(1, *photo.shape[1:3])
    mask[0][EYE] = 1
    layout = mask_layout(mask, 128, 128, 16, 40, 8)
    marked = photo * (1 - 0.5 * mask[..., None]) + 0.5 * mask[..., None] * torch.tensor((1.0, 0.2, 0.2))
    panels = [
        ("what is marked, and its tile", drawn(marked, layout)[:UPPER]),
        ("mask: faded out over the margin", soft_mask(mask, 40)[0, :UPPER]),
    ]
    write(folder, "TileworkMaskTiles", panels)
    there = objects()
    scene = torch.full((1, UPPER, 512, 3), 0.24)
    scene[0][torch.from_numpy(there)] = torch.tensor((0.35, 0.62, 0.9))
    even = TileLayout.grid(UPPER, 512, 208, 232, 24, 8)
    planned = object_layout((UPPER, 512), (208, 232), 24, 8, there, objects=OWN, margin=16, largest=480).layout
    write(folder, "TileworkObjectTiles", [("an even grid cuts them", drawn(scene, even)), ("tiles around objects", drawn(scene, planned))])
