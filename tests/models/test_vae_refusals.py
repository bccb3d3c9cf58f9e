"""What the tiled VAE nodes refuse, in words: sizes, latents and pictures that do not fit."""

import pytest
import torch
from tilework.models.vae.tiles import VAETiles
from tilework.models.vae.tiling import decode, encode
from tilework.tests.pack.vaes import tiny

from .test_vae_tiles import no_gradients, noise  # noqa: F401 - a fixture for every test


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (VAETiles("exact", 100, 0), "tile_width 100 is not a whole number of this VAE's latent cells of 8 px: use 96 or 104"),
        (VAETiles("exact", 0, -8), "tile_height -8 is not a tile size"),
        (VAETiles("exact", 8, 8), "tile_width 8 is too small"),
        (VAETiles("exact", 256, 256, -2), "overlap -2 is negative"),
        (VAETiles("sharp"), "mode 'sharp' is not known"),
    ],
)
def test_sizes_that_cannot_be(asked, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        decode(tiny("taesd"), noise(1, 4, 16, 16), asked)


def test_latents_and_pictures_that_do_not_fit():
    vae = tiny("kl")
    with pytest.raises(ValueError, match="16 channels and this VAE takes 4"):
        decode(vae, noise(1, 16, 16, 16), VAETiles())
    with pytest.raises(ValueError, match="4 dimensions and this VAE takes 5"):
        decode(tiny("wan"), noise(1, 16, 16, 16), VAETiles())
    with pytest.raises(ValueError, match="5 x 9 and one latent cell of this VAE is 8 px"):
        encode(vae, torch.rand(1, 9, 5, 3), VAETiles())
    assert decode(vae, noise(1, 4, 1, 9, 10), VAETiles())[0].shape == (1, 72, 80, 3)
    bad = noise(2, 4, 20, 20)
    bad[1, 2, 15, 3] = float("inf")
    with pytest.raises(ValueError, match=r"latent 1: Inf \(1 value\) in tile 6, the first at row 15, column 3"):
        decode(vae, bad, VAETiles("exact", 64, 64))
    with pytest.raises(ValueError, match=r"tile 3 of samples has Inf in it \(1 value\)"):
        decode(tiny("stranger"), bad, VAETiles("exact", 96, 96))


@pytest.mark.parametrize("kind", ["kl", "stranger", "wan"])
def test_two_channels_are_refused_in_words(kind):
    with pytest.raises(ValueError, match="pixels has 2 channels and this VAE takes 3: connect a picture of 3 channels"):
        encode(tiny(kind), torch.rand(1, 64, 64, 2), VAETiles())
