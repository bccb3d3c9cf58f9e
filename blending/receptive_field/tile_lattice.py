"""On multiples of what tiles must start for a model to do the same in each: strides, and windows of attention, repeat."""

from __future__ import annotations

import math
from collections.abc import Callable

SHIFTS = (1, 2, 4, 8, 16, 32, 64)
USUAL = 8


def find_lattice(shifted: Callable[[int], float], longest: int, step: int, rounding: float, affords: Callable[[], bool]) -> int:
    """The smallest step by which a tile may be shifted and still do the same in its middle.

    Args:
        shifted: the largest change in the middle of a tile that starts so many pixels farther.
        longest: a shift that is none to any model; what a border changes in the middle is seen in it.
        step: shifts are multiples of it.
        rounding: a change that rounding alone may make.
        affords: whether there is budget for one more run. Where there is none, the usual lattice is taken.
    """
    longest = longest // step * step
    unshifted = shifted(longest)
    for shift in (one for one in SHIFTS if one % step == 0 and one < longest):
        if not affords():
            return math.lcm(USUAL, step)
        if shifted(shift) <= 2 * unshifted + rounding:
            return shift
    return longest
