"""A measured receptive field as a picture: the tile as its border reaches into it, and the curve over the distance."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .grid import CAPTION_BACKGROUND, CAPTION_INK
from .scale import LOW, MARKS, colored, share

if TYPE_CHECKING:
    from ..blending.receptive_field.measure import ReceptiveField

LEVELS = 255
SIDE, GAP, MARGIN = 330, 84, 24
# Around the curves: for the letters of the axes, and for half a letter that stands on their ends.
AXIS, BELOW, EDGE = 76, 38, 14
FONT, SMALL = 26, 22
LETTERS = 60  # of the headline in a line
CURVES = {"mirrored": (120, 190, 255), "nothing": (255, 150, 90), "other picture": (160, 225, 130), "cut": (235, 130, 215)}
NAMES = {"mirrored": "mirrored", "nothing": "black beyond", "other picture": "another picture", "cut": "tile cut out"}
LIMIT = (255, 80, 80)
GRID = (62, 66, 74)


def influence_picture(field: ReceptiveField, unit: str, headline: str) -> Image.Image:
    """Left the map, right the curves.

    Args:
        field: lengths in the pixels that are written on it.
        unit: what lies on the vertical axis, "levels of 255" for instance.
        headline: what was found, in a line or two.
    """
    font, small = ImageFont.load_default(size=FONT), ImageFont.load_default(size=SMALL)
    words = textwrap.wrap(headline, LETTERS)
    above = MARGIN + len(words) * (FONT + 6) + 10
    picture = Image.new("RGB", (2 * SIDE + GAP + 3 * MARGIN, above + SIDE + 2 * MARGIN + 78), CAPTION_BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for row, line in enumerate(words):
        draw.text((MARGIN, MARGIN - 8 + row * (FONT + 6)), line, fill=CAPTION_INK, font=font)
    top, left = above + 34, MARGIN + SIDE + GAP
    picture.paste(influence_map(field), (MARGIN, top))
    picture.paste(influence_curves(field), (left - AXIS, top - EDGE))
    draw.text((MARGIN, above - 8), "change inside one tile", fill=CAPTION_INK, font=font)
    draw.text((left, above - 8), f"{unit}, by distance", fill=CAPTION_INK, font=font)
    frame = "white frame: the suggested trim" if _cut(field) < SIDE / 2 else "the suggested trim is wider than this tile"
    frame = frame if field.trim else "no trim is needed"
    held = "; whole-picture parts held still" if field.sees_everything and field.full_known else ""
    _scale(draw, small, MARGIN, top + SIDE + 10, frame + held)
    return picture


def influence_map(field: ReceptiveField) -> Image.Image:
    """The tile, SIDE wide: how much its surroundings change each pixel, and a frame where the suggested trim cuts."""
    shares = share(field.influence.float().numpy() * LEVELS)
    picture = Image.fromarray(colored(shares), "RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST)
    # Where the suggested trim cuts; a line and not a mask, for what is beyond it is the point of the picture.
    cut = _cut(field)
    if 0 < cut < SIDE / 2:
        ImageDraw.Draw(picture).rectangle((cut, cut, SIDE - cut, SIDE - cut), outline=(255, 255, 255))
    return picture


def _cut(field: ReceptiveField) -> float:
    """How wide the suggested trim is on the map."""
    return field.trim * float(field.scale) / field.influence.shape[-1] * SIDE


def _scale(draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont, left: int, top: int, words: str) -> None:
    for i, color in enumerate(colored(np.linspace(0, 1, SIDE))):
        draw.line((left + i, top, left + i, top + 12), fill=tuple(int(part) for part in color))
    # Every other mark, from the largest: all of them would run into each other.
    for level in MARKS[::-1][::2]:
        draw.text(
            (left + share(level) * (SIDE - 1), top + 16), f"{level:g}", fill=CAPTION_INK, font=font, anchor="la" if level == LOW else "ma"
        )
    draw.text((left, top + 38), words, fill=CAPTION_INK, font=font)


def influence_curves(field: ReceptiveField) -> Image.Image:
    """The change over the distance from the tile's border, a curve for each kind of surroundings; SIDE wide beside and above its axes."""
    picture = Image.new("RGB", (AXIS + SIDE + EDGE, EDGE + SIDE + BELOW), CAPTION_BACKGROUND)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=SMALL)
    left, top, depth = AXIS, EDGE, len(field.profile)

    def place(distance: float, levels: float) -> tuple[float, float]:
        return left + distance / depth * SIDE, top + SIDE - float(share(levels)) * SIDE

    for level in MARKS:
        y = place(0, level)[1]
        draw.line((left, y, left + SIDE, y), fill=GRID)
        draw.text((left - 8, y), f"{level:g}", fill=CAPTION_INK, font=font, anchor="rm")
    for part in range(5):
        x = left + part / 4 * SIDE
        draw.line((x, top, x, top + SIDE), fill=GRID)
        unit = " px" if part == 4 else ""
        draw.text((x, top + SIDE + 8), f"{part * depth / 4:g}{unit}", fill=CAPTION_INK, font=font, anchor="ra" if unit else "ma")
    for kind, values in field.profiles.items():
        # Lengths of a latent are steps of several pixels; zeros between the cells of an encoder are no values.
        points = [place(d + 0.5, float(v) * LEVELS) for d, v in enumerate(values) if float(v) * LEVELS > LOW]
        if len(points) > 1:
            draw.line(points, fill=CURVES[kind], width=3)
    limit = field.threshold * LEVELS
    draw.line((*place(0, limit), *place(depth, limit)), fill=LIMIT, width=2)
    draw.text((left + SIDE - 6, place(0, limit)[1] - 4), f"threshold {limit:g}", fill=LIMIT, font=font, anchor="rd")
    if 0 < field.radius < depth:
        x = place(field.radius, LOW)[0]
        draw.line((x, top, x, top + SIDE), fill=LIMIT, width=1)
        draw.text((x + 5, top + SIDE - 6), f"radius {field.radius}", fill=LIMIT, font=font, anchor="ld")
    drawn = [kind for kind, values in field.profiles.items() if float(values.max()) * LEVELS > LOW]
    for row, kind in enumerate(drawn):
        draw.text((left + SIDE - 6, top + 6 + 26 * row), NAMES[kind], fill=CURVES[kind], font=font, anchor="ra")
    return picture
