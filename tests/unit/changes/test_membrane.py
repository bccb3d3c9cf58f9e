"""The surface over a region is the mean of its neighbours, whatever the region, and meets its border."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending.changes.membrane import harmonic


def saddle(height, width):
    """x^2 - y^2 and a plane, which the five-point Laplacian takes to 0 exactly."""
    y, x = (torch.arange(side, dtype=torch.float64)[shape] / max(height, width) for side, shape in ((height, (..., None)), (width, ...)))
    return (x * x - y * y + 0.3 * x - 0.1 * y + 0.2).float()[None]


def blobs(height, width, seed, share):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 1, max(2, height // 9), max(2, width // 9), generator=generator)
    inside = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")[0, 0] > share
    inside[0] = inside[-1] = inside[:, 0] = inside[:, -1] = False
    return inside


@settings(max_examples=12, deadline=None)
@given(st.integers(5, 70), st.integers(5, 70), st.integers(0, 999), st.sampled_from([0.0, 0.3, 0.5, 0.8]))
def test_a_harmonic_function_comes_back_from_its_border(height, width, seed, share):
    values, inside = saddle(height, width), blobs(height, width, seed, share)
    out = harmonic(torch.where(inside, torch.tensor(7.0), values), inside)
    assert float((out - values).abs().max()) <= 2e-5


def test_a_large_region_with_holes():
    values, inside = saddle(400, 300), blobs(400, 300, 3, 0.1)
    inside &= torch.rand(400, 300, generator=torch.Generator().manual_seed(1)) > 0.002
    out = harmonic(torch.where(inside, torch.tensor(7.0), values), inside)
    print(f"largest error {float((out - values).abs().max()):.1e}")
    assert float((out - values).abs().max()) <= 2e-5


@pytest.mark.parametrize("side", ["left", "bottom"])
def test_nothing_flows_over_the_pictures_border(side):
    """A strip at the border of the picture takes on the only value that it touches."""
    inside = torch.zeros(40, 50, dtype=torch.bool)
    inside[:, :12] = True
    values = torch.full((2, 40, 50), 0.3)
    values[:, :, 12:] = 0.7
    if side == "bottom":
        inside, values = inside.T.flip(0), values.movedim(1, 2).flip(1)
    out = harmonic(values, inside)
    assert float((out - 0.7).abs().max()) <= 1e-5


def test_only_what_touches_the_region_counts_and_all_of_it_has_no_border():
    inside = torch.zeros(30, 30, dtype=torch.bool)
    inside[10:20, 10:20] = True
    values = torch.zeros(1, 30, 30)
    values[:, :8] = 1e6
    out = harmonic(values, inside)
    assert float(out[0][inside].abs().max()) == 0 and torch.equal(out[0][~inside], values[0][~inside])
    assert not harmonic(torch.ones(1, 9, 9), torch.ones(9, 9, dtype=torch.bool)).any()
