"""Take One Tile and Put Tile Back through the real server: a loop unrolled, a pair of nodes for every tile."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tilework.tests.host.prompts import node, source, split
from tilework.tools.server.workflow import WorkflowError as HostRunError
from tilework.tools.server.workflow import convert, fetch, images

TEMPLATE = Path(__file__).resolve().parents[2] / "example_workflows" / "19 Tile after tile, each sees the finished ones.json"


def unrolled(count, work, picture=None, method="hann", original=True, image=("1", 0), **tiles):
    """Picture "1", split "2", then for tile i take "t<i>", whatever `work(i)` makes of it "w<i>", put "p<i>"; and the last put's output."""
    prompt = {"1": picture or source(500, 400), "2": split(["1", 0], **{"tile": 256, "overlap": 64, **tiles})}
    now = list(image)
    for i in range(count):
        more = {"original": list(image)} if original else {}
        prompt[f"t{i}"] = node("TileworkTileAt", image=now, layout=["2", 1], index=i, **more)
        prompt[f"w{i}"] = work(i)
        prompt[f"p{i}"] = node("TileworkPutTile", image=now, tile=[f"w{i}", 0], layout=["2", 1], index=i, method=method)
        now = [f"p{i}", 0]
    return prompt, now


def inverted(i):
    return node("ImageInvert", image=[f"t{i}", 0])


def compared(prompt, a, b):
    prompt["c"] = node("TileworkTestCompare", a=a, b=b)
    return prompt


def refused(run_prompt, prompt):
    with pytest.raises(HostRunError) as caught:
        run_prompt(prompt)
    print(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("method", ["hann", "linear", "optimal seam"])
@pytest.mark.parametrize(("channels", "batch"), [(3, 2), (1, 1)])
def test_a_pointwise_node_tile_after_tile_is_the_node_over_the_whole_picture(report, method, channels, batch):
    prompt, last = unrolled(6, inverted, source(500, 400, batch=batch, channels=channels), method)
    prompt["whole"] = node("ImageInvert", image=["1", 0])
    (said,) = report(compared(prompt, last, ["whole", 0]), "c")
    assert said["shape_a"] == said["shape_b"] == [batch, 400, 500, channels] and said["max_abs"] == 0, said


def test_a_loop_that_copies_its_body_for_every_round(report):
    prompt = {"1": source(500, 400), "2": split(["1", 0], tile=256, overlap=64), "whole": node("ImageInvert", image=["1", 0])}
    prompt["loop"] = node("TileworkTestTileLoop", image=["1", 0], layout=["2", 1], count=["2", 2])
    (said,) = report(compared(prompt, ["loop", 0], ["whole", 0]), "c")
    assert said["shape_a"] == said["shape_b"] and said["max_abs"] == 0, said


@pytest.mark.parametrize("channels", [3, 4])
def test_untouched_tiles_give_the_picture_back_at_another_scale_too(report, channels):
    """The layout of the picture serves its enlarged copy; border tiles reach over it."""
    prompt, last = unrolled(
        6, lambda i: node("TileworkTestDtype", image=[f"t{i}", 0], dtype="float32"), source(500, 404, channels=channels), image=("e", 0)
    )
    prompt["e"] = node("TileworkTestResize", image=["1", 0], scale=2.0, mode="nearest")
    (said,) = report(compared(prompt, last, ["e", 0]), "c")
    assert said["shape_a"] == [1, 808, 1000, channels] and said["max_abs"] <= 1e-6, said


def test_without_the_original_the_overlap_is_inverted_twice(report):
    prompt, last = unrolled(6, inverted, original=False)
    prompt["whole"] = node("ImageInvert", image=["1", 0])
    (said,) = report(compared(prompt, last, ["whole", 0]), "c")
    assert said["max_abs"] > 0.1


def test_a_tone_that_fades_where_context_is_known_leaves_a_third_of_the_steps(report):
    """Tones of four tiles in a row, an overlap of an eighth: the largest step in every overlap, one after the other and apart with Hann."""
    seeds, starts = (5, 6, 7, 8), (224, 448, 672)

    def paint(i):
        return node("TileworkTestFadingTone", image=[f"t{i}", 0], mask=[f"t{i}", 1], seed=seeds[i])

    prompt, last = unrolled(4, paint, source(928, 256, kind="grey"), original=False, overlap=32)
    for i in range(4):
        prompt[f"a{i}"] = node("TileworkTestFadingTone", image=[f"t{i}", 0], mask=["all", 0], seed=seeds[i])
    prompt["all"] = node("SolidMask", value=1.0, width=256, height=256)
    joined = ["a0", 0]
    for i in range(1, 4):
        prompt[f"j{i}"] = node("ImageBatch", image1=joined, image2=[f"a{i}", 0])
        joined = [f"j{i}", 0]
    prompt["apart"] = node("TileworkSeamBlend", tiles=joined, layout=["2", 1], method="hann", trim=0, scale=0.0)

    def largest_step(picture):
        steps = []
        for at in starts:
            prompt["left"], prompt["right"] = (node("ImageCrop", image=picture, width=32, height=256, x=at + d, y=0) for d in (0, 1))
            (said,) = report(compared(prompt, ["left", 0], ["right", 0]), "c")
            steps.append(said["max_abs"])
        return max(steps)

    ours, theirs = largest_step(last), largest_step(["apart", 0])
    print(f"largest step in an overlap: {ours:.5f}, apart and Hann {theirs:.5f}: {ours / theirs:.3f}")
    assert 0 < ours <= theirs / 3


def test_the_mask_goes_into_a_sampler(run_entry):
    """A tile, encoded, with the mask as its noise mask, sampled and decoded: no size is off."""
    prompt, last = unrolled(2, lambda i: node("VAEDecode", samples=[f"s{i}", 0], vae=["m", 3]), source(256 + 192, 256), original=False)
    prompt["m"] = node("TileworkTestModel", kind="unet")
    for i in range(2):
        prompt[f"v{i}"] = node("VAEEncode", pixels=[f"t{i}", 0], vae=["m", 3])
        prompt[f"n{i}"] = node("SetLatentNoiseMask", samples=[f"v{i}", 0], mask=[f"t{i}", 1])
        prompt[f"s{i}"] = node("KSampler", model=["m", 0], positive=["m", 1], negative=["m", 2], latent_image=[f"n{i}", 0], seed=1, steps=2, cfg=2.0, sampler_name="euler", scheduler="normal", denoise=0.5)  # fmt: skip
    prompt["save"] = node("SaveImage", images=last, filename_prefix="sequence")
    assert run_entry(prompt)["outputs"]["save"]["images"]


def test_an_index_that_is_no_tile(run_prompt):
    prompt, last = unrolled(1, inverted)
    prompt["save"] = node("PreviewImage", images=last)
    prompt["t0"]["inputs"]["index"] = 6
    assert "TileworkTileAt" in (said := refused(run_prompt, prompt))
    assert "index 6 is not a tile of the layout, which has 6 tiles, numbered 0 to 5" in said
    prompt["t0"]["inputs"]["index"] = -1
    assert "Value -1 smaller than min of 0" in refused(run_prompt, prompt)


def test_a_tile_that_comes_back_larger_or_without_its_alpha(run_prompt):
    prompt, last = unrolled(1, lambda i: node("TileworkTestResize", image=[f"t{i}", 0], scale=2.0, mode="bicubic"))
    prompt["save"] = node("PreviewImage", images=last)
    assert "tile 0 was taken as 256 x 256 and came back 512 x 512: the picture has one size" in refused(run_prompt, prompt)
    prompt, last = unrolled(1, lambda i: node("SplitImageWithAlpha", image=[f"t{i}", 0]), source(500, 400, channels=4))
    prompt["save"] = node("PreviewImage", images=last)
    assert "put its alpha back (Join Image with Alpha)" in refused(run_prompt, prompt)


def test_the_template_sharpens_the_picture_as_one(server, object_info, run_entry):
    """As it is saved: what a small filter makes of it tile after tile is what it makes of the whole picture, but for its own reach."""
    prompt = convert(TEMPLATE, object_info)
    assert [part["inputs"]["index"] for part in prompt.values() if part["class_type"] == "TileworkTileAt"] == [0, 1, 2, 3]
    (last,) = images(run_entry(prompt))
    original, sharpen = (next(key for key, part in prompt.items() if part["class_type"] == kind) for kind in ("LoadImage", "ImageSharpen"))
    whole = {
        original: prompt[original],
        "w": node("ImageSharpen", **{**prompt[sharpen]["inputs"], "image": [original, 0]}),
        "save": node("SaveImage", images=["w", 0], filename_prefix="sharpened"),
    }
    (wanted,) = images(run_entry(whole))
    ours, theirs = (np.asarray(Image.open(io.BytesIO(fetch(server.url, one))).convert("RGB"), dtype=np.float32) for one in (last, wanted))
    apart = np.abs(ours - theirs)
    print(f"tile after tile against the whole: largest {apart.max():.0f}, mean {apart.mean():.4f} levels")
    assert ours.shape == theirs.shape and apart.mean() < 0.1 and (apart.max(2) > 1).mean() < 0.02
