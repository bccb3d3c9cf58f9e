"""The low pass: it keeps what is coarse, in any size; haar is a projector, and no border that does not wrap is seen past."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending.frequency.low_pass import FILTERS, factor_of, low_pass
from tilework.blending.frequency.mix import mix

ENDS = (False, False)
sizes, factors, kinds = st.integers(1, 41), st.floats(1, 9), st.sampled_from(FILTERS)
wraps = st.tuples(st.booleans(), st.booleans())


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gap(a, b):
    return float((a - b).abs().max())


def wave(length, periods):
    return torch.cos(2 * torch.pi * periods * (torch.arange(length) + 0.5) / length).expand(1, 1, length, length)


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, factors, kinds, wraps)
def test_of_any_size_it_is_linear_and_leaves_one_tone_alone(height, width, factor, kind, wrap):
    one, other = noise(2, 3, height, width), noise(2, 3, height, width, seed=1)
    kept = one.clone()
    low = low_pass(one, kind, factor, wrap)
    assert low.shape == one.shape and torch.equal(one, kept)
    assert gap(low_pass(one + 2 * other, kind, factor, wrap), low + 2 * low_pass(other, kind, factor, wrap)) < 2e-5
    assert gap(low_pass(torch.full_like(one, 0.7), kind, factor, wrap), torch.full_like(one, 0.7)) < 1e-5


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, factors)
def test_haar_twice_is_haar_once_and_keeps_the_mean_of_every_cell(height, width, factor):
    low = low_pass(noise(1, 2, height, width), "haar", factor)
    assert gap(low_pass(low, "haar", factor), low) < 1e-6
    assert gap(low[..., :1, :1], low[..., :1, :1].mean(dim=(-2, -1), keepdim=True)) == 0


def test_haar_by_hand_at_an_odd_end():
    row = torch.tensor([[[[1.0, 3.0, 5.0, 7.0, 10.0]]]])
    assert low_pass(row, "haar", 2).tolist() == [[[[2.0, 2.0, 6.0, 6.0, 10.0]]]]
    assert low_pass(row, "haar", 3.5).tolist() == [[[[4.0, 4.0, 4.0, 4.0, 10.0]]]]


@pytest.mark.parametrize("kind", FILTERS)
def test_what_the_small_picture_can_hold_stays_and_what_it_cannot_goes(kind):
    coarse, fine = wave(96, 2), wave(96, 40)
    # A picture of a third of the size can hold 16 periods.
    kept = float(low_pass(coarse, kind, 3).std() / coarse.std())
    left = float(low_pass(fine, kind, 3).std() / fine.std())
    print(f"{kind}: {kept:.3f} of 2 periods kept, {left:.3f} of 40")
    assert kept > 0.95 and left < (0.25 if kind == "haar" else 0.11), "cells let some of it through"


def test_butterworth_halves_its_own_frequency():
    assert gap(low_pass(wave(96, 12), "butterworth", 4), wave(96, 12) / 2) < 1e-5


@pytest.mark.parametrize("kind", FILTERS)
def test_a_border_that_does_not_wrap_is_not_seen_past(kind):
    """One side is 1 and the other 0: without wrap neither knows of the other, with it they meet."""
    sides = torch.zeros(1, 1, 64, 64)
    sides[..., :, :32] = 1
    assert gap(low_pass(sides, kind, 4)[..., :2], torch.ones(1)) < 0.02
    if kind != "haar":  # its cells do not reach over anything
        assert float(low_pass(sides, kind, 4, (False, True))[..., :1].mean()) < 0.75


@pytest.mark.parametrize("kind", ["resize", "butterworth"])
def test_where_it_wraps_no_place_is_the_first(kind):
    canvas = noise(1, 1, 48, 48)
    whole = (True, True)
    turned = low_pass(canvas.roll(16, -1).roll(8, -2), kind, 4, whole).roll(-16, -1).roll(-8, -2)
    assert gap(turned, low_pass(canvas, kind, 4, whole)) < 1e-5


def test_a_cutoff_is_the_share_that_is_kept():
    assert factor_of(0.2, 1, 1) == pytest.approx(5)
    assert factor_of(0.0, 3072, 1024) == 3
    assert factor_of(0.0, 1024, 1024) == 2, "a low pass that keeps everything leaves nothing to paint"


def test_mixing_takes_the_coarse_of_one_and_the_fine_of_the_other():
    detail, structure = noise(1, 4, 33, 47), noise(1, 4, 33, 47, seed=1)
    mixed = mix(detail, structure, "haar", 4)
    assert gap(low_pass(mixed, "haar", 4), low_pass(structure, "haar", 4)) < 1e-5
    assert gap(mixed - low_pass(mixed, "haar", 4), detail - low_pass(detail, "haar", 4)) < 1e-5
    for kind in FILTERS:
        assert gap(mix(detail, detail, kind, 3), detail) < 1e-6


def test_what_cannot_be_is_refused_in_words():
    for call, word in (
        (lambda: low_pass(noise(1, 1, 8, 8), "box", 2), "use one of resize, haar, butterworth"),
        (lambda: low_pass(noise(1, 1, 8, 8), "haar", 0.5), "0.5"),
        (lambda: low_pass(noise(1, 1, 8, 8), "haar", float("nan")), "nan"),
        (lambda: factor_of(1.5, 2, 1), "cutoff 1.5"),
        (lambda: factor_of(float("nan"), 2, 1), "cutoff nan"),
    ):
        with pytest.raises(ValueError, match=word):
            call()
