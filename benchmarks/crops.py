"""One picture to look at: every contestant's corner of four tiles, enlarged four times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

SIDE, ENLARGED = 96, 4
GAP, CAPTION, PER_ROW = 10, 26, 2
STRETCH = 6  # a step of a few levels is seen on a good screen in a dark room, and not in a small picture


def _corners(layout: Any) -> list[tuple[int, int]]:
    """The middle of every place where four tiles meet, (y, x)."""
    ys, xs = ([origin + axis.overlap // 2 for origin in axis.origins[1:]] for axis in layout.axes)
    return [(y, x) for y in ys for x in xs]


def widest_apart(tiles: list[torch.Tensor], layout: Any) -> tuple[int, int]:
    """The corner (y, x) at which the tiles' tones differ most."""
    half = layout.axes[0].overlap // 2

    def spread(at: tuple[int, int]) -> float:
        y, x = at
        means = [
            float(tile[:, y - half - rect.y : y + half - rect.y, x - half - rect.x : x + half - rect.x].mean())
            for tile, rect in zip(tiles, layout.tiles, strict=True)
            if rect.y <= y - half and y + half <= rect.y + rect.height and rect.x <= x - half and x + half <= rect.x + rect.width
        ]
        return max(means) - min(means)

    return max(_corners(layout), key=spread)


def corner(picture: torch.Tensor, at: tuple[int, int]) -> torch.Tensor:
    """The SIDE x SIDE pixels around a corner, [SIDE, SIDE, 3]."""
    top, left = (middle - SIDE // 2 for middle in at)
    return picture[0, top : top + SIDE, left : left + SIDE]


def _enlarged(crop: torch.Tensor, middle: torch.Tensor, contrast: float) -> Image.Image:
    plane = ((crop - middle) * contrast + 0.5).clamp(0, 1)
    plane = plane.repeat_interleave(ENLARGED, 0).repeat_interleave(ENLARGED, 1)
    return Image.fromarray((plane.numpy() * 255).round().astype(np.uint8))


def save(folder: Path, crops: dict[str, dict[str, torch.Tensor]], titles: dict[str, str]) -> Path:
    """Write corners.png: one cell per contestant, one crop per mosaic in it, side by side.

    Args:
        folder: made where it is not there.
        crops: contestant's label -> mosaic's key -> crop; the first contestant sets the middle grey.
        titles: mosaic's key -> how it is called; contrast is stretched for "a" only.
    """
    cell = SIDE * ENLARGED
    width = len(titles) * (cell + GAP) + GAP
    height = CAPTION + cell + GAP
    rows = -(-len(crops) // PER_ROW)
    sheet = Image.new("RGB", (PER_ROW * width, rows * height + CAPTION), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    heading = ", ".join(f"{title}{f' (contrast x {STRETCH})' if key == 'a' else ''}" for key, title in titles.items())
    draw.text((GAP, 4), f"{heading}; {100 * ENLARGED} %", fill="black", font=font)
    middles = {key: next(iter(crops.values()))[key].mean(dim=(0, 1)) for key in titles}
    for index, (label, pair) in enumerate(crops.items()):
        left, top = index % PER_ROW * width, index // PER_ROW * height + CAPTION
        draw.text((left + GAP, top + 3), label.replace("**", ""), fill="black", font=font)
        for place, key in enumerate(titles):
            if key in pair:
                contrast = STRETCH if key == "a" else 1.5
                sheet.paste(_enlarged(pair[key], middles[key], contrast), (left + GAP + place * (cell + GAP), top + CAPTION))
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "corners.png"
    sheet.save(target, optimize=True)
    return target
