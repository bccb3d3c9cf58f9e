"""A sheet of pictures below one another, each under its caption, as a help page shows it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from ..process.guarded import say

# ComfyUI's panel for help is 262 px wide as it comes: panels stand below one another, captions can be read at that size.
PANEL = 340
MARGIN = 10
CAPTION = 34
BACKGROUND = (30, 32, 36)
# The rows of the photograph in which most happens.
UPPER = 330
INK = (228, 228, 228)
LIMIT = 60_000

Panels = list[tuple[str, torch.Tensor]]


def panel(pixels: torch.Tensor) -> Image.Image:
    """Pixels [H, W, C] or [H, W] in 0..1, PANEL wide; whole pixels where they are much enlarged."""
    values = pixels if pixels.ndim == 3 else pixels[..., None]
    image = Image.fromarray((values.clamp(0, 1) * 255).round().to(torch.uint8).expand(*values.shape[:2], 3).contiguous().numpy())
    way = Image.Resampling.NEAREST if image.width * 1.5 < PANEL else Image.Resampling.LANCZOS
    return image.resize((PANEL, round(image.height * PANEL / image.width)), way)


def write(folder: Path, name: str, panels: Panels, limit: int = LIMIT) -> None:
    """Put panels below one another, each under its caption, in fewer bytes than `limit` if JPEG can."""
    pictures = [(title, panel(pixels)) for title, pixels in panels]
    sheet = Image.new("RGB", (PANEL + 2 * MARGIN, sum(CAPTION + picture.height for _, picture in pictures) + MARGIN), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(18)
    top = 0
    for title, picture in pictures:
        draw.text((sheet.width / 2, top + CAPTION / 2 + 1), title, INK, font, anchor="mm")
        sheet.paste(picture, (MARGIN, top + CAPTION))
        top += CAPTION + picture.height
    path = folder / f"{name}.jpg"
    for quality in (88, 82, 75, 66, 55, 45):
        sheet.save(path, quality=quality, subsampling=0, optimize=True)
        if path.stat().st_size < limit:
            break
    say(f"  {path.name:36} {sheet.width} x {sheet.height}, {path.stat().st_size / 1000:.0f} kB, quality {quality}")


def apart(tiles: Iterable[torch.Tensor], columns: int, gap: int, ground: float = 0.13) -> torch.Tensor:
    """Tiles [1, h, w, C] laid out with gaps: [H, W, C]."""
    rows: list[list[torch.Tensor]] = [[]]
    for tile in tiles:
        if len(rows[-1]) == columns:
            rows.append([])
        rows[-1].append(torch.nn.functional.pad(tile[0], (0, 0, 0, gap, 0, gap), value=ground))
    return torch.cat([torch.cat(row, 1) for row in rows])[:-gap, :-gap]


def shaded(picture: torch.Tensor, layout) -> torch.Tensor:
    """A picture [1, H, W, 3] with what several tiles share tinted."""
    from blending import Mosaic

    shared = Mosaic(layout, layout.tile_size, "hann").seams(1, "cpu")[0, ..., None]
    return picture[0] * (1 - 0.42 * shared) + 0.42 * shared * torch.tensor((1.0, 0.48, 0.18))
