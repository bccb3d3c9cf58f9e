"""Reading between pixels: exact on whole ones, true to cubics, nothing beyond what the picture has."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending.registration.resample import sampled_at


def line(start, stop, more=0.0):
    return torch.arange(start, stop, dtype=torch.float64) + more


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 4]), st.integers(-3, 3), st.integers(-3, 3))
def test_whole_positions_give_the_pixels_back_and_repeat_the_edge(height, width, channels, dy, dx):
    pixels = torch.rand(2, height, width, channels)
    came = sampled_at(pixels, line(0, height, dy), line(0, width, dx))
    ys, xs = (line(0, n, d).long().clamp(0, n - 1) for n, d in ((height, dy), (width, dx)))
    assert torch.equal(came, pixels[:, ys][:, :, xs]) or (channels == 4 and torch.allclose(came, pixels[:, ys][:, :, xs], atol=1e-6))


@settings(max_examples=20, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(0, 1000))
def test_a_cubic_is_read_exactly_and_values_stay_within(dy, dx, seed):
    y, x = line(0, 40), line(0, 50)

    def curve(t):
        return 0.3 + 0.01 * t - 2e-4 * t**2 + 3e-6 * t**3

    pixels = (curve(y)[:, None] * curve(x))[None, ..., None]
    came = sampled_at(pixels, line(6, 34, dy), line(6, 44, dx))[0, ..., 0]
    assert torch.allclose(came, curve(line(6, 34, dy))[:, None] * curve(line(6, 44, dx)), atol=1e-9)
    noise = torch.rand(1, 12, 12, 3, generator=torch.Generator().manual_seed(seed))
    came = sampled_at(noise, line(-3, 15, dy), line(-3, 15, dx))
    assert came.min() >= noise.min() and came.max() <= noise.max()


def test_hidden_colour_does_not_come_out():
    pixels = torch.zeros(1, 16, 16, 4)
    pixels[:, :, :8] = torch.tensor([0.2, 0.4, 0.6, 1.0])
    pixels[:, :, 8:] = torch.tensor([1.0, 0.0, 1.0, 0.0])
    came = sampled_at(pixels, line(0, 16, 0.5), line(0, 16, 0.5))
    seen = came[..., 3] > 0.01
    assert seen.any() and (came[seen][:, :3] - torch.tensor([0.2, 0.4, 0.6])).abs().max() <= 1e-4


def test_positions_that_are_none_are_refused():
    with pytest.raises(ValueError, match="ys"):
        sampled_at(torch.zeros(1, 4, 4, 1), torch.tensor([float("nan")]), line(0, 4))
