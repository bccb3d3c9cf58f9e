"""Where two neighbouring tiles of a layout meet, in the pixels of a finished picture.

A seam of a blend lies on one of three lines: the middle of the overlap (a hard cut, and the
steepest part of every ramp), and both ends of it (tiles that are averaged, windows that do not
reach zero). With no overlap the three are one. One boundary is one pair of neighbours: a piece of
a grid line as long as the tiles' own share of it, so that a report can name two tiles.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

from ..layout.grid import MAX_LENGTH, Axis
from ..layout.grid_layout import GridLayout

LEAST_ALONG = 8


@dataclass(frozen=True)
class Boundary:
    """One pair of neighbours. All lengths are pixels of the picture; "across" runs from tile to tile.

    Attributes:
        tiles: their indices in the layout.
        vertical: True where the line runs from top to bottom (neighbours beside each other).
        lines: candidate lines, each the first pixel after it, the middle of the overlap first.
        band: (start, stop) of the overlap, across.
        along: (start, stop) of the piece that is the pair's own.
        edges: every line of this direction, of all pairs; no control may lie near one.
        tile: the tile's length across.
    """

    tiles: tuple[int, int]
    vertical: bool
    lines: tuple[int, ...]
    band: tuple[int, int]
    along: tuple[int, int]
    edges: tuple[int, ...]
    tile: int


def check_size(height: int, width: int, layout: GridLayout) -> None:
    """Refuse a picture that is not the layout's canvas at one scale.

    Raises:
        ValueError: naming both sizes.
    """
    canvas = layout.canvas
    low = max(Fraction(2 * side - 1, 2 * planned) for side, planned in zip((height, width), canvas, strict=True))
    high = min(Fraction(side + 1, planned) for side, planned in zip((height, width), canvas, strict=True))
    if low >= high or max(height, width) > MAX_LENGTH:
        raise ValueError(
            f"the picture is {width} x {height} and the layout was planned for {canvas[1]} x {canvas[0]}, which is not one scale for "
            "both sides: connect the layout of the Tile Split that cut this picture, or the picture before it was cropped"
        )


def _first_pixel(at: float, factor: float, size: int) -> int:
    """The first pixel whose centre lies at or after source position `at`."""
    return min(max(math.ceil(at * factor - 0.5), 0), size)


def _axis_lines(axis: Axis, size: int) -> list[tuple[int, int, int]]:
    """(start, middle, stop) of each overlap, in pixels of the picture; of an axis that wraps that with the last tile first."""
    factor = size / axis.size
    origins = axis.origins
    if axis.wraps and len(origins) > 1:
        origins = (origins[-1] - axis.size, *origins)
        size *= 2  # the overlap of a next but one may go on behind the end
    found = []
    for a, b in itertools.pairwise(origins):
        found.append(tuple(_first_pixel(at, factor, size) for at in (b, (a + axis.tile + b) / 2, a + axis.tile)))
    return found


def boundaries(layout: GridLayout, height: int, width: int) -> list[Boundary]:
    """All pairs of neighbours of `layout` on a picture of that size.

    Where it wraps around, the last tile and the first one are neighbours; a line may then be 0, and where the other
    direction wraps, the tiles that reach over the border have a boundary in each of their two parts.

    Raises:
        ValueError: where the picture is not the layout's canvas at one scale.
    """
    check_size(height, width, layout)
    sizes = (height, width)
    lines = [_axis_lines(axis, size) for axis, size in zip(layout.axes, sizes, strict=True)]
    rows, columns = layout.counts
    found = []
    counts, joined = (rows, columns), tuple(axis.wraps and len(axis.origins) > 1 for axis in layout.axes)
    for vertical in (True, False):
        across, along = (1, 0) if vertical else (0, 1)
        size = sizes[across]
        least = -1 if joined[across] else 0
        edges = tuple(sorted({line for three in lines[across] for line in three if least < line < size}))
        tile = max(1, round(layout.axes[across].tile * size / layout.axes[across].size))
        cuts = [0, *(min(middle, sizes[along]) for _, middle, _ in lines[along]), sizes[along]]
        for piece, (start, stop) in enumerate(itertools.pairwise(cuts)):
            for index, (first, middle, last) in enumerate(lines[across]):
                candidates = tuple(dict.fromkeys(line for line in (middle, first, last) if least < line < size))
                if not candidates or stop - start < 1:
                    continue
                # The first overlap of a joined axis is that of the last tile with the first one, and so is the first piece.
                before, here = (
                    (index - 1) % counts[across] if joined[across] else index,
                    (piece - 1) % counts[along] if joined[along] else piece,
                )
                after = (before + 1) % counts[across]
                pair = tuple(here * columns + at if vertical else at * columns + here for at in (before, after))
                found.append(Boundary(pair, vertical, candidates, (first, last), (start, stop), edges, tile))
    return found
