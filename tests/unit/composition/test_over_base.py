"""Tiles painted over a picture: untouched ones give it back, bit for bit where they have no part."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending import TileLayout, compose, cut
from tilework.blending.composition.over_base import keep_outside, paint, tile_shares
from tilework.blending.layout.grid import Rect
from tilework.blending.layout.region_layout import RegionLayout
from tilework.blending.layout.windows import RAMPS, WINDOWS
from tilework.tests.unit.composition.region_scenes import by_area, picture, random_regions, some_of


def painted(base, layout, tiles, **more):
    out = base.clone()
    seams = paint(out, tiles, layout, **more)
    return out, seams


def parts(layout, size, **more):
    """Where the tiles have a part: bool [H, W]."""
    there = torch.zeros(size, dtype=torch.bool)
    for share in tile_shares(layout, size, more.get("window", "hann"), more.get("trim", 0)):
        there[share.rows, share.columns] |= share.weight > 0
    return there


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 3, 4]), st.sampled_from([1, 2]), st.sampled_from(RAMPS))
def test_untouched_regions_give_the_base_back(seed, channels, batch, window):
    layout = random_regions(seed, batch)
    base = picture(*layout.canvas, batch, channels, seed)
    out, _ = painted(base, layout, list(cut(base, layout)), window=window)
    assert float((out - base).abs().max()) <= 1e-6
    there = parts(layout, layout.canvas, window=window)
    changed, _ = painted(base, layout, [tile * 0.5 + 0.1 for tile in cut(base, layout)], window=window)
    assert torch.equal(changed[:, ~there], base[:, ~there]), "bit for bit outside"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(WINDOWS), st.sampled_from([0, 3]))
def test_some_tiles_of_a_grid_weigh_what_they_weigh_in_the_whole_grid(seed, window, trim):
    layout = some_of(seed)
    base = picture(*layout.canvas, 1, 3, seed)
    whole = TileLayout.from_record({**layout.to_record(), "present": "all"})
    tiles = [tile + 0.1 * (index % 4) for index, tile in enumerate(cut(base, whole))]
    # As if those that are missing had come back untouched.
    expected = compose([tiles[n] if n in layout.numbers else tile for n, tile in enumerate(cut(base, whole))], whole, window, trim)
    out, _ = painted(base, layout, [tiles[n] for n in layout.numbers], window=window, trim=trim)
    assert float((out - expected).abs().max()) < 2e-6
    there = parts(layout, layout.canvas, window=window, trim=trim)
    assert torch.equal(out[:, ~there], base[:, ~there])


def test_all_tiles_of_a_grid_hide_the_base_altogether():
    layout = TileLayout.grid(100, 140, 48, 48, 16, 8)
    image = picture(100, 140)
    base = torch.full_like(image, float("inf"))
    out, _ = painted(base, layout, list(cut(image, layout)))
    assert float((out - image).abs().max()) <= 1e-6


@pytest.mark.parametrize("scale", [2, 1.37, 0.6])
@pytest.mark.parametrize("own", [1, 1.8, 0.7])
def test_regions_come_back_at_any_scale(scale, own):
    """A constant picture stays constant; a photograph differs from it by what the resize pair itself does."""
    layout = random_regions(5)
    grey = torch.full((1, *layout.canvas, 3), 0.37)

    def enlarge(pixels, factor):
        return by_area(pixels, [max(1, round(n * factor)) for n in pixels.shape[1:3]])

    base = enlarge(grey, scale)
    out, _ = painted(base, layout, [enlarge(tile, scale * own) for tile in cut(grey, layout)])
    assert float((out - base).abs().max()) <= 1e-6
    smooth = torch.nn.functional.interpolate(picture(12, 16).movedim(-1, 1), layout.canvas, mode="bicubic").movedim(1, -1)
    base = enlarge(smooth, scale)
    tiles = [enlarge(tile, scale * own) for tile in cut(smooth, layout)]
    pair = max(float((by_area(t, r.shape[1:3]) - r).abs().mean()) for t, r in zip(tiles, cut(smooth, layout), strict=True))
    out, _ = painted(base, layout, tiles)
    there = parts(layout, tuple(base.shape[1:3]))
    assert float((out - base)[:, there].abs().mean()) <= max(2 * pair, 2e-3)
    assert torch.equal(out[:, ~there], base[:, ~there])


def test_a_small_region_worked_on_large_does_not_alias():
    """Stripes finer than the output can show become their mean, not other stripes."""
    layout = RegionLayout((64, 64), (Rect(8, 8, 32, 32),), cores=(Rect(16, 16, 16, 16),), ramps=(8,))
    stripes = (torch.arange(160) % 2).float().expand(1, 160, 160)[..., None].repeat(1, 1, 1, 3)
    out, _ = painted(torch.full((1, 64, 64, 3), 0.5), layout, [stripes])
    assert float((out - 0.5).abs().max()) < 0.02


def test_a_core_comes_from_its_tile_alone():
    layout = random_regions(11)
    base = picture(*layout.canvas)
    tiles = [torch.rand(tile.shape, generator=torch.Generator().manual_seed(n)) for n, tile in enumerate(cut(base, layout))]
    out, seams = painted(base, layout, tiles)
    core, tile = layout.cores[-1], layout.tiles[-1]
    inside = tiles[-1][:, core.y - tile.y :, core.x - tile.x :][:, : core.height, : core.width]
    assert torch.equal(out[:, core.y : core.y + core.height, core.x : core.x + core.width], inside)
    assert not seams[core.y : core.y + core.height, core.x : core.x + core.width].any() or len(layout) > 1


def test_a_mask_keeps_the_base_bit_for_bit_and_mixes_by_its_weight():
    base, above = torch.rand(2, 300, 40, 4), torch.rand(2, 300, 40, 4)
    base[:, 0, 0] = float("nan")
    mask = torch.rand(1, 300, 40)
    mask[:, :100] = 0
    mask[:, 100:150] = 1
    out = above.clone()
    keep_outside(out, base, mask)
    assert torch.equal(out[:, :100].nan_to_num(9), base[:, :100].nan_to_num(9)) and torch.equal(out[:, 100:150], above[:, 100:150])
    alpha = torch.lerp(base[..., 3], above[..., 3], mask)
    assert torch.allclose(out[:, 150:, :, 3], alpha[:, 150:])


def test_colour_hidden_under_alpha_does_not_bleed_in():
    layout = RegionLayout((32, 32), (Rect(4, 4, 24, 24),), cores=(Rect(12, 12, 8, 8),), ramps=(8,))
    base = torch.cat((torch.ones(1, 32, 32, 3), torch.zeros(1, 32, 32, 1)), -1)  # white, and nothing of it to be seen
    tile = torch.cat((torch.full((1, 24, 24, 3), 0.2), torch.ones(1, 24, 24, 1)), -1)
    out, _ = painted(base, layout, [tile])
    seen = out[..., 3] > 0.01
    assert float((out[..., :3][seen] - 0.2).abs().max()) < 1e-5


def test_a_model_that_drops_alpha_keeps_that_of_the_base():
    layout = random_regions(3)
    base = picture(*layout.canvas, 1, 4)
    out, _ = painted(base, layout, [tile[..., :3] for tile in cut(base, layout)])
    assert float((out - base).abs().max()) <= 1e-6


LAYOUT = RegionLayout((64, 64), (Rect(8, 8, 32, 32),), cores=(Rect(16, 16, 16, 16),), ramps=(8,))


@pytest.mark.parametrize(
    ("tiles", "more", "words"),
    [
        ([], {}, "0 tiles came and the layout has 1"),
        ([torch.rand(1, 32, 40, 3)], {}, "tile 0: the tiles came back 40 x 32 where 32 x 32"),
        ([torch.rand(2, 32, 32, 3)], {}, "batch 2"),
        ([torch.rand(1, 32, 32, 4)], {}, "4 channels"),
        ([torch.full((1, 32, 32, 3), float("nan"))], {}, "tile 0 has NaN"),
        ([torch.rand(1, 32, 32, 3)], {"window": "average"}, "average weighs all tiles alike"),
        ([torch.rand(1, 32, 32, 3)], {"trim": 9}, "trim 9 takes away pixels that must come from region 0"),
        (["tile"], {}, "tile 0 is a str"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(tiles, more, words):
    with pytest.raises(ValueError, match=words):
        painted(torch.rand(1, 64, 64, 3), LAYOUT, tiles, **more)
