"""Layouts around a picture that is joined to itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending.layout.captions import describe_split
from tilework.blending.layout.cutting import cut
from tilework.blending.layout.mosaic import Mosaic
from tilework.blending.layout.noise_mask import cut_mask
from tilework.blending.layout.tile_layout import TileLayout
from tilework.blending.layout.unrolled import unrolled_picture
from tilework.blending.layout.windows import WINDOWS


@st.composite
def rings(draw):
    """Layouts that wrap along x, with their picture's height as it comes."""
    lattice = draw(st.sampled_from([1, 2, 4, 8]))
    width = draw(st.integers(2 * lattice, 300))
    count = draw(st.integers(2, max(2, min(9, width // lattice))))
    tile = min(width, -(-width // count) + 2 * lattice)
    overlap = draw(st.integers(0, max(tile - width // count - 2 * lattice, 0)))
    typed = draw(st.booleans())
    counts = (0, 0) if typed else (0, count)
    try:
        return TileLayout.grid(17, width, 17, tile, min(overlap, 16), lattice, wrap=(False, True), counts=counts), min(overlap, 16), lattice
    except ValueError:
        return TileLayout.grid(17, width, 17, width, 0, lattice, wrap=(False, True)), 0, lattice


@settings(max_examples=40, deadline=None)
@given(rings(), st.sampled_from(WINDOWS), st.sampled_from([1, 2, 3]))
def test_tiles_lie_around_the_ring_and_their_windows_add_up_to_one(drawn, window, scale):
    layout, overlap, lattice = drawn
    axis = layout.axes[1]
    assert all(origin % lattice == 0 for origin in axis.origins) and axis.origins[0] == 0 and axis.tile <= axis.size
    strides = [b - a for a, b in zip(axis.starts, axis.starts[1:], strict=False)]
    if strides:
        assert min(axis.tile - stride for stride in strides) == axis.overlap >= overlap
        # As even as the lattice allows; the last stride takes what the lattice leaves over.
        assert max(strides) - min(strides) < 2 * lattice
    covered = torch.zeros(axis.size, dtype=torch.int64)
    for origin in axis.origins:
        covered.index_add_(0, torch.arange(origin, origin + axis.tile) % axis.size, torch.ones(axis.tile, dtype=torch.int64))
    assert int(covered.min()) >= 1 and int((covered == 1).sum()) == axis.covered_once
    mosaic = Mosaic(layout, (17 * scale, axis.tile * scale), window)
    for windows in (mosaic.windows[1], mosaic.around().windows[1]):
        total = torch.zeros(axis.size * scale, dtype=torch.float64)
        for one in windows:
            total.index_add_(0, torch.arange(one.start, one.stop) % len(total), one.weight)
        assert torch.allclose(total, torch.ones_like(total), atol=1e-12, rtol=0)
    assert TileLayout.from_json(layout.to_json()) == layout


def test_tiles_show_what_is_at_the_other_side_and_not_the_mirrored_picture():
    picture = torch.arange(12.0 * 20).view(1, 12, 20, 1)
    layout = TileLayout.grid(12, 20, 8, 8, 2, 2, wrap=(True, True))
    assert layout.counts == (2, 4)
    for rect, tile in zip(layout.tiles, cut(picture, layout), strict=True):
        rows, columns = (torch.arange(rect.y, rect.y + 8) % 12, torch.arange(rect.x, rect.x + 8) % 20)
        assert torch.equal(tile, picture[:, rows][:, :, columns])
    mask = torch.rand(1, 6, 10)
    for rect, part in zip(layout.tiles, cut_mask(mask, layout), strict=True):
        rows, columns = ((torch.arange(4) + rect.y // 2) % 6, (torch.arange(4) + rect.x // 2) % 10)
        assert torch.equal(part, mask[:, rows][:, :, columns])
    smooth = torch.sin(torch.arange(30) * (2 * torch.pi / 30)).expand(1, 18, 30)
    uneven = TileLayout.grid(12, 20, 8, 8, 2, 1, wrap=(True, True))
    assert any(tile.x % 2 for tile in uneven.tiles)  # not on whole pixels of the mask
    for rect, part in zip(uneven.tiles, cut_mask(smooth, uneven), strict=True):
        at = (torch.arange(12) + 0.5) * 8 / 12 + rect.x
        assert torch.allclose(part, torch.sin((at * 1.5 - 0.5) * (2 * torch.pi / 30)).expand(1, 12, 12), atol=0.03)


def test_so_many_columns_and_rows_with_the_smallest_tile_that_does():
    for wrap in ((False, False), (True, True)):
        layout = TileLayout.grid(1200, 2048, 7, 7, 128, 8, counts=(3, 5), wrap=wrap)
        assert layout.counts == (3, 5) and layout.least_overlap >= 128
        height, width = layout.tile_size
        assert height % 8 == width % 8 == 0
        for tile in ((height - 8, width), (height, width - 8)):
            smaller = TileLayout.grid(1200, 2048, *tile, 128, 8, wrap=wrap)
            assert len(smaller) > 15
    assert TileLayout.grid(100, 100, 8, 8, 0, 8, counts=(1, 1)).tile_size == (104, 104)


@pytest.mark.parametrize(
    ("size", "tile", "overlap", "lattice", "more", "words"),
    [
        ((512, 500), 512, 64, 8, {"wrap": (False, True)}, "a tile of 512 px is longer than the 500 px of the picture where it wraps"),
        ((512, 520), 64, 60, 8, {"wrap": (True, True)}, "cannot be gone round in such steps"),
        ((512, 512), 64, 16, 8, {"wrap": (False, True), "counts": (0, 1)}, "columns 1 is a single tile, which cannot overlap itself"),
        ((512, 512), 64, 16, 8, {"counts": (0, 100)}, "columns 100 with overlap 16 cannot cover 512 px"),
        ((512, 512), 64, 16, 8, {"wrap": (True, True), "counts": (65, 0)}, "rows 65 with overlap 16 cannot cover 512 px"),
        ((512, 512), 64, 500, 8, {"wrap": (True, True), "counts": (4, 4)}, "rows 4 with overlap 500 cannot cover 512 px"),
        ((512, 512), 64, 16, 8, {"counts": (-1, 0)}, "rows -1 and columns 0 are numbers of tiles"),
        ((65536, 65536), 64, 0, 1, {"counts": (30000, 30000)}, "more than 65536"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_words(size, tile, overlap, lattice, more, words):
    with pytest.raises(ValueError, match=words):
        TileLayout.grid(*size, tile, tile, overlap, lattice, **more)


def test_a_picture_of_another_length_is_refused():
    layout = TileLayout.grid(64, 96, 64, 48, 16, 8, wrap=(False, True))
    assert layout.fit(32, 48, 1).wrap == (False, True) and layout.fit(8, 12, 1, 8).unit == 8
    with pytest.raises(ValueError, match="joined to itself cannot be a pixel longer or shorter"):
        TileLayout.grid(64, 100, 64, 48, 16, 4, wrap=(False, True)).fit(8, 12, 1, 8)
    with pytest.raises(ValueError, match="longer than the canvas"):
        TileLayout.from_record({**layout.to_record(), "canvas": [32, 40], "tiles": [[0, 0, 32, 48]]})


def test_words_and_the_unrolled_picture():
    layout = TileLayout.grid(96, 144, 64, 64, 16, 8, wrap=(True, True))
    assert describe_split(layout, 8)[-1] == "wraps around: left to right and top to bottom"
    picture = torch.rand(1, 96, 144, 3)
    wide, grid, before = unrolled_picture(picture, layout)
    assert grid.wrap == (False, False) and wide.shape[1:3] == grid.canvas and before == (48, 48)
    assert torch.equal(wide[:, 48:144, 48:192], picture)
    tiles = list(cut(wide, grid))
    rows, columns = grid.counts
    inner = [tiles[r * columns + c] for r in range(rows - layout.counts[0], rows) for c in range(columns - layout.counts[1], columns)]
    assert all(torch.equal(a, b) for a, b in zip(inner, cut(picture, layout), strict=True))
