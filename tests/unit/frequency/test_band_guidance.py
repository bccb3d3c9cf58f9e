"""Guidance by bands: held against the rule as it is written, with PyWavelets' own transform."""

import math
from dataclasses import replace

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from tilework.blending.frequency import band_guidance
from tilework.blending.frequency.band_guidance import guide_bands
from tilework.blending.frequency.wavelet_packages import WAVELETS

BOUND = 1e-5


def predictions(*shape, seed=0):
    made = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=made) + 2, torch.randn(*shape, generator=made)


def apart(one, other):
    return float((one - other).abs().max() / other.abs().max())


def low_band(picture, levels, wavelet="haar"):
    return torch.from_numpy(pywt.wavedec2(picture.double().numpy(), wavelet, "symmetric", levels)[0])


def by_the_rule(conditional, unconditional, wavelet, levels, low, high):
    """Sum over the bands of u_b + w_b * (c_b - u_b)."""
    c, u = (pywt.wavedec2(one.double().numpy(), wavelet, "symmetric", levels) for one in (conditional, unconditional))
    bands = [u[0] + low * (c[0] - u[0])]
    bands += [tuple(v + high * (d - v) for d, v in zip(*level, strict=True)) for level in zip(c[1:], u[1:], strict=True)]
    height, width = conditional.shape[-2:]
    return torch.from_numpy(np.ascontiguousarray(pywt.waverec2(bands, wavelet, "symmetric")[..., :height, :width]))


@pytest.mark.filterwarnings("ignore:Level value")
@settings(max_examples=25, deadline=None)
@given(
    some.tuples(some.integers(1, 40), some.integers(1, 40)), some.sampled_from(WAVELETS), some.integers(1, 3),
    some.floats(0, 12), some.floats(0, 12),
)  # fmt: skip
def test_it_is_the_rule(size, wavelet, levels, low, high):
    c, u = predictions(1, 2, *size)
    assert apart(guide_bands(c, u, wavelet, levels, low, high), by_the_rule(c, u, wavelet, levels, low, high)) < BOUND


@pytest.mark.parametrize("shape", [(2, 4, 33, 47), (1, 3, 5, 16, 17), (1, 1)], ids=str)
@pytest.mark.parametrize("wavelet", WAVELETS)
def test_alike_weights_are_plain_guidance_and_ones_the_conditional_prediction(wavelet, shape):
    c, u = predictions(*shape)
    for levels, scale in ((1, 7.5), (2, 3.0), (3, 0.0)):
        plain = u + (c - u) * scale
        assert apart(guide_bands(c, u, wavelet, levels, scale, scale), plain) < BOUND
        assert torch.equal(guide_bands(c, u, wavelet, levels, 1.0, 1.0), c)
    assert shape == (1, 1) or apart(guide_bands(c, u, wavelet, 1, 1.0, 7.5), u + (c - u) * 7.5) > 0.01


@pytest.mark.filterwarnings("ignore:Level value")
@settings(max_examples=25, deadline=None)
@given(some.tuples(some.integers(1, 50), some.integers(1, 50)), some.integers(1, 3), some.floats(0, 12))
def test_at_low_1_the_low_band_is_the_conditional_predictions(size, levels, high):
    c, u = predictions(1, 2, *size)
    made = guide_bands(c, u, "haar", levels, 1.0, high)
    assert apart(low_band(made, levels), low_band(c, levels)) < BOUND


def test_at_low_1_longer_wavelets_keep_the_low_band_inside():
    c, u = predictions(1, 1, 64, 80)
    for wavelet in ("sym4", "db4", "bior4.4"):
        made = guide_bands(c, u, wavelet, 1, 1.0, 7.5)
        kept, wanted = (low_band(one, 1, wavelet)[..., 8:-8, 8:-8] for one in (made, c))
        assert apart(kept, wanted) < BOUND


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_a_canvas_that_is_joined_to_itself_has_no_first_column(wavelet):
    c, u = predictions(1, 2, 16, 24)
    for levels, turn in ((1, 6), (2, 8)):
        straight = guide_bands(c, u, wavelet, levels, 1.0, 7.5, (False, True)).roll(turn, -1)
        turned = guide_bands(c.roll(turn, -1), u.roll(turn, -1), wavelet, levels, 1.0, 7.5, (False, True))
        assert apart(turned, straight) < BOUND
    if wavelet != "haar":
        mirrored = guide_bands(c.roll(turn, -1), u.roll(turn, -1), wavelet, 2, 1.0, 7.5)
        assert apart(mirrored, straight) > 1e-3


def test_half_precision_stays_half_precision_and_nothing_is_changed_in_place():
    c, u = (one.half() for one in predictions(1, 4, 16, 16))
    before = c.clone(), u.clone()
    made = guide_bands(c, u, "sym4", 1, 1.0, 7.5)
    assert made.dtype == torch.float16 and torch.equal(c, before[0]) and torch.equal(u, before[1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unconditional": torch.zeros(1, 4, 8, 9)}, "must be of one shape"),
        ({"low": math.nan}, "low nan is no weight"),
        ({"high": math.inf}, "high inf is no weight"),
        ({"levels": 0}, "levels 0"),
        ({"wavelet": "sinc"}, "'sinc' is not known"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_cannot_be_done_is_refused(changes, words):
    c, u = predictions(1, 4, 8, 8)
    given_values = {"unconditional": u, "wavelet": "haar", "levels": 1, "low": 1.0, "high": 7.5, **changes}
    with pytest.raises(ValueError, match=words):
        guide_bands(c, **given_values)


@pytest.mark.parametrize("wavelet, levels", [("sym4", 5), ("sym4", 12), ("bior4.4", 12)])
def test_a_small_canvas_that_wraps_is_put_on_twice_at_most(wavelet, levels, monkeypatch):
    seen = []
    inner = band_guidance.decompose
    monkeypatch.setattr(band_guidance, "decompose", lambda picture, *more: seen.append(picture.shape) or inner(picture, *more))
    c, u = torch.randn(2, 1, 4, 32, 32, generator=torch.Generator().manual_seed(2)).unbind(0)
    guided = guide_bands(c, u, wavelet, levels, 1, 7.5, (True, True))
    assert max(seen[0][-2:]) <= 32 * (1 + 2 * band_guidance.MOST_PERIODS)
    # The borders mirrored would be far from this.
    exact = inner(c.repeat(1, 1, 41, 41) - u.repeat(1, 1, 41, 41), wavelet, levels) if levels == 5 else None
    if exact is not None:
        details = tuple(tuple(band * 6.5 for band in level) for level in exact.details)
        more = band_guidance.recompose(replace(exact, low=exact.low * 0, details=details), wavelet)[..., 640:672, 640:672]
        assert (guided - c - more).abs().max() <= 5e-3 * guided.abs().max()
