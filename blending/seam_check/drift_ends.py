"""A strong drift of tone over an overlap: one tile's own, or the scene's shading?

Without a reference both look alike across the boundary. Along it they do not: a tile's drift ends
where the tile ends, at its corners, while a shading of the scene runs on along the same line, or
ends somewhere else. So a drift that is the same along the whole boundary and clearly another (or
none) right behind each of its ends belongs to a tile, however strong it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .boundaries import Boundary
from .controls import MOST_Z
from .drift import EVEN, Drift
from .surroundings import segments

SAME = 0.25  # of the drift: how much it may vary along the boundary
OTHER = 0.4  # of the drift: from here on what lies behind its end is another
LEAST_CLEAR = 3  # segments of a boundary that no corner reaches into
BEHIND = 2  # segments looked at behind an end


def ending_drifts(found: Sequence[Boundary], drifts: Sequence[Drift | None]) -> list[tuple[torch.Tensor, torch.Tensor] | None]:
    """Per boundary, which of N pictures have a drift there that ends with the tile: (bool [N], plane [N]).

    None for a boundary whose drift could not be measured, or which is alone on its line.

    Args:
        found: all boundaries of a layout.
        drifts: what was measured at each.
    """
    on_line = {(b.vertical, b.band, b.along[0]): index for index, b in enumerate(found)}
    at_end = {(b.vertical, b.band, b.along[1]): index for index, b in enumerate(found)}
    corners = {vertical: sorted({b.band for b in found if b.vertical != vertical}) for vertical in (True, False)}
    clear = [_clear(boundary, corners[boundary.vertical]) for boundary in found]
    result: list[tuple[torch.Tensor, torch.Tensor] | None] = []
    for index, (boundary, drift) in enumerate(zip(found, drifts, strict=True)):
        # The neighbours on the same line, and the segments of theirs that lie nearest.
        before = at_end.get((boundary.vertical, boundary.band, boundary.along[0]))
        after = on_line.get((boundary.vertical, boundary.band, boundary.along[1]))
        sides = [
            (other, clear[other][-BEHIND:] if other == before else clear[other][:BEHIND]) for other in (before, after) if other is not None
        ]
        if drift is None or len(clear[index]) < LEAST_CLEAR or not sides or any(drifts[o] is None or not near for o, near in sides):
            result.append(None)
            continue
        size = drift.size[..., None]
        own = (drift.where[..., clear[index]] - size).abs() < SAME * size.abs()
        ends = drift.shaped & (own.float().mean(-1) >= EVEN) & own[..., 0] & own[..., -1]
        for other, near in sides:
            behind = drifts[other].where[..., near].mean(-1)
            ends &= (behind - drift.size).abs() > OTHER * drift.size.abs()
        plane = torch.where(ends, drift.z + 2 * MOST_Z, drift.z).argmax(1)
        result.append((ends.any(1), plane))
    return result


def _clear(boundary: Boundary, corners: Sequence[tuple[int, int]]) -> list[int]:
    """The segments that no overlap of the other direction reaches into."""
    return [i for i, (start, stop) in enumerate(segments(boundary)) if not any(start < b and a < stop for a, b in corners)]
