"""One shift for every tile, from what pairs of tiles, or tiles and a reference, say about each other.

Where tile j is shifted by s against tile i, they agree once c_j - c_i = s; against a reference c_j = s. All of it together is
one least-squares problem, so that errors do not add up along a row. Measurements that contradict the others lose weight (the
Cauchy function, Holland and Welsch 1977). Without a reference only differences are known: the median tile of those that hang
together is held, so that where most tiles agree these stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

REFERENCE_TILE = -1

_ROUNDS = 20
_SCALE = 0.08  # px of contradiction at which a measurement has lost half of its weight
_SETTLED = 1e-5


class Measurement(NamedTuple):
    """Tile `second` is to be read by `dy`, `dx` pixels further than tile `first`; `first` may be REFERENCE_TILE."""

    first: int
    second: int
    dy: float
    dx: float
    weight: float


def solve_shifts(count: int, measurements: Sequence[Measurement]) -> tuple[np.ndarray, np.ndarray]:
    """The shift at which each tile is to be read.

    Args:
        count: tiles.
        measurements: those that can be relied on, weights above 0.

    Returns:
        (float64 [count, 2], pixels along y and x, 0 for tiles that nothing is known of; bool [count], whether anything is).
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components
    from scipy.sparse.linalg import spsolve

    shifts, known = np.zeros((count, 2)), np.zeros(count, bool)
    if not measurements:
        return shifts, known
    first, second = (np.array([m[i] for m in measurements]) for i in (0, 1))
    wanted = np.array([(m.dy, m.dx) for m in measurements])
    weight = np.array([m.weight for m in measurements])
    held = first == REFERENCE_TILE
    rows = np.arange(len(measurements))
    entries = np.concatenate((np.ones(len(rows)), -np.ones(int((~held).sum()))))
    places = (np.concatenate((rows, rows[~held])), np.concatenate((second, first[~held])))
    design = csr_array((entries, places), shape=(len(rows), count))
    ends = csr_array((np.ones(int((~held).sum())), (first[~held], second[~held])), shape=(count, count))
    _, groups = connected_components(ends, directed=False)
    known[second], known[first[~held]] = True, True
    # The gauge: what nothing holds is held at 0, too weakly to bend what is known.
    ridge = csr_array((np.full(count, 1e-9), (np.arange(count), np.arange(count))), shape=(count, count))
    trust = np.ones(len(rows))
    for _ in range(_ROUNDS):
        normal = design.T @ design.multiply((weight * trust)[:, None]).tocsr() + ridge
        before = shifts
        right = design.T @ (wanted * (weight * trust)[:, None])
        shifts = np.stack([spsolve(normal.tocsc(), right[:, axis]) for axis in (0, 1)], 1)
        trust = 1 / (1 + (np.linalg.norm(design @ shifts - wanted, axis=1) / _SCALE) ** 2)
        if np.abs(shifts - before).max() < _SETTLED:
            break
    for group in np.unique(groups[known & ~np.isin(groups, groups[second[held]])]):
        inside = groups == group
        shifts[inside] -= np.median(shifts[inside], axis=0)
    shifts[~known] = 0
    return shifts, known
