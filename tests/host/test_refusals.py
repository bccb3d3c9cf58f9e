"""What does not fit reaches the user as the node's error, in words."""

import pytest
from tilework.tests.host.prompts import blend, node, roundtrip, source, split
from tilework.tools.server.workflow import WorkflowError as HostRunError


def refused(run_prompt, prompt):
    with pytest.raises(HostRunError) as caught:
        run_prompt(prompt)
    print(caught.value)
    return str(caught.value)


def broken(class_type, /, **inputs):
    return roundtrip(source(300, 300), via=node(class_type, images=["2", 0], **inputs), tile=128, overlap=32)


def test_a_missing_tile(run_prompt):
    said = refused(run_prompt, broken("TileworkTestDrop", index=4))
    assert "TileworkSeamBlend" in said and "the layout has 9 tiles and 8 came: a tile is missing" in said


@pytest.mark.parametrize(("value", "name"), [("nan", "NaN"), ("inf", "Inf")])
def test_nan_in_tile_7(run_prompt, value, name):
    assert f"tile 7 has {name} in it (1 value)" in refused(run_prompt, broken("TileworkTestPoison", index=7, value=value))


def test_tiles_of_different_sizes(run_prompt):
    said = refused(run_prompt, broken("TileworkTestStretch", index=5))
    assert "tile 5 is 129 x 128" in said and "tile 0 is 128 x 128" in said


def test_tiles_of_another_layout(run_prompt):
    prompt = roundtrip(source(300, 300), tile=128, overlap=32)
    prompt["6"] = split(["1", 0], tile=64, overlap=16)
    prompt["4"] = blend(["6", 0], ["2", 1])
    assert "they belong to another layout; connect the layout of the Tile Split that cut them" in refused(run_prompt, prompt)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tile": 512, "overlap": 512}, "overlap 512 must be smaller than the tile (512 x 512): use 256 or less"),
        ({"tile": 128, "overlap": 600}, "overlap 600 must be smaller than the tile (128 x 128): use 64 or less"),
        ({"tile": 0}, "tile_height 0 is not a tile size: use 1 to"),
        ({"tile": -8}, "tile_height -8 is not a tile size: use 1 to"),
        ({"tile": 64, "overlap": 60}, "moves on by 4 px, less than multiple_of 8"),
    ],
)
def test_plans_that_cannot_be(run_prompt, options, words):
    said = refused(run_prompt, roundtrip(source(300, 300), **options))
    assert "TileworkTileSplit" in said and words in said


def test_a_scale_too_odd_to_place(run_prompt):
    via = node("ImageScale", image=["2", 0], upscale_method="bilinear", width=128, height=200, crop="disabled")
    said = refused(run_prompt, roundtrip(source(300, 300), via=via, tile=128, overlap=32))
    assert "came back 128 x 200 where 128 x 128 was planned, which is not one scale for both sides" in said


def test_a_typed_scale_that_does_not_fit(run_prompt):
    prompt = roundtrip(source(300, 300), tile=128, overlap=32)
    prompt["4"]["inputs"]["scale"] = 2.0
    assert "set scale to 0 to take it from the tiles" in refused(run_prompt, prompt)


def test_a_trim_that_leaves_no_overlap(run_prompt):
    prompt = roundtrip(source(300, 300), tile=128, overlap=32)
    prompt["4"]["inputs"]["trim"] = 400
    assert "or split with an overlap of 801 or more" in refused(run_prompt, prompt)


def test_a_layout_of_something_else(run_prompt):
    prompt = roundtrip(source(300, 300), tile=128, overlap=32)
    prompt["6"] = source(200, 300, seed=3)
    prompt["7"] = split(["6", 0], layout=["2", 1])
    prompt["4"] = blend(["7", 0], ["7", 1])
    assert "planned for a picture of 300 x 300 and this one is 200 x 300" in refused(run_prompt, prompt)


def test_a_method_of_a_later_version(run_prompt):
    prompt = roundtrip(source(300, 300), method="of the future")
    assert "'of the future' not in ['hann', 'linear', 'gaussian', 'average', 'none', " in refused(run_prompt, prompt)
