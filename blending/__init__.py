"""Tilework's mathematics: tiling and seamless composition in plain torch.

Knows nothing of ComfyUI, and works in a plain interpreter:

    from blending import TileLayout, compose, cut
    layout = TileLayout.grid(height, width, 512, 512, overlap=64)
    picture = compose((model(tile) for tile in cut(image, layout)), layout)
"""

from .canvas import METHODS, compose
from .cutting import cut, cut_cells
from .layout import Axis, Rect, TileLayout
from .mosaic import Mosaic

__all__ = ["METHODS", "Axis", "Mosaic", "Rect", "TileLayout", "compose", "cut", "cut_cells"]
