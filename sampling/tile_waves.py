"""Which tiles may be sampled at the same time, where each is to see its finished neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..blending.layout.grid import Rect


def waves(rects: Sequence[Rect], canvas: tuple[int, int], most: int = 1) -> Iterator[list[int]]:
    """Groups of tiles, one after the other: a tile comes when all tiles before it that it overlaps are finished.

    What a tile sees of the canvas, and what it leaves there, is so the same as if the tiles had been sampled one by one in their
    order. In a grid, a tile may come with the one in the next row that is two columns behind it.

        >>> row = [Rect(0, x, 8, 8) for x in (0, 6, 12)]
        >>> list(waves([*row, *(one._replace(y=6) for one in row)], (14, 20), most=2))
        [[0], [1], [2, 3], [4], [5]]

    Args:
        rects: the tiles in their order, in cells; they may reach over the canvas' end.
        canvas: (height, width) in cells.
        most: tiles in a group, at most.

    Yields:
        positions in `rects`, ascending.
    """
    spans = [tuple(_span(rect[axis], rect[axis + 2], canvas[axis]) for axis in (0, 1)) for rect in rects]
    waits_for = [{i for i in range(j) if all(map(_meet, spans[i], spans[j]))} for j in range(len(rects))]
    if most == 1:
        yield from ([one] for one in range(len(rects)))
        return
    # Tiles in the longest chain of those that wait for one another, from this one on: long chains begin first.
    chain = [1] * len(rects)
    for one in reversed(range(len(rects))):
        for before in waits_for[one]:
            chain[before] = max(chain[before], chain[one] + 1)
    unfinished = set(range(len(rects)))
    while unfinished:
        ready = [one for one in unfinished if not waits_for[one] & unfinished]
        group = sorted(sorted(ready, key=lambda one: (-chain[one], one))[:most])
        yield group
        unfinished.difference_update(group)


def _span(start: int, length: int, size: int) -> tuple[int, int]:
    """First cell that a tile looks at along an axis, and the one behind its last: over the canvas' end it sees its mirror image."""
    end = start + length
    return (start, end) if end <= size else (max(min(start, 2 * size - 1 - end), 0), size)


def _meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]
