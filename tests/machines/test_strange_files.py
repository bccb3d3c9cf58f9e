"""Workflow files in which any part may be anything: each is run, or refused in words."""

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tilework.machines.installation import Installation
from tilework.machines.one_job import Job
from tilework.machines.process.host_error import HostError
from tilework.machines.process.json_text import MOST_DEEP, parse_json
from tilework.machines.tile_graph import tile_work
from tilework.machines.tile_prompts import cut_prompt, rest_prompt, tile_prompt
from tilework.machines.work_key import Digests, surroundings_of
from tilework.machines.workflow_file import parse_setting, read_workflow
from tilework.tests.machines.strange_json import changed_somewhere, places_in, with_part


def _kind(outputs, lists=None, takes_list=False, end=False, **inputs):
    about = {"output": outputs, "output_is_list": lists or [False] * len(outputs), "is_input_list": takes_list, "output_node": end}
    order = {"required": list(inputs)}
    return {**about, "input": {"required": inputs}, "input_order": order, "output_name": outputs, "display_name": "A node"}


INFO = {
    "LoadImage": _kind(["IMAGE", "MASK"], image=[["a.png"], {"image_upload": True}]),
    "TileworkTileSplit": _kind(
        ["IMAGE", "TILE_LAYOUT", "INT"], [True, False, False], image=["IMAGE"], tile_width=["INT", {"min": 8, "max": 99}]
    ),
    "Work": _kind(["IMAGE"], image=["IMAGE"], strength=["FLOAT", {"min": 0.0}]),
    "TileworkSeamBlend": _kind(
        ["IMAGE"],
        [True],
        takes_list=True,
        tiles=["IMAGE"],
        layout=["TILE_LAYOUT"],
        method=[["hann", "mean"], {}],
        trim=["INT", {"min": 0, "max": 99}],
        scale=["FLOAT", {"min": 0.0, "max": 8.0}],
    ),
    "SaveImage": _kind([], end=True, images=["IMAGE"], filename_prefix=["STRING", {}]),
}
PROMPT = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}, "_meta": {"title": "The photograph"}},
    "2": {"class_type": "TileworkTileSplit", "inputs": {"image": ["1", 0], "tile_width": 64}},
    "3": {"class_type": "Work", "inputs": {"image": ["2", 0], "strength": 0.5}},
    "4": {"class_type": "TileworkSeamBlend", "inputs": {"tiles": ["3", 0], "layout": ["2", 1], "method": "hann", "trim": 0, "scale": 1.0}},
    "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "x"}, "_meta": {"title": "The result"}},
}


def _editors_form():
    """The same workflow as the editor saves it, the work in a subgraph."""

    def node(number, kind, inputs, outputs, widgets):
        sockets = [{"name": name, "type": of, "link": link} for name, of, link in inputs]
        ends = [{"name": of, "type": of, "links": links} for of, links in outputs]
        return {"id": number, "type": kind, "pos": [0, 0], "mode": 0, "inputs": sockets, "outputs": ends, "widgets_values": widgets}

    inner = {
        "id": "0a0a0a0a-1111-4222-8333-444444444444",
        "name": "work",
        "inputNode": {"id": -10},
        "outputNode": {"id": -20},
        "inputs": [{"id": "in", "name": "image", "type": "IMAGE", "linkIds": [1]}],
        "outputs": [{"id": "out", "name": "IMAGE", "type": "IMAGE", "linkIds": [2]}],
        "nodes": [node(3, "Work", [("image", "IMAGE", 1)], [("IMAGE", [2])], [0.5])],
        "links": [
            {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 3, "target_slot": 0, "type": "IMAGE"},
            {"id": 2, "origin_id": 3, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "IMAGE"},
        ],
    }
    nodes = [
        node(1, "LoadImage", [], [("IMAGE", [1]), ("MASK", [])], ["a.png", "image"]),
        node(2, "TileworkTileSplit", [("image", "IMAGE", 1)], [("IMAGE", [2]), ("TILE_LAYOUT", [4]), ("INT", [])], [64]),
        node(6, inner["id"], [("image", "IMAGE", 2)], [("IMAGE", [3])], []),
        node(4, "TileworkSeamBlend", [("tiles", "IMAGE", 3), ("layout", "TILE_LAYOUT", 4)], [("IMAGE", [5])], ["hann", 0, 1.0]),
        node(5, "SaveImage", [("images", "IMAGE", 5)], [], ["x"]),
    ]
    links = [
        [1, 1, 0, 2, 0, "IMAGE"],
        [2, 2, 0, 6, 0, "IMAGE"],
        [3, 6, 0, 4, 0, "IMAGE"],
        [4, 2, 1, 4, 1, "TILE_LAYOUT"],
        [5, 4, 0, 5, 0, "IMAGE"],
    ]
    return {"nodes": nodes, "links": links, "definitions": {"subgraphs": [inner]}, "version": 0.4}


FORMS = {"API": PROMPT, "editor": _editors_form()}
PLACES = {name: list(places_in(form)) for name, form in FORMS.items()}


def _gone_through(path, split=True):
    """All that is done with a workflow file before a server sees it."""
    job = Job(read_workflow(path))
    json.dumps([job.canonical(), list(job.texts())])
    folder = path.parent
    surroundings_of(job, Installation(folder, folder, folder), Digests(folder / "digests.json"))
    prepared = job.prepare(INFO)
    prompt = prepared.for_picture("b.png", "y")
    if split:
        work = tile_work(prompt, INFO, prepared.save)
        json.dumps([cut_prompt(prompt, work, "f"), tile_prompt(prompt, work, "f", 0, 4), rest_prompt(prompt, work, "f", 4)])
    return prompt


@pytest.mark.parametrize("form", FORMS)
def test_the_workflow_that_is_changed_below_runs(form, tmp_path):
    if form == "editor":
        pytest.importorskip("comfy_cli")
    (tmp_path / "w.json").write_text(json.dumps(FORMS[form]))
    assert {part["class_type"] for part in _gone_through(tmp_path / "w.json").values()} == set(INFO)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_part_may_be_anything(form, tmp_path, data):
    if form == "editor":
        pytest.importorskip("comfy_cli")
    changed = changed_somewhere(data.draw, FORMS[form], PLACES[form])
    (tmp_path / "w.json").write_text(json.dumps(changed))
    with contextlib.suppress(HostError):
        _gone_through(tmp_path / "w.json")


def test_lists_in_lists_are_gone_through_or_refused():
    assert len(parse_json("[" * (MOST_DEEP - 1) + "5" + "]" * (MOST_DEEP - 1))) == 1
    for deep in (MOST_DEEP + 1, 900, 3_000, 200_000):
        with pytest.raises(ValueError, match="brackets are more than 100 deep"):
            parse_json("[" * deep + "]" * deep)
    assert parse_setting("2.x=" + "[" * 3000 + "]" * 3000).value.startswith("[[[")


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ({"nodes": [1]}, r"nodes\[0\] is 1"),
        ({"nodes": [], "definitions": "x"}, "definitions is 'x'"),
        ({"nodes": [], "definitions": {"subgraphs": [3]}}, r"definitions\.subgraphs\[0\] is 3"),
        ({"nodes": [{"id": 1, "type": "A", "inputs": [2]}]}, r"nodes\[0\]\.inputs is \[2\]"),
    ],
)
def test_the_part_that_is_wrong_is_named(saved, words, tmp_path):
    (tmp_path / "w.json").write_text(json.dumps(saved))
    with pytest.raises(HostError, match=f"is no workflow: {words}"):
        read_workflow(tmp_path / "w.json")


@pytest.mark.parametrize(
    ("value", "words"), [("abc", "trim is 'abc', which is no number"), (None, "trim is 'None', which"), (-3, "trim is -3: use 0 to 99")]
)
def test_a_wrong_number_behind_the_tiles_is_said_before_the_first_tile(value, words, tmp_path):
    (tmp_path / "w.json").write_text(json.dumps(with_part(PROMPT, ("4", "inputs", "trim"), value)))
    with pytest.raises(HostError, match=words):
        _gone_through(tmp_path / "w.json")
    (tmp_path / "w.json").write_text(json.dumps(with_part(PROMPT, ("4", "inputs", "trim"), "7")))
    assert tile_work(_gone_through(tmp_path / "w.json"), INFO, "5").blend.trim == 7, "as ComfyUI reads it"
