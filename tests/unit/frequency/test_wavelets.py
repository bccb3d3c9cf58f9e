"""Wavelets: the decimated transform is PyWavelets' to the coefficient, the stationary one moves with the picture and tiles."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending.frequency import stationary as stationary_module
from tilework.blending.frequency import wavelet_packages
from tilework.blending.frequency.decimated import decompose, recompose
from tilework.blending.frequency.stationary import radius, reconstruct, stationary
from tilework.blending.frequency.wavelet_packages import WAVELETS, filter_bank, wavelet_library

sizes, levels, wavelets = st.integers(1, 70), st.integers(1, 4), st.sampled_from(WAVELETS)
pytestmark = pytest.mark.filterwarnings("ignore:Level value")


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def gap(a, b):
    return float((a - b).abs().max())


@settings(max_examples=40, deadline=None)
@given(sizes, sizes, wavelets, levels)
def test_every_coefficient_is_that_of_pywavelets_and_the_picture_comes_back(height, width, wavelet, count):
    picture = noise(2, height, width)
    bands = decompose(picture, wavelet, count)
    low, *details = pywt.wavedec2(picture.double().numpy(), wavelet, "symmetric", count)
    ours = [bands.low, *(band for level in reversed(bands.details) for band in level)]
    theirs = [low, *(band for level in details for band in level)]
    largest = max(float(np.abs(band).max()) for band in theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape and gap(one, torch.from_numpy(other)) <= 1e-6 * max(largest, 1)
    assert gap(recompose(bands, wavelet), picture) < 1e-5


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), wavelets, levels)
def test_the_stationary_transform_gives_the_picture_back_at_any_size(height, width, wavelet, count):
    picture = noise(2, height, width)
    kept = picture.clone()
    bands = stationary(picture, wavelet, count)
    assert torch.equal(picture, kept)
    assert all(bands.inside(band).shape == picture.shape for level in bands.details for band in level)
    assert gap(reconstruct(bands, wavelet), picture) < 1e-5


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_the_stationary_bands_are_those_of_pywavelets_where_it_runs(wavelet):
    picture = noise(32, 64, dtype=torch.float64)
    bands = stationary(picture, wavelet, 3, "periodic")
    for ours, theirs in zip(reversed(bands.details), pywt.swt2(picture.numpy(), wavelet, 3), strict=True):
        for one, other in zip(ours, theirs[1], strict=True):
            assert gap(one, torch.from_numpy(other)) < 1e-12
    assert gap(reconstruct(bands, wavelet), picture) < 1e-10


def halved(picture, wavelet, count):
    """A change of the bands: as a node makes one."""
    bands = stationary(picture, wavelet, count)
    details = tuple(tuple(torch.where(band.abs() > 0.5, band, 0 * band) for band in level) for level in bands.details)
    return reconstruct(replace(bands, details=details), wavelet)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), wavelets, st.integers(1, 3))
def test_tiles_that_overlap_by_the_radius_are_the_whole_to_the_bit(top, left, wavelet, count):
    reach = radius(wavelet, count)
    picture = noise(60 + 2 * reach + 40, 63 + 2 * reach + 40)
    whole = halved(picture, wavelet, count)[top + reach : top + reach + 60, left + reach : left + reach + 63]
    tile = picture[top : top + 60 + 2 * reach, left : left + 63 + 2 * reach]
    assert torch.equal(halved(tile, wavelet, count)[reach:-reach, reach:-reach], whole)


def test_beyond_the_border_the_picture_is_mirrored_with_its_border_pixel_twice():
    picture = noise(1, 7, 9)
    twice = torch.cat([picture, picture.flip(-1)], -1)
    ring = stationary(torch.cat([twice, twice.flip(-2)], -2), "db4", 2, "periodic")
    bands = stationary(picture, "db4", 2)
    assert torch.equal(bands.inside(bands.details[1][2]), ring.details[1][2][..., :7, :9])


@pytest.mark.parametrize("height, width", [(1, 1), (7, 9), (16, 300), (105, 104)])
def test_a_short_side_that_is_mirrored_once_gives_what_a_wide_margin_gives_to_the_bit(height, width, monkeypatch):
    picture = noise(2, height, width)
    bands, changed = stationary(picture, "db4", 4), halved(picture, "db4", 4)
    assert all(ring <= max(2 * side, side + 210) for ring, side in zip(bands.low.shape[-2:], (height, width), strict=True))
    assert bands.low.shape[-2] == 2 * height
    monkeypatch.setattr(stationary_module, "ring_size", lambda side, reach: side + 2 * reach)
    wide = stationary(picture, "db4", 4)
    for one, other in zip([bands.low, *sum(bands.details, ())], [wide.low, *sum(wide.details, ())], strict=True):
        assert torch.equal(bands.inside(one), wide.inside(other))
        assert torch.equal(bands.inside(one, (-3, 5)), wide.inside(other, (-3, 5)))
    assert torch.equal(changed, halved(picture, "db4", 4))


def test_the_radius_is_one_filter_at_every_level_and_a_wave_beyond_it_is_not_seen():
    assert (radius("db4", 4), radius("haar", 1), radius("bior4.4", 2)) == (105, 1, 27)
    picture = noise(1, 90)
    far = picture.clone()
    far[0, 80] += 1
    reach = radius("sym4", 3)
    assert torch.equal(halved(picture, "sym4", 3)[0, : 80 - reach], halved(far, "sym4", 3)[0, : 80 - reach])
    assert not torch.equal(halved(picture, "sym4", 3)[0, 70:], halved(far, "sym4", 3)[0, 70:])


@pytest.mark.parametrize("wavelet", ["haar", "bior4.4"])
def test_gradients_are_right(wavelet):
    picture = noise(5, 6, dtype=torch.float64).requires_grad_()
    weights = noise(5, 6, seed=1, dtype=torch.float64)

    def decimated(x):
        bands = decompose(x, wavelet, 2)
        return recompose(bands, wavelet) * weights, bands.details[1][2]

    def still(x):
        bands = stationary(x, wavelet, 2)
        return reconstruct(bands, wavelet) * weights, bands.inside(bands.details[1][0])

    assert torch.autograd.gradcheck(decimated, picture) and torch.autograd.gradcheck(still, picture)


def test_half_precision_is_worked_in_float32_and_more_axes_are_kept():
    bands = decompose(noise(1, 4, 3, 9, 7).half(), "sym4", 1)
    assert bands.low.dtype == torch.float32 and bands.low.shape[:3] == (1, 4, 3)
    assert (
        recompose(bands, "sym4").shape == (1, 4, 3, 9, 7) == reconstruct(stationary(noise(1, 4, 3, 9, 7).half(), "sym4", 1), "sym4").shape
    )


@pytest.mark.parametrize("transform", [decompose, stationary])
def test_what_cannot_be_decomposed_is_refused_in_words(transform):
    with pytest.raises(ValueError, match="wavelet 'db99' is not known: use one of haar"):
        transform(noise(4, 4), "db99", 1)
    for count in (0, 13, 1.5):
        with pytest.raises(ValueError, match="use a whole number of 1 to 12"):
            transform(noise(4, 4), "haar", count)
    with pytest.raises(ValueError, match="border 'zero' is not known"):
        transform(noise(4, 4), "haar", 1, "zero")
    with pytest.raises(ValueError, match=r"not torch.int64 \(4, 4\)"):
        transform(torch.zeros(4, 4, dtype=torch.int64), "haar", 1)


def test_a_small_periodic_picture_is_refused_where_it_is_decimated():
    with pytest.raises(ValueError, match=r"9 x 6 is too small for 2 levels of db4 with a periodic border \(14 at least\)"):
        decompose(noise(6, 9), "db4", 2, "periodic")


def test_without_the_libraries_the_mend_is_named(monkeypatch):
    for name in ("pywt", "ptwt"):
        monkeypatch.setitem(sys.modules, name, None)
    filter_bank.cache_clear()
    with pytest.raises(RuntimeError, match=r"need the package PyWavelets, which cannot be loaded .* pip install -r requirements.txt"):
        decompose(noise(4, 4), "haar", 1)
    with pytest.raises(RuntimeError, match="need the package PyWavelets"):
        stationary(noise(4, 4), "haar", 1)
    with pytest.raises(RuntimeError, match="need the package ptwt"):
        wavelet_library("ptwt")
    assert wavelet_packages.PACKAGES.keys() == {"pywt", "ptwt"}
