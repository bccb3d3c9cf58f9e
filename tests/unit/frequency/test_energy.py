"""The detail map: even inside a texture, blind to the tone, the same in tiles, and in the place of the detail."""

import math

import pytest
import torch
from tilework.blending.frequency.energy import WAVELETS, detail_energy, detail_mask, smoothed, smoothing_reach
from tilework.blending.frequency.stationary import radius


def half_texture(length, angle, amplitude=0.2, side=320):
    """A sine on the left half, nothing on the right: [1, side, side, 1]."""
    y, x = torch.meshgrid(torch.arange(side, dtype=torch.float32), torch.arange(side, dtype=torch.float32), indexing="ij")
    wave = 0.5 + amplitude * torch.sin(2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / length)
    wave[:, side // 2 :] = 0.5
    return wave[None, :, :, None]


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_a_texture_is_even_and_ten_times_what_is_flat(wavelet):
    evenness, ratios = [], []
    for length, angle in ((4, 0.0), (8, math.pi / 4), (17, 0.3), (32, 0.0), (32, math.pi / 4)):
        energy = detail_energy(half_texture(length, angle), wavelet)[0]
        inside = energy[64:256, 48:112]
        evenness.append(float(inside.min() / inside.max()))
        ratios.append(float(energy[:, :160].mean() / energy[:, 160:].mean()))
    print(f"{wavelet}: inside a texture min/max at least {min(evenness):.3f}, textured half over flat half at least {min(ratios):.1f}")
    assert min(evenness) >= 0.8
    assert min(ratios) > 10


def test_the_energy_is_half_the_square_of_the_amplitude():
    energy = detail_energy(half_texture(6, 0.0, side=160).expand(-1, -1, -1, 3))[0]
    assert energy[40:120, 35:45].mean().item() == pytest.approx(3 * 0.2**2 / 2, rel=0.02)


def test_a_tone_that_is_added_changes_nothing():
    picture = torch.rand(2, 61, 47, 3, generator=torch.Generator().manual_seed(1)) * 0.5
    energy, lighter = detail_energy(picture), detail_energy(picture + torch.tensor([0.4, 0.1, 0.25]))
    assert (energy - lighter).abs().max() <= 1e-5 * energy.max()


@pytest.mark.parametrize("wavelet, levels", [("db4", 2), ("haar", 3)])
def test_in_tiles_it_is_the_same_to_the_bit(wavelet, levels):
    picture = torch.rand(1, 203, 158, 3, generator=torch.Generator().manual_seed(2))
    assert torch.equal(detail_energy(picture, wavelet, levels), detail_energy(picture, wavelet, levels, tile=64))


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_it_lies_where_the_detail_is(wavelet):
    side = 2 * (radius(wavelet, 3) + smoothing_reach(3)) + 41
    picture, places = torch.zeros(1, side, side, 1), torch.arange(side) - side // 2
    picture[:, side // 2, side // 2] = 1
    energy = detail_energy(picture, wavelet, 3)[0]
    for dim in (0, 1):
        assert abs(float((energy.sum(dim) * places).sum() / energy.sum())) <= 0.6


def test_the_smoothing_keeps_the_sum_and_any_size():
    for size in ((1, 1), (1, 9), (70, 3)):
        assert torch.allclose(smoothed(torch.full(size, 0.3), 4), torch.full(size, 0.3))
        assert detail_energy(torch.rand(1, *size, 1)).shape == (1, *size)


def test_the_mask_is_by_percentiles_and_nothing_for_one_tone():
    picture = half_texture(8, 0.3, side=200)
    mask = detail_mask(picture)
    assert mask.min() == 0 and mask.max() == 1 and mask[0, :, :70].mean() > 0.7 and mask[0, :, 140:].mean() < 0.05
    low = detail_mask(picture, low=30)
    assert (low == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert not detail_mask(torch.full((1, 40, 40, 3), 0.37)).any()


def test_what_is_transparent_has_no_detail_and_none_for_its_neighbours():
    picture = torch.rand(1, 64, 64, 4, generator=torch.Generator().manual_seed(3))
    picture[..., 3] = 1
    assert torch.equal(detail_energy(picture), detail_energy(picture[..., :3]))
    picture[:, :, 32:, 3] = 0
    energy, whole = detail_energy(picture), detail_energy(picture[..., :3])
    assert not energy[:, :, 32:].any()
    assert bool((energy[:, :, :32] / whole[:, :, :32] > 0.6).all()), "a rim is as strong as what is inside"
    picture[:, :, 32:, :3] = torch.rand(64, 32, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(detail_energy(picture), energy), "colour that cannot be seen"
    assert torch.equal(detail_energy(picture, tile=20), energy), "in tiles"
    picture[:, :, :32, :3] = 0.5
    assert float(detail_energy(picture).max()) < 1e-12, "flat beside rubbish that cannot be seen"


@pytest.mark.parametrize("asked, words", [
    ({"wavelet": "db3"}, "wavelet 'db3' is not known here: use one of db4, haar, sym4"),
    ({"levels": 6}, r"levels 6 is not how many octaves.*use 1 .* to 5"),
    ({"low": 60.0, "high": 60.0}, "low 60 and high 60 are no range of percentiles"),
])  # fmt: skip
def test_what_cannot_be_is_refused(asked, words):
    with pytest.raises(ValueError, match=words):
        detail_mask(torch.rand(1, 8, 8, 3), **asked)


def test_numbers_that_are_none_are_named():
    with pytest.raises(ValueError, match="image has NaN in it"):
        detail_mask(torch.full((1, 8, 8, 3), float("nan")))
