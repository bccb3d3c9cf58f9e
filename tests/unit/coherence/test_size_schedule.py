"""Noise schedules for another size: published formulas, and what always holds."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tilework.blending.coherence.size_schedule import SHIFTS, shifted_sigmas

LEVELS = st.sets(st.integers(1, 200), min_size=1, max_size=12).map(lambda given: [level / 200 for level in sorted(given, reverse=True)])


@given(LEVELS, st.floats(0.25, 8.0), st.sampled_from(SHIFTS), st.booleans(), st.floats(0.5, 20.0))
def test_levels_stay_apart_in_order_and_below_the_highest(levels, scale, method, flow, most):
    sigmas = torch.tensor([*levels, 0.0], dtype=torch.float64)
    most = 1.0 if flow else most
    shifted = shifted_sigmas(sigmas, scale, method, flow, most)
    assert shifted[-1] == 0 and bool((shifted.diff() < 0).all()) and float(shifted[0]) <= max(most, levels[0]) * (1 + 1e-12)
    assert torch.equal(shifted_sigmas(sigmas, 1.0, method, flow, most), sigmas)
    if flow:
        assert float(shifted_sigmas(torch.ones(1), scale, method, flow, most)) == pytest.approx(1.0)


@pytest.mark.parametrize("scale", [0.5, 2.0, 3.0])
def test_signal_is_the_published_formula(scale):
    """abar' = s abar / (1 + (s - 1) abar) with s = 1 / scale^2, sigma = sqrt((1 - abar) / abar); t' = k t / (1 + (k - 1) t)."""
    share = torch.linspace(0.02, 0.98, 30, dtype=torch.float64)
    s, k = 1 / scale**2, math.sqrt(scale)
    shifted = s * share / (1 + (s - 1) * share)
    found = shifted_sigmas(((1 - share) / share).sqrt(), scale, "signal", False, 1e9)
    assert torch.allclose(found, ((1 - shifted) / shifted).sqrt(), rtol=1e-9)
    assert torch.allclose(shifted_sigmas(share, scale, "signal", True, 1.0), k * share / (1 + (k - 1) * share), rtol=1e-12)


@pytest.mark.parametrize("flow", [False, True])
def test_linear_lowers_the_signal_to_noise_ratio_by_twice_the_scale(flow):
    levels = torch.linspace(0.05, 0.95, 20, dtype=torch.float64)

    def log_ratio(sigma):
        return 2 * (((1 - sigma) if flow else 1.0) / sigma).log()

    found = shifted_sigmas(levels, 3.0, "linear", flow, 1e9)
    assert torch.allclose(log_ratio(found) - log_ratio(levels), torch.tensor(-2 * math.log(3.0), dtype=torch.float64), atol=1e-5)


def test_what_cannot_be_shifted_is_refused_in_words():
    levels = torch.tensor([1.0, 0.5, 0.0])
    for given_, words in (
        ((levels, 0.0, "signal", False, 1.0), "scale 0.0 is no ratio"),
        ((levels, 2.0, "cosine", False, 1.0), "method 'cosine' is not known"),
        ((levels * 14, 2.0, "signal", True, 1.0), "noise level of 14 is none of a flow model's"),
        ((-levels, 2.0, "signal", False, 1.0), "no list of noise levels"),
        ((levels[None], 2.0, "signal", False, 1.0), "no list of noise levels"),
    ):
        with pytest.raises(ValueError, match=words):
            shifted_sigmas(*given_)
