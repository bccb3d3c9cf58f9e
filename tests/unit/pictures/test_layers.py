"""Layers for a preview: 16 bits and a scale for each, and copies that sum to the copy of the sum."""

import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tilework.blending.frequency.separation import join_bands, separate
from tilework.pictures.layers import LARGEST, MOST_PIXELS, MOST_SIDE, packed, small_copy


def unpacked(layer):
    """The values that the browser makes of it."""
    numbers, scale = packed([layer])
    return torch.from_numpy(np.frombuffer(numbers, "<i2").astype(np.float32).reshape(layer.shape)) * struct.unpack("<d", scale)[0]


@given(seed=st.integers(0, 2**32 - 1), height=st.floats(1e-6, 1e6), channels=st.sampled_from((1, 3)))
def test_a_value_comes_back_to_half_a_step(seed, height, channels):
    layer = (torch.rand(5, 7, channels, generator=torch.Generator().manual_seed(seed)) - 0.6) * height
    assert (unpacked(layer) - layer).abs().max() <= 0.51 * layer.abs().max() / LARGEST


@pytest.mark.parametrize("value", [0.0, 1e-40, -1e-40])
def test_next_to_nothing_is_nothing(value):
    assert (unpacked(torch.full((2, 3, 1), value)) == 0).all()


def test_small_copies_sum_to_the_copy_of_the_sum():
    picture = torch.rand(1, 1500, 1600, 3, generator=torch.Generator().manual_seed(3))
    bands, residual = separate(picture, 3)
    gains = (8.0, -3.0, 0.5, 1.5)
    joined = small_copy(join_bands(bands, residual, gains)[0])
    assert 0.99 * MOST_PIXELS < joined.shape[0] * joined.shape[1] <= MOST_PIXELS
    summed = sum(gain * unpacked(small_copy(layer[0])) for gain, layer in zip(gains, [*bands, residual], strict=True))
    assert 255 * (summed - joined).abs().max() < 0.1


def test_a_small_picture_stays_and_a_thin_one_fits():
    picture = torch.rand(3, 5, 3)
    assert small_copy(picture) is picture
    assert small_copy(torch.zeros(2, 20_000, 1)).shape == (1, MOST_SIDE, 1)
