"""Which words belong to which tile."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tilework.blending.coherence.word_coverage import tile_coverage, word_masks, words_of_tiles
from tilework.blending.layout.grid import Rect
from tilework.blending.layout.tile_layout import TileLayout


def map_of(share, size=100, at=0):
    """A map [size, size] whose first rows of one tile are looked at, `share` of them."""
    seen = torch.zeros(size, size)
    seen[at : at + round(share * size)] = 1.0
    return seen


def test_29_percent_is_out_and_31_percent_is_in():
    layout = TileLayout.grid(800, 800, 800, 800, 0)
    maps = torch.stack([map_of(share) for share in (0.29, 0.30, 0.31)])
    assert words_of_tiles(maps, layout, 0.3) == [[1, 2]]
    assert words_of_tiles(maps, layout, 0.31) == [[2]] and words_of_tiles(maps, layout, 0.0) == [[0, 1, 2]]


def test_each_tile_has_its_own_words_in_the_order_of_the_prompt():
    layout = TileLayout.grid(640, 640, 320, 320, 0)
    sky, sun = torch.zeros(2, 64, 64)
    sky[:32], sun[4:28, 36:60] = 1.0, 2.0
    assert words_of_tiles(torch.stack([sky, sun]), layout, 0.3) == [[0], [0, 1], [], []]


def test_single_cells_do_not_count():
    specks = torch.zeros(1, 64, 64)
    specks[:, ::2, ::2] = 1.0
    block = torch.zeros(1, 64, 64)
    block[:, :20, :20] = 1.0
    assert not word_masks(specks).any()
    assert word_masks(block).sum() == 400, "an opening gives back what it does not open, to the picture's border"
    assert word_masks(specks[:, :8, :8]).sum() == 16, "a map of 8 rows is not opened"


@given(st.data())
def test_coverage_is_the_mean_over_the_tile_at_the_pictures_size(data):
    cells, height, width = (data.draw(st.integers(low, 12)) for low in (2, 4, 4))
    wrap = data.draw(st.booleans()), data.draw(st.booleans())
    pixels = cells * height, cells * width
    tall, wide = data.draw(st.integers(1, pixels[0])), data.draw(st.integers(1, pixels[1]))
    y, x = data.draw(st.integers(0, pixels[0] - 1)), data.draw(st.integers(0, pixels[1] - 1))
    masks = torch.rand(2, height, width, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 99)))) > 0.5
    large = masks.repeat_interleave(cells, 1).repeat_interleave(cells, 2).double()
    rows, columns = (
        [at % size for at in range(first, first + length) if wraps or at < size]
        for first, length, size, wraps in ((y, tall, pixels[0], wrap[0]), (x, wide, pixels[1], wrap[1]))
    )
    expected = large[:, rows][:, :, columns].mean((1, 2))
    assert (tile_coverage(masks, Rect(y, x, tall, wide), pixels, wrap) - expected).abs().max() < 1e-9


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_is_refused_in_words(threshold):
    with pytest.raises(ValueError, match=r"is no share of a tile: use 0 \(every word everywhere\)"):
        words_of_tiles(torch.rand(1, 8, 8), TileLayout.grid(64, 64, 32, 32, 0), threshold)
