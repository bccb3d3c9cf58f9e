"""Running workflows on a server, with a stand-in for the server's queue."""

import json

import pytest
from tilework.tools import queue_client
from tilework.tools.server import workflow
from tilework.tools.server.workflow import WorkflowError, convert, fetch, images, run

PICTURE = {"filename": "a.png", "subfolder": "s", "type": "output"}
DONE = {"status": {"completed": True, "status_str": "success"}, "outputs": {"9": {"images": [PICTURE]}}}


def test_pictures_are_fetched_as_the_server_wrote_them_and_previews_are_not_results(monkeypatch):
    asked = []
    monkeypatch.setattr(workflow, "get", lambda url: asked.append(url) or b"picture")
    (picture,) = images(DONE)
    assert fetch("http://server", picture) == b"picture"
    assert asked == ["http://server/view?filename=a.png&subfolder=s&type=output"]
    assert images({"outputs": {"1": {"images": [{**PICTURE, "type": "temp"}]}}}) == []


def test_what_goes_wrong_is_a_workflow_error(monkeypatch):
    def refuse(url, value):
        raise OSError("refused")

    monkeypatch.setattr(queue_client, "post_json", refuse)
    with pytest.raises(WorkflowError, match="http://server does not answer"):
        run("http://server", {}, timeout=2)


def saved(kind, mode=0):
    return {"nodes": [{"id": 1, "type": kind, "mode": mode, "inputs": [], "outputs": [], "widgets_values": [7]}], "links": []}


INFO = {"Number": {"input": {"required": {"value": ["INT", {"default": 0}]}}, "input_order": {"required": ["value"]}, "output": ["INT"]}}


def test_a_saved_workflow_becomes_a_prompt_and_nodes_that_the_server_does_not_know_are_named(tmp_path):
    pytest.importorskip("comfy_cli")
    prompt = convert(saved("Number"), INFO)
    assert prompt["1"]["class_type"] == "Number"
    assert prompt["1"]["inputs"] == {"value": 7}
    assert convert(prompt, INFO) == prompt
    (tmp_path / "w.json").write_text(json.dumps(saved("Number")))
    assert convert(tmp_path / "w.json", INFO) == prompt
    with pytest.raises(WorkflowError, match="does not know these nodes of the workflow: TileworkGone"):
        convert(saved("TileworkGone"), INFO)
    assert convert(saved("TileworkGone", mode=4), INFO) == {}, "a bypassed node need not be known"
    assert convert(saved("MarkdownNote"), INFO) == {}
    with pytest.raises(WorkflowError, match="cannot be converted"):
        convert({"nodes": 3, "links": []}, INFO)
    (tmp_path / "w.json").write_text("{")
    with pytest.raises(WorkflowError, match="is no workflow"):
        convert(tmp_path / "w.json", INFO)
