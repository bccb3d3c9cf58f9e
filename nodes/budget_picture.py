"""The memory budget of a tile size as a picture: what is free, and what each candidate needs."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from ..blending.layout.captions import in_words
from ..models.tile_budget import Budget, table
from .layout_picture import CAPTION_BACKGROUND, CAPTION_INK

WIDTH, MARGIN, ROW, BAR = 760, 18, 60, 16
TITLE, FONT = 30, 24
BELOW = 32  # of a row's words is its bar
TOO_LARGE, FITS, CHOSEN = (196, 84, 74), (92, 110, 134), (96, 190, 110)
FREE = (240, 240, 240)
DIM = (170, 174, 182)


def budget_picture(found: Budget) -> Image.Image:
    """A bar for each candidate, a line at what is free."""
    rows = table(found)
    picture = Image.new("RGB", (WIDTH, 2 * MARGIN + 86 + ROW * len(rows)), CAPTION_BACKGROUND)
    draw = ImageDraw.Draw(picture)
    title, font = ImageFont.load_default(size=TITLE), ImageFont.load_default(size=FONT)
    plan = found.plan
    said = f"tiles of {plan.tile_width} x {plan.tile_height}, overlap {plan.overlap}" + (
        f", {plan.tile_batch} at once" if plan.tile_batch > 1 else ""
    )
    draw.text((MARGIN, MARGIN - 4), said, fill=CAPTION_INK, font=title)
    draw.text((MARGIN, MARGIN + 36), f"free: {in_words(found.free)}; bars with the margin of {found.margin:.0%}", fill=DIM, font=font)
    # Free memory at 70 % of the width; what needs far more runs off the edge and is marked so.
    room, top = 0.7 * (WIDTH - 2 * MARGIN), MARGIN + 80
    for row, (one, (size, words)) in enumerate(zip(plan.candidates, rows, strict=True)):
        y = top + ROW * row
        color = CHOSEN if one.chosen else FITS if one.fits else TOO_LARGE
        draw.text((MARGIN, y), f"{size}: {words}", fill=CAPTION_INK if one.chosen else DIM, font=font)
        length = room * one.bytes * (1 + found.margin) / max(found.free, 1)
        end = min(MARGIN + length, WIDTH - MARGIN)
        draw.rectangle((MARGIN, y + BELOW, max(end, MARGIN + 2), y + BELOW + BAR), fill=color)
        if MARGIN + length > WIDTH - MARGIN:
            draw.text((WIDTH - MARGIN - 4, y + BELOW + BAR / 2), ">>", fill=FREE, font=font, anchor="rm")
    x = MARGIN + room
    for row in range(len(rows)):
        y = top + ROW * row + BELOW
        draw.line((x, y - 3, x, y + BAR + 3), fill=FREE, width=2)
    return picture
