"""Merge Only Changes through the real server: lists, batches, RGBA, and refusals that reach the user."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tilework.tests.host.prompts import node, source
from tilework.tools.server.workflow import WorkflowError as HostRunError
from tilework.tools.server.workflow import convert, fetch, images

TEMPLATE = Path(__file__).resolve().parents[2] / "example_workflows" / "16 Merge only what an edit changed.json"


def merge(original, edited, **more):
    """Merge Only Changes."""
    settings = {"threshold": 2.3, "min_area": 0, "grow": 4, "feather": 4, "align": "off", "match_color": True, "blend": "gradient"}
    return node("TileworkDiffMerge", original=original, edited=edited, **{**settings, **more})


def edited(size=(200, 160), batch=1, channels=3, **more):
    """Picture 1, a black square put into it 2, merged 3, compared 4 with the picture and 5 with the edited one."""
    return {
        "1": source(*size, batch=batch, channels=channels, kind="smooth"),
        "6": source(*size, batch=batch, kind="smooth"),
        "7": node("EmptyImage", width=40, height=40, batch_size=1, color=0),
        "2": node("ImageCompositeMasked", destination=["6", 0], source=["7", 0], x=60, y=50, resize_source=False),
        "3": merge(["1", 0], ["2", 0], **more),
        "4": node("TileworkTestCompare", a=["3", 0], b=["1", 0]),
        "5": node("TileworkTestCompare", a=["3", 0], b=["2", 0]),
    }


@pytest.mark.parametrize(("batch", "channels"), [(1, 3), (2, 3), (1, 4)])
def test_the_edit_comes_through_and_the_report_says_so(report, run_prompt, batch, channels):
    prompt = edited(batch=batch, channels=channels)
    text = run_prompt(prompt)["3"]["text"][0]
    assert text.count("1 changed area, ") == batch and "align is off" in text
    (beside,) = report(prompt, "4")
    assert beside["shape_a"] == beside["shape_b"] == [batch, 160, 200, channels] and beside["max_abs"] > 0.2


def test_what_was_not_edited_is_the_original(report, run_prompt):
    prompt = {"1": source(200, 160, kind="smooth"), "3": merge(["1", 0], ["1", 0], align="shift and scale")}
    prompt["4"] = node("TileworkTestCompare", a=["3", 0], b=["1", 0])
    assert "identical, bit for bit" in run_prompt(prompt)["3"]["text"][0]
    assert report(prompt, "4")[0]["max_abs"] == 0


@pytest.mark.parametrize(
    ("more", "size", "words"),
    [
        ({}, (120, 160), "edited is 120 x 160 and original 200 x 160, which is another shape"),
        ({"mask": ["9", 0]}, (200, 160), "mask is 64 x 64, a batch of 1, and original is 200 x 160"),
        ({"threshold": "NaN"}, (200, 160), "Value nan smaller than min of 0.1"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(run_prompt, more, size, words):
    prompt = {**edited(**more), "6": source(*size, kind="smooth"), "9": node("SolidMask", value=1.0, width=64, height=64)}
    with pytest.raises(HostRunError) as caught:
        run_prompt(prompt)
    assert words in str(caught.value)


def test_progress_is_told(follow):
    messages = follow(edited())
    assert messages[-1][0] == "execution_success"
    steps = [data["value"] for kind, data in messages if kind == "progress" and data["node"] == "3"]
    assert steps and steps[-1] == 100


def test_the_template_puts_only_the_edit_into_the_photograph(server, object_info, run_entry):
    entry = run_entry(convert(TEMPLATE, object_info))
    said = next(text for out in entry["outputs"].values() for text in out.get("text", []) if "frame: " in text)
    assert "1 changed area" in said and "moved by +3.00 px across and +1.00 px down; undone" in said
    written = next(one for one in images(entry) if one["filename"].startswith("only_changes"))
    merged = np.asarray(Image.open(io.BytesIO(fetch(server.url, written))).convert("RGB"), np.float32)
    original = np.asarray(Image.open(server.base / "input" / "example.png").convert("RGB"), np.float32)
    changed = np.abs(merged - original).max(2) > 0
    assert 0.02 < changed.mean() < 0.1 and not changed[200:].any() and not changed[:, 200:].any()
