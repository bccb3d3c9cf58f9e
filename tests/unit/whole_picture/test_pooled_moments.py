"""Pooled moments: those of the whole, however it is split."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending.whole_picture.pooled_moments import PooledMoments


def drifting(height: int, width: int, seed: int) -> torch.Tensor:
    """Two pictures of three channels whose brightness drifts, far from zero, in float32 as networks make them."""
    noise = torch.rand((2, 3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (5 + noise + torch.linspace(0, 4, width)).float()


@settings(deadline=None)
@given(st.data(), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_any_split_gives_the_moments_of_the_whole(data, height, width, seed):
    # Of the very numbers that are given: rounding to float32 alone moves the variance of two pixels by more than 1e-6.
    whole = drifting(height, width, seed)
    rows = sorted(data.draw(st.lists(st.integers(0, height), max_size=5)))
    columns = sorted(data.draw(st.lists(st.integers(0, width), max_size=5)))
    pooled = PooledMoments()
    for top, bottom in zip([0, *rows], [*rows, height], strict=True):
        for left, right in zip([0, *columns], [*columns, width], strict=True):
            pooled.add(whole[:, :, top:bottom, left:right], (2, 3))
    variance, mean = torch.var_mean(whole.double(), (2, 3), correction=0)
    assert pooled.count == height * width
    assert (pooled.mean - mean).abs().max() < 1e-6
    assert (pooled.variance - variance).abs().max() < 1e-6


def test_averaged_variances_would_be_far_off():
    whole = drifting(64, 64, 0)
    averaged = torch.stack([half.var((2, 3), correction=0) for half in whole.chunk(2, 3)]).mean(0)
    assert (averaged / whole.var((2, 3), correction=0) - 1).abs().max() > 0.12
