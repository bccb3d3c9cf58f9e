"""Another grid at every step, so that no tile border stays where it is.

The idea is SpotDiffusion's (Frolov, Moser, Dengel: "SpotDiffusion", WACV 2025): what one
step left at a border lies inside a tile at the next. Theirs rolls the canvas around; a
photograph has no other side to roll to, so the grid moves instead, and the first and the
last tile are pushed back onto the canvas: they see more than they answer for, and the
border moves with what they answer for.
"""

from __future__ import annotations

from itertools import pairwise

import torch

from ..layout.grid import Axis


def stride(axis: Axis) -> int:
    """The distance of the moving grid's tiles: the largest of the fixed one's. 0 where there is one tile."""
    return max((after - before for before, after in pairwise(axis.origins)), default=0)


def offsets(seed: int, step: int, strides: tuple[int, int], lattice: tuple[int, int]) -> tuple[int, int]:
    """(y, x) how far the grid is shifted at this step: a function of its arguments and of nothing else.

    Args:
        seed: any whole number.
        step: of the sampler, counted from 0.
        strides: (y, x) of the grid, in cells; 0 for an axis of one tile.
        lattice: (y, x) cells that offsets are multiples of.

    Returns:
        multiples of the lattice in 0..stride - 1. Each comes once before any comes again: independent draws would put
        a border on one column far more often over the few steps of a run.
    """
    generator = torch.Generator().manual_seed(seed % 2**63)
    found = []
    for length, cell in zip(strides, lattice, strict=True):
        places = length // cell
        found.append(int(torch.randperm(places, generator=generator)[step % places]) * cell if places else 0)
    return tuple(found)


def shifted(axis: Axis, offset: int | None) -> tuple[Axis, tuple[int, ...]]:
    """A grid shifted by `offset` towards the start, and where its tiles are cut.

    Args:
        axis: the fixed grid, in cells.
        offset: cells, less than `stride(axis)`; None for the fixed grid itself.

    Returns:
        the grid by which tiles count: evenly spaced, the first tile begins before the canvas and the last reaches over it;
        and the origins at which they are cut, all on the canvas as far as the fixed grid is. A tile's cut covers
        what it counts for.
    """
    if offset is None or len(axis.origins) == 1:
        return axis, axis.origins
    if axis.wraps:
        # A ring has another side to roll to: the fixed grid itself is turned.
        turned = tuple(sorted((origin - offset) % axis.size for origin in axis.origins))
        return axis._replace(origins=turned), turned
    step = stride(axis)
    counted = [-offset]
    while counted[-1] + axis.tile < axis.size:
        counted.append(counted[-1] + step)
    last = axis.origins[-1]
    return Axis(axis.size, axis.tile, tuple(counted)), tuple(min(max(origin, 0), last) for origin in counted)
