"""Shifts are found where there is something to see, and are never sure where there is not."""

import numpy as np
import pytest
import torch
from tilework.blending.registration.shift import AMBIGUOUS, DIFFERENT, FEATURELESS, SURE, find_shifts, judged_shifts, least_side
from tilework.tests.unit.registration.shifted_photographs import NAMES, grainy, photograph, shifted_pairs, tensor

LEVEL = 1 / 255
SIDES = (40, 160)


def errors(found, shifts):
    return (torch.stack((found.dy, found.dx), 1) - shifts).norm(dim=1)


@pytest.mark.parametrize(("levels", "bound", "most"), [(0, 0.1, 0.1), (2, 0.3, 0.45)])
def test_photographs_are_found_to_a_tenth_of_a_pixel_and_under_grain_to_three(request, levels, bound, most):
    count = 60 if request.config.getoption("--release") else 8
    right, sure = [], []
    for seed, name in enumerate(NAMES):
        fixed, moving, shifts = shifted_pairs(name, *SIDES, count, 3, levels, seed)
        found = find_shifts(fixed, moving, 4.5)
        assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
        right.append(errors(found, shifts)[found.sure])
        sure.append(found.sure.float().mean())
    right = torch.cat(right)
    print(
        f"grain {levels}: sure {np.mean(sure):.3f}, median {right.median():.4f}, 95 % {right.quantile(0.95):.3f}, worst {right.max():.3f}"
    )
    assert np.mean(sure) >= 0.9
    assert (right <= bound).double().mean() >= 0.95 and right.max() <= most


def test_a_tone_step_and_a_gain_are_no_shift():
    fixed, moving, shifts = shifted_pairs("gravel.png", 64, 64, 6, 2, 1, 0)
    slope = torch.linspace(-4, 4, 64) * LEVEL
    found = find_shifts(fixed, moving * 0.9 + 0.05 + slope, 4)
    assert found.sure.all() and errors(found, shifts).max() <= 0.1


def noise(rng, shape, sd):
    return rng.standard_normal(shape) * sd * LEVEL


def flat_grain(rng, y, x, i):
    return [0.5 + noise(rng, y.shape, 2 + i % 5) for _ in range(2)]


def stripes(rng, y, x, i):
    angle, period, phase = rng.uniform(0, np.pi), rng.uniform(6, 40), rng.uniform(0, 6)
    along = (x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period + phase
    return [0.5 + 0.3 * np.sin(along + more) + noise(rng, y.shape, 2 * (i % 2)) for more in (0, rng.uniform(-1, 1))]


def banded(rng, y, x, i):
    slope, angle = rng.uniform(0.01, 0.4) * LEVEL, rng.uniform(0, 2 * np.pi)
    cy, cx = rng.uniform(-80, 160), rng.uniform(-200, 400)
    ramp = 0.3 + slope * (np.hypot(x - cx, y - cy) if i % 2 else x * np.cos(angle) + y * np.sin(angle))
    return [ramp, ramp + rng.uniform(-1, 1) * LEVEL]


def other_content(rng, y, x, i):
    grey = photograph(("gravel.png", "motorcycle_left.png", "chelsea.png")[i % 3]).mean(2)
    height, width = y.shape
    # Of two halves, so that both never show the same place.
    tops = [int(rng.integers(0, grey.shape[0] // 2 - height)) + k * grey.shape[0] // 2 for k in (0, 1)]
    lefts = rng.integers(0, grey.shape[1] - width, 2)
    return [grey[top : top + height, left : left + width] for top, left in zip(tops, lefts, strict=True)]


@pytest.mark.parametrize(
    ("make", "reasons"),
    [
        (flat_grain, {FEATURELESS, DIFFERENT}),
        (stripes, {FEATURELESS, AMBIGUOUS}),
        (banded, {FEATURELESS}),
        (other_content, {DIFFERENT, FEATURELESS}),
    ],
)
def test_nothing_is_sure_where_nothing_can_be_known(request, make, reasons):
    count = 300 if request.config.getoption("--release") else 24
    rng = np.random.default_rng(7)
    y, x = np.mgrid[: SIDES[0], : SIDES[1]]
    pairs = [[grainy(one, rng, 0) for one in make(rng, y, x, i)] for i in range(count)]
    found, doubts = judged_shifts(*(tensor(side) for side in zip(*pairs, strict=True)), 4)
    print(make.__name__, "sure:", int(found.sure.sum()), "doubts:", torch.bincount(doubts, minlength=4).tolist())
    assert not found.sure.any() and SURE not in doubts
    assert (torch.isin(doubts, torch.tensor(sorted(reasons)))).double().mean() >= 0.9


def test_what_repeats_within_reach_is_not_sure():
    y, x = np.mgrid[:64, :64]
    weave = [0.5 + 0.2 * np.sin(2 * np.pi * (x + by) / 4) * np.sin(2 * np.pi * (y + by) / 4) for by in (0.0, 0.7)]
    assert not find_shifts(*(tensor([one]) for one in weave), 4).sure.any()


def test_a_shift_past_the_largest_is_not_sure():
    fixed, moving, _ = shifted_pairs("gravel.png", 64, 64, 1, 0, 0, 0)
    far = moving.roll(6, 2)
    assert find_shifts(fixed, far, 7).sure.all()
    assert not find_shifts(fixed, far, 4).sure.any()


def test_equal_blocks_are_sure_to_lie_where_they_are():
    fixed, moving, _ = shifted_pairs("chelsea.png", 64, 64, 4, 0, 0, 3)
    found = find_shifts(fixed, moving, 4)
    assert found.sure.all() and torch.stack((found.dy, found.dx)).abs().max() <= 1e-3 and found.confidence.min() >= 0.9


def test_it_neither_needs_nor_changes_a_batch():
    fixed, moving, _ = shifted_pairs("gravel.png", 48, 80, 3, 2, 1, 1)
    kept = fixed.clone(), moving.clone()
    together = find_shifts(fixed, moving, 4)
    assert torch.equal(fixed, kept[0]) and torch.equal(moving, kept[1])
    for i in range(3):
        alone = find_shifts(fixed[i : i + 1], moving[i : i + 1], 4)
        assert abs(alone.dy[0] - together.dy[i]) <= 1e-2 and alone.sure[0] == together.sure[i]
    assert [len(column) for column in find_shifts(fixed[:0], moving[:0], 4)] == [0] * 4


def test_black_blocks_and_refusals():
    black = torch.zeros(2, 64, 64)
    found = find_shifts(black, black, 4)
    assert not found.sure.any() and all(torch.isfinite(column.double()).all() for column in found)
    with pytest.raises(ValueError, match="both alike"):
        find_shifts(black, black[:, :60], 4)
    with pytest.raises(ValueError, match=f"at least {least_side(40)} px"):
        find_shifts(black, black, 40)
    with pytest.raises(ValueError, match="max_shift nan"):
        find_shifts(black, black, float("nan"))
    with pytest.raises(ValueError, match="NaN or Inf"):
        find_shifts(black, black * float("nan"), 4)
