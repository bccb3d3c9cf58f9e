"""Boxes of what is marked in a picture, joined where they come too near to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..layout.grid import Rect

MOST_PARTS = 4096  # more are noise, and comparing each with each would take minutes


class Box(NamedTuple):
    """From `low` (y, x) to `high`, which is one past the last pixel."""

    low: tuple[int, int]
    high: tuple[int, int]

    @property
    def rect(self) -> Rect:
        """As a rectangle."""
        return Rect(*self.low, self.high[0] - self.low[0], self.high[1] - self.low[1])


def parts_of(lit: np.ndarray, apart: int = 0) -> list[Box]:
    """The boxes of the connected parts (by sides and corners) of a bool [H, W], from the top down.

    Parts less than about `apart` pixels from each other are one, whatever lies between them. ValueError for more than MOST_PARTS.
    """
    near = lit
    for axis in (0, 1) if apart > 1 else ():
        near = ndimage.maximum_filter1d(near, 2 * (apart // 2) + 1, axis)
    labels, _ = ndimage.label(near, structure=np.ones((3, 3), int))
    labels[~lit] = 0
    found = [one for one in ndimage.find_objects(labels) if one is not None]
    if len(found) > MOST_PARTS:
        raise ValueError(
            f"the mask falls into {len(found)} parts, more than {MOST_PARTS}: smooth it, or take its specks out, before it comes here"
        )
    return sorted(Box((rows.start, columns.start), (rows.stop, columns.stop)) for rows, columns in found)


def grown(box: Box, by: int, canvas: tuple[int, int]) -> Box:
    """A box with so many pixels more at every side, as far as the canvas (height, width) goes."""
    low = tuple(max(end - by, 0) for end in box.low)
    high = tuple(min(end + by, size) for end, size in zip(box.high, canvas, strict=True))
    return Box(low, high)


def both(a: Box, b: Box) -> Box:
    """The box around two."""
    return Box(tuple(map(min, a.low, b.low)), tuple(map(max, a.high, b.high)))


def near(a: Box, b: Box, gap: int) -> bool:
    """Whether two boxes lie less than `gap` pixels apart in both directions."""
    return all(a.low[axis] - b.high[axis] < gap and b.low[axis] - a.high[axis] < gap for axis in (0, 1))


def joined(boxes: Iterable[Box], gap: int, may: Callable[[Box], bool] = lambda box: True) -> list[Box]:
    """The boxes, those that lie less than `gap` pixels apart made one, again and again, where the box around them `may` be.

    In order of their upper left corners.
    """
    left = sorted(boxes)
    done: list[Box] = []
    while left:
        box = left.pop(0)
        partner = next((other for other in left if near(box, other, gap) and may(both(box, other))), None)
        if partner is None:
            # What was done before may be near to what has grown since.
            partner = next((other for other in done if near(box, other, gap) and may(both(box, other))), None)
            if partner is None:
                done.append(box)
                continue
            done.remove(partner)
        else:
            left.remove(partner)
        left.insert(0, both(box, partner))
    return sorted(done)
