"""The comparison picture: the same place of several versions side by side, much enlarged."""

from __future__ import annotations

from typing import NamedTuple

import numpy
from PIL import Image, ImageDraw, ImageFont

from .seam_step import Seam, window

MAGNIFICATION = 4
MARGIN = 20
GAP = 14
TITLE_HEIGHT = 34
NUMBER_HEIGHT = 34
NOTE_HEIGHT = 30

BACKGROUND = (250, 250, 250)
FRAME = (150, 150, 150)
INK = (20, 20, 20)
PALE = (95, 95, 95)


class Panel(NamedTuple):
    """One version of the picture.

    Attributes:
        title: stands above it.
        picture: uint8 [H, W, 3].
        step: its seam step at the shown place, in 8-bit levels.
    """

    title: str
    picture: numpy.ndarray
    step: float


def stretched(cut: numpy.ndarray, centre: numpy.ndarray, gain: float) -> numpy.ndarray:
    """`cut` [h, w, 3] with its contrast around the colour `centre` [3] multiplied by `gain`, uint8."""
    return numpy.clip(128 + gain * (cut.astype(numpy.float64) - centre), 0, 255).round().astype(numpy.uint8)


def gain_for(cut: numpy.ndarray, centre: numpy.ndarray) -> float:
    """The contrast that the window bears before more than a third of it is cut off: a whole number from 2 to 4."""
    spread = numpy.percentile(numpy.abs(cut.astype(numpy.float64) - centre), 66)
    return float(numpy.clip(numpy.floor(110 / max(spread, 1)), 2, 4))


def draw_strip(panels: list[Panel], seam: Seam, notes: list[str]) -> Image.Image:
    """The strip: a title, the place at 400 %, and the seam step for each panel; below it the same with more contrast.

    Args:
        panels: the versions, all of one size; the last one sets the contrast of the second row.
        seam: the place.
        notes: lines of text under the panels.
    """
    part = window(seam, panels[0].picture.shape[:2])
    cuts = [panel.picture[part] for panel in panels]
    centre = numpy.median(cuts[-1].reshape(-1, 3), axis=0)
    gain = gain_for(cuts[-1], centre)
    notes = [*notes, f"Lower row: the same pixels, contrast around their median colour multiplied by {gain:g}."]

    height, width = (MAGNIFICATION * side for side in cuts[0].shape[:2])
    rows = MARGIN + TITLE_HEIGHT, MARGIN + TITLE_HEIGHT + height + GAP
    bottom = rows[1] + height
    size = (2 * MARGIN + len(panels) * width + (len(panels) - 1) * GAP, bottom + NUMBER_HEIGHT + len(notes) * NOTE_HEIGHT + MARGIN)
    strip = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(strip)
    for number, (panel, cut) in enumerate(zip(panels, cuts, strict=True)):
        left = MARGIN + number * (width + GAP)
        pen.text((left, MARGIN), panel.title, INK, _font(22))
        _paste(strip, pen, cut, left, rows[0])
        _paste(strip, pen, stretched(cut, centre, gain), left, rows[1])
        pen.text((left, bottom + 10), f"seam step {panel.step:.2f} levels", INK, _font(22))
    for number, note in enumerate(notes):
        pen.text((MARGIN, bottom + NUMBER_HEIGHT + 10 + number * NOTE_HEIGHT), note, PALE, _font(16))
    return strip


def _paste(strip: Image.Image, pen: ImageDraw.ImageDraw, cut: numpy.ndarray, left: int, top: int) -> None:
    large = Image.fromarray(cut).resize((cut.shape[1] * MAGNIFICATION, cut.shape[0] * MAGNIFICATION), Image.Resampling.NEAREST)
    pen.rectangle((left - 1, top - 1, left + large.width, top + large.height), outline=FRAME)
    strip.paste(large, (left, top))


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)
