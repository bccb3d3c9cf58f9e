"""Tiles around objects: a grid whose ramps miss them, and tiles of their own for those that no line can avoid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..layout.grid import Rect, check_plan
from ..layout.grid_layout import GridLayout
from ..layout.region_layout import RegionLayout
from ..layout.tile_layout import TileLayout
from ..pixels.counted import counted
from .boxes_apart import MOST_PARTS, Box, both, grown, joined, near, near_to, parts_of
from .mask_regions import span_around
from .object_cuts import Cuts, plan_cuts

AVOID, OWN = "avoid", "own tile"
OBJECTS = (AVOID, OWN)


class ObjectPlan(NamedTuple):
    """A layout around objects, and what became of them.

    Attributes:
        layout: a grid; with regions over it where objects have tiles of their own.
        objects: how many there are.
        own: the numbers of the tiles of their own, and which boxes each holds.
        cut: the boxes that a ramp still crosses.
        under, even: how much of the objects lies under the ramps, in pixels, here and in the even grid.
    """

    layout: TileLayout
    objects: int
    own: list[tuple[int, Box]]
    cut: list[Box]
    under: float
    even: float


def object_layout(
    canvas: tuple[int, int],
    tile: tuple[int, int],
    overlap: int,
    multiple_of: int = 8,
    mask: np.ndarray | None = None,
    boxes: Sequence[Rect] = (),
    objects: str = AVOID,
    margin: int = 64,
    largest: int = 2048,
) -> ObjectPlan:
    """Plan tiles around objects.

    Args:
        canvas, tile: (height, width), pixels.
        overlap: pixels; neighbours share at least so many, and ramps are so wide.
        multiple_of: tiles' origins are multiples of it.
        mask: bool [H, W] of the canvas, the objects' pixels; its connected parts are objects.
        boxes: further objects, each all of its rectangle.
        objects: one of OBJECTS.
        margin: pixels around an object that its own tile shows, and fades out over.
        largest: pixels, the longest side that a tile of its own may have.

    Raises:
        ValueError: for sizes that make no sense, boxes outside of the canvas.
    """
    if objects not in OBJECTS:
        raise ValueError(f"objects {objects!r} is not known: use {' or '.join(OBJECTS)}")
    check_plan(*canvas, *tile, overlap, multiple_of)
    for name, value in (("margin", margin), ("largest", largest)):
        if value < 0:
            raise ValueError(f"{name} {value} is negative: use 0 or more")
    there = np.zeros(canvas, bool) if mask is None else mask.copy()
    found = parts_of(there)
    for rect in boxes:
        box = _checked(rect, canvas)
        there[box.low[0] : box.high[0], box.low[1] : box.high[1]] = True
        found.append(box)
    if len(found) > MOST_PARTS:
        raise ValueError(f"there are {len(found)} objects, more than {MOST_PARTS}: leave out the small ones, for example by their score")
    cuts = [plan_cuts(there.sum(1 - axis, dtype=np.float64), tile[axis], overlap, multiple_of) for axis in (0, 1)]
    grid = _grid(canvas, tile, cuts)
    cut = [box for box in found if _crossed(box, cuts, there)]
    under = sum(one.cost for one in cuts)
    even = _under_even(there, tile, overlap, multiple_of)
    if objects == AVOID or not cut:
        return ObjectPlan(grid, len(found), [], cut, under, even)
    layout, own, still = _with_own_tiles(grid, found, cut, margin, largest, multiple_of)
    return ObjectPlan(layout, len(found), own, still, under, even)


def _checked(rect: Rect, canvas: tuple[int, int]) -> Box:
    """A box within the canvas; one that reaches over it by a pixel is rounded, further it is of another picture."""
    ends = (rect.y + rect.height, rect.x + rect.width)
    if min(rect.height, rect.width) < 1 or min(rect.y, rect.x) < -1 or any(e > size + 1 for e, size in zip(ends, canvas, strict=True)):
        raise ValueError(
            f"the box at x {rect.x}, y {rect.y} of {rect.width} x {rect.height} does not lie in the picture of {canvas[1]} x {canvas[0]}: "
            "detect on the picture that is cut, or connect it to image"
        )
    low = (min(max(rect.y, 0), canvas[0] - 1), min(max(rect.x, 0), canvas[1] - 1))
    return Box(low, (max(min(ends[0], canvas[0]), low[0] + 1), max(min(ends[1], canvas[1]), low[1] + 1)))


def _grid(canvas: tuple[int, int], tile: tuple[int, int], cuts: Sequence[Cuts]) -> GridLayout:
    ys, xs = cuts
    tiles = tuple(Rect(y, x, *tile) for y in ys.origins for x in xs.origins)
    return GridLayout(canvas, tiles, ramp_places=(ys.ramps, xs.ramps))


def _crossed(box: Box, cuts: Sequence[Cuts], there: np.ndarray) -> bool:
    """Whether something of the object lies under a ramp."""
    inside = there[box.low[0] : box.high[0], box.low[1] : box.high[1]]
    for axis, one in enumerate(cuts):
        along = inside.any(1 - axis)
        for start, stop in one.ramps:
            if along[max(start - box.low[axis], 0) : max(stop - box.low[axis], 0)].any():
                return True
    return False


def _under_even(there: np.ndarray, tile: tuple[int, int], overlap: int, multiple_of: int) -> float:
    even = GridLayout.even(*there.shape, *tile, overlap, multiple_of)
    total = 0.0
    for axis, line in enumerate(even.axes):
        per_line = there.sum(1 - axis, dtype=np.float64)
        total += sum(per_line[b : a + line.tile].sum() for a, b in zip(line.origins, line.origins[1:], strict=False))
    return float(total)


def _with_own_tiles(
    grid: GridLayout, found: Sequence[Box], cut: Sequence[Box], margin: int, largest: int, multiple_of: int
) -> tuple[TileLayout, list[tuple[int, Box]], list[Box]]:
    """The grid with regions over it, the tiles of their own, and the objects that stay cut."""
    limit = largest // multiple_of * multiple_of

    def fits(box: Box) -> bool:
        return all(high - low <= limit for low, high in zip(box.low, box.high, strict=True))

    boxes = _gathered([box for box in cut if fits(box)], found, margin, limit, fits)
    if not boxes:
        return grid, [], list(cut)
    tiles, ramps, still = [], [], [box for box in cut if not fits(box)]
    ends = np.array([(*box.low, *box.high) for box in found])
    for box in boxes:
        # Another tile of its own keeps half of the room between them, an object without one all of it.
        beside = [found[i] for i in np.nonzero(near_to(ends, box, 2 * margin + 1))[0]]
        others = [(other, 2) for other in boxes if other is not box] + [(one, 1) for one in beside if not _inside(one, box)]
        room = _room(box, margin, limit)
        ramps.append(min([room, *(_gap(box, other) // share for other, share in others)]))
        wide = grown(box, room, grid.canvas)
        spans = [span_around(wide.low[axis], wide.high[axis], 1, grid.canvas[axis], multiple_of) for axis in (0, 1)]
        tiles.append(Rect(spans[0][0], spans[1][0], spans[0][1], spans[1][1]))
        still += [other for other, _ in others if near(box, other, 0) and other not in still and not _held(other, boxes, box)]
    count = len(grid.tiles)
    layout = RegionLayout(
        grid.canvas,
        (*grid.tiles, *tiles),
        grid_tiles=count,
        ramp_places=grid.ramp_places,
        cores=tuple(box.rect for box in boxes),
        ramps=tuple(ramps),
    )
    return layout, [(count + index, box) for index, box in enumerate(boxes)], still


def _gathered(own: list[Box], found: Sequence[Box], margin: int, limit: int, fits: Callable[[Box], bool]) -> list[Box]:
    """The boxes that get tiles: those that would fade out over each other are one, and so are objects that one would fade out over."""
    ends = np.array([(*box.low, *box.high) for box in found])
    while True:
        own, grew = joined(own, 2 * margin, fits), False
        for index, box in enumerate(own):
            for other in np.nonzero(near_to(ends, box, _room(box, margin, limit)))[0]:
                wider = both(own[index], found[other])
                if wider != own[index] and fits(wider):
                    own[index], grew = wider, True
        if not grew:
            return own


def _room(box: Box, margin: int, limit: int) -> int:
    """How many pixels of margin a tile has beside an object that it holds, at most `limit` large."""
    return min(margin, *((limit - (high - low)) // 2 for low, high in zip(box.low, box.high, strict=True)))


def _inside(a: Box, b: Box) -> bool:
    return all(a.low[axis] >= b.low[axis] and a.high[axis] <= b.high[axis] for axis in (0, 1))


def _held(box: Box, boxes: Sequence[Box], but: Box) -> bool:
    """Whether a tile of its own that is painted later holds the whole box."""
    return any(_inside(box, other) for other in boxes[boxes.index(but) + 1 :])


def _gap(a: Box, b: Box) -> int:
    """How many pixels lie between two boxes, along the axis where they are further apart; 0 where they overlap."""
    return max(0, *(max(a.low[axis] - b.high[axis], b.low[axis] - a.high[axis]) for axis in (0, 1)))


def describe_objects(plan: ObjectPlan) -> list[str]:
    """What became of the objects, in short lines for people."""
    tiles = counted(len(plan.layout.tiles) - len(plan.own), "tile")
    lines = [f"{counted(plan.objects, 'object')}, {tiles}" + (f" and {len(plan.own)} of objects" if plan.own else "")]
    if plan.even and not plan.under:
        lines.append("no border crosses an object; an even grid's would")
    elif plan.even:
        lines.append(f"borders cross {100 * plan.under / plan.even:.0f} % of what an even grid's would")
    elif plan.objects:
        lines.append("no border crosses an object; an even grid's would not either")
    for number, box in plan.own:
        rect = box.rect
        lines.append(f"tile {number} is an object's own: x {rect.x}, y {rect.y}, {rect.width} x {rect.height}")
    for box in plan.cut:
        rect = box.rect
        lines.append(f"stays cut: the object at x {rect.x}, y {rect.y}, {rect.width} x {rect.height}")
    return lines
