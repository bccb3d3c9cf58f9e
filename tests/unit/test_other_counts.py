"""Tiles that come back with another number of pictures than was cut: a video model gives 13 frames for 16."""

import pytest
import torch
from tilework.blending import TileLayout, compose, cut
from tilework.blending.color.gain import compensate
from tilework.blending.color.match import match_tiles
from tilework.blending.layout.captions import describe_batch
from tilework.blending.layout.regroup import as_they_came, gather, tile_spans
from tilework.blending.pixels.counted import counted
from tilework.blending.seam_check.check import check_seams

LAYOUT = TileLayout.grid(100, 140, 64, 64, 16, 8, batch=16)
FRAMES = torch.rand(31, 100, 140, 3, generator=torch.Generator().manual_seed(0))


def items_of(layout, count, height=100, width=140):
    return [tile.clone() for tile in cut(FRAMES[:count, :height, :width], layout)]


@pytest.mark.parametrize("planned", [1, 16])
@pytest.mark.parametrize("count", [1, 13, 16, 31])
def test_the_count_that_all_tiles_agree_on_is_the_result(planned, count):
    layout = TileLayout.grid(100, 140, 64, 64, 16, 8, batch=planned)
    items = items_of(layout, count)
    sizes = [len(item) for item in items]
    (came,) = as_they_came(sizes, [layout])
    (spans,) = tile_spans(sizes, [came])
    out = compose((gather(items, parts) for parts in spans), came)
    assert came.batch == count and came.tiles == layout.tiles
    assert out.shape == (count, 100, 140, 3) and float((out - FRAMES[:count]).abs().max()) <= 1e-6
    were = "was" if planned == 1 else "were"
    said = [] if count == planned else [f"{counted(count, 'picture')} came back of every tile, {planned} {were} cut"]
    assert describe_batch(layout, came) == said


def test_every_layout_has_a_count_of_its_own():
    layouts = [LAYOUT, TileLayout.grid(64, 90, 64, 64, 16, 8, batch=4)]
    items = [*items_of(layouts[0], 13), *items_of(layouts[1], 5, 64, 90)]
    sizes = [len(item) for item in items]
    came = as_they_came(sizes, layouts)
    assert [layout.batch for layout in came] == [13, 5]
    for layout, spans, count, size in zip(came, tile_spans(sizes, came), (13, 5), ((100, 140), (64, 90)), strict=True):
        out = compose((gather(items, parts) for parts in spans), layout)
        assert float((out - FRAMES[:count, : size[0], : size[1]]).abs().max()) <= 1e-6


@pytest.mark.parametrize("sizes", [[16] * 6, [96], [1] * 96, [32] * 3, [10] * 9 + [6]])
def test_what_was_cut_is_understood_in_any_batches_as_before(sizes):
    assert as_they_came(sizes, [LAYOUT]) == [LAYOUT]
    assert len(tile_spans(sizes, [LAYOUT])[0]) == 6


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([16] * 5, "and 80 came: a tile is missing"),
        ([13] * 5, "and 65 came: a tile is missing"),
        ([78], "and 78 came: a tile is missing"),
        ([1] * 78, "and 78 came: a tile is missing"),
        ([26] * 3, "and 78 came: a tile is missing"),
        ([17] * 7, "and 119 came: there are too many"),
        ([16, 16, 13, 16, 16, 16], "a tile is missing.*or the same number for each tile: tile 0 came back with 16 and tile 2 with 13"),
        ([16, 16, 16, 16, 31, 16], "there are too many.*or the same number for each tile: tile 0 came back with 16 and tile 4 with 31"),
    ],
)
def test_what_cannot_be_told_apart_is_refused_as_before(sizes, words):
    assert as_they_came(sizes, [LAYOUT]) == [LAYOUT]
    with pytest.raises(ValueError, match=words):
        tile_spans(sizes, as_they_came(sizes, [LAYOUT]))


def test_a_reference_is_one_or_one_for_each_that_came():
    items = items_of(LAYOUT, 3)
    (came,) = as_they_came([3] * 6, [LAYOUT])
    for reference in (FRAMES[:1], FRAMES[:3]):
        out = list(match_tiles(items, came, reference, "mean-std"))
        assert all(tile.shape[0] == 3 for tile in out)
        assert compensate(items, came, reference).gains.shape[1] == 3
    for call in (lambda: match_tiles(items, came, FRAMES[:16], "mean-std"), lambda: compensate(items, came, FRAMES[:16])):
        with pytest.raises(ValueError, match="reference has a batch of 16 and the tiles one of 3"):
            call()


def test_the_seam_check_takes_them_beside_the_pictures():
    items = items_of(LAYOUT, 2)
    (came,) = as_they_came([2] * 6, [LAYOUT])
    report = check_seams(compose(items, came), LAYOUT, tiles=items)
    assert report.pictures == 2 and report.compared == "tiles"
