"""Composing on a geometry that the caller has worked out: what it takes, and what it refuses."""

import pytest
import torch
from tilework.blending import Mosaic, TileLayout, compose, cut
from tilework.blending.composition.compose import compose_on
from tilework.blending.composition.methods import COMPOSERS, TABLE

LAYOUT = TileLayout.grid(96, 120, 64, 64, 24)


def tiles():
    image = torch.rand(1, 96, 120, 3, generator=torch.Generator().manual_seed(2))
    return [tile + 0.05 * i for i, tile in enumerate(cut(image, LAYOUT))]


@pytest.mark.parametrize("method", ["hann", "gradient", "auto"])
def test_an_iterator_gives_what_a_list_gives(method):
    mosaic = Mosaic(LAYOUT, LAYOUT.tile_size, TABLE[method].window)
    wanted = compose(tiles(), LAYOUT, method)
    assert torch.equal(compose_on(iter(tiles()), mosaic, TABLE[method].composer), wanted)
    assert torch.equal(compose(iter(tiles()), LAYOUT, method), wanted)


@pytest.mark.parametrize("composer", ["foo", "hann", None])
def test_an_unknown_composer_is_refused(composer):
    assert composer not in COMPOSERS
    with pytest.raises(ValueError, match=r"composer .* is not known: use one of windows alone, optimal seam"):
        compose_on(tiles(), Mosaic(LAYOUT, LAYOUT.tile_size, "hann"), composer)


@pytest.mark.parametrize(
    ("given", "words"), [([], "0 tiles came and the layout has 6: tile 0 is missing"), ([None], "tile 0 is a NoneType: expected a picture")]
)
def test_what_is_no_tile_is_named(given, words):
    for wrapped in (list, iter):
        with pytest.raises(ValueError, match=words):
            compose(wrapped(given), LAYOUT)
