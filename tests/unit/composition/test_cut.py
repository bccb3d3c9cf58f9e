"""The cut with the least error, and composition along it."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending import TileLayout, compose
from tilework.blending.composition.cut_rows import difference_cost, low_band
from tilework.blending.composition.minimum_cut import cut_ramp, minimum_cut


def brute_force(cost):
    """The least sum over every path that moves at most one column per row."""
    rows, width = cost.shape
    best = float("inf")
    for start in range(width):
        for steps in itertools.product((-1, 0, 1), repeat=rows - 1):
            columns = list(itertools.accumulate((start, *steps)))
            if min(columns) >= 0 and max(columns) < width:
                best = min(best, sum(float(cost[row, column]) for row, column in enumerate(columns)))
    return best


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 10_000))
def test_equals_brute_force_and_is_never_above_a_straight_cut(rows, width, seed):
    cost = torch.rand(2, rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    path = minimum_cut(cost)
    assert path.shape == (2, rows) and (path.diff(dim=1).abs() <= 1).all()
    for one, total in zip(cost, cost.gather(2, path[..., None]).sum((1, 2)), strict=True):
        assert float(total) == pytest.approx(brute_force(one), abs=1e-12)
        assert float(total) <= float(one.sum(0).min()) + 1e-12


def test_follows_a_bent_valley_exactly():
    rows = torch.arange(200)
    valley = (20 + 12 * torch.sin(rows / 20)).round().long()
    cost = torch.ones(1, 200, 48).scatter(2, valley[None, :, None], 0.0)
    assert (minimum_cut(cost)[0] == valley).all()


@pytest.mark.parametrize("width", [1, 2, 7, 64])
def test_a_flat_overlap_is_cut_straight_down_the_middle(width):
    path = minimum_cut(torch.full((1, 50, width), 0.3))[0]
    assert (path == path[0]).all() and abs(float(path[0]) - (width - 1) / 2) <= 0.5


@pytest.mark.parametrize("feather", [0, 1, 5, 20])
def test_the_ramp_goes_from_nothing_to_all_within_the_feather(feather):
    ramp = cut_ramp(torch.full((1, 3), 20), 41, feather)
    assert (ramp.diff(dim=2) >= 0).all() and float(ramp[..., 0].max()) == 0 and float(ramp[..., -1].min()) == 1
    assert int(((ramp > 0) & (ramp < 1)).sum(2).max()) <= max(feather, 1)


def test_bands_add_up_and_a_constant_is_all_low():
    pixels = torch.rand(2, 50, 37, 3, generator=torch.Generator().manual_seed(1))
    assert low_band(pixels, 37).shape == pixels.shape
    for length in (4, 37, 200):
        assert torch.allclose(low_band(torch.full((1, 70, 33, 3), 0.3), length), torch.full((1, 70, 33, 3), 0.3), atol=1e-6)
    assert (difference_cost(torch.zeros(1, 5, 1, 3)) == 0).all()


def test_a_chain_that_only_one_tile_has_is_kept_or_left_out_and_leaves_no_shadow():
    layout = TileLayout.grid(160, 272, 160, 160, 48, 1)
    left, right = torch.full((1, 160, 160, 3), 0.5), torch.full((1, 160, 160, 3), 0.52)
    rows = torch.arange(160)
    chain = (14 + 8 * torch.sin(rows / 25)).round().long()
    for offset in range(-3, 4):
        right[0, rows, chain + offset] = 0.1
    around = 112 + chain[:, None] + torch.arange(-2, 3)
    darkest = {m: compose([left, right], layout, m)[0, rows[:, None], around].mean(-1).amin(1) for m in ("hann", "optimal seam")}
    for method, values in darkest.items():
        ghost = int(((values > 0.15) & (values < 0.48)).sum())
        print(f"{method}: {int((values <= 0.15).sum())} rows whole, {int((values >= 0.48).sum())} without, {ghost} of 160 with a ghost")
    assert int(((darkest["optimal seam"] > 0.15) & (darkest["optimal seam"] < 0.48)).sum()) <= 8
    assert int(((darkest["hann"] > 0.15) & (darkest["hann"] < 0.48)).sum()) > 100, "the test can tell a ghost"


@pytest.mark.parametrize("grain", [0.0, 2 / 255])
def test_a_flat_sky_is_left_without_a_step(grain):
    layout = TileLayout.grid(256, 448, 256, 256, 64, 1)
    generator = torch.Generator().manual_seed(2)
    tiles = [0.5 + i * 8 / 255 + grain * torch.randn(1, 256, 256, 3, generator=generator) for i in range(2)]
    steps = {m: float(compose(tiles, layout, m).mean((0, 1, 3)).diff().abs().max()) * 255 for m in ("none", "hann", "optimal seam")}
    print(f"grain {grain * 255:.0f}: largest step of the column means, levels: " + ", ".join(f"{m} {v:.2f}" for m, v in steps.items()))
    assert steps["optimal seam"] <= steps["hann"] + (0.05 if not grain else 0.6)
    assert steps["none"] > 4
