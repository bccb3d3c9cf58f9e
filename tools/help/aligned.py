"""The pictures of Align Tiles: on its help page, and over its template."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image, ImageDraw

from .sheet import write

# A tile's side and overlap in the photograph of 512 x 512, and how far the last of four tiles is moved, as in the template.
SIDE, OVERLAP, MOVED = 288, 64, (2, 3)
PLACE = (slice(218, 318), slice(214, 324))  # around the corner where all four meet


def shifted_and_aligned(photo: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Four tiles of which the last lies beside its place, blended as they came, and after Align Tiles; [1, H, W, 3] each."""
    from blending import TileLayout, compose, cut
    from blending.registration.aligned_tiles import align_tiles

    layout = TileLayout.grid(*photo.shape[1:3], SIDE, SIDE, OVERLAP, 8)
    tiles = list(cut(photo, layout))
    tiles[-1] = tiles[-1].roll((-MOVED[0], -MOVED[1]), (1, 2))
    found = align_tiles(tiles.__getitem__, layout)
    done = [found.aligned(tiles.__getitem__, index) for index in range(len(tiles))]
    return compose(tiles, layout), compose(done, layout)


def alignment(photo: torch.Tensor, folder: Path) -> None:
    """Align Tiles."""
    before, after = shifted_and_aligned(photo)
    panels = [("one of four tiles 3 px off, blended", before[0][PLACE]), ("after Align Tiles", after[0][PLACE])]
    write(folder, "TileworkAlignTiles", [*panels, ("what that changed, x 3", 0.5 + 3 * (after - before)[0][PLACE])])


def aligned_halves(photo: torch.Tensor, side: int) -> Image.Image:
    """Left the corner blended as the tiles came, right the same after Align Tiles."""
    halves = []
    for pixels in shifted_and_aligned(photo):
        part = (pixels[0][PLACE].clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        halves.append(Image.fromarray(part).resize((side, side * part.shape[0] // part.shape[1]), Image.Resampling.BICUBIC))
    both = halves[0].copy()
    middle = both.width // 2
    # Both halves show the same part of the corner, so that they can be compared.
    quarter = both.width // 4
    both.paste(halves[0].crop((quarter, 0, quarter + middle, both.height)), (0, 0))
    both.paste(halves[1].crop((quarter, 0, quarter + middle, both.height)), (middle, 0))
    ImageDraw.Draw(both).line((middle, 0, middle, both.height), fill=(255, 255, 255), width=3)
    return both
