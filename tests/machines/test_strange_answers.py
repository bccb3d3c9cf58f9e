"""A server whose answers may be anything in any part: each run ends well, or in words; and what is no ComfyUI is called so."""

import contextlib
import io
import json
import urllib.error
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tilework.machines import queue_client
from tilework.machines.comfy_server import RunningServer
from tilework.machines.one_picture import _only_result
from tilework.machines.process.host_error import HostError
from tilework.machines.queue_client import QueueClient, ServerLostError, shown_texts
from tilework.machines.websocket import Listener
from tilework.machines.workflow_file import Workflow, to_prompt
from tilework.tests.machines.strange_json import changed_somewhere, places_in
from tilework.tests.machines.test_loopback import answers
from tilework.tests.machines.test_strange_files import INFO, PROMPT

FAULT = {"errors": [{"message": "Value too big", "details": "overlap: 9000"}]}
RAISED = ["execution_error", {"node_id": "3", "node_type": "Work", "exception_message": "out of memory", "exception_type": "X"}]
WELL = {
    "info": INFO,
    "prompt": {"prompt_id": "p", "node_errors": {}},
    "refusal": {"error": {"message": "no"}, "node_errors": {"4": FAULT}},
    "history": {
        "p": {
            "status": {"completed": True, "status_str": "success", "messages": []},
            "outputs": {"5": {"images": [{"filename": "a.png", "subfolder": "s", "type": "output"}], "text": ["one"]}},
        }
    },
    "failure": {"p": {"status": {"completed": False, "status_str": "error", "messages": [["execution_start", {}], RAISED]}}},
    "message": {"type": "progress_state", "data": {"nodes": {"3": {"state": "running", "value": 1, "max": 4}, "2": {"state": "finished"}}}},
    "upload": {"name": "a.png", "subfolder": "tilework", "type": "input"},
}
PLACES = {name: list(places_in(answer)) for name, answer in WELL.items()}


def _run(monkeypatch, said, failing, refusing):
    """One run on a server that says so."""

    def post(url, value):
        if refusing:
            raise urllib.error.HTTPError(url, 400, "", {}, io.BytesIO(json.dumps(said["refusal"]).encode()))
        return said["prompt"] if isinstance(said["prompt"], dict) else {}

    def get(url):
        answer = said["info"] if url.endswith("object_info") else said["failure" if failing else "history"]
        return answer if isinstance(answer, dict) else {}

    monkeypatch.setattr(queue_client, "post_json", post)
    monkeypatch.setattr(queue_client, "get_json", get)
    client = QueueClient("http://127.0.0.1:1")
    prompt = to_prompt(Workflow(None, PROMPT), client.object_info())
    with contextlib.suppress(HostError):
        entry = client.run(prompt, timeout=0.02)
        shown_texts(entry)
        _only_result(entry, "5", Path("b.png"))


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), failing=st.booleans(), refusing=st.booleans())
def test_any_part_of_any_answer_may_be_anything(monkeypatch, data, failing, refusing):
    monkeypatch.setattr(queue_client, "POLL_SECONDS", 0.005)
    said = {name: changed_somewhere(data.draw, answer, PLACES[name]) for name, answer in WELL.items()}
    with contextlib.suppress(HostError):
        _run(monkeypatch, said, failing, refusing)
    told = []
    listener = Listener("http://127.0.0.1:1", "c", PROMPT, told.append)
    assert listener._take(json.dumps(said["message"]).encode()) in (True, False)


@pytest.mark.parametrize(
    "body", [b"5", b"[]", b"null", b'"x"', b"[" * 200_000, b"<!doctype html><p>Welcome", b"", b"\xff\xfe", b"{}", b'{"system": 5}']
)
def test_what_is_no_comfyui_is_called_so(body):
    with (
        answers(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as address,
        pytest.raises(HostError, match="is it a ComfyUI") as said,
    ):
        RunningServer(address)
    assert "Expecting value: line 1" not in said.value.message and len(said.value.message) < 300


@pytest.mark.parametrize("body", [b"{}", b'{"name": 5}', b'{"name": "a.png", "subfolder": [1]}', b"[3]", b'{"Load": 5}'])
def test_a_picture_and_nodes_that_are_told_of_strangely(body, tmp_path):
    (tmp_path / "a.png").write_bytes(b"picture")
    server = RunningServer.__new__(RunningServer)
    with answers(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as server.address:
        with pytest.raises(HostError, match="did not take the picture"):
            server.give(tmp_path / "a.png", "a.png")
        if body != b"{}":
            with pytest.raises(ServerLostError):
                QueueClient(server.address).object_info()
