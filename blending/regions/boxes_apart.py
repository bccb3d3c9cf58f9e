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
    if not left:
        return []
    ends = np.array([(*box.low, *box.high) for box in left])
    there = np.ones(len(left), bool)
    for index in range(len(left)):
        while there[index] and (other := _partner(left, ends, there, index, gap, may)) is not None:
            left[index] = both(left[index], left[other])
            ends[index] = (*left[index].low, *left[index].high)
            there[other] = False
    return sorted(box for box, is_there in zip(left, there, strict=True) if is_there)


def _partner(boxes: list[Box], ends: np.ndarray, there: np.ndarray, index: int, gap: int, may: Callable[[Box], bool]) -> int | None:
    """The first box that is near to this one and may be one with it."""
    found = there & near_to(ends, boxes[index], gap)
    found[index] = False
    return next((int(one) for one in np.nonzero(found)[0] if may(both(boxes[index], boxes[one]))), None)


def near_to(ends: np.ndarray, box: Box, gap: int) -> np.ndarray:
    """Which of many boxes, int [n, 4] of low and high, lie less than `gap` pixels from one in both directions: bool [n]."""
    (top, left), (bottom, right) = box
    return (ends[:, 0] - bottom < gap) & (top - ends[:, 2] < gap) & (ends[:, 1] - right < gap) & (left - ends[:, 3] < gap)
