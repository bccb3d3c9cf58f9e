"""Objects that the border of a tile cuts: boxes of neighbouring tiles that agree where both tiles see are one box.

An object that reaches through an overlap is seen by two tiles, each as far as its border. Inside the strip that both see, the
two boxes are the same, however little of either lies there; so they are compared inside the strip alone. Comparing the whole
boxes finds them only where the strip is about half of the smaller one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from ..layout.grid import Rect
from .boxes import Detection

# Boxes of two objects share less of the strip than this, those of one more: sides that are 10 px wrong leave 0.7 of a strip of 64.
AGREE = 0.5
# A side this near to the border of its tile, as a share of the box, is where the tile ends and not where the object does.
CUT = 0.02
# Sides that differ by less than this share of the object are two readings of one side, and their mean is better than the farther.
# Parts of a round object that do not reach its end differ by more.
SAME_SIDE = 0.02


def join_cut(found: Sequence[Detection], tiles: Sequence[Rect], canvas: tuple[int, int]) -> list[Detection]:
    """Join the boxes of one label that agree inside the strip that their two tiles see.

    The best agreement first, and never two boxes of one tile: a detector that gives two means two objects.

    Args:
        found: boxes of tiles, in any order: the result does not depend on it.
        tiles: every tile's place.
        canvas: (height, width) of the picture.

    Returns:
        one detection per object, in `Detection.order`, with the highest score and that detector's record.
    """
    line = sorted(found, key=lambda one: one.order)
    group = list(range(len(line)))
    members: dict[int, list[int]] = {i: [i] for i in group}
    for _, a, b in sorted(_agreements(line, tiles)):
        one, other = sorted((group[a], group[b]))
        if one == other or {line[i].tile for i in members[one]} & {line[i].tile for i in members[other]}:
            continue
        for i in members[other]:
            group[i] = one
        members[one] += members.pop(other)
    joined = [_joined([line[i] for i in sorted(parts)], tiles, canvas) for parts in members.values()]
    return sorted(joined, key=lambda one: one.order)


def _agreements(line: Sequence[Detection], tiles: Sequence[Rect]) -> Iterator[tuple[float, int, int]]:
    """(-agreement, index, index) of the boxes that agree inside the strip of their tiles."""
    from torchvision.ops import box_iou  # here, because it takes longer to load than all else of the pack

    by_tile: dict[int, list[int]] = {}
    for i, one in enumerate(line):
        by_tile.setdefault(one.tile, []).append(i)
    numbers = sorted(by_tile)
    corners = torch.tensor([one.corners for one in line], dtype=torch.float64).reshape(-1, 4)
    places = torch.tensor([_ends(tiles[number]) for number in numbers], dtype=torch.float64).reshape(-1, 4)
    for at, number in enumerate(numbers):
        low, high = torch.maximum(places[at, :2], places[at + 1 :, :2]), torch.minimum(places[at, 2:], places[at + 1 :, 2:])
        for later in torch.nonzero((low < high).all(-1)).flatten().tolist():
            ours, theirs = by_tile[number], by_tile[numbers[at + 1 + later]]
            strip = torch.cat((low[later], high[later]))
            share = box_iou(_inside(corners[ours], strip), _inside(corners[theirs], strip)).nan_to_num(0)
            for i, j in torch.nonzero(share >= AGREE).tolist():
                if line[ours[i]].label == line[theirs[j]].label:
                    yield -float(share[i, j]), *sorted((ours[i], theirs[j]))


def _ends(rect: Rect) -> tuple[int, int, int, int]:
    return rect.x, rect.y, rect.x + rect.width, rect.y + rect.height


def _inside(boxes: torch.Tensor, strip: torch.Tensor) -> torch.Tensor:
    """The part of every box that lies in the strip; empty where none does."""
    low = torch.maximum(boxes[:, :2], strip[:2])
    return torch.cat((low, torch.maximum(torch.minimum(boxes[:, 2:], strip[2:]), low)), -1)


def _joined(parts: list[Detection], tiles: Sequence[Rect], canvas: tuple[int, int]) -> Detection:
    """One detection out of the parts of one object, the best of them first.

    Each side is the mean of the parts that see it: those that put it about as far out as the farthest does, and not at the
    border of their tile. The union of noisy boxes would be too large at every side.
    """
    best = parts[0]
    if len(parts) == 1:
        return best.at(best.corners)
    low = [min(part.corners[side] for part in parts) for side in (0, 1)]
    high = [max(part.corners[side] for part in parts) for side in (2, 3)]
    outermost, sides = (*low, *high), []
    for side in range(4):
        near = SAME_SIDE * (high[side % 2] - low[side % 2])
        seen = [part for part in parts if abs(part.corners[side] - outermost[side]) <= near]
        whole = [part for part in seen if not _is_cut(part, side, tiles[part.tile], canvas)]
        sides.append(sum(sorted(part.corners[side] for part in whole)) / len(whole) if whole else outermost[side])
    return best.at(sides)


def _is_cut(part: Detection, side: int, rect: Rect, canvas: tuple[int, int]) -> bool:
    """Whether a side lies at a border of its tile that is none of the picture."""
    border = _ends(rect)[side]
    if border <= 0 or border >= canvas[1 - side % 2]:
        return False
    length = part.corners[side % 2 + 2] - part.corners[side % 2]
    return abs(part.corners[side] - border) <= max(1.0, CUT * length)
