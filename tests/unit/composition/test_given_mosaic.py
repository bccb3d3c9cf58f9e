"""A composition that is given its geometry is the one that works it out itself; there is no second word to contradict it."""

import inspect

import pytest
import torch
from tilework.blending import METHODS, TileLayout, compose
from tilework.blending.composition.compose import compose_on
from tilework.blending.composition.methods import BANDS, CUT, GRADIENT, TABLE
from tilework.blending.layout.mosaic import Mosaic
from tilework.blending.layout.windows import WINDOWS

LAYOUT = TileLayout.grid(120, 150, 64, 64, 24, 4)


def tiles(size=64):
    return [torch.rand(1, size, size, 3, generator=torch.Generator().manual_seed(i)) for i in range(len(LAYOUT))]


@pytest.mark.parametrize("method", METHODS)
def test_a_given_mosaic_makes_the_same_picture(method):
    mosaic = Mosaic(LAYOUT, (64, 64), TABLE[method].window, trim=4)
    assert torch.equal(compose_on(tiles(), mosaic, TABLE[method].composer), compose(tiles(), LAYOUT, method, trim=4))


def test_methods_over_the_same_window_fit_one_mosaic():
    mosaic = Mosaic(LAYOUT, (64, 64))
    for method in (BANDS, CUT, GRADIENT):
        assert torch.equal(compose_on(tiles(), mosaic, TABLE[method].composer), compose(tiles(), LAYOUT, method))


def test_there_is_no_word_beside_the_mosaic_that_it_has_already():
    words = set(inspect.signature(compose_on).parameters)
    assert not words & {"layout", "method", "window", "trim", "scale", "size"}


def test_tiles_of_another_size_are_refused_in_words():
    with pytest.raises(ValueError, match="the tiles are 88 x 88 with 3 channels"):
        compose_on(tiles(88), Mosaic(LAYOUT, (64, 64)))


def test_an_unknown_method_is_refused_before_a_tile_is_asked_for():
    with pytest.raises(ValueError, match="'poisson' is not known: use one of hann"):
        compose(iter(()), LAYOUT, "poisson")


def test_every_method_says_what_it_is_made_of():
    assert set(WINDOWS) < set(TABLE) and all(method.window in WINDOWS for method in TABLE.values())
    assert all(method.again for method in TABLE.values() if method.uses_reference)


def test_a_typed_scale_is_that_of_the_mosaic():
    mosaic = Mosaic(LAYOUT, (88, 88), scale=1.37)
    assert compose_on(tiles(88), mosaic).shape[1:3] == mosaic.size
    assert torch.equal(compose_on(tiles(88), mosaic), compose(tiles(88), LAYOUT, scale=1.37))
