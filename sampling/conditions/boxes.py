"""GLIGEN text boxes, moved and clipped into a tile.

The host counts the boxes of an area prompt from the area's corner. So are those that a tile's own prompt brings along,
where all of them fit in the tile; one that reaches over it can only have been meant for the whole canvas.
"""

from __future__ import annotations

from typing import Any

from ...blending.layout.grid import Rect


def _clipped(start: int, length: int, size: int) -> tuple[int, int]:
    low, high = max(start, 0), min(start + length, size)
    return low, high - low


def boxes_fit(gligen: tuple[Any, ...], frame: Rect) -> bool:
    """Whether every box of the host's GLIGEN condition ends within a `frame` that it is counted from the corner of."""
    if gligen[0] != "position":
        return True
    known = [box[1:] for box in gligen[2] if len(box) == 5]
    return all(y + height <= frame.height and x + width <= frame.width for height, width, y, x in known)


def cut_boxes(gligen: tuple[Any, ...], view: Rect) -> tuple[Any, ...]:
    """The host's GLIGEN condition for a tile.

    Args:
        gligen: ("position", model, [(embedding, height, width, y, x), ...]) in latent cells, or the host's form for
            no boxes, which is passed on.
        view: the tile, in cells, seen from the corner the boxes are counted from.

    Returns:
        the same with every box moved into the tile and clipped to it; those that lie outside are dropped.

    Raises:
        ValueError: where the condition has another form.
    """
    if gligen[0] != "position":
        return gligen
    kept = []
    for box in gligen[2]:
        if len(box) != 5:
            raise ValueError(
                f"a GLIGEN box of {len(box)} values cannot be cut into tiles (known: embedding, height, width, y, x): "
                "remove the GLIGEN boxes or sample without tiles"
            )
        embedding, height, width, y, x = box
        y, height = _clipped(y - view.y, height, view.height)
        x, width = _clipped(x - view.x, width, view.width)
        if height > 0 and width > 0:
            kept.append((embedding, height, width, y, x))
    return (*gligen[:2], kept, *gligen[3:])
