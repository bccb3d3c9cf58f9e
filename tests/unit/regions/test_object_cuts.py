"""Cut lines off objects: the cheapest there are, and still a grid."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending.layout.grid import plan_axis
from tilework.blending.regions.object_cuts import plan_cuts


def possible(ramps, size, tile, width, step, last):
    """Whether tiles on the lattice exist, each of which holds its two ramps and begins after the one before."""
    origin = 0
    if ramps[0] + width > tile or ramps[-1] < last:
        return False
    for left, (start, stop) in zip(range(len(ramps) - 1, 0, -1), pairwise(ramps), strict=True):
        # The earliest origin that reaches the next ramp leaves the most to the tiles behind.
        origin = max(-(-(stop + width - tile) // step) * step, origin + step)
        if origin > min(start, last - left * step):
            return False
    return all(b - a >= width for a, b in pairwise(ramps))


def cheapest(cost, tile, width, step, more):
    """By trying everything."""
    size = len(cost)
    even = len(plan_axis(size, tile, width, step)) - 1
    last = -(-(size - tile) // step) * step
    places = [s for s in range(0, size, step) if s + width <= size]
    return min(
        (
            sum(cost[s : s + width].sum() for s in ramps)
            for count in range(even, even + more + 1)
            for ramps in combinations(places, count)
            if possible(ramps, size, tile, width, step, last)
        ),
        default=None,
    )


@settings(max_examples=150, deadline=None)
@given(st.integers(10, 34), st.integers(6, 14), st.integers(1, 5), st.sampled_from([1, 2, 3]), st.integers(0, 10**6))
def test_no_placement_is_cheaper(size, tile, overlap, step, seed):
    if tile >= size or (tile - overlap) // step < 1 or (size - tile) / max(1, tile - overlap - step) > 4:
        return
    cost = np.random.default_rng(seed).integers(0, 9, size).astype(float)
    cuts = plan_cuts(cost, tile, overlap, step)
    best = cheapest(cost, tile, overlap, step, 1)
    assert cuts.cost == pytest.approx(best) if best is not None else cuts.origins == plan_axis(size, tile, overlap, step)


@settings(max_examples=150, deadline=None)
@given(st.integers(64, 4000), st.integers(64, 700), st.floats(0.02, 0.45), st.sampled_from([1, 8]), st.integers(0, 10**6))
def test_it_is_a_grid_with_the_overlap_that_was_asked(size, tile, share, step, seed):
    overlap = max(1, int(share * tile))
    drawn = np.random.default_rng(seed)
    cost = np.repeat(drawn.integers(0, 3, size // 16 + 1), 16)[:size].astype(float)
    cuts = plan_cuts(cost, tile, overlap, step)
    even = plan_axis(size, tile, overlap, step)
    assert len(even) <= len(cuts.origins) <= len(even) + 1 or size <= tile
    assert cuts.origins[0] == 0 and cuts.origins[-1] == even[-1] and all(o % step == 0 for o in cuts.origins)
    for (a, b), (start, stop) in zip(pairwise(cuts.origins), cuts.ramps, strict=True):
        assert a < b <= start < stop <= a + tile and a + tile - b >= overlap and (stop - start == overlap or cuts.origins == even)
    assert cuts.origins == even or all(a[1] <= b[0] for a, b in pairwise(cuts.ramps)), "ramps do not lie on each other"


def test_where_nothing_is_in_the_way_the_spread_is_even():
    cuts = plan_cuts(np.zeros(1000), 300, 50, 1)
    strides = [b - a for a, b in pairwise(cuts.origins)]
    assert len(cuts.origins) == 4 and max(strides) - min(strides) < 60


def test_a_line_goes_through_the_gap():
    cost = np.ones(1000)
    cost[520:560] = 0
    cuts = plan_cuts(cost, 600, 40, 8)
    assert cuts.cost == 0 and cuts.ramps == ((520, 560),)
