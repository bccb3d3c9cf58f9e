"""Detections as other nodes give them: read in every form of BOUNDING_BOX, and written in one.

A box is a dict with x, y, width and height in pixels. `label`, `score` and whatever else a detector adds may be there or not,
and is kept. A value holds one box, the boxes of one picture, or one such list for each picture of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..layout.grid import Rect
from ..pixels.counted import counted

SIDES = ("x", "y", "width", "height")
UNSCORED = 1.0


@dataclass(frozen=True)
class Detection:
    """A box in the picture, and what its detector said of it.

    Attributes:
        corners: (left, top, right, bottom), in pixels of the picture.
        record: the detector's own dict.
        tile: the tile that it was found in; None for a pass over the whole picture.
    """

    corners: tuple[float, float, float, float]
    record: dict[str, Any]
    tile: int | None = None

    @property
    def score(self) -> float:
        """How sure the detector is; 1 where it does not say."""
        score = self.record.get("score")
        return UNSCORED if score is None else float(score)

    @property
    def label(self) -> Hashable:
        """The class, None where the detector names none; in words where it is nothing that can be looked up."""
        label = self.record.get("label")
        return label if label is None or isinstance(label, str | int | float) else repr(label)

    @property
    def order(self) -> tuple:
        """A place in a line that does not depend on the order in which boxes came: the best first, then by corners (as SAHI does)."""
        left, top, right, bottom = self.corners
        return (-self.score, left, top, right, bottom, repr(self.label), repr(sorted(self.record.items(), key=repr)), self.tile or 0)

    def at(self, corners: Sequence[float]) -> Detection:
        """The same detection with other corners, of no tile."""
        return replace(self, corners=tuple(float(value) for value in corners), tile=None)

    def to_record(self) -> dict[str, Any]:
        """The detector's dict with the new place; whole numbers stay whole where all of them were."""
        left, top, right, bottom = self.corners
        place = dict(zip(SIDES, (left, top, right - left, bottom - top), strict=True))
        if all(isinstance(self.record[side], int) for side in SIDES) and all(value == int(value) for value in place.values()):
            place = {side: int(value) for side, value in place.items()}
        return {**self.record, **place}


def read_boxes(value: Any, name: str = "boxes") -> list[list[dict[str, Any]]]:
    """The boxes of each picture that a BOUNDING_BOX value speaks of.

    >>> read_boxes({"x": 0, "y": 0, "width": 8, "height": 8})
    [[{'x': 0, 'y': 0, 'width': 8, 'height': 8}]]
    >>> read_boxes([]), read_boxes([[], []])
    ([[]], [[], []])

    Args:
        value: one box, a list of boxes (of one picture), or a list with a list for each picture; None for nothing found.
        name: what it is, for messages.

    Raises:
        ValueError: for anything else, and for a box that is none.
    """
    if value is None:
        return [[]]
    if isinstance(value, dict):
        pictures = [[value]]
    elif isinstance(value, list | tuple) and all(isinstance(one, list | tuple) for one in value):
        pictures = [list(one) for one in value] or [[]]
    elif isinstance(value, list | tuple):
        pictures = [list(value)]
    else:
        raise ValueError(
            f"{name} is a {type(value).__name__}: expected boxes, as Run Real-Time Detection, SAM3 Detect and others give them"
        )
    for picture in pictures:
        for index, box in enumerate(picture):
            _check_box(box, f"box {index} of {name}")
    return pictures


def _check_box(box: Any, name: str) -> None:
    if not isinstance(box, dict) or any(side not in box for side in SIDES):
        raise ValueError(f"{name} is {str(box)[:80]}: expected a box with x, y, width and height in pixels")
    for key in (*SIDES, "score"):
        value = box.get(key)
        if key == "score" and value is None:
            continue
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} has the {key} {str(value)[:40]}, which is no number") from error
        if not math.isfinite(number) or (key in ("width", "height") and number < 0):
            raise ValueError(f"{name} has the {key} {number}: sides are finite and 0 or more; the detector that made it went wrong")


def pictures_of_tiles(values: Sequence[Any], tiles: int, batch: int) -> list[list[list[dict[str, Any]]]]:
    """Which boxes each tile has, picture by picture of the batch.

    An item for each tile is what a detector gives behind Tile Split. Where tiles were joined into batches on the way, the
    pictures of all items follow each other in the order of the tiles. Boxes of one picture that stand for a tile of several
    are meant for each of them, as the host's own nodes read it.

    Args:
        values: the items that came.
        tiles: how many tiles the layout has.
        batch: how many pictures lie on its canvas.

    Returns:
        [batch][tiles] lists of boxes.

    Raises:
        ValueError: where not exactly the boxes of these tiles came.
    """
    items = [read_boxes(value, f"item {index} of boxes") for index, value in enumerate(values)]
    if len(items) == tiles and all(len(item) in (1, batch) for item in items):
        flat = [one for item in items for one in (item if len(item) == batch else item * batch)]
    else:
        flat = [one for item in items for one in item]
    if len(flat) != tiles * batch:
        plan = counted(tiles, "tile") + (f" of {counted(batch, 'picture')}" if batch > 1 else "")
        raise ValueError(
            f"the layout has {plan} and boxes of {counted(len(flat), 'picture')} came in {counted(len(items), 'item')}: connect the "
            "detector behind the tiles of the Tile Split that made this layout; boxes of the whole picture go into whole"
        )
    return [flat[picture::batch] for picture in range(batch)]


def detections_of_tile(
    boxes: Sequence[dict[str, Any]], rect: Rect, canvas: tuple[int, int], tile: int, scale: float = 1
) -> list[Detection]:
    """Boxes of one tile at their places in the picture.

    What reaches over the tile's sides or the picture's is taken off; what lies only there, in mirrored pixels, is left out.

    Args:
        boxes: in pixels of the tile as the detector saw it.
        rect: where the tile lies.
        canvas: (height, width) of the picture.
        tile: its number.
        scale: pixels of the tile as the detector saw it per pixel of the picture.

    Raises:
        ValueError: for a box that lies outside of the tile altogether.
    """
    found = []
    bottom, right = min(rect.y + rect.height, canvas[0]), min(rect.x + rect.width, canvas[1])
    for index, box in enumerate(boxes):
        x, y, width, height = (float(box[side]) / scale for side in SIDES)
        if not (x < rect.width and y < rect.height and x + width > 0 and y + height > 0) and width * height > 0:
            raise ValueError(
                f"box {index} of tile {tile} lies at x {x * scale:g}, y {y * scale:g}, outside of the tile ({rect.width * scale:g} x "
                f"{rect.height * scale:g} px): boxes must be in pixels of the tile; boxes of the whole picture go into whole, and for "
                "tiles that were resized before the detector saw them set scale"
            )
        corners = (max(x, 0) + rect.x, max(y, 0) + rect.y, min(x + width + rect.x, right), min(y + height + rect.y, bottom))
        if corners[0] < corners[2] and corners[1] < corners[3]:
            found.append(Detection(corners, box, tile))
    return found


def detections_of_picture(boxes: Sequence[dict[str, Any]], canvas: tuple[int, int]) -> list[Detection]:
    """Boxes that were found in the picture as a whole; as `detections_of_tile`."""
    rect = Rect(0, 0, *canvas)
    try:
        found = detections_of_tile(boxes, rect, canvas, 0)
    except ValueError as error:
        raise ValueError(
            f"a box of whole lies outside of the picture of {canvas[1]} x {canvas[0]} px that the layout was made for: whole takes "
            "boxes in pixels of that picture; connect the detector to the picture that went into Tile Split"
        ) from error
    return [replace(one, tile=None) for one in found]
