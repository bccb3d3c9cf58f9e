"""Smaller tiles after the memory ran out."""

from __future__ import annotations

from dataclasses import replace

from ..pixels.counted import counted
from .tile_plan import TilePlan

SHRINK = 0.75
MOST_BACK_OFFS = 5


class BackOff:
    """Smaller tiles after the memory ran out, a few times and no more.

    Args:
        multiple_of: sides of tiles are multiples of it.
        smallest: side of a tile, in pixels.
        most: how often.

    Attributes:
        count: how often it has been done.
    """

    def __init__(self, multiple_of: int = 8, smallest: int = 64, most: int = MOST_BACK_OFFS) -> None:
        self.multiple_of, self.smallest, self.most = multiple_of, smallest, most
        self.count = 0

    def next(self, plan: TilePlan) -> TilePlan:
        """What to try after `plan` ran out of memory: one tile at a time where it was several, else tiles of three quarters the side.

        Raises:
            RuntimeError: where that has been done `most` times, or tiles cannot be smaller; it says what to do.
        """
        size = f"{plan.tile_width} x {plan.tile_height} px"
        advice = "Close other programs that use the memory, unload models, or use a smaller model"
        if self.count >= self.most:
            raise RuntimeError(f"out of memory with tiles of {size}, after making them smaller {counted(self.count, 'time')}. {advice}")
        if plan.tile_batch > 1:
            smaller = replace(plan, tile_batch=1, candidates=())
        else:
            sides = self._shorter(plan.tile_width, plan.overlap), self._shorter(plan.tile_height, plan.overlap)
            if sides == (plan.tile_width, plan.tile_height):
                raise RuntimeError(
                    f"out of memory with tiles of {size}, and with an overlap of {plan.overlap} px they cannot be smaller. "
                    f"{advice}, or a smaller overlap"
                )
            smaller = replace(plan, tile_width=sides[0], tile_height=sides[1], candidates=())
        self.count += 1
        return smaller

    def _shorter(self, side: int, overlap: int) -> int:
        least = max(-(-self.smallest // self.multiple_of), -(-overlap // self.multiple_of) + 1) * self.multiple_of
        return min(side, max(int(side * SHRINK) // self.multiple_of * self.multiple_of, least))
