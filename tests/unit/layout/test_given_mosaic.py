"""A composition that is given its geometry obeys it, and refuses what is asked for beside it and is another."""

from fractions import Fraction

import pytest
import torch
from tilework.blending import METHODS, TileLayout, compose
from tilework.blending.layout.mosaic import Mosaic

LAYOUT = TileLayout.grid(120, 150, 64, 64, 24, 4)


def tiles(size=64):
    return [torch.rand(1, size, size, 3, generator=torch.Generator().manual_seed(i)) for i in range(len(LAYOUT))]


@pytest.mark.parametrize("method", METHODS)
def test_what_the_mosaic_was_made_with_need_not_be_said_again(method):
    mosaic = Mosaic(LAYOUT, (64, 64), method, trim=4)
    wanted = compose(tiles(), LAYOUT, method, trim=4)
    assert torch.equal(compose(tiles(), LAYOUT, mosaic=mosaic), wanted)
    assert torch.equal(compose(tiles(), LAYOUT, method, 4, Fraction(1), mosaic=mosaic), wanted)


def test_methods_over_the_same_window_fit_one_mosaic():
    mosaic = Mosaic(LAYOUT, (64, 64))
    for method in ("multiband", "optimal seam", "gradient"):
        assert torch.equal(compose(tiles(), LAYOUT, method, mosaic=mosaic), compose(tiles(), LAYOUT, method))


@pytest.mark.parametrize(
    ("made", "asked", "words"),
    [
        ({"method": "linear"}, {"method": "hann"}, "made for method 'linear' and 'hann' is asked for beside it"),
        ({"method": "hann"}, {"method": "none"}, "made for method 'hann' and 'none' is asked for"),
        ({"method": "average"}, {"method": "gradient"}, "made for method 'average' and 'gradient' is asked for"),
        ({"trim": 4}, {"trim": 8}, "made for trim 4 and 8 is asked for beside it"),
        ({}, {"trim": 8}, "made for trim 0 and 8 is asked for beside it"),
        ({}, {"scale": 2}, "made for scale 1 and 2 is asked for beside it"),
        ({}, {"scale": Fraction(11, 10)}, r"made for scale 1 and 1\.1 is asked for beside it"),
        ({}, {"method": "poisson"}, "'poisson' is not known: use one of hann"),
    ],
)
def test_what_contradicts_is_refused_in_words(made, asked, words):
    with pytest.raises(ValueError, match=words):
        compose(tiles(), LAYOUT, mosaic=Mosaic(LAYOUT, (64, 64), **made), **asked)


def test_another_layout_is_refused():
    other = TileLayout.grid(120, 150, 64, 64, 16, 4)
    with pytest.raises(ValueError, match="the mosaic was made for another layout"):
        compose(tiles(), LAYOUT, mosaic=Mosaic(other, (64, 64)))


def test_a_typed_scale_is_that_of_the_mosaic():
    mosaic = Mosaic(LAYOUT, (88, 88), scale=1.37)
    assert compose(tiles(88), LAYOUT, scale=1.37, mosaic=mosaic).shape[1:3] == mosaic.size
