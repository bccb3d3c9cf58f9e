"""Talking to a server about workflows, with a stand-in for the server."""

import io
import json
import urllib.error

import pytest
from tilework.tools.server import workflow
from tilework.tools.server.workflow import WorkflowError, convert, fetch, images, run

PICTURE = {"filename": "a.png", "subfolder": "s", "type": "output"}
DONE = {"status": {"completed": True, "status_str": "success"}, "outputs": {"9": {"images": [PICTURE]}}}
PROMPT = {"4": {"class_type": "TileworkTileSplit", "inputs": {}}}
URL = "http://server"


class StandIn:
    """A server whose answers a test lays down: `post` to a prompt, one of `history` for each time it is asked."""

    def __init__(self, monkeypatch):
        self.post = (200, {"prompt_id": "p", "node_errors": {}})
        self.history = [{}]
        self.asked = []
        monkeypatch.setattr(workflow, "POLL_SECONDS", 0.01)
        monkeypatch.setattr(workflow, "post_json", self.take)
        monkeypatch.setattr(workflow, "get_json", self.tell)
        monkeypatch.setattr(workflow, "get", lambda url: self.asked.append(url) or b"picture")

    def take(self, url, value):
        status, answer = self.post
        if status == 200:
            return answer
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        raise urllib.error.HTTPError(url, status, "", {}, io.BytesIO(body)) if status else OSError("refused")

    def tell(self, url):
        self.asked.append(url)
        return self.history.pop(0) if len(self.history) > 1 else self.history[0]


@pytest.fixture
def server(monkeypatch):
    return StandIn(monkeypatch)


def test_the_history_may_lag_and_pictures_are_fetched_as_the_server_wrote_them(server):
    server.history = [{}, {}, {"p": {"status": {"completed": False, "status_str": ""}}}, {"p": DONE}]
    assert run(URL, PROMPT, timeout=5) == DONE
    assert len(server.asked) == 4
    (picture,) = images(DONE)
    assert fetch(URL, picture) == b"picture"
    assert server.asked[-1] == f"{URL}/view?filename=a.png&subfolder=s&type=output"
    assert images({"outputs": {"1": {"images": [{**PICTURE, "type": "temp"}]}}}) == [], "previews are not results"


FAULTS = {"4": {"errors": [{"message": "Value too big", "details": "overlap: 9000"}]}}
SAID = {"node_type": "TileworkSeamBlend", "node_id": "5", "exception_message": "12 tiles came back, 16 were planned\n"}


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (400, {"error": {"message": "x"}, "node_errors": FAULTS}, r"TileworkTileSplit \(node 4\): Value too big: overlap: 9000"),
        (200, {"prompt_id": "p", "node_errors": FAULTS}, r"TileworkTileSplit \(node 4\): Value too big: overlap: 9000"),
        (400, {"error": {"message": "Prompt has no outputs"}, "node_errors": {}}, "Prompt has no outputs"),
        (500, b"<html>oops</html>", "status 500.*oops"),
        (None, None, "does not answer"),
    ],
)
def test_a_refusal_names_the_node_and_the_input_and_one_that_names_none_is_readable(server, status, answer, words):
    server.post = (status, answer)
    with pytest.raises(WorkflowError, match=words):
        run(URL, PROMPT, timeout=2)


@pytest.mark.parametrize(
    ("kind", "words"), [("execution_error", "failed: 12 tiles came back"), ("execution_interrupted", "was interrupted")]
)
def test_a_failed_node_is_named(server, kind, words):
    server.history = [{"p": {"status": {"status_str": "error", "completed": False, "messages": [[kind, SAID]]}}}]
    with pytest.raises(WorkflowError, match=rf"TileworkSeamBlend \(node 5\) {words}"):
        run(URL, PROMPT, timeout=5)


def test_an_endless_run_is_given_up(server):
    with pytest.raises(WorkflowError, match=r"not done after 0.1 seconds"):
        run(URL, PROMPT, timeout=0.1)


def saved(kind, mode=0):
    return {"nodes": [{"id": 1, "type": kind, "mode": mode, "inputs": [], "outputs": [], "widgets_values": [7]}], "links": []}


INFO = {"Number": {"input": {"required": {"value": ["INT", {"default": 0}]}}, "input_order": {"required": ["value"]}, "output": ["INT"]}}


def test_a_saved_workflow_becomes_a_prompt_and_nodes_that_the_server_does_not_know_are_named():
    pytest.importorskip("comfy_cli")
    prompt = convert(saved("Number"), INFO)
    assert prompt["1"]["class_type"] == "Number"
    assert prompt["1"]["inputs"] == {"value": 7}
    assert convert(prompt, INFO) == prompt
    with pytest.raises(WorkflowError, match="does not know these nodes of the workflow: TileworkGone"):
        convert(saved("TileworkGone"), INFO)
    assert convert(saved("TileworkGone", mode=4), INFO) == {}, "a bypassed node need not be known"
    assert convert(saved("MarkdownNote"), INFO) == {}


@pytest.mark.parametrize("content", ["{", "[]", '{"nodes": 3}'])
def test_files_that_are_no_workflows_are_put_in_words(tmp_path, content):
    pytest.importorskip("comfy_cli")
    (tmp_path / "w.json").write_text(content)
    with pytest.raises(WorkflowError, match="no workflow, or one that cannot be converted"):
        convert(tmp_path / "w.json", INFO)
