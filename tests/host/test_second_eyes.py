"""The template with a model that looks, a stand-in put in for it: what runs where Seam Check passes, and what where it fails."""

from pathlib import Path

import pytest
from tilework.tests.host.prompts import node
from tilework.tests.host.test_sampling_workflows import with_test_models
from tilework.tools.server.workflow import convert, images

FILE = Path(__file__).resolve().parents[2] / "example_workflows" / "21 A second pair of eyes.json"


@pytest.fixture
def prompt(object_info):
    """The template's prompt, tiny models in place of large ones."""
    return with_test_models(convert(FILE, object_info))


def only(prompt, kind):
    """The key of the one node of a kind."""
    (key,) = (key for key, part in prompt.items() if part["class_type"] == kind)
    return key


def ran(messages):
    """The nodes that were executed."""
    assert messages[-1][0] == "execution_success", messages[-1]
    return {data["node"] for kind, data in messages if kind == "executing" and data["node"]}


def shown(messages, key):
    """The text that a node shows."""
    (text,) = (data["output"]["text"] for kind, data in messages if kind == "executed" and data["node"] == key and "text" in data["output"])
    return text[0]


def test_the_wires_are_right(object_info):
    asked = convert(FILE, object_info)
    check, words = only(asked, "TileworkSeamCheck"), only(asked, "TextGenerate")
    outputs = object_info["TileworkSeamCheck"]["output_name"]
    assert asked[words]["inputs"]["image"] == [check, outputs.index("worst")]
    assert asked[words]["inputs"]["sampling_mode"] == "off" and asked[words]["inputs"]["max_length"] == 300
    switches = [part["inputs"] for part in asked.values() if part["class_type"] == "ComfySwitchNode"]
    assert len(switches) == 2 and all(one["switch"] == [check, outputs.index("passed")] for one in switches)
    by_text, by_picture = sorted(switches, key=lambda one: one["on_false"][0] != words)
    assert by_text == {"switch": by_text["switch"], "on_false": [words, 0], "on_true": [check, outputs.index("report")]}
    assert by_picture["on_true"] == [check, outputs.index("image")]
    assert asked[by_picture["on_false"][0]]["class_type"] == "TileworkSeamBlend"
    saved = object_info["TextGenerate"]["input"]["required"]
    assert {"clip", "prompt", "max_length", "sampling_mode"} <= set(saved), "as the core has it"


def test_where_it_fails_the_model_is_asked_and_the_mended_picture_saved(prompt, follow, run_entry):
    messages = follow(prompt)
    done, words = ran(messages), shown(messages, only(prompt, "PreviewAny"))
    print(words)
    assert shown(messages, only(prompt, "TileworkSeamCheck")).startswith("failed") and words.startswith("mostly ")
    assert only(prompt, "TileworkTestCaption") in done and only(prompt, "TileworkColorMatch") in done
    # Looked at once more, the saved picture passes.
    check = only(prompt, "TileworkSeamCheck")
    switch = prompt[only(prompt, "SaveImage")]["inputs"]["images"]
    prompt["again"] = {**prompt[check], "inputs": {**prompt[check]["inputs"], "image": switch}}
    prompt["count"] = node("TileworkTestCount", images=prompt[only(prompt, "TileworkTestCaption")]["inputs"]["image"])
    entry = run_entry(prompt)
    assert entry["outputs"]["again"]["text"][0].startswith("passed")
    assert '"shapes": [[4, 512, 512, 3]]' in entry["outputs"]["count"]["text"][0], "four places are what the model gets"
    assert len(images(entry)) == 1


def test_where_it_passes_no_model_is_asked_and_the_picture_is_saved_as_it_is(prompt, follow):
    prompt[only(prompt, "ColorTransfer")]["inputs"]["strength"] = 0.0
    messages = follow(prompt)
    done, words = ran(messages), shown(messages, only(prompt, "PreviewAny"))
    assert shown(messages, only(prompt, "TileworkSeamCheck")).startswith("passed") and words.startswith("Seam Check: passed")
    left = {key for key, part in prompt.items() if part["class_type"] in ("TileworkTestCaption", "TileworkColorMatch")}
    assert len(left) == 2 and not left & done, "what the other branch needs did not run"
