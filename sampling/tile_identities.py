"""A name of its own for each condition in each tile.

The host gives every condition of a run a uuid and tells the model which ones a call is for. What patches keep from step
to step (the statistics of sparse attention, say) they keep by that. All tiles have the same conditions, so what was
kept of one tile would be used for the next.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from ..blending.layout.grid import Rect

Cond = dict[str, Any]


def told_apart(conds: Sequence[list[Cond] | None], tiles: Sequence[Rect], turn: tuple[int, int] = (0, 0)) -> list[list[Cond] | None]:
    """Conditions with uuids of their own for the tiles that go through the model together; the given ones are not changed.

    The same condition has the same uuid at the same place at every step, and another one anywhere else.

    Args:
        conds: as CALC_COND_BATCH gets them; an entry may be None, and a condition may have no uuid.
        tiles: their places, in cells.
        turn: how far the canvas was rolled.
    """
    place = repr((turn, [tuple(tile) for tile in tiles]))
    return [
        None
        if entry is None
        else [{**cond, "uuid": uuid.uuid5(cond["uuid"], place)} if isinstance(cond.get("uuid"), uuid.UUID) else cond for cond in entry]
        for entry in conds
    ]
