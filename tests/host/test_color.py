"""Color Match through the real server: every method, lists and batches, and refusals that reach the user."""

import pytest
from tilework.tests.host.prompts import blend, node, source, split
from tilework.tools.server.workflow import WorkflowError as HostRunError

METHODS = ["mean-std", "lab", "mkl", "histogram", "low frequency", "gain compensation"]


def color(images, method="mean-std", strength=1.0, unchanged_only=0.0, **links):
    """Color Match."""
    return node("TileworkColorMatch", images=images, method=method, strength=strength, unchanged_only=unchanged_only, **links)


def tiled(method, via=None, size=(500, 400), batch=1, channels=3, kind="smooth", **links):
    """Picture 1, split 2, (something 3), colour match 4, blend 5, compare 6 with the picture."""
    prompt = {"1": source(*size, batch=batch, channels=channels, kind=kind), "2": split(["1", 0], tile=256, overlap=64)}
    tiles = ["2", 0]
    if via is not None:
        prompt["3"] = via
        tiles = ["3", 0]
    if method != "gain compensation":
        links.setdefault("reference", ["1", 0])
    prompt["4"] = color(tiles, method, layout=["2", 1], **links)
    prompt["5"] = blend(["4", 0], ["2", 1])
    prompt["6"] = node("TileworkTestCompare", a=["5", 0], b=["1", 0])
    return prompt


def refused(run_prompt, prompt):
    with pytest.raises(HostRunError) as caught:
        run_prompt(prompt)
    print(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("batch", "channels"), [(1, 3), (2, 4), (1, 1)])
def test_tiles_that_are_right_already_come_through_untouched(run_entry, report, method, batch, channels):
    prompt = tiled(method, batch=batch, channels=channels)
    (said,) = report(prompt, "6")
    assert said["shape_a"] == said["shape_b"] and said["max_abs"] <= 1e-6, said


@pytest.mark.parametrize("method", METHODS[:-1])
def test_a_changed_picture_gets_its_own_colours_back(report, method):
    """Inverted twice is the picture; once, and matched to the picture, has its statistics but not its content."""
    via = node("TileworkTestResize", image=["2", 0], scale=2.0, mode="bicubic")
    prompt = tiled(method, via=via)
    prompt["7"] = node("TileworkTestResize", image=["1", 0], scale=2.0, mode="bicubic")
    prompt["6"]["inputs"]["b"] = ["7", 0]
    (said,) = report(prompt, "6")
    assert said["shape_a"] == [1, 800, 1000, 3] and said["max_abs"] <= 0.02, said


@pytest.mark.parametrize("size", [1, 3, 4, 64])
@pytest.mark.parametrize("method", ["mkl", "gain compensation"])
def test_batches_come_back_as_they_came(report, run_prompt, size, method):
    prompt = tiled(method, via=node("RebatchImages", images=["2", 0], batch_size=size), size=(500, 400), batch=2)
    prompt["8"] = node("TileworkTestCount", images=["3", 0])
    prompt["9"] = node("TileworkTestCount", images=["4", 0])
    assert report(prompt, "8") == report(prompt, "9")
    (said,) = report(prompt, "6")
    assert said["max_abs"] <= 1e-6, said


@pytest.mark.parametrize("method", METHODS)
def test_changed_tiles_in_odd_batches(report, method):
    """Grey pictures, two of a batch; tiles in threes; every method takes the reference's level."""
    prompt = tiled(method, via=node("RebatchImages", images=["10", 0], batch_size=3), batch=2, kind="grey")
    prompt["10"] = node("ImageBlend", image1=["2", 0], image2=["11", 0], blend_factor=0.5, blend_mode="normal")
    prompt["11"] = source(256, 256, batch=2, kind="noise")
    prompt["4"]["inputs"]["reference"] = ["1", 0]
    prompt["9"] = node("TileworkTestCount", images=["4", 0])
    (count,) = report(prompt, "9")
    assert [shape[0] for shape in count["shapes"]] == [3] * (len(count["shapes"]) - 1) + [12 - 3 * (len(count["shapes"]) - 1)]
    (said,) = report(prompt, "6")
    assert said["shape_a"] == said["shape_b"] == [2, 400, 500, 3] and said["mean_abs"] < 0.14, said


def test_several_pictures_with_a_layout_and_a_reference_each(report, run_prompt):
    prompt = {
        "1": node("TileworkTestImageList", sizes="640x480,333x577,64x64", seed=4),
        "2": split(["1", 0], tile=256, overlap=32),
        "4": color(["2", 0], "histogram", layout=["2", 1], reference=["1", 0]),
        "5": blend(["4", 0], ["2", 1]),
        "6": node("TileworkTestCompare", a=["5", 0], b=["1", 0]),
    }
    said = report(prompt, "6")
    assert len(said) == 3 and all(one["max_abs"] <= 1e-6 for one in said), said
    assert len(run_prompt(prompt)["4"]["text"]) == 3, "one line per layout"


@pytest.mark.parametrize("method", METHODS[:-1])
def test_whole_pictures_to_one_reference(report, run_prompt, method):
    prompt = {
        "1": node("TileworkTestImageList", sizes="64x48,33x57", seed=4),
        "2": source(80, 60, kind="grey"),
        "4": color(["1", 0], method, reference=["2", 0]),
        "6": node("TileworkTestCount", images=["4", 0]),
    }
    (said,) = report(prompt, "6")
    assert said["shapes"] == [[1, 48, 64, 3], [1, 57, 33, 3]]
    (line,) = run_prompt(prompt)["4"]["text"]
    assert line == f"{method}, strength 1: 2 of 2 images changed"


def test_gain_compensation_says_what_it_did_and_reports_progress(follow):
    prompt = tiled("gain compensation", via=node("TileworkTestConv", image=["2", 0], radius=2, seed=3), kind="noise", reference=["1", 0])
    messages = follow(prompt)
    assert messages[-1][0] == "execution_success"
    totals = {data["max"] for kind, data in messages if kind == "progress" and data["node"] == "4"}
    (shown,) = [data["output"]["text"] for kind, data in messages if kind == "executed" and data["node"] == "4"]
    print(shown)
    assert totals == {2 * 6} and "gain compensation, strength 1: 6 of 6 tiles changed: largest correction" in shown[0]


def test_a_mask_over_the_whole_picture(report):
    prompt = tiled("mean-std", mask=["12", 0])
    prompt["12"] = node("SolidMask", value=1.0, width=50, height=40)
    (said,) = report(prompt, "6")
    assert said["max_abs"] <= 1e-6


# ---------------------------------------------------------------- refusals


def test_gain_compensation_without_a_layout(run_prompt):
    prompt = {
        "1": source(64, 64),
        "4": color(["1", 0], "gain compensation", reference=["1", 0]),
        "6": node("TileworkTestCount", images=["4", 0]),
    }
    said = refused(run_prompt, prompt)
    assert said.count("gain compensation compares tiles where they overlap and needs their layout: connect") == 1


@pytest.mark.parametrize("method", METHODS[:-1])
def test_other_methods_without_a_reference(run_prompt, method):
    prompt = tiled(method)
    del prompt["4"]["inputs"]["reference"]
    said = refused(run_prompt, prompt)
    assert said.count(f"{method} takes its colours from a reference and none is connected: connect one") == 1


def test_unchanged_only_without_a_reference(run_prompt):
    said = refused(run_prompt, tiled("gain compensation", unchanged_only=0.07))
    assert "unchanged_only 0.07 needs a reference to compare with" in said


def test_numbers_outside_their_range_are_refused_before_the_run(run_prompt):
    assert "Value 2.0 bigger than max of 1.0" in refused(run_prompt, tiled("mkl", unchanged_only=2.0))
    assert "Value nan smaller than min of 0.0" in refused(run_prompt, tiled("mkl", strength="NaN"))


@pytest.mark.parametrize("method", METHODS)
def test_a_mask_that_touches_no_tile(run_prompt, method):
    prompt = tiled(method, mask=["12", 0])
    prompt["12"] = node("SolidMask", value=0.0, width=50, height=40)
    assert "the mask leaves no pixel of any tile" in refused(run_prompt, prompt).replace(
        "mask, alpha or unchanged_only leave no place", "the mask leaves no pixel of any tile"
    )


@pytest.mark.parametrize("method", METHODS)
def test_cut_outs_beside_a_reference_without_alpha(report, method):
    """The tiles' hidden colour counts on neither side: nothing is to change."""
    prompt = tiled(method, channels=4, reference=["16", 0])
    prompt["16"] = node("SplitImageWithAlpha", image=["1", 0])
    (said,) = report(prompt, "6")
    assert said["max_abs"] <= 1e-6, said


def test_tiles_outside_the_mask_are_said_to_be_left(run_prompt):
    prompt = tiled("gain compensation", via=node("TileworkTestConv", image=["2", 0], radius=2, seed=3), kind="noise", mask=["12", 0])
    prompt["12"] = node("MaskComposite", destination=["13", 0], source=["14", 0], x=0, y=0, operation="add")
    prompt["13"] = node("SolidMask", value=0.0, width=50, height=40)
    prompt["14"] = node("SolidMask", value=1.0, width=30, height=10)
    (line,) = run_prompt(prompt)["4"]["text"]
    print(line)
    assert "tiles changed" in line and "6 tiles outside the mask, left as they came" in line


def test_nothing_unchanged_in_tile_0(run_prompt):
    prompt = tiled("mkl", via=node("ImageInvert", image=["2", 0]), unchanged_only=0.005, kind="grey")
    prompt["1"] = source(500, 400, kind="noise")
    prompt["13"] = source(500, 400, kind="grey")
    prompt["14"] = node("TileworkTestConv", image=["13", 0], radius=1, seed=1)
    prompt["4"]["inputs"]["reference"] = ["14", 0]
    said = refused(run_prompt, prompt)
    assert "no pixel of tile 0 differs from the reference by less than unchanged_only 0.005: use a larger value" in said


@pytest.mark.parametrize("method", ["lab", "gain compensation"])
def test_a_broken_tile_is_named(run_prompt, method):
    said = refused(run_prompt, tiled(method, via=node("TileworkTestPoison", images=["2", 0], index=4, value="nan")))
    assert "TileworkColorMatch" in said and "tile 4 has NaN in it (1 value)" in said


def test_a_reference_of_another_shape_and_a_missing_tile(run_prompt):
    prompt = tiled("lab", reference=["15", 0])
    prompt["15"] = source(300, 400)
    assert "reference is 300 x 400 and the layout was planned for 500 x 400, which is another shape" in refused(run_prompt, prompt)
    said = refused(run_prompt, tiled("lab", via=node("TileworkTestDrop", images=["2", 0], index=1)))
    assert "the layout has 6 tiles and 5 came: a tile is missing" in said


def test_a_method_of_a_later_version(run_prompt):
    assert "'wct' is not known: use one of mean-std, lab, mkl, histogram, low frequency, gain compensation" in refused(
        run_prompt, tiled("wct")
    )
