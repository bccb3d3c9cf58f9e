"""The memory budget of a tile size as a picture: what is free, and what each candidate needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from .grid import CAPTION_BACKGROUND, CAPTION_INK

if TYPE_CHECKING:
    from ..blending.networks.tile_plan import TilePlan

# At letters of FONT pixels; all of it grows and shrinks with the letters, the width alone does not.
WIDTH, MARGIN, ROW, BAR = 760, 18, 60, 16
TITLE, FONT = 30, 24
BELOW = 32  # of a row's words is its bar
TOO_LARGE, FITS, CHOSEN = (196, 84, 74), (92, 110, 134), (96, 190, 110)
FREE = (240, 240, 240)
DIM = (170, 174, 182)


def budget_picture(
    plan: TilePlan, rows: Sequence[tuple[str, str]], free: float, margin: float, free_words: str, width: int = WIDTH, letters: int = FONT
) -> Image.Image:
    """A bar for each candidate, a line at what is free.

    Args:
        plan: the tiles that were chosen, and the candidates.
        rows: (size, words) of each candidate.
        free: bytes that may be used.
        margin: share that is kept free on top of what a tile needs.
        free_words: `free` in words.
        width: of the picture, in pixels.
        letters: height of the letters, in pixels.
    """

    def at(length: float) -> int:
        return round(length * letters / FONT)

    edge, row_height, bar = at(MARGIN), at(ROW), at(BAR)
    picture = Image.new("RGB", (width, 2 * edge + at(86) + row_height * len(rows)), CAPTION_BACKGROUND)
    draw = ImageDraw.Draw(picture)
    title, font = ImageFont.load_default(size=at(TITLE)), ImageFont.load_default(size=letters)
    at_once = f", {plan.tile_batch} at once" if plan.tile_batch > 1 else ""
    chosen = f"tiles of {plan.tile_width} x {plan.tile_height}, overlap {plan.overlap}{at_once}"
    draw.text((edge, edge - at(4)), chosen, fill=CAPTION_INK, font=title)
    draw.text((edge, edge + at(36)), f"free: {free_words}; bars with the margin of {margin:.0%}", fill=DIM, font=font)
    # Free memory at 70 % of the width; what needs far more runs off the edge and is marked so.
    room, right = 0.7 * (width - 2 * edge), width - edge
    for row, (one, (size, words)) in enumerate(zip(plan.candidates, rows, strict=True)):
        y = edge + at(80) + row_height * row
        draw.text((edge, y), f"{size}: {words}", fill=CAPTION_INK if one.chosen else DIM, font=font)
        y += at(BELOW)
        end = edge + room * one.bytes * (1 + margin) / max(free, 1)
        color = CHOSEN if one.chosen else FITS if one.fits else TOO_LARGE
        draw.rectangle((edge, y, max(min(end, right), edge + 2), y + bar), fill=color)
        if end > right:
            draw.text((right - 4, y + bar / 2), ">>", fill=FREE, font=font, anchor="rm")
        draw.line((edge + room, y - 3, edge + room, y + bar + 3), fill=FREE, width=2)
    return picture
