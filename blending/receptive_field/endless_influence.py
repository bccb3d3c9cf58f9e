"""Whether what lies beyond a window changes all of the window: the verdict that a network sees the whole picture.

What is compared are means over areas, of many rings around the window's middle each. The largest change at one distance
tells little of it: near the middle a ring has a few pixels only, and what is dark or white there does not change at all.
"""

from __future__ import annotations

import math
from fractions import Fraction

from torch import Tensor

# From the third quarter of the window's depth to the innermost one, a decay to less than this share is a decay. Networks with
# squeeze-and-excite keep 0.56 to 1.2 there; those that were tried and see no farther than 18 px keep nothing.
FLAT = 0.4
# Windows of 64 and 128 px are small for a network of 23 residual dense blocks: it keeps 0.72 and 0.62. So in two windows, of which
# the larger is twice as deep, either the change lasts (squeeze-and-excite keeps 1.2 to 2.4, those blocks 0.41), or it is as good
# as level in the larger one: how much changes at all depends on the picture, too.
LASTING = 0.7
LEVEL = 0.8
# Of a window's depth, the innermost share in which nothing must change for the influence to have ended; in output pixels at least.
QUIET = Fraction(1, 32)
LEAST_QUIET = 4


def _inner_means(change: Tensor, distance: Tensor, depth: int) -> tuple[float, float]:
    """Mean change in the third and in the innermost quarter of a window's depth."""
    near = (4 * distance >= 2 * depth) & (4 * distance < 3 * depth)
    deep = (4 * distance >= 3 * depth) & (distance < depth)
    return tuple(float(change[part].mean()) if bool(part.any()) else 0.0 for part in (near, deep))


def quiet_depth(depth: int, scale: Fraction) -> int:
    """In how many of the innermost pixels of a window's depth nothing must change for the influence to have ended.

    Args:
        depth: in pixels given.
        scale: output pixels per pixel given.
    """
    return min(max(math.ceil(LEAST_QUIET / scale), int(QUIET * depth)), depth // 2)


def lasts(values: Tensor, scale: Fraction, rounding: float) -> bool:
    """Whether what lies beyond one border changes all of a long window: a deep one alone shows it.

    Args:
        values: [depth] the largest change at each distance, every one of which has as many pixels.
        scale, rounding: as for EndlessInfluence.
    """
    third, innermost = values[len(values) // 2 : len(values) * 3 // 4], values[len(values) * 3 // 4 :]
    ended = bool((values[-quiet_depth(len(values), scale) :] <= rounding).all())
    return not ended and float(innermost.mean()) > max(FLAT * float(third.mean()), rounding)


class EndlessInfluence:
    """The verdict from windows that grow.

    Args:
        scale: output pixels per pixel given.
        suspected: whether the network has norms of the whole picture or the like: then one window is enough. What is flat once may
            else be a wide decay.
        explained: whether it has anything that may be the reason, attention included; believed where only one window can be had.

    Attributes:
        endless: whether the influence has no end, as far as is known.
        undecided: whether a larger window may show it.
    """

    def __init__(self, scale: Fraction, suspected: bool, explained: bool) -> None:
        self.scale, self.suspected, self.explained = scale, suspected, explained
        self.endless = self.undecided = False
        self._before: float | None = None

    def add(self, change: Tensor, distance: Tensor, depth: int, rounding: float, last: bool) -> None:
        """Take into account the next window.

        Args:
            change: largest change [h, w] by what lies beyond the window.
            distance: int [h, w] from the window's border, below `depth`; negative outside.
            rounding: change that rounding alone makes.
            last: whether no larger window can be had.
        """
        near, deep = _inner_means(change, distance, depth)
        ended = bool((change[distance >= depth - quiet_depth(depth, self.scale)] <= rounding).all())
        flat = deep > max(FLAT * near, rounding) and not ended
        first = self._before is None
        lasting = not first and (deep > LASTING * self._before or deep > LEVEL * near)
        self.endless = flat and (self.suspected or lasting or (first and last and self.explained))
        self.undecided = flat and first and not self.endless
        self._before = deep if flat else None
