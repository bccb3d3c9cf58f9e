"""Cut lines that miss the objects of a picture: one axis of a grid, planned by dynamic programming.

What can be seen of a boundary is the ramp over which one tile takes over from the next, and that may lie anywhere in what
they share. So the ramps' places are chosen, and the tiles around them follow.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..layout.grid import Axis, plan_axis


class Cuts(NamedTuple):
    """Tiles of one axis and the ramps between them.

    Attributes:
        origins: of the tiles, on the lattice.
        ramps: [start, stop] between each two of them.
        cost: what lies under the ramps, summed.
    """

    origins: tuple[int, ...]
    ramps: tuple[tuple[int, int], ...]
    cost: float

    def axis(self, size: int, tile: int) -> Axis:
        """As an axis of a grid."""
        return Axis(size, tile, self.origins, ramps=self.ramps)


def plan_cuts(cost: np.ndarray, tile: int, overlap: int, multiple_of: int = 1, more: int = 1) -> Cuts:
    """Place the ramps where the least lies under them.

    Args:
        cost: float [n], what each row (or column) of the picture holds that no ramp should cross.
        tile: pixels.
        overlap: pixels, of every ramp; neighbours share at least so many.
        multiple_of: tiles start at multiples of it, ramps too.
        more: so many tiles more than an even grid has are allowed.

    Returns:
        the cheapest; of several the one with the fewest tiles, then the one nearest to an even spread. The even grid where
        its tiles leave no choice.

    Raises:
        ValueError: where no grid of such tiles exists.
    """
    size, width = len(cost), max(overlap, 1)
    even = plan_axis(size, tile, overlap, multiple_of)
    if len(even) == 1:
        return Cuts((0,), (), 0.0)
    step = multiple_of
    # What lies under a ramp that starts at each step of the lattice.
    total = np.concatenate(([0.0], np.cumsum(cost, dtype=np.float64)))
    starts = np.arange(0, size, step)
    under = total[np.minimum(starts + width, size)] - total[starts]
    last = _origin_at_the_end(size, tile, step)
    found = [one for count in range(len(even) - 1, len(even) + more) if (one := _cheapest(under, size, tile, width, step, count, last))]
    if not found:
        return _even_cuts(total, even, tile)
    return min(found, key=lambda one: (round(one.cost, 6), len(one.ramps)))


def _even_cuts(total: np.ndarray, origins: tuple[int, ...], tile: int) -> Cuts:
    """The even grid, for one whose tiles are too short or its lattice too coarse to leave the ramps a choice."""
    ramps = tuple((start, before + tile) for before, start in pairwise(origins))
    size = len(total) - 1
    return Cuts(origins, ramps, float(sum(total[min(stop, size)] - total[start] for start, stop in ramps)))


def _origin_at_the_end(size: int, tile: int, step: int) -> int:
    return math.ceil((size - tile) / step) * step


def _cheapest(under: np.ndarray, size: int, tile: int, width: int, step: int, count: int, last: int) -> Cuts | None:
    """The cheapest places of `count` ramps, None where so few tiles do not cover the axis or so many have no room.

    A tile begins at its first ramp at the latest and ends at its last at the earliest; both within its length.
    """
    even = (np.arange(count) + 1) * (size / (count + 1)) - width / 2
    at = np.arange(len(under)) * step
    # Evenness decides between places that cost the same, and only between those.
    scale = 1e-9 * (1 + float(under.max()))
    best = under + scale * ((at - even[0]) / size) ** 2
    best[(at > tile - width) | (at > size - width)] = math.inf
    back: list[np.ndarray] = []
    longest, shortest = (tile - width) // step, math.ceil(width / step)
    if longest < shortest and count > 1:
        return None
    for index in range(1, count):
        reached, came = _window_minimum(best, shortest, longest)
        back.append(came)
        best = reached + under + scale * ((at - even[index]) / size) ** 2
        # The tile that ends here begins before the last one does.
        best[at > min(size - width, last + tile - width - (count - index) * step)] = math.inf
    best[at < last] = math.inf  # the last tile begins at the last ramp at the latest
    end = int(best.argmin())
    if not math.isfinite(best[end]):
        return None
    places = [end]
    for came in reversed(back):
        places.append(int(came[places[-1]]))
    ramps = tuple((int(p) * step, min(int(p) * step + width, size)) for p in reversed(places))
    cost = float(sum(under[start // step] for start, _ in ramps))
    return Cuts(_origins(ramps, tile, step, last), ramps, cost)


def _window_minimum(values: np.ndarray, nearest: int, farthest: int) -> tuple[np.ndarray, np.ndarray]:
    """For each place the least of `values` that lies `nearest` to `farthest` places before it, and where."""
    reached, came = np.full(len(values), math.inf), np.zeros(len(values), np.int64)
    # The candidates of the window that moves along, in order, each larger than those before it.
    held: deque[int] = deque()
    for place in range(nearest, len(values)):
        entering = place - nearest
        while held and values[held[-1]] > values[entering]:
            held.pop()
        held.append(entering)
        if held[0] < place - farthest:
            held.popleft()
        reached[place], came[place] = values[held[0]], held[0]
    return reached, came


def _origins(ramps: tuple[tuple[int, int], ...], tile: int, step: int, last: int) -> tuple[int, ...]:
    """Of every tile the origin that leaves about as much beyond its first ramp as beyond its last one."""
    origins = [0]
    for left, ((start, _), (_, stop)) in zip(range(len(ramps) - 1, 0, -1), pairwise(ramps), strict=True):
        low = max(math.ceil((stop - tile) / step) * step, origins[-1] + step)
        high = min(start, last - left * step)
        middle = (start + stop - tile) / 2
        origins.append(min(max(round(middle / step) * step, low), high))
    return (*origins, last)
