"""The strongest bands of one thing in the place of another's."""

import itertools

import pytest
import pywt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending.frequency import band_swap
from tilework.blending.frequency.band_swap import band_energies, leading_bands, with_bands_of


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gap(a, b):
    return float((a - b).abs().max())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=7), st.floats(0.01, 0.99))
def test_the_set_is_the_smallest_that_reaches_the_share_as_brute_force_finds_it(energies, share):
    chosen = leading_bands(energies, share)
    reaching = [
        numbers
        for count in range(len(energies) + 1)
        for numbers in itertools.combinations(range(len(energies)), count)
        if sum(sorted((energies[n] for n in numbers), reverse=True)) >= share * sum(energies)
    ]
    assert len(chosen) == min(map(len, reaching))
    assert sum(energies[n] for n in chosen) == max(sum(energies[n] for n in numbers) for numbers in reaching if len(numbers) == len(chosen))


@pytest.mark.parametrize("wavelet", ["haar", "sym4"])
def test_nothing_everything_and_what_lies_between(wavelet):
    own, source = noise(3, 9, 14), noise(3, 9, 14, seed=1)
    assert with_bands_of(own, source, 0, wavelet, 2) is own
    assert torch.equal(with_bands_of(own, source, 1, wavelet, 2), source)
    assert gap(with_bands_of(own, source, 0.999999, wavelet, 2), source) < 1e-5, "all bands there are"
    half = with_bands_of(own.half(), source.half(), 0.5, wavelet, 2)
    assert half.dtype == torch.float16 and gap(half.float(), with_bands_of(own, source, 0.5, wavelet, 2)) < 1e-2


def test_a_band_that_leads_is_the_sources_and_the_others_stay():
    """A flat source: the low band alone. A source of stripes: the finest band across them alone."""
    own, fine = noise(1, 16, 16), torch.ones(1, 16, 16)
    fine[:, ::2] = -1
    low = with_bands_of(own, torch.full((1, 16, 16), 5.0), 0.6, "haar", 2)
    assert gap(low.mean((1, 2)), torch.tensor([5.0])) < 1e-5
    assert float((low - low.mean() - own).std()) < 0.5, "its own texture"
    stripes = with_bands_of(own, 5 * fine, 0.6, "haar", 2)
    changed = (stripes - own)[:, 2:-2, 2:-2]
    assert abs(float(stripes.mean() - own.mean())) < 0.05 and float((changed * fine[:, 2:-2, 2:-2]).mean()) > 4.5


def test_energies_are_those_of_the_decimated_transform_where_shifts_do_not_count(monkeypatch):
    """White noise, periodic as far as the border counts: the shares of bands agree; chunks change nothing."""
    planes = noise(8, 64, 64)
    ours = band_energies(planes, "haar", 2)
    low, *details = pywt.wavedec2(planes.numpy(), "haar", "periodization", 2)
    theirs = [low, *(band for level in reversed(details) for band in level)]
    assert all(abs(one / float((other**2).sum()) - 1) < 0.1 for one, other in zip(ours, theirs, strict=True))
    monkeypatch.setattr(band_swap, "CHUNK", 1)
    again = band_energies(planes, "haar", 2)
    assert all(abs(one - other) < 1e-6 * one for one, other in zip(ours, again, strict=True))


def test_what_cannot_be_swapped_is_refused_in_words():
    with pytest.raises(ValueError, match=r"energy 1.5 is no share: use 0 .* to 1"):
        with_bands_of(noise(4, 4), noise(4, 4), 1.5, "haar", 1)
    with pytest.raises(ValueError, match=r"bands of \(4, 5\) cannot take the place of those of \(4, 4\)"):
        with_bands_of(noise(4, 4), noise(4, 5), 0.5, "haar", 1)


@pytest.mark.parametrize("wavelet, levels", [("haar", 2), ("sym4", 4)])
def test_a_chunk_holds_no_more_than_it_says(wavelet, levels, monkeypatch):
    monkeypatch.setattr(band_swap, "CHUNK", 1 << 16)
    held, inner = [], band_swap.stationary

    def watched(*arguments):
        bands = inner(*arguments)
        held.append(sum(band.numel() for band in [bands.low, *sum(bands.details, ())]))
        return bands

    monkeypatch.setattr(band_swap, "stationary", watched)
    with_bands_of(noise(40, 8, 8), noise(40, 8, 8, seed=1), 0.5, wavelet, levels)
    assert len(held) > 2 and max(held) <= 1 << 16, held
