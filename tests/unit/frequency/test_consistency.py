"""The step that holds bands to a reference is the minimiser of what it says, for pictures of any size."""

from dataclasses import replace

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from tilework.blending.frequency.consistency import HELD_WAVELETS, hold_bands, low_band_for, reference_share
from tilework.blending.frequency.decimated import decompose, recompose

SIDES = st.integers(1, 70)
WEIGHTS = st.sampled_from([0.0, 0.1, 1.0, 7.0, 1e3])
FIRM = 1e5


def pictures(height, width, seed=0, count=2):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 2, height, width, generator=generator) for _ in range(count)]


def furthest(one, other):
    """The largest difference, as a share of the largest value."""
    return float((one - other).abs().max() / other.abs().max().clamp(min=1e-6))


def objective(x, x0, reference, low, high, band, cell):
    """What the step minimises, counted out in float64."""
    down, across = (rows.double() for rows in band)
    means = torch.nn.functional.avg_pool2d(x[0], cell)[None] if cell > 1 else x
    off = means - reference
    coarse = down.mT @ (down @ off @ across.mT) @ across
    return ((x - x0) ** 2).sum() + cell**2 * (low * (coarse**2).sum() + high * ((off - coarse) ** 2).sum())


@settings(max_examples=30, deadline=None)
@given(SIDES, SIDES, st.sampled_from(HELD_WAVELETS), st.integers(1, 4), WEIGHTS, WEIGHTS, st.integers(1, 3), st.booleans())
def test_the_objective_falls_to_where_its_gradient_is_nothing(height, width, wavelet, levels, low, high, cell, wraps):
    (x0,), (reference,) = pictures(height * cell, width * cell, count=1), pictures(height, width, 1, 1)
    band = low_band_for((height, width), wavelet, levels, (False, wraps))
    made = hold_bands(x0, reference, low, high, band, cell)
    x = made.double().requires_grad_()
    at = objective(x, x0.double(), reference.double(), low, high, band, cell)
    before = objective(x0.double(), x0.double(), reference.double(), low, high, band, cell)
    (gradient,) = torch.autograd.grad(at, x)
    # Rounding of a value of 1 is what a weight is multiplied with.
    assert float(gradient.abs().max()) < 1e-5 * (1 + max(low, high))
    # Nothing is left to fall where nothing weighs, or where the picture has no such band.
    at, before = at.item(), before.item()
    assert at < before or before < 1e-6 * max(low, high, 1)


@settings(max_examples=20, deadline=None)
@given(SIDES, SIDES, st.sampled_from(HELD_WAVELETS), st.integers(1, 4))
def test_firm_weights_give_the_bands_of_the_reference(height, width, wavelet, levels):
    x0, reference = pictures(height, width)
    band = low_band_for((height, width), wavelet, levels)
    wanted = decompose(reference, wavelet, levels)
    for weight in (FIRM, 1e8):
        every = decompose(hold_bands(x0, reference, weight, weight, band), wavelet, levels)
        coarse = decompose(hold_bands(x0, reference, weight, 0.0, band), wavelet, levels)
        scale = float(wanted.low.abs().max())
        assert float((every.low - wanted.low).abs().max()) < 1e-4 * max(scale, 1)
        assert float((coarse.low - wanted.low).abs().max()) < 1e-4 * max(scale, 1)
        for made, given_band in zip(every.details, wanted.details, strict=True):
            assert all(float((one - other).abs().max()) < 1e-4 * max(scale, 1) for one, other in zip(made, given_band, strict=True))


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_for_an_orthonormal_wavelet_it_is_the_step_on_its_own_coefficients(levels):
    x0, reference = pictures(40, 56)
    made = hold_bands(x0, reference, 2.0, 0.25, low_band_for((40, 56), "haar", levels))
    ours, theirs = decompose(x0, "haar", levels), decompose(reference, "haar", levels)

    def step(x, ref, weight):
        return (x + weight * ref) / (1 + weight)

    details = tuple(tuple(step(*pair, 0.25) for pair in zip(*both, strict=True)) for both in zip(ours.details, theirs.details, strict=True))
    by_coefficients = recompose(replace(ours, low=step(ours.low, theirs.low, 2.0), details=details), "haar")
    assert furthest(made, by_coefficients) < 1e-5


@pytest.mark.parametrize("wavelet", HELD_WAVELETS[1:])
def test_on_its_own_coefficients_at_an_odd_size_it_would_not_be_the_minimiser(wavelet):
    """Why the projection is there: at the borders the coefficients depend on one another."""
    x0, reference = pictures(23, 27)
    band = low_band_for((23, 27), wavelet, 2)
    ours, theirs = decompose(x0, wavelet, 2), decompose(reference, wavelet, 2)
    free = recompose(replace(ours, low=theirs.low), wavelet)
    reached = decompose(free, wavelet, 2).low
    held = decompose(hold_bands(x0, reference, FIRM, 0.0, band), wavelet, 2).low
    assert furthest(reached, theirs.low) > 0.01 > 100 * furthest(held, theirs.low)


@pytest.mark.parametrize("wavelet", HELD_WAVELETS)
def test_one_tone_lies_in_the_low_band_everywhere(wavelet):
    for shape in ((1, 1), (3, 17), (50, 61)):
        band = low_band_for(shape, wavelet, 3)
        flat = torch.full(shape, 0.7)
        assert furthest(band.project(flat), flat) < 1e-5
        made = hold_bands(torch.zeros(shape), flat, 1.0, 0.0, band)
        assert furthest(made, flat / 2) < 1e-5, "no rim at the borders"


@pytest.mark.parametrize("wavelet", HELD_WAVELETS)
def test_a_picture_joined_to_itself_has_no_border(wavelet):
    x0, reference = pictures(24, 48)
    band = low_band_for((24, 48), wavelet, 2, (False, True))
    made = hold_bands(x0, reference, 3.0, 0.1, band)
    turned = hold_bands(x0.roll(20, -1), reference.roll(20, -1), 3.0, 0.1, band).roll(-20, -1)
    assert furthest(turned, made) < 1e-5


@settings(max_examples=30, deadline=None)
@given(SIDES, SIDES, st.sampled_from(HELD_WAVELETS), st.integers(1, 6))
def test_the_average_of_what_is_made_is_the_reference(height, width, wavelet, cell):
    (x0,), (reference,) = pictures(height * cell, width * cell, count=1), pictures(height, width, 1, 1)
    made = hold_bands(x0, reference, FIRM, FIRM, low_band_for((height, width), wavelet, 2), cell)
    means = torch.nn.functional.avg_pool2d(made, cell)
    assert furthest(means, reference) < 1e-4
    inside = made - means.repeat_interleave(cell, -2).repeat_interleave(cell, -1)
    wanted = x0 - torch.nn.functional.avg_pool2d(x0, cell).repeat_interleave(cell, -2).repeat_interleave(cell, -1)
    assert float((inside - wanted).abs().max()) < 1e-5, "what is inside of the cells stays"


def test_half_precision_and_frames_come_back_as_they_were():
    x0, reference = (one.unsqueeze(2).expand(1, 2, 3, 20, 30).half() for one in pictures(20, 30))
    kept = x0.clone()
    made = hold_bands(x0, reference, 1.0, 1.0, low_band_for((20, 30), "haar", 2))
    assert made.dtype == torch.half and made.shape == x0.shape and torch.equal(x0, kept)
    assert furthest(made.float(), (x0.float() + reference.float()) / 2) < 1e-3


def test_what_cannot_be_is_refused_in_words():
    x0, reference = pictures(20, 30)
    band = low_band_for((20, 30), "haar", 2)
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"weight {weight} is not how firmly"):
            reference_share(weight)
    for call, part in (
        (lambda: hold_bands(x0, reference[..., :10, :15], 1, 1, band), "10 x 15 cells and 20 x 30 are needed"),
        (lambda: hold_bands(x0, reference, 1, 1, band, 2), "20 x 30 cells and 10 x 15 are needed"),
        (lambda: low_band_for((20, 30), "db5", 2), "wavelet 'db5' is not known: use one of haar, db4, sym4"),
        (lambda: low_band_for((20, 30), "haar", 0), "levels 0"),
    ):
        with pytest.raises(ValueError, match=part):
            call()
