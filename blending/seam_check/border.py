"""Boundaries of a picture that is joined to itself, with what lies beyond the border beside them.

What is read of a picture is read from a copy that goes on at its other side, as far as any test looks; boundaries are moved
onto it, and what was found is moved back.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from ..layout.grid_layout import GridLayout
from .boundaries import Boundary
from .report import SeamRow
from .surroundings import ARM, CONTROL_REACH

Ends = tuple[int, int]


def far_ends(layout: GridLayout, found: list[Boundary], height: int, width: int) -> Ends:
    """How many pixels (y, x) of the other side the picture goes on for at either end; 0 along an axis that does not wrap."""
    ends = []
    for vertical, size, wraps in ((False, height, layout.wrap[0]), (True, width, layout.wrap[1])):
        here = [b for b in found if b.vertical == vertical]
        most = max((b.tile + 3 * abs(b.band[1] - b.band[0]) + 2 * (CONTROL_REACH + ARM) for b in here), default=0)
        ends.append(min(most, size) if wraps else 0)
    return tuple(ends)


def continued_picture(image: torch.Tensor, ends: Ends) -> torch.Tensor:
    """[B, H, W, C] with so much of its other side at either end."""
    for dim, end in zip((1, 2), ends, strict=True):
        if end:
            size = image.shape[dim]
            image = torch.cat((image.narrow(dim, size - end, end), image, image.narrow(dim, 0, end)), dim)
    return image


def moved(boundary: Boundary, ends: Ends, height: int, width: int) -> Boundary:
    """A boundary of the picture, on the continued one."""
    across, along, size = (ends[1], ends[0], width) if boundary.vertical else (ends[0], ends[1], height)
    turns = (-size, 0, size) if across else (0,)
    edges = (edge + turn + across for edge in boundary.edges for turn in turns)
    return replace(
        boundary,
        lines=tuple(line + across for line in boundary.lines),
        band=(boundary.band[0] + across, boundary.band[1] + across),
        along=(boundary.along[0] + along, boundary.along[1] + along),
        edges=tuple(sorted({edge for edge in edges if 0 < edge < size + 2 * across})),
    )


def moved_back(row: SeamRow, ends: Ends, height: int, width: int) -> SeamRow:
    """What was found at a boundary of the continued picture, on the picture."""
    across, along, size = (ends[1], ends[0], width) if row.vertical else (ends[0], ends[1], height)
    return replace(
        row,
        line=(row.line - across) % size if across else row.line,
        middle=(row.middle - across) % size if across else row.middle,
        along=tuple(place - along for place in row.along),
        worst=tuple(place - along for place in row.worst),
    )
