"""The planner's promises, over random sizes, and the layout's record."""

import json
from fractions import Fraction

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tilework.blending import METHODS, compose, cut
from tilework.blending.layout.captions import describe_split
from tilework.blending.layout.grid import MAX_TILES, plan_axis
from tilework.blending.layout.tile_layout import TileLayout


@st.composite
def plans(draw, longest=3000):
    lattice = draw(st.sampled_from([1, 2, 3, 8, 16, 64]))
    tile = draw(st.integers(max(1, lattice), 700))
    overlap = draw(st.integers(0, tile - lattice))
    return draw(st.integers(1, longest)), tile, overlap, lattice


@settings(max_examples=400, deadline=None)
@given(plans())
def test_every_axis_plan_keeps_its_promises(plan):
    size, tile, overlap, lattice = plan
    origins = plan_axis(*plan)
    end = origins[-1] + tile
    assert origins[0] == 0
    assert end >= size, "every pixel is covered"
    assert all(o % lattice == 0 for o in origins)
    strides = [b - a for a, b in zip(origins, origins[1:], strict=False)]
    assert all(0 < s <= tile - overlap for s in strides), "neighbours overlap by at least what was asked"
    assert not strides or max(strides) - min(strides) <= lattice, "evenly spread, no sliver"
    assert end - size < lattice or size <= tile, "the canvas overruns the image by less than one lattice step"
    fewer = (len(origins) - 2) * ((tile - overlap) // lattice) * lattice + tile
    assert len(origins) == 1 or fewer < size, "no tile more than needed"


@settings(max_examples=100, deadline=None)
@given(plans(60), plans(60))
def test_what_is_computed_twice_is_counted_pixel_by_pixel(a, b):
    height, tile_height, _, lattice = a
    width, tile_width, _, _ = b
    assume(lattice <= min(tile_height, tile_width))
    layout = TileLayout.grid(height, width, tile_height, tile_width, min(a[2], tile_width - lattice), lattice)
    times = [[0] * width for _ in range(height)]
    for tile in layout.tiles:
        for y in range(tile.y, min(tile.y + tile.height, height)):
            for x in range(tile.x, min(tile.x + tile.width, width)):
                times[y][x] += 1
    twice = sum(count > 1 for row in times for count in row)
    assert layout.repeated == Fraction(twice, height * width)


def test_a_plan_in_words():
    assert describe_split(TileLayout.grid(777, 1000, 512, 512, 64, 8), 8) == [
        "6 tiles of 512 x 512 (3 x 2)",
        "true overlap 264 x 240 px, 66.3 % computed twice or more",
        "1000 x 777 px, 2.02 x the pixels to compute",
    ]
    single = describe_split(TileLayout.grid(512, 512, 1004, 1000, 64, 8), 8)
    assert single[0] == "1 tile of 1000 x 1004 (1 x 1)" and single[1] == "0.0 % computed twice or more"
    assert single[3] == "the tile is not a multiple of 8: a VAE would crop it"


def test_three_tiles_meet_in_777_by_1000():
    layout = TileLayout.grid(777, 1000, 512, 512, 64, 1)
    assert layout.axes[1].origins == (0, 244, 488)
    assert layout.axes[1].overlap == 268


@settings(max_examples=50, deadline=None)
@given(plans(400), plans(400), st.integers(1, 4))
def test_record_survives_json_and_equals_hashes(a, b, batch):
    height, tile_height, _, lattice = a
    width, tile_width, _, _ = b
    assume(lattice <= min(tile_height, tile_width) and height * width < 5000 * tile_height * tile_width)
    layout = TileLayout.grid(height, width, tile_height, tile_width, 0, lattice, batch)
    again = TileLayout.from_json(layout.to_json())
    assert again == layout and hash(again) == hash(layout)
    assert json.loads(layout.to_json())["version"] == 1


def test_the_record_of_version_1_stays_readable():
    record = {"version": 1, "kind": "grid", "canvas": [600, 900], "batch": 2, "unit": 8, "tiles": [[0, 0, 600, 512], [0, 392, 600, 512]],
              "wrap": [False, False], "present": "all", "mask_size": None, "a key of a later minor version": 1}  # fmt: skip
    layout = TileLayout.from_record(record)
    assert layout.canvas == (600, 900) and layout.unit == 8 and layout.batch == 2 and layout.tiles[1].x == 392


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "later Tilework"),
        ({"version": "1"}, "no version"),
        ({"tiles": [[0, 0, 8, 8]]}, "do not cover"),
        ({"tiles": [[0, 0, 600, 512], [0, 700, 600, 512]]}, "do not cover"),
        ({"tiles": [[0, 392, 600, 512], [0, 0, 600, 512]]}, "row order"),
        ({"tiles": [[0, 0, 600, 512], [0, 392, 600, 513]]}, "grid of equal tiles"),
        ({"tiles": []}, "1 to"),
        ({"tiles": [[0, 0, 600, 1e9]]}, "whole numbers"),
        ({"tiles": [[0, 0, -5, 9]]}, "whole numbers"),
        ({"tiles": "x" * 10}, "list of"),
        ({"canvas": [600]}, "2 whole numbers"),
        ({"canvas": [0, 900]}, "between 1 and"),
        ({"unit": 0}, "unit of 1 or more"),
        ({"kind": "objects"}, "not known to this Tilework"),
        ({"wrap": [True, False, False]}, "wraps around"),
        ({"present": [9]}, "numbers from 0 to 1"),
        ({"present": [1, 0]}, "in order"),
        ({"batch": True}, "whole numbers"),
        ({"wrap": []}, "wraps around"),
        ({"version": True}, "no version"),
        ({"version": -3}, "no version"),
        ({"mask_size": [0, 4]}, "mask_size"),
        ({"unit": 7}, "whole cells of 7 px"),
        ({"tiles": [[i, i, 1, 1] for i in range(60000)], "canvas": [60000, 60000]}, "60000 tiles in 60000 rows and 60000 columns"),
    ],
)
def test_a_hostile_record_is_refused_in_words(change, words):
    record = TileLayout.grid(600, 900, 600, 512, 100, 1).to_record()
    assert TileLayout.from_record(record)
    with pytest.raises(ValueError, match=words):
        TileLayout.from_record({**record, **change})


@pytest.mark.parametrize("text", ["[" * 200_000, "null", "{", '"x"'])
def test_text_that_is_no_record_is_refused_in_words(text):
    with pytest.raises(ValueError, match="not a Tilework layout"):
        TileLayout.from_json(text)


@pytest.mark.parametrize("scale", [0, -1, "nan", "1/0", float("inf"), "x", 1e300])
def test_a_scale_that_is_none_is_refused_in_words(scale):
    with pytest.raises(ValueError, match="a layout cannot be scaled by"):
        TileLayout.grid(100, 100, 64, 64, 16).scaled(scale)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((1000, 1000, 512, 512, 512), r"overlap 512 must be smaller than the tile \(512 x 512\): use 256 or less"),
        ((1000, 1000, 0, 512, 0), "tile_height 0 is not a tile size: use"),
        ((1000, 1000, 512, 0, 0), "tile_width 0 is not a tile size: use"),
        ((1000, 1000, 512, 512, -1), "overlap -1 is negative: use 0"),
        ((0, 1000, 512, 512, 64), "height of 0 px cannot be cut"),
        ((1000, 1000, 512, 512, 64, 0), "multiple_of 0"),
        ((1000, 1000, 512, 512, 500, 64), "moves on by 12 px, less than multiple_of 64"),
        ((15000, 15000, 1, 1, 0), "more than 65536: use a larger tile"),
        ((8, 8, 8192, 8192, 0, 8, 64), "nearly all padding around a picture of 8 x 8"),
        ((64, 1024, 32768, 256, 248, 8), "nearly all padding around a picture of 1024 x 64"),
        ((64, 64, 32768, 32768, 64), "32768 x 32768 would be nearly all padding around a picture of 64 x 64"),
        ((1000, 1000, 500, 512, 64, 8, 1, 16), "tile_height 500 is not a whole number of latent cells of 16 px: use 496 or 512"),
    ],
)
def test_an_impossible_plan_is_refused_with_its_mend(args, words):
    with pytest.raises(ValueError, match=words):
        TileLayout.grid(*args)


def test_overlap_is_refused_even_where_one_tile_would_do():
    with pytest.raises(ValueError, match="must be smaller than the tile"):
        TileLayout.grid(64, 64, 512, 512, 600)


def test_a_tile_may_be_somewhat_larger_than_the_picture():
    assert len(TileLayout.grid(1, 1, 2048, 2048, 128)) == 1
    assert len(TileLayout.grid(10000, 15000, 16384, 16384, 128)) == 1


def test_hostile_grid_is_bounded_before_it_is_made():
    with pytest.raises(ValueError, match="tiles, more than"):
        TileLayout.grid(1_000_000, 1_000_000, 2, 2, 1)
    assert MAX_TILES == 65_536


@settings(deadline=None)
@given(st.integers(1, 2000), st.integers(1, 2000), st.sampled_from([2, 3, 4, Fraction(1, 2), Fraction(3, 2)]))
def test_scaling_commutes_with_the_plan(height, width, factor):
    layout = TileLayout.grid(height, width, 512, 256, 64, 8)
    scaled = layout.scaled(factor)
    assert scaled.canvas == (max(1, round(height * factor)), max(1, round(width * factor)))
    assert [t.x for t in scaled.tiles] == [t.x * factor for t in layout.tiles]
    assert scaled.scaled(1 / Fraction(factor)).tiles == layout.tiles


def test_an_inexact_scale_says_which_length():
    with pytest.raises(ValueError, match=r"scale 11/10 puts tile 0's height of 512 px at 563.2.*multiples of 10"):
        TileLayout.grid(1000, 1000, 512, 512, 64, 8).scaled("1.1")


def test_the_latent_lattice_serves_both_the_unit_and_multiple_of():
    layout = TileLayout.grid(1000 * 16, 800 * 16, 1024, 768, 100, 24, unit=16)
    assert all(o % 48 == 0 for axis in layout.axes for o in axis.origins)


def test_a_layout_fits_other_pictures_of_the_scene():
    layout = TileLayout.grid(777, 1000, 512, 512, 64, 8)
    assert layout.fit(777, 1000, 3).batch == 3
    assert layout.fit(1554, 2000, 1) == layout.scaled(2)
    latent = layout.fit(97, 125, 1, 8)
    assert latent.canvas == (776, 1000) and latent.tiles == layout.tiles and latent.unit == 8
    odd = TileLayout.grid(1999, 3000, 512, 512, 64, 8)
    assert odd.fit(1000, 1500, 1).tiles == odd.scaled(Fraction(1, 2)).tiles, "a half-size map of an odd-sized photograph"
    assert odd.fit(999, 1500, 1).canvas == (999, 1500)
    with pytest.raises(ValueError, match="planned for a picture of 1000 x 777 and this one is 1000 x 1000"):
        layout.fit(1000, 1000, 1)
    with pytest.raises(ValueError, match="latent cells of 16 px"):
        layout.fit(48, 62, 1, 16)


def test_tiles_that_lie_outside_of_the_canvas_are_refused():
    record = {**TileLayout.grid(3, 10, 3, 3, 0).to_record(), "tiles": [[0, x, 3, 3] for x in range(0, 18, 3)]}
    with pytest.raises(ValueError, match="a tile lies outside of the canvas along x: at 15 of 10 px"):
        TileLayout.from_record(record)


def test_a_canvas_that_was_rounded_down_may_end_where_its_last_tile_begins():
    """Layouts of another picture at half the size, as earlier versions saved them."""
    layout = TileLayout.grid(513, 513, 512, 512, 0, 512).scaled(Fraction(1, 2))
    assert layout.canvas == (256, 256) and layout.tiles[-1].y == 256
    assert TileLayout.from_record(layout.to_record()) == layout
    image = torch.rand(1, 256, 256, 3, generator=torch.Generator().manual_seed(1))
    for method in METHODS:
        assert float((compose(list(cut(image, layout)), layout, method) - image).abs().max()) <= 1e-4, method
