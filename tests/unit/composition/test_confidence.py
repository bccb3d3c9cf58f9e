"""One tile that went wrong is outvoted; where nobody can tell which it is, nothing is made up."""

import pytest
import torch
from tilework.blending import Mosaic, TileLayout, compose, cut
from tilework.blending.composition.compose import compose_on
from tilework.blending.composition.confidence import Trust
from tilework.blending.composition.methods import CONFIDENCE

HALF = TileLayout.grid(192, 256, 96, 96, 48, 8)  # four meet nearly everywhere
GRID = TileLayout.grid(192, 256, 96, 96, 32, 8)


def picture(layout, channels=3, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, channels, 9, 9, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=layout.canvas, mode="bicubic").movedim(1, -1)
    return (0.3 + 0.4 * smooth + 0.01 * torch.randn(smooth.shape, generator=generator)).clamp(0.05, 0.95).contiguous()


def covers(layout):
    count = torch.zeros(layout.canvas)
    for t in layout.tiles:
        count[t.y : t.y + t.height, t.x : t.x + t.width] += 1
    return count


def tiles_of(scene, layout, wrong=None, by=0.5, grain=0.0):
    generator = torch.Generator().manual_seed(1)
    tiles = [t + grain * torch.randn(t.shape, generator=generator) for t in cut(scene, layout)]
    if wrong is not None:
        tiles[wrong] = tiles[wrong] + by
    return tiles


def said(tiles, layout):
    lines = []
    compose_on(tiles, Mosaic(layout, tuple(tiles[0].shape[1:3])), CONFIDENCE, tell=lines.extend)
    return "\n".join(lines)


@pytest.mark.parametrize(("channels", "batch"), [(1, 1), (3, 2), (4, 1)])
@pytest.mark.parametrize("layout", [HALF, GRID, TileLayout.grid(100, 1000, 100, 512, 64)], ids=["half", "grid", "three in a row"])
def test_equal_predictions_are_hann(layout, channels, batch):
    scene = picture(layout, channels, batch)
    tiles = tiles_of(scene, layout)
    assert (compose(tiles, layout, "confidence") - compose(tiles, layout, "hann")).abs().max() <= 1e-6
    alike = [t * 0 + 0.25 for t in tiles]
    assert (compose(alike, layout, "confidence") - 0.25).abs().max() <= 1e-6


@pytest.mark.parametrize("grain", [0.0, 2 / 255])
@pytest.mark.parametrize("by", [0.5, -0.5])
@pytest.mark.parametrize("channels", [3, 4])
def test_one_of_three_or_more_that_went_wrong_is_outvoted(channels, by, grain):
    for layout, wrong in ((HALF, 6), (GRID, 5), (TileLayout.grid(100, 1000, 100, 512, 64), 1)):
        scene = picture(layout, channels)
        tiles = tiles_of(scene, layout, wrong, by, grain)
        if channels == 4:
            tiles[wrong][..., 3] -= by
        t = layout.tiles[wrong]
        many = torch.zeros(layout.canvas, dtype=torch.bool)
        many[t.y : t.y + t.height, t.x : t.x + t.width] = True
        many &= covers(layout) >= 3
        assert many.any()
        errors = {m: float((compose(tiles, layout, m) - scene).abs()[:, many].mean()) for m in ("average", "hann", "confidence")}
        print(f"{len(layout)} tiles, {by:+}, grain {grain:.3f}: " + ", ".join(f"{m} {e:.5f}" for m, e in errors.items()))
        assert errors["confidence"] <= 0.2 * errors["average"]


def test_where_two_meet_a_tile_counts_by_its_corners():
    scene = picture(GRID)
    tiles = tiles_of(scene, GRID, 4, 0.5, 1 / 255)
    t = GRID.tiles[4]
    mine = torch.zeros(GRID.canvas, dtype=torch.bool)
    mine[t.y : t.y + t.height, t.x : t.x + t.width] = True
    pairs = mine & (covers(GRID) == 2)
    errors = {m: float((compose(tiles, GRID, m) - scene).abs()[:, pairs].mean()) for m in ("average", "confidence")}
    print(errors)
    assert errors["confidence"] <= 0.1 * errors["average"]
    words = said(tiles, GRID)
    print(words)
    assert "tile 4 differs from the others" in words and "tile 3" not in words


def test_where_two_meet_without_corners_it_is_hann_and_says_so():
    layout = TileLayout.grid(96, 256, 96, 96, 32, 8)
    tiles = tiles_of(picture(layout), layout, 1, 0.5)
    assert torch.equal(compose(tiles, layout, "confidence"), compose(tiles, layout, "hann"))
    assert "nobody can say which is wrong, so there it is hann" in said(tiles, layout)


def test_independent_grain_is_no_fault():
    tiles = tiles_of(picture(GRID), GRID, grain=3 / 255)
    assert "none of" in said(tiles, GRID)
    difference = (compose(tiles, GRID, "confidence") - compose(tiles, GRID, "hann")).abs()
    assert difference[:, covers(GRID) <= 2].max() == 0 and difference.max() <= 8 / 255


def test_each_picture_of_a_batch_for_itself_and_at_any_scale():
    scene = picture(GRID, batch=2)
    tiles = tiles_of(scene, GRID)
    tiles[4] = torch.cat((tiles[4][:1] + 0.5, tiles[4][1:]))
    both = compose(tiles, GRID, "confidence")
    assert torch.allclose(both[1:], compose([t[1:] for t in tiles], GRID, "confidence"), atol=1e-6)
    assert torch.allclose(both[:1], compose([t[:1] for t in tiles], GRID, "confidence"), atol=1e-6)
    assert "tile 4, picture 0" in said(tiles, GRID)
    size = (131, 131)
    grown = [torch.nn.functional.interpolate(t.movedim(3, 1), size, mode="bicubic").movedim(1, 3) for t in tiles]
    whole = compose(grown, GRID, "confidence")
    hann = compose(grown, GRID, "hann")
    assert whole.shape == hann.shape and torch.isfinite(whole).all()
    good = [t[1:] for t in grown]
    assert (compose(good, GRID, "confidence") - compose(good, GRID, "hann")).abs().max() <= 0.02


def test_a_report_of_nothing_shared():
    assert Trust(torch.full((1, 1), float("nan")), (0.0, 0.0, 0.0)).report()[0].startswith("confidence: 0 %")
