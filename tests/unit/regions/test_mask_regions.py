"""Tiles on a mask: all of it is inside, apart, on the lattice; and how a mask fades out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending import cut
from tilework.blending.composition.blend import blend
from tilework.blending.composition.over_base import tile_shares
from tilework.blending.regions.mask_regions import FITS, mask_layout, soft_mask


def drawn_mask(seed, height, width):
    drawn = np.random.default_rng(seed)
    mask = torch.zeros(1, height, width)
    for _ in range(int(drawn.integers(1, 7))):
        y, x = int(drawn.integers(0, height)), int(drawn.integers(0, width))
        kind = drawn.integers(0, 3)
        h, w = [(6, width), (height, 6), (int(drawn.integers(1, 40)), int(drawn.integers(1, 40)))][kind]
        mask[0, y : y + h, (x if kind != 0 else 0) : x + w] = 1
    return mask


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 10**6), st.integers(40, 300), st.integers(40, 300), st.sampled_from(FITS), st.sampled_from([1, 8]))
def test_all_that_is_marked_comes_from_tiles_alone(seed, height, width, fit, multiple_of):
    mask = drawn_mask(seed, height, width)
    layout = mask_layout(mask, 96, 96, 16, 12, multiple_of, fit)
    assert all(tile.y % multiple_of == tile.x % multiple_of == tile.height % multiple_of == 0 for tile in layout.tiles)
    if fit == "cover":
        whole = [-(-size // multiple_of) * multiple_of for size in (height, width)]
        assert all((tile.height, tile.width) == (min(96, whole[0]), min(96, whole[1])) for tile in layout.tiles)
    kept = torch.ones(height, width, dtype=torch.float64)
    for share in tile_shares(layout, (height, width), "hann", 0):
        kept[share.rows, share.columns] *= 1 - share.weight.double()
    assert float(kept[mask[0] > 0].max()) == 0, "nothing of the base is left where the mask is"
    image = torch.rand(1, height, width, 3)
    out = blend(list(cut(image, layout)), layout, base=image).image
    assert float((out - image).abs().max()) <= 1e-6


def test_parts_apart_get_a_tile_each_and_near_ones_share_one():
    mask = torch.zeros(1, 1000, 2000)
    mask[:, 100:150, 100:180] = mask[:, 160:200, 240:260] = mask[:, 800:810, 1900:1990] = 1
    layout = mask_layout(mask, 256, 256, 0, 64)
    assert [tuple(tile) for tile in layout.tiles] == [(24, 32, 256, 296), (680, 1744, 256, 256)]
    apart = mask_layout(mask, 64, 64, 0, 16)
    assert len(apart) == 3


def test_an_empty_mask_has_no_tiles_and_gives_the_base_itself():
    layout = mask_layout(torch.zeros(2, 64, 64), 32, 32, 8)
    base = torch.rand(1, 64, 64, 3)
    done = blend([], layout, base=base)
    assert len(layout) == 0 and torch.equal(done.image, base) and "given back" in done.lines[0] and not done.seams.any()


def test_tiles_along_a_seam_stand_in_a_row_with_the_seam_in_their_middle():
    mask = torch.zeros(1, 1024, 2048)
    mask[:, :, 1000:1016] = 1
    layout = mask_layout(mask, 256, 256, 64, 32, 8, "cover")
    assert {tile.x for tile in layout.tiles} == {880} and 5 <= len(layout) <= 7


@pytest.mark.parametrize("margin", [0, 1, 9, 64])
def test_a_soft_mask_is_itself_where_it_was_and_nothing_beyond_the_margin(margin):
    mask = torch.zeros(2, 200, 150)
    mask[0, 90:100, 60:75] = 1
    mask[1, 0:20, 0:30] = 0.5
    soft = soft_mask(mask, margin)
    assert float((soft - mask).min()) >= 0 and float(soft.max()) <= 1
    assert torch.allclose(soft[0, 90:100, 60:75], torch.ones(()), atol=1e-6)
    far = torch.ones_like(mask, dtype=torch.bool)
    far[0, max(90 - margin, 0) : 100 + margin, max(60 - margin, 0) : 75 + margin] = False
    far[1, 0 : 20 + margin, 0 : 30 + margin] = False
    assert not soft[far].any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"margin": -1}, "margin -1 is negative"),
        ({"fit": "round"}, "fit 'round' is not known"),
        ({"overlap": 64}, "must be smaller than the tile"),
        ({"fit": "cover", "margin": 40}, "leaves nothing inside its margins"),
    ],
)
def test_sizes_that_make_no_sense_are_refused_in_words(change, words):
    mask = torch.zeros(1, 128, 128)
    mask[:, 5, 5] = 1
    with pytest.raises(ValueError, match=words):
        mask_layout(mask, **{"tile_height": 64, "tile_width": 64, "overlap": 16, "margin": 8, **change})


def test_noise_for_a_mask_is_refused_at_once():
    noise = torch.zeros(1, 1024, 1024)
    noise[:, ::4, ::4] = 1
    with pytest.raises(ValueError, match="falls into 65536 parts"):
        mask_layout(noise, 64, 64, 8, 0)
