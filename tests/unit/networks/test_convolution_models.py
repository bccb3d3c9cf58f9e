"""The test models that need no host are what they say: their receptive radius is exact."""

import pytest
import torch
from tilework.tests.pack.convolution import ConvDenoiser, conv_image, layer_radii

RADII = [0, 1, 2, 3, 6, 16, 40]


def change_of(model, side, channels=3):
    """[side, side]: what one changed pixel in the middle changes.

    Double precision, so that "no change" is exactly none and a faint one is not lost.
    """
    before = torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(1)).double()
    after = before.clone()
    middle = side // 2
    after[..., middle, middle] += 0.5
    return (model.double()(after) - model.double()(before)).abs().amax(dim=(0, 1))


def influence(change):
    """Largest change at each distance (0, 1, 2, ...) from the changed pixel, along the worst direction."""
    middle = len(change) // 2
    away = (torch.arange(len(change)) - middle).abs()
    rings = torch.maximum(away[:, None], away[None, :])
    return [float(change[rings == distance].max()) for distance in range(middle)]


def corners(change, radius):
    """The change at the four corners of the receptive field."""
    middle = len(change) // 2
    return [float(change[middle + y * radius, middle + x * radius]) for y in (-1, 1) for x in (-1, 1)]


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("seed", [0, 7])
def test_the_image_filters_radius_is_exact(radius, seed):
    model = conv_image(radius, seed)
    change = change_of(model, 2 * radius + 7)
    felt = influence(change)
    assert felt[radius] > 1e-6, "the outermost ring of the receptive field has to count in float32"
    assert felt[radius + 1] == 0 and max(felt[radius + 1 :]) == 0
    assert min(corners(change, radius)) > 1e-7, "the receptive field is a full square"


@pytest.mark.parametrize("radius", RADII)
def test_the_denoisers_radius_is_exact(radius):
    felt = influence(change_of(ConvDenoiser(radius), 2 * radius + 7, channels=4))
    assert felt[radius] > 1e-6 and max(felt[radius + 1 :]) == 0


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_image_filter_keeps_shape_and_range(channels):
    picture = torch.rand(2, channels, 31, 44)
    before = picture.clone()
    filtered = conv_image(5, 3, channels)(picture)
    assert filtered.shape == picture.shape and filtered.dtype == torch.float32
    assert float(filtered.min()) >= 0 and float(filtered.max()) <= 1 and float(filtered.std()) > 0.02
    assert torch.equal(picture, before)


def test_a_border_looks_different_from_any_picture():
    model = conv_image(4)
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    whole, part = model(picture), model(picture[..., 20:])
    assert float((whole[..., 20:24] - part[..., :4]).abs().amax(dim=(0, 1, 2)).min()) > 1e-3, "wrong to a depth of the radius"
    assert float((whole[..., 24:] - part[..., 4:]).abs().max()) <= 1e-6
    # Padding by repetition would leave a plain colour plain.
    white = model(torch.ones(1, 3, 32, 32))
    assert float((white[..., 0] - white[..., 16]).abs().max()) > 1e-2


def test_seeds_mean_something():
    picture = torch.rand(1, 3, 20, 20)
    assert torch.equal(conv_image(3, 1)(picture), conv_image(3, 1)(picture))
    assert float((conv_image(3, 1)(picture) - conv_image(3, 2)(picture)).abs().max()) > 0.01


def test_a_negative_radius_is_refused():
    assert [sum(layer_radii(radius)) for radius in range(50)] == list(range(50))
    with pytest.raises(ValueError, match="radius -1 is negative"):
        conv_image(-1)


def test_frames_are_denoised_one_by_one_and_prompts_count():
    model = ConvDenoiser(2)
    latent = torch.randn(2, 4, 3, 12, 10)
    prompt = torch.randn(2, 7, 16)
    clean = model(latent, context=prompt)
    assert clean.shape == latent.shape
    assert torch.allclose(clean[:, :, 1], model(latent[:, :, 1], context=prompt), atol=1e-6)
    assert float((clean - model(latent, context=-prompt)).abs().max()) > 0.1
