"""Workflow files: read, set, and made into the prompt for one picture."""

import json
import sys

import pytest
from tilework.machines.one_job import Job
from tilework.machines.workflow_file import (
    Setting,
    WorkflowError,
    _as_saved,
    find_load,
    find_node,
    find_save,
    for_one_picture,
    needs_converter,
    parse_setting,
    read_workflow,
    with_settings,
)

PROMPT = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}, "_meta": {"title": "The photograph"}},
    "2": {"class_type": "Worker", "inputs": {"image": ["1", 0], "strength": 1.5, "method": "hann", "exact": True}},
    "8": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "repaired"}},
    "9": {"class_type": "LoadImage", "inputs": {"image": "mask.png"}},
    "13": {"class_type": "SaveImage", "inputs": {"images": ["9", 0], "filename_prefix": "../../left"}},
    "14": {"class_type": "PreviewImage", "inputs": {"images": ["9", 0]}},
}
INFO = {kind: {"input": {}} for kind in ("LoadImage", "SaveImage", "PreviewImage", "Worker")}


def test_what_is_meant_is_found_or_asked_for_by_name():
    with pytest.raises(WorkflowError, match=r"2 nodes that may be meant: name one with --load.*The photograph \(node 1, a.png\).*node 9"):
        find_load(PROMPT)
    with pytest.raises(WorkflowError, match=r"name one with --save.*\(node 8, repaired\).*\(node 13, ../../left\)"):
        find_save(PROMPT)
    assert find_load(PROMPT, "The photograph") == "1" and find_load(PROMPT, "9") == "9"
    assert find_save(PROMPT, "repaired") == "8" and find_save(PROMPT, "13") == "13"
    with pytest.raises(WorkflowError, match="2 nodes are called 'SaveImage'"):
        find_save(PROMPT, "SaveImage")
    with pytest.raises(WorkflowError, match="saves nothing"):
        find_save(PROMPT, "Worker")
    with pytest.raises(WorkflowError, match="loads no picture"):
        find_load(PROMPT, "2")
    with pytest.raises(WorkflowError, match="has no Load Image"):
        find_load({"2": PROMPT["2"]})
    with pytest.raises(WorkflowError, match="No node is called 'x'"):
        find_node(PROMPT, "x")


def test_a_prompt_for_one_picture_saves_it_in_one_place_and_nothing_else():
    made = for_one_picture(PROMPT, "1", "8", "job.png", "farm/job")
    assert made["1"]["inputs"]["image"] == "job.png" and made["8"]["inputs"]["filename_prefix"] == "farm/job"
    assert set(made) == {"1", "2", "8", "9"}, "what is saved or shown beside it is left out"
    assert PROMPT["1"]["inputs"]["image"] == "a.png"


def test_settings_are_values_or_words_and_the_last_counts():
    settings = [
        parse_setting(text) for text in ("2.strength=2", "Worker.method=average", "2.strength=3", "2.exact=false", '2.image=["9", 0]')
    ]
    assert with_settings(PROMPT, settings)["2"]["inputs"] == {"image": ["9", 0], "strength": 3, "method": "average", "exact": False}
    assert parse_setting("a.b.c=x=y") == Setting("a.b", "c", "x=y")
    for text in ("strength=2", "2.strength", ".strength=2", "2.=2"):
        with pytest.raises(WorkflowError, match=r"node\.input=value"):
            parse_setting(text)
    for text in ("2.strength=thick", "2.exact=1", "2.method=1", "2.strength=true"):
        with pytest.raises(WorkflowError, match="another kind of value"):
            with_settings(PROMPT, [parse_setting(text)])


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "3", "{}", '{"nodes": 3}', '{"1": {"inputs": {}}}', '{"1": {"class_type": "A"}}', "\0", "[" * 10**5, '{"1":' * 10**5],
)
def test_files_that_are_no_workflows_are_put_in_words(tmp_path, content):
    (tmp_path / "w.json").write_text(content)
    with pytest.raises(WorkflowError, match="is no workflow"):
        read_workflow(tmp_path / "w.json")


def test_a_mark_that_windows_editors_put_first_is_passed_over(tmp_path):
    (tmp_path / "w.json").write_text(json.dumps(PROMPT), "utf-8-sig")
    assert read_workflow(tmp_path / "w.json").saved == PROMPT


def test_what_programs_post_is_taken_too(tmp_path):
    (tmp_path / "w.json").write_text(json.dumps({"prompt": PROMPT, "client_id": "x"}))
    assert read_workflow(tmp_path / "w.json").saved == PROMPT
    with pytest.raises(WorkflowError, match="cannot be read"):
        read_workflow(tmp_path / "none.json")


def test_without_the_converter_the_editors_form_is_refused_with_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "w.json").write_text(json.dumps({"nodes": [], "links": []}))
    monkeypatch.setitem(sys.modules, "comfy_cli", None)
    monkeypatch.setitem(sys.modules, "comfy_cli.workflow_to_api", None)
    with pytest.raises(WorkflowError, match=r"Export \(API\).*pip install comfy-cli"):
        needs_converter(read_workflow(tmp_path / "w.json"))
    (tmp_path / "w.json").write_text(json.dumps(PROMPT))
    needs_converter(read_workflow(tmp_path / "w.json"))


def test_nodes_that_the_server_does_not_know_are_named(tmp_path):
    (tmp_path / "w.json").write_text(json.dumps({**PROMPT, "5": {"class_type": "Gone", "inputs": {}}}))
    with pytest.raises(WorkflowError, match="does not know these nodes of the workflow: Gone"):
        Job(read_workflow(tmp_path / "w.json"), "1", "8").prepare(INFO)


def test_a_socket_that_is_left_open_is_given_no_value():
    """Also within a subgraph that stands there twice; a value of a widget stays."""
    boxes = {"x": 0, "y": 0, "width": 512, "height": 512}
    sockets = [
        {"name": "boxes", "link": None},
        {"name": "mask", "link": 7},
        {"name": "strength", "link": None, "widget": {"name": "strength"}},
    ]
    inner = {"id": "a graph", "nodes": [{"id": 3, "type": "Worker", "inputs": sockets}]}
    nodes = [{"id": 1, "type": "Worker", "inputs": sockets}, {"id": 2, "type": "a graph"}, {"id": 4, "type": "a graph"}]
    saved = {"nodes": nodes, "definitions": {"subgraphs": [inner]}}
    made = {key: {"class_type": "Worker", "inputs": {"boxes": boxes, "mask": ["9", 0], "strength": 1.5}} for key in ("1", "2:3", "4:3")}
    assert _as_saved(made, saved) == {key: {"class_type": "Worker", "inputs": {"mask": ["9", 0], "strength": 1.5}} for key in made}
