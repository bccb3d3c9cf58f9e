"""Talking to a server about workflows, with a stand-in for the server."""

import http.server
import json
import threading

import pytest
from tilework.tools.server import workflow
from tilework.tools.server.workflow import WorkflowError, convert, fetch, images, run

PICTURE = {"filename": "a.png", "subfolder": "s", "type": "output"}
DONE = {"status": {"completed": True, "status_str": "success"}, "outputs": {"9": {"images": [PICTURE]}}}


class StandIn:
    """A server whose answers a test lays down: `post` for /prompt, one of `history` for each time it is asked."""

    def __init__(self):
        self.post = (200, {"prompt_id": "p", "node_errors": {}})
        self.history = [{}]
        self.asked = []
        stand_in = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def give(self, status, body):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.give(*stand_in.post)

            def do_GET(self):
                stand_in.asked.append(self.path)
                if self.path.startswith("/history"):
                    answer = stand_in.history.pop(0) if len(stand_in.history) > 1 else stand_in.history[0]
                    self.give(200, answer)
                else:
                    self.give(200, b"picture")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def server():
    stand_in = StandIn()
    yield stand_in
    stand_in.server.shutdown()
    stand_in.server.server_close()


PROMPT = {"4": {"class_type": "TileworkTileSplit", "inputs": {}}}


def test_the_history_may_lag(server):
    server.history = [{}, {}, {"p": {"status": {"completed": False, "status_str": ""}}}, {"p": DONE}]
    assert run(server.url, PROMPT, timeout=5) == DONE
    assert len(server.asked) == 4


def test_pictures_are_fetched_as_the_server_wrote_them(server):
    assert [image["filename"] for image in images(DONE)] == ["a.png"]
    assert fetch(server.url, images(DONE)[0]) == b"picture"
    assert server.asked == ["/view?filename=a.png&subfolder=s&type=output"]


def test_previews_are_not_results():
    assert images({"outputs": {"1": {"images": [{"filename": "t.png", "subfolder": "", "type": "temp"}]}}}) == []


REFUSED = {
    "error": {"message": "Prompt outputs failed validation"},
    "node_errors": {"4": {"errors": [{"message": "Value too big", "details": "overlap: 9000"}]}},
}


@pytest.mark.parametrize("status", [400, 200])
def test_a_refusal_names_the_node_and_the_input(server, status):
    server.post = (status, {**REFUSED, "prompt_id": "p"})
    with pytest.raises(WorkflowError, match=r"TileworkTileSplit \(node 4\): Value too big: overlap: 9000"):
        run(server.url, PROMPT, timeout=2)


def test_a_refusal_without_node_errors_and_one_that_is_no_json_are_readable(server):
    server.post = (400, {"error": {"message": "Prompt has no outputs"}, "node_errors": {}})
    with pytest.raises(WorkflowError, match="Prompt has no outputs"):
        run(server.url, PROMPT, timeout=2)
    server.post = (500, b"<html>oops</html>")
    with pytest.raises(WorkflowError, match=r"status 500.*oops"):
        run(server.url, PROMPT, timeout=2)


def test_a_failed_node_is_named(server):
    said = {"node_type": "TileworkSeamBlend", "node_id": "5", "exception_message": "12 tiles came back, 16 were planned\n"}
    server.history = [{"p": {"status": {"status_str": "error", "completed": False, "messages": [["execution_error", said]]}}}]
    with pytest.raises(WorkflowError, match=r"TileworkSeamBlend \(node 5\) failed: 12 tiles came back"):
        run(server.url, PROMPT, timeout=5)


def test_an_endless_run_is_given_up(server, monkeypatch):
    monkeypatch.setattr(workflow, "POLL_SECONDS", 0.01)
    with pytest.raises(WorkflowError, match=r"not done after 0.1 seconds"):
        run(server.url, PROMPT, timeout=0.1)


def test_a_server_that_is_not_there_is_put_in_words(server):
    server.server.shutdown()
    server.server.server_close()
    with pytest.raises(WorkflowError, match="does not answer"):
        run(server.url, PROMPT, timeout=2)


def saved(kind, mode=0):
    return {"nodes": [{"id": 1, "type": kind, "mode": mode, "inputs": [], "outputs": [], "widgets_values": [7]}], "links": []}


INFO = {"Number": {"input": {"required": {"value": ["INT", {"default": 0}]}}, "input_order": {"required": ["value"]}, "output": ["INT"]}}


def test_a_saved_workflow_becomes_a_prompt():
    pytest.importorskip("comfy_cli")
    prompt = convert(saved("Number"), INFO)
    assert prompt["1"]["class_type"] == "Number"
    assert prompt["1"]["inputs"] == {"value": 7}
    assert convert(prompt, INFO) == prompt


def test_nodes_that_the_server_does_not_know_are_named():
    pytest.importorskip("comfy_cli")
    with pytest.raises(WorkflowError, match="does not know these nodes of the workflow: TileworkGone"):
        convert(saved("TileworkGone"), INFO)
    assert convert(saved("TileworkGone", mode=4), INFO) == {}, "a bypassed node need not be known"
    assert convert(saved("MarkdownNote"), INFO) == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "not JSON"), ("[]", "not a workflow"), ('{"nodes": 3}', "cannot be converted"), (None, "cannot be read")],
)
def test_files_that_are_no_workflows_are_put_in_words(tmp_path, content, words):
    pytest.importorskip("comfy_cli")
    if content is not None:
        (tmp_path / "w.json").write_text(content)
    with pytest.raises(WorkflowError, match=words):
        convert(tmp_path / "w.json", INFO)
