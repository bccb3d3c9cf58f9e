"""Tiled Upscale through the real server, beside the host's own node on the whole picture."""

import pytest
from tilework.tests.host.prompts import node, source, split
from tilework.tools.server.workflow import WorkflowError as HostRunError

TINY = "tilework_tiny_x2.safetensors"


def upscale(model, image, tile=0, overlap=-1, statistics="tile", **more):
    return node(
        "TileworkTiledUpscale", upscale_model=model, image=image, tile_width=tile, tile_height=tile, overlap=overlap,
        statistics=statistics, tile_batch=more.pop("tile_batch", 0), **more,
    )  # fmt: skip


def beside_the_whole(picture, model, **options):
    """Picture "1", model "2", tiled "3", the host's node on the whole "4" (which is one tile of its own to it), compared "5"."""
    return {
        "1": picture,
        "2": model,
        "3": upscale(["2", 0], ["1", 0], **options),
        "4": node("ImageUpscaleWithModel", upscale_model=["2", 0], image=["1", 0]),
        "5": node("TileworkTestCompare", a=["3", 0], b=["4", 0]),
    }


def loader():
    return node("UpscaleModelLoader", model_name=TINY)


def test_model(kind, seed=0):
    return node("TileworkTestUpscaler", kind=kind, seed=seed)


test_model.__test__ = False


@pytest.mark.parametrize(
    "options", [{"tile": 128}, {"tile": 120, "overlap": 32, "tile_batch": 3}, {}], ids=["measured", "batches", "planned"]
)
def test_tiled_equals_untiled(report, options):
    (said,) = report(beside_the_whole(source(304, 264, seed=21), loader(), **options), "5")
    print(options, said["max_abs"])
    assert said["shape_a"] == said["shape_b"] == [1, 528, 608, 3] and said["dtype_a"] == "float32"
    assert said["max_abs"] <= 1e-5


def test_frames_are_upscaled_one_by_one(report):
    (said,) = report(beside_the_whole(source(200, 136, batch=3, seed=22), loader(), tile=96), "5")
    assert said["shape_a"] == [3, 272, 400, 3] and said["max_abs"] <= 1e-5


def test_statistics_of_the_image(report, run_prompt):
    picture = {"7": source(160, 192, seed=23), "8": source(160, 192, seed=24, kind="grey")}
    # Left half noise, right half grey: no tile is like the whole.
    both = node(
        "ImageStitch", image1=["7", 0], image2=["8", 0], direction="right", match_image_size=False, spacing_width=0, spacing_color="white"
    )
    errors, texts = {}, {}
    for statistics in ("image", "tile"):
        prompt = beside_the_whole(both, test_model("whole image"), tile=96, overlap=24, statistics=statistics) | picture
        errors[statistics] = report(prompt, "5")[0]["max_abs"]
        texts[statistics] = run_prompt(prompt | {"9": node("PreviewImage", images=["3", 0])})["3"]["text"][0]
    print(errors, texts)
    assert errors["image"] <= 1e-4 and errors["tile"] > 1e-2
    assert "statistics of the image: pooled in" in texts["image"] and "statistics = image takes steps of tone out" in texts["tile"]


@pytest.mark.parametrize(("channels", "result"), [(4, 4), (1, 1)])
def test_alpha_and_grey(report, channels, result):
    prompt = {"1": source(200, 136, channels=channels, seed=25), "2": loader(), "3": upscale(["2", 0], ["1", 0], tile=96)}
    prompt["4"] = node("TileworkTestCount", images=["3", 0])
    assert report(prompt, "4") == [{"count": 1, "shapes": [[1, 272, 400, result]]}]


def test_a_layout_overrules_the_sizes(report, run_prompt):
    prompt = beside_the_whole(source(304, 264, seed=26), loader(), tile=64, overlap=8, layout=["6", 1])
    prompt["6"] = split(["1", 0], tile=176, overlap=32)
    assert report(prompt, "5")[0]["max_abs"] <= 1e-5
    assert "4 tiles of 176 x 176" in run_prompt(prompt)["3"]["text"][0]


def test_out_of_memory_is_made_up_for_and_said(report, run_prompt, server):
    prompt = beside_the_whole(source(304, 264, seed=27), test_model("tight"), tile=256)
    prompt["6"] = test_model("plain")
    prompt["4"]["inputs"]["upscale_model"] = ["6", 0]
    assert report(prompt, "5")[0]["max_abs"] <= 1e-5
    text = run_prompt(prompt)["3"]["text"][0]
    print(text)
    assert "memory ran out" in text
    assert "Tilework: out of memory, going on with tiles of" in server.log.read_text(encoding="utf-8", errors="replace")


def test_every_tile_is_reported(follow):
    messages = follow(
        {
            "1": source(304, 264, seed=28),
            "2": loader(),
            "3": upscale(["2", 0], ["1", 0], tile=96),
            "4": node("PreviewImage", images=["3", 0]),
        }
    )
    assert messages[-1][0] == "execution_success"
    seen = [(data["value"], data["max"]) for kind, data in messages if kind == "progress" and data["node"] == "3"]
    assert seen and seen[-1][0] == seen[-1][1] > 9


def test_cancel_stops_within_a_tile(follow, server):
    prompt = {
        "1": source(304, 264, seed=29),
        "2": test_model("slow"),
        "3": upscale(["2", 0], ["1", 0], tile=96, overlap=16),
        "4": node("PreviewImage", images=["3", 0]),
    }
    after = []

    async def cancel(session, kind, data):
        # Probing runs tiles of other sizes first.
        if kind == "tilework_test_called" and data["shape"][2:] in ([88, 80], [88, 88], [96, 96], [80, 80]) and not after:
            after.append(0)
            async with session.post(server.url + "/interrupt") as answer:
                assert answer.status == 200
        elif kind == "tilework_test_called" and after:
            after[0] += 1

    messages = follow(prompt, on_message=cancel)
    assert messages[-1][0] == "execution_interrupted" and after and after[0] <= 1


def refused(run_prompt, prompt):
    with pytest.raises(HostRunError) as caught:
        run_prompt(prompt)
    print(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tile": -8}, "tile_width -8 is negative: use 0 to have it chosen"),
        ({"tile": 128, "overlap": -2}, "overlap -2 is negative: use -1 to have it measured"),
        ({"tile": 128, "overlap": 128}, "overlap 128 must be smaller than the tile (128 x 128)"),
        ({"tile": 8}, "has no room for the overlap of"),
    ],
)
def test_sizes_that_cannot_be(run_prompt, options, words):
    prompt = {
        "1": source(304, 264, seed=30),
        "2": loader(),
        "3": upscale(["2", 0], ["1", 0], **options),
        "4": node("PreviewImage", images=["3", 0]),
    }
    said = refused(run_prompt, prompt)
    assert "TileworkTiledUpscale" in said and words in said


def test_nan_from_the_model_is_named_with_its_tile(run_prompt):
    prompt = {
        "1": source(304, 264, seed=31),
        "6": node("EmptyImage", width=48, height=48, batch_size=1, color=0xFFFFFF),
        "7": node("ImageCompositeMasked", destination=["1", 0], source=["6", 0], x=250, y=20, resize_source=False),
        "2": test_model("overflowing"),
        "3": upscale(["2", 0], ["7", 0], tile=128, overlap=32),
        "4": node("PreviewImage", images=["3", 0]),
    }
    said = refused(run_prompt, prompt)
    assert "tile 2 has NaN in it as it came out of the model" in said and "fp32 or bf16" in said


def test_a_layout_of_another_picture(run_prompt):
    prompt = beside_the_whole(source(304, 264, seed=32), loader(), layout=["6", 1])
    prompt["6"], prompt["7"] = split(["7", 0], tile=64, overlap=8), source(200, 300)
    assert "planned for a picture of 200 x 300 and this one is 304 x 264" in refused(run_prompt, prompt)
