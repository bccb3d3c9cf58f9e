"""What does not fit is refused in words: expected, seen, and what to do."""

import pytest
import torch
from tilework.blending import TileLayout, compose, cut
from tilework.blending.layout.regroup import gather, tile_spans

IMAGE = torch.rand(1, 200, 200, 3, generator=torch.Generator().manual_seed(0))
LAYOUT = TileLayout.grid(200, 200, 96, 96, 32, 8)


def tiles():
    return [tile.clone() for tile in cut(IMAGE, LAYOUT)]


def test_every_broken_value_of_a_large_tile_is_counted():
    layout = TileLayout.grid(1024, 1800, 1024, 1024, 128, 8)
    parts = [tile.clone() for tile in cut(torch.zeros(1, 1024, 1800, 3), layout)]
    parts[1][:, 0, 0] = float("inf")
    parts[1][:, -1] = float("nan")
    with pytest.raises(ValueError, match=rf"tile 1 has NaN in it \({3 + 1024 * 3} values\)"):
        compose(parts, layout)


def test_a_missing_tile():
    with pytest.raises(ValueError, match="8 tiles came and the layout has 9: tile 8 is missing; pass every tile on"):
        compose(tiles()[:-1], LAYOUT)
    with pytest.raises(ValueError, match="the layout has 9 tiles and 8 came: a tile is missing"):
        tile_spans([1] * 8, [LAYOUT])


def test_tiles_of_another_layout():
    with pytest.raises(ValueError, match="more than the 9 tiles of the layout came"):
        compose([*tiles(), *tiles()], LAYOUT)
    with pytest.raises(ValueError, match="the layout has 9 tiles and 16 came: there are too many, or they belong to another layout"):
        tile_spans([4] * 4, [LAYOUT])
    with pytest.raises(ValueError, match=r"came back 128 x 96 where 96 x 96 was planned.*another layout"):
        compose([torch.rand(1, 96, 128, 3)] * 9, LAYOUT)


def test_an_empty_list():
    with pytest.raises(ValueError, match="the list of tiles is empty and the layout has 9 tiles: connect"):
        tile_spans([], [LAYOUT])


def test_tiles_of_different_sizes():
    odd = tiles()
    odd[4] = odd[4][:, :, :-1]
    with pytest.raises(ValueError, match="tile 4 is 95 x 96 with 3 channels, batch 1 and tile 0 is 96 x 96 with 3 channels"):
        compose(odd, LAYOUT)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("place", [(0, 0), (95, 95), (50, 40)])
def test_a_broken_tile_is_named(value, place):
    broken = tiles()
    broken[7][0, place[0], place[1], 1] = float(value)
    with pytest.raises(ValueError, match=rf"tile 7 has {'NaN' if value == 'nan' else 'Inf'} in it \(1 value\).*fp16"):
        compose(broken, LAYOUT)


def test_inf_and_minus_inf_do_not_hide_each_other():
    broken = tiles()
    broken[3][0, 0, 0, 0], broken[3][0, 0, 1, 0] = float("inf"), float("-inf")
    with pytest.raises(ValueError, match="tile 3 has Inf"):
        compose(broken, LAYOUT)


def test_very_large_but_finite_values_pass():
    huge = [tile * 3e38 for tile in tiles()]
    assert torch.isfinite(compose(huge, LAYOUT, "none")).all()


@pytest.mark.parametrize("tile", [torch.zeros(1, 96, 96, 3, dtype=torch.uint8), torch.rand(96, 96, 3)])
def test_a_tile_that_is_no_picture(tile):
    with pytest.raises(ValueError, match=r"tile 0 is .*expected floating point \[B, h, w, C\]"):
        compose([tile] * 9, LAYOUT)


def test_an_unknown_method():
    with pytest.raises(ValueError, match="'poisson' is not known: use one of hann, linear"):
        compose(tiles(), LAYOUT, "poisson")


def test_parts_of_one_tile_in_different_shapes():
    layout = TileLayout.grid(64, 64, 64, 64, 0, batch=2)
    items = [torch.rand(1, 64, 64, 3), torch.rand(1, 32, 32, 3)]
    (spans,) = tile_spans([1, 1], [layout])
    with pytest.raises(ValueError, match="pictures of one tile came back in different shapes"):
        gather(items, spans[0])


def test_a_scale_that_leaves_nothing():
    layout = TileLayout.grid(2, 200, 96, 96, 32)
    with pytest.raises(ValueError, match="use another scale"):
        compose([torch.rand(1, 10, 10, 3)] * len(layout), layout)


def test_a_picture_of_another_size_than_the_layout():
    with pytest.raises(ValueError, match="planned for 200 x 200 and this is 100 x 200"):
        cut(IMAGE[:, :, :100], LAYOUT)
