"""What patches inside of the tiles are told of where they are, and how the tiles are passed by.

Tiled Sampling calls the model with tiles. A patch that stands inside of it finds the tiles' places in the model options; one
that stands outside may ask the model about a small view of the whole canvas instead, which no tiles are cut of.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..blending.layout.grid import Rect

PLACE, WHOLE, RUN = "tilework_place", "tilework_whole", "tilework_run"


class TilePlace(NamedTuple):
    """Where the pictures of one call lie.

    Attributes:
        rects: of the tiles along the batch, in cells; the first pictures are of the first tile.
        canvas: (height, width) of the canvas in cells.
        indices: the tiles' numbers, row by row.
        count: tiles of the canvas.
    """

    rects: tuple[Rect, ...]
    canvas: tuple[int, int]
    indices: tuple[int, ...]
    count: int


def place_of(model_options: dict[str, Any]) -> TilePlace | None:
    """Where this call's tiles lie; None where the model is called with the whole canvas, or a view of it."""
    return None if model_options.get(WHOLE) else model_options.get(PLACE)


def as_whole(model_options: dict[str, Any]) -> dict[str, Any]:
    """Options for a call that is passed by the tiles: its latent is a small view of the whole canvas."""
    return {**model_options, WHOLE: True}


def is_alone(model_options: dict[str, Any]) -> bool:
    """Whether a sampler of its own runs on a single tile just now (order sequential), so that no canvas is there to look at."""
    return getattr(model_options.get(RUN), "alone", None) is not None


def wrap_of(options: dict[str, Any]) -> tuple[bool, bool]:
    """Where the canvas is joined to itself, (y, x)."""
    layout = getattr(getattr(options.get(RUN), "settings", None), "layout", None)
    return (False, False) if layout is None else tuple(bool(way) for way in layout.wrap)
