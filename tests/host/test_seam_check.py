"""Seam Check on the real server: passes, finds, stops, and takes a reference and the tiles."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from tilework.tests.host.prompts import blend, node, roundtrip, source, split
from tilework.tools.server.loopback import get
from tilework.tools.server.workflow import WorkflowError as HostRunError


def check(prompt, image=("4", 0), layout=("2", 1), threshold=5.0, on_fail="report", **more):
    """Adds Seam Check "7" to a round trip, and what says how its outputs look: "8" to "12"."""
    prompt["7"] = node("TileworkSeamCheck", image=list(image), layout=list(layout), threshold=threshold, on_fail=on_fail, **more)
    prompt["8"] = node("TileworkTestCount", images=["7", 0])
    prompt["9"] = node("TileworkTestCount", images=["7", 4])
    prompt["10"] = node("PreviewAny", source=["7", 1])
    prompt["11"] = node("PreviewAny", source=["7", 2])
    prompt["12"] = node("PreviewAny", source=["7", 3])
    return prompt


def scene(width=600, height=600, method="hann", light=0.0, **options):
    """A smooth picture, split; with `light` one tile comes back that much lighter."""
    options = {"tile": 256, "overlap": 64, **options}
    picture = source(width, height, kind="smooth", seed=options.pop("seed", 21), batch=options.pop("batch", 1))
    via = node("TileworkTestLighten", images=["2", 0], index=4, levels=light) if light else None
    return roundtrip(picture, via=via, method=method, **options)


def said(outputs, number):
    return outputs[number]["text"][0]


def test_an_untouched_picture_passes(run_prompt):
    out = run_prompt(check(scene()))
    assert said(out, "7").startswith("passed: no seam at 12 boundaries")
    assert said(out, "12") == "True" and float(said(out, "11")) == 0.0
    assert "verdict" in said(out, "10") and "tiles 0|1" in said(out, "10")
    assert '"shapes": [[1, 600, 600, 3]]' in said(out, "8") and '"shapes": [[4, 512, 512, 3]]' in said(out, "9")


def test_a_seam_is_found_shown_and_scored(run_prompt, server):
    out = run_prompt(check(scene(method="none", light=6.0)))
    assert said(out, "7").startswith("failed: 4 x seam at 12 boundaries") and said(out, "12") == "False"
    assert float(said(out, "11")) > 1
    assert all(f"tiles {pair}" in said(out, "10") for pair in ("1|4", "3|4", "4|5", "4|7"))
    (shown,) = out["7"]["images"]
    data = get(f"{server.url}/view?filename={shown['filename']}&type=temp&subfolder=")
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.int64)
    assert ((pixels[..., 0] > 180) & (pixels[..., 1] < 100)).sum() > 200, "red lines on the preview"


def test_the_overlay_gets_the_table(run_prompt):
    out = run_prompt(check(scene(method="none", light=6.0, seed=29)))
    (record,) = out["7"]["tilework_seams"]
    assert record["size"] == [600, 600] and record["pictures"] == 1 and record["left_out"] == 0
    assert record["summary"] == said(out, "7") and len(record["rows"]) == 12
    table = [line for line in said(out, "10").splitlines() if "tiles " in line and "|" in line and not line.startswith("Seam Check")]
    for row, line in zip(record["rows"], table, strict=True):
        at = [line.index(cell) for cell in row["cells"]]
        assert at[0] == 0 and at[1] > 0 and row["cells"][0] == row["verdict"], "cell for cell, worst first"
        assert line.endswith(f"({row['note']})" if row["note"] else row["cells"][-1])
    assert record["image"] != out["7"]["images"][0], "the picture itself, not the heat map"


@pytest.mark.parametrize("batched", [False, True])
def test_tiles_in_the_pictures_place_are_refused(run_prompt, batched):
    asked = check(scene())
    (split,) = [key for key, one in asked.items() if one["class_type"] == "TileworkTileSplit"]
    asked["batch"] = node("RebatchImages", images=[split, 0], batch_size=9 if batched else 1)
    asked["7"]["inputs"]["image"] = ["batch", 0]
    with pytest.raises(HostRunError, match="the 9 pictures that came are as many and as large as the layout's tiles: connect Seam Blend"):
        run_prompt(asked)


def test_what_cannot_be_judged_does_not_pass(run_prompt):
    asked = check(scene(256, 256))
    (split,) = [one for one in asked.values() if one["class_type"] == "TileworkTileSplit"]
    split["inputs"].update(tile_width=16, tile_height=16, overlap=8)
    out = run_prompt(asked)
    assert said(out, "7").startswith("not judged: all ") and said(out, "12") == "False"
    asked["7"]["inputs"]["on_fail"] = "stop"
    with pytest.raises(HostRunError, match="Seam Check stopped the run: not judged"):
        run_prompt(asked)


def test_stop_names_the_worst_boundary(run_prompt):
    with pytest.raises(HostRunError) as caught:
        run_prompt(check(scene(method="none", light=6.0, seed=22), on_fail="stop"))
    words = str(caught.value)
    print(words)
    assert "TileworkSeamCheck" in words and "Seam Check stopped the run: failed: 4 x seam" in words
    assert "worst: tiles" in words and "levels, Delta-E" in words and ", z " in words
    assert said(run_prompt(check(scene(seed=22), on_fail="stop")), "7").startswith("passed")


def test_with_a_reference_a_feathered_drift_is_found(run_prompt):
    prompt = check(scene(896, 896, light=6.0, seed=23, tile=320, overlap=32), reference=["1", 0])
    out = run_prompt(prompt)
    assert said(out, "7").startswith("failed: 4 x seam") and "tone drift" in said(out, "10")
    assert "verdicts rest on the comparison with the reference" in said(out, "10")
    prompt = check(scene(seed=23), reference=["1", 0])
    assert said(run_prompt(prompt), "7").startswith("passed")


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_with_the_tiles(run_prompt, scale):
    prompt = check(scene(method="none", light=6.0, seed=24), tiles=["6", 0])
    prompt["6"] = node("TileworkTestResize", image=["3", 0], scale=scale, mode="bicubic")
    prompt["4"] = blend(["6", 0], ["2", 1], "none")
    prompt["5"]["inputs"]["a"] = ["1", 0]
    text = said(run_prompt(prompt), "10")
    assert "tiles differ by +6.0/+6.0/+6.0 levels" in text
    assert "comparison with the tiles" in text


def test_a_batch_and_a_list_of_pictures(run_prompt):
    out = run_prompt(check(scene(batch=2, method="none", light=6.0, seed=25)))
    assert "in 2 pictures" in said(out, "7") and '"shapes": [[2, 600, 600, 3]]' in said(out, "8")
    prompt = check(scene(seed=26), image=("20", 0), layout=("21", 1))
    prompt["20"] = node("TileworkTestImageList", sizes="600x600, 400x500", seed=1)
    prompt["21"] = split(["20", 0], tile=256, overlap=0)
    out = run_prompt(prompt)
    assert len(out["7"]["text"]) == 2 and "picture 1 of the list" in said(out, "10")


def test_what_does_not_fit_is_refused(run_prompt):
    prompt = check(scene(seed=27), image=("20", 0))
    prompt["20"] = source(500, 600, kind="smooth")
    with pytest.raises(HostRunError, match="the picture is 500 x 600 and the layout was planned for 600 x 600"):
        run_prompt(prompt)
    prompt = check(scene(seed=27), tiles=["20", 0])
    prompt["20"] = source(256, 256, kind="smooth")
    with pytest.raises(HostRunError, match="the layout has 9 tiles and 1 came: a tile is missing"):
        run_prompt(prompt)


def test_what_is_saved_from_its_output_is_not_saved_where_it_stops(run_prompt, server):
    def saved(prompt):
        prompt["20"] = node("SaveImage", images=["7", 5], filename_prefix="checked")
        prompt["21"] = node("TileworkTestCompare", a=["7", 5], b=["4", 0])
        return prompt

    out = run_prompt(saved(check(scene(seed=31), on_fail="stop")))
    assert out["20"]["images"] and json.loads(out["21"]["text"][0])["max_abs"] == 0
    before = sorted((server.base / "output").glob("checked*"))
    assert before
    with pytest.raises(HostRunError, match="Seam Check stopped the run"):
        run_prompt(saved(check(scene(method="none", light=6.0, seed=31), on_fail="stop")))
    assert sorted((server.base / "output").glob("checked*")) == before


def test_the_mask_of_what_failed(run_prompt):
    """Nothing of a picture that passes; of one with seams the overlaps around them, at its size, one for each picture of a list."""
    prompt = check(scene(method="none", light=6.0, seed=32))
    prompt["13"] = node("MaskToImage", mask=["7", 6])
    prompt["14"] = node("SolidMask", value=0.0, width=600, height=600)
    prompt["15"] = node("MaskToImage", mask=["14", 0])
    prompt["16"] = node("TileworkTestCompare", a=["13", 0], b=["15", 0])
    found = json.loads(said(run_prompt(prompt), "16"))
    assert found["shape_a"] == [1, 600, 600, 3] and found["max_abs"] == 1 and 0.05 < found["mean_abs"] < 0.5, found
    prompt["4"]["inputs"]["tiles"] = ["2", 0]
    found = json.loads(said(run_prompt(prompt), "16"))
    assert found["shape_a"] == [1, 600, 600, 3] and found["max_abs"] == 0, found


def test_each_picture_of_a_list_has_a_mask_of_its_own_size(run_prompt):
    prompt = check(scene(seed=33), image=("20", 0), layout=("21", 1))
    prompt["20"] = node("TileworkTestImageList", sizes="600x600,400x500", seed=1)
    prompt["21"] = split(["20", 0], tile=256, overlap=0)
    prompt["13"] = node("MaskToImage", mask=["7", 6])
    prompt["14"] = node("TileworkTestCount", images=["13", 0])
    assert '"shapes": [[1, 600, 600, 3], [1, 500, 400, 3]]' in said(run_prompt(prompt), "14")
