"""Tilework's mathematics: tiling and seamless composition in plain torch.

Knows nothing of ComfyUI, and works in a plain interpreter:

    from blending import TileLayout, compose, cut
    layout = TileLayout.grid(height, width, 512, 512, overlap=64)
    picture = compose((model(tile) for tile in cut(image, layout)), layout)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .composition.compose import compose
    from .composition.methods import METHODS
    from .layout.cutting import cut, cut_cells
    from .layout.grid import Axis, Rect
    from .layout.grid_layout import GridLayout
    from .layout.mosaic import Mosaic
    from .layout.tile_layout import TileLayout

_HOMES = {
    "METHODS": "composition.methods",
    "compose": "composition.compose",
    "cut": "layout.cutting",
    "cut_cells": "layout.cutting",
    "Axis": "layout.grid",
    "Rect": "layout.grid",
    "GridLayout": "layout.grid_layout",
    "Mosaic": "layout.mosaic",
    "TileLayout": "layout.tile_layout",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    """What the package offers, loaded when it is asked for: ComfyUI waits for every pack when it starts."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("." + _HOMES[name], __name__), name)
