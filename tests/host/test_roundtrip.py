"""Split then blend through the real server: lists, batches, rebatched, several pictures at once."""

import io

import pytest
from PIL import Image
from tilework.blending.layout.captions import describe_split
from tilework.blending.layout.tile_layout import TileLayout
from tilework.tests.host.prompts import blend, node, roundtrip, source, split
from tilework.tools.server.loopback import get

METHODS = ["hann", "linear", "gaussian", "average", "none"]


def assert_same(report, prompt, at="5"):
    (said,) = report(prompt, at)
    assert said["shape_a"] == said["shape_b"], said
    assert said["max_abs"] <= 1e-6, said
    assert said["dtype_a"] == "float32"


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (4096, 1), (64, 64), (512, 513), (1000, 777), (1200, 600), (1024, 1024)], ids=lambda n: str(n)
)
@pytest.mark.parametrize(("batch", "channels"), [(1, 3), (2, 3), (1, 4), (1, 1)])
def test_untouched_tiles_give_the_picture_back(report, width, height, batch, channels):
    assert_same(report, roundtrip(source(width, height, batch, channels)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("tile", "overlap", "multiple_of"), [(512, 0, 1), (512, 64, 8), (512, 256, 64), (2048, 128, 8)])
def test_every_method_and_plan(report, method, tile, overlap, multiple_of):
    picture = source(1000, 777, 1, 4)
    assert_same(report, roundtrip(picture, method=method, tile=tile, overlap=overlap, multiple_of=multiple_of))


@pytest.mark.parametrize("size", [1, 3, 4, 64])
def test_after_the_cores_rebatch(report, size):
    rebatch = node("RebatchImages", images=["2", 0], batch_size=size)
    assert_same(report, roundtrip(source(500, 400, batch=2), via=rebatch, tile=256))


def test_a_node_of_the_core_runs_once_per_tile(report):
    prompt = roundtrip(source(500, 400), via=node("ImageInvert", image=["2", 0]), tile=256)
    prompt["6"] = node("ImageInvert", image=["1", 0])
    prompt["5"]["inputs"]["b"] = ["6", 0]
    assert_same(report, prompt)


def test_several_pictures_of_different_sizes_come_back_one_each(report, run_prompt):
    prompt = {
        "1": node("TileworkTestImageList", sizes="640x480,333x777,64x64,1x900", seed=4),
        "2": split(["1", 0], tile=256, overlap=32),
        "4": blend(["2", 0], ["2", 1]),
        "5": node("TileworkTestCompare", a=["4", 0], b=["1", 0]),
    }
    said = report(prompt, "5")
    assert len(said) == 4
    for one in said:
        assert one["shape_a"] == one["shape_b"] and one["max_abs"] <= 1e-6, one
    assert len(run_prompt(prompt)["4"]["images"]) == 4, "one small picture per layout"


def test_a_mask_of_the_seams_comes_along(report):
    prompt = roundtrip(source(500, 400, batch=2), tile=256, overlap=64)
    prompt["6"] = node("MaskToImage", mask=["4", 1])
    prompt["7"] = node("TileworkTestCompare", a=["6", 0], b=["6", 0])
    (said,) = report(prompt, "7")
    assert said["shape_a"] == [2, 400, 500, 3]


def test_the_picture_is_shown_once_not_per_tile(run_prompt):
    outputs = run_prompt(roundtrip(source(900, 900, seed=77), tile=128, overlap=16))
    assert len(outputs["2"]["images"]) == 1 and len(outputs["4"]["images"]) == 1
    assert "64 tiles of 128 x 128 (8 x 8)" in outputs["2"]["text"][0]
    assert "scale 1 (from the tiles)" in outputs["4"]["text"][0] and "final size 900 x 900" in outputs["4"]["text"][0]


def test_the_overlay_gets_the_layout_and_a_picture_without_a_grid(run_prompt, server):
    outputs = run_prompt(roundtrip(source(900, 700, seed=78), tile=256, overlap=32))
    layout = TileLayout.grid(700, 900, 256, 256, 32, 8)
    for at in ("2", "4"):
        (record,) = outputs[at]["tilework_layout"]
        assert (record["canvas"], record["tile"], record["unit"], record["batch"]) == ([700, 900], [256, 256], 1, 1)
        assert record["origins"] == [list(axis.origins) for axis in layout.axes]
        assert " | ".join(record["lines"]) == outputs[at]["text"][0]
        file = record["picture"]
        assert file != outputs[at]["images"][0]
        data = get(f"{server.url}/view?filename={file['filename']}&type=temp&subfolder=")
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.size == (640, 498), "no caption under it"
    assert outputs["2"]["tilework_layout"][0]["lines"] == describe_split(layout, 8)


def test_a_depth_map_is_cut_like_its_photograph(report):
    prompt = {
        "1": source(500, 400),
        "2": split(["1", 0], tile=256),
        "3": source(500, 400, channels=1, seed=9),
        "6": split(["3", 0], tile=64, layout=["2", 1]),
        "4": blend(["6", 0], ["2", 1]),
        "5": node("TileworkTestCompare", a=["4", 0], b=["3", 0]),
    }
    assert_same(report, prompt)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_tiles(report, dtype):
    prompt = roundtrip(source(500, 400), via=node("TileworkTestDtype", image=["2", 0], dtype=dtype), tile=256)
    (said,) = report(prompt, "5")
    assert said["dtype_a"] == "float32" and said["max_abs"] <= {"float16": 2e-3, "bfloat16": 8e-3}[dtype]


@pytest.mark.parametrize(
    ("method", "bound"),
    [("optimal seam", 1e-5), ("multiband", 1e-5), ("gradient", 1e-4), ("auto", 1e-4)],
)
@pytest.mark.parametrize("channels", [3, 4])
def test_methods_beyond_windows_give_untouched_tiles_back(report, method, bound, channels):
    prompt = roundtrip(source(777, 500, batch=2, channels=channels), method=method, tile=256, overlap=64)
    prompt["4"]["inputs"] |= {"cut_feather": 4.0, "reference_scale": 300, "reference": ["1", 0]}
    (found,) = report(prompt, "5")
    assert found["shape_a"] == [2, 500, 777, channels] and found["max_abs"] <= bound


@pytest.mark.parametrize("size", [(200, 152), (200, 150), (400, 300)], ids=lambda size: f"{size[0]} x {size[1]}")
def test_a_preview_that_was_rounded_is_a_reference_for_gradient(report, size):
    """As 2048 x 1538 is of 4000 x 3000, 200 x 152 is two pixels too high for its width."""
    prompt = roundtrip(source(400, 300, kind="smooth"), method="gradient", tile=160, overlap=32)
    prompt["6"] = node("ImageScale", image=["1", 0], upscale_method="area", width=size[0], height=size[1], crop="disabled")
    prompt["4"]["inputs"] |= {"reference_scale": 100, "reference": ["6", 0]}
    (found,) = report(prompt, "5")
    print(found["max_abs"])
    assert found["shape_a"] == [1, 300, 400, 3] and found["max_abs"] <= 0.01


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_a_new_seam_blend_starts_with_is_hann_to_the_last_bit(report, pack, channels):
    (options,) = (pack["TileworkSeamBlend"]["input"]["required"]["method"][1],)
    assert options["default"] == "auto" and options["options"][0] == "hann"
    prompt = roundtrip(source(500, 300, batch=2, channels=channels), method=options["default"], tile=256, overlap=64)
    prompt["6"] = blend(["2", 0], ["2", 1], "hann")
    prompt["5"]["inputs"]["b"] = ["6", 0]
    (found,) = report(prompt, "5")
    assert found["max_abs"] == 0


def test_auto_says_what_it_found_at_every_overlap(run_entry):
    prompt = roundtrip(source(500, 300), method="auto", tile=256, overlap=64)
    (text,) = run_entry(prompt)["outputs"]["4"]["text"]
    assert "x feather; strongest: tiles" in text and "tiles 0|1: feather, they agree" in text
    assert text.count("\n") >= 4, "a line for every overlap"


@pytest.mark.parametrize("method", ["hann", "optimal seam", "multiband", "gradient", "auto"])
@pytest.mark.parametrize("wrap", ["horizontal", "both"])
def test_around_a_picture_that_is_joined_to_itself(report, method, wrap):
    """Untouched tiles give it back; and so many columns and rows of them do."""
    picture = source(520, 360, channels=4)
    (said,) = report(roundtrip(picture, method=method, tile=256, overlap=48, wrap=wrap), "5")
    assert said["shape_a"] == said["shape_b"] and said["max_abs"] <= 1e-5, said
    assert_same(report, roundtrip(source(400, 300), method="hann", overlap=32, columns=3, rows=2))


def rolled(image, width, height, by):
    """Two nodes of the core that give an image rolled to the left."""
    beside = node(
        "ImageStitch", image1=image, image2=image, direction="right", match_image_size=False, spacing_width=0, spacing_color="white"
    )
    return beside, lambda stitched: node("ImageCrop", image=stitched, width=width, height=height, x=by, y=0)


def test_tiled_upscale_goes_over_the_border_of_a_layout_that_wraps(report):
    """The picture rolled by two tiles comes out rolled: what lies at the border is upscaled as what lies inside is."""
    prompt = {"1": source(320, 96), "2": node("TileworkTestUpscaler", kind="plain", seed=3)}
    prompt["10"], crop = rolled(["1", 0], 320, 96, 160)
    prompt["11"] = crop(["10", 0])
    for name, image in (("20", ["1", 0]), ("30", ["11", 0])):
        layout = str(int(name) + 1)
        prompt[layout] = split(image, tile=96, overlap=16, wrap="horizontal")
        prompt[name] = node(
            "TileworkTiledUpscale", upscale_model=["2", 0], image=image, tile_width=0, tile_height=0, overlap=-1, statistics="tile",
            tile_batch=0, layout=[layout, 1],
        )  # fmt: skip
    prompt["40"], crop = rolled(["20", 0], 640, 192, 320)
    prompt["41"] = crop(["40", 0])
    prompt["5"] = node("TileworkTestCompare", a=["41", 0], b=["30", 0])
    (said,) = report(prompt, "5")
    assert said["shape_a"] == said["shape_b"] and said["max_abs"] <= 1e-5, said
