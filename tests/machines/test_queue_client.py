"""A server's queue, with a stand-in for the server's answers; and its messages, with a stand-in for its websocket."""

import contextlib
import io
import json
import socket
import struct
import threading
import time
import urllib.error

import pytest
from tilework.machines import queue_client
from tilework.machines.process.host_error import HostError
from tilework.machines.queue_client import (
    QueueClient,
    RunCancelledError,
    RunFailedError,
    RunRefusedError,
    RunTooLongError,
    ServerLostError,
    shown_texts,
    written,
)
from tilework.machines.websocket import Listener

PICTURE = {"filename": "a.png", "subfolder": "s", "type": "output"}
DONE = {"status": {"completed": True, "status_str": "success"}, "outputs": {"9": {"images": [PICTURE], "text": ["one"]}}}
PROMPT = {"4": {"class_type": "TileworkTileSplit", "inputs": {}}, "5": {"class_type": "Other", "inputs": {}}}


class StandIn:
    """A server whose answers a test lays down: `post` to a prompt, one of `history` for each time it is asked."""

    def __init__(self, monkeypatch):
        self.post = (200, {"prompt_id": "p", "node_errors": {}})
        self.history = [{}]
        self.asked, self.posted = [], []
        monkeypatch.setattr(queue_client, "POLL_SECONDS", 0.01)
        monkeypatch.setattr(queue_client, "post_json", self.take)
        monkeypatch.setattr(queue_client, "get_json", self.tell)

    def take(self, url, value):
        self.posted.append((url.partition("127.0.0.1:1")[2], value))
        status, answer = self.post
        if status == 200:
            return answer
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        raise urllib.error.HTTPError(url, status, "", {}, io.BytesIO(body)) if status else OSError("refused")

    def tell(self, url):
        self.asked.append(url)
        answer = self.history.pop(0) if len(self.history) > 1 else self.history[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def server(monkeypatch):
    return StandIn(monkeypatch)


client = QueueClient("http://127.0.0.1:1")


def test_the_history_may_lag_and_a_server_may_be_too_busy_to_answer_for_a_moment(server):
    server.history = [{}, OSError("busy"), {"p": {"status": {"completed": False, "status_str": ""}}}, {"p": DONE}]
    entry = client.run(PROMPT, timeout=5, workflow={"nodes": []})
    assert written(entry, "9") == [PICTURE] and written(entry, "8") == [] and shown_texts(entry) == {"9": ["one"]}
    assert len(server.asked) == 4 and [path for path, _ in server.posted] == ["/prompt"]
    assert server.posted[0][1]["extra_data"] == {"extra_pnginfo": {"workflow": {"nodes": []}}}
    assert written({"outputs": {"1": {"images": [{**PICTURE, "type": "temp"}]}}}, "1") == [], "previews are not results"


FAULTS = {"4": {"errors": [{"message": "Value too big", "details": "overlap: 9000"}]}}


@pytest.mark.parametrize(
    ("status", "answer", "kind", "words"),
    [
        (
            400,
            {"error": {"message": "x"}, "node_errors": FAULTS},
            RunRefusedError,
            r"TileworkTileSplit \(node 4\): Value too big: overlap: 9000",
        ),
        (200, {"prompt_id": "p", "node_errors": FAULTS}, RunRefusedError, r"TileworkTileSplit \(node 4\): Value too big: overlap: 9000"),
        (400, {"error": {"message": "Prompt has no outputs"}, "node_errors": {}}, RunRefusedError, "Prompt has no outputs"),
        (500, b"<html>oops</html>", RunRefusedError, "status 500.*oops"),
        (None, None, ServerLostError, "does not answer"),
    ],
)
def test_a_refusal_names_the_node_and_the_input_and_one_that_names_none_is_readable(server, status, answer, kind, words):
    server.post = (status, answer)
    with pytest.raises(kind, match=words):
        client.run(PROMPT, timeout=2)


@pytest.mark.parametrize(
    ("kind", "exception", "message", "error", "full"),
    [
        ("execution_error", "ValueError", "12 tiles came back", RunFailedError, False),
        ("execution_error", "torch.OutOfMemoryError", "Allocation on device", RunFailedError, True),
        ("execution_error", "RuntimeError", "DefaultCPUAllocator: not enough memory", RunFailedError, True),
        ("execution_interrupted", "", "", RunCancelledError, None),
    ],
)
def test_a_failed_node_is_named_and_want_of_memory_is_told_from_the_rest(server, kind, exception, message, error, full):
    said = {"node_type": "TileworkSeamBlend", "node_id": "5", "exception_message": f"{message}\n", "exception_type": exception}
    server.history = [{"p": {"status": {"status_str": "error", "completed": False, "messages": [[kind, said]]}}}]
    with pytest.raises(error, match=r"TileworkSeamBlend \(node 5\) (failed: " + message + "|was interrupted)") as caught:
        client.run(PROMPT, timeout=5)
    assert full is None or caught.value.out_of_memory == full


def test_what_ends_the_wait_cancels_the_run_and_a_silent_server_is_lost(server, monkeypatch):
    with pytest.raises(RunTooLongError, match=r"not done after 0.1 seconds"):
        client.run(PROMPT, timeout=0.1)
    assert server.posted[1:] == [("/queue", {"delete": ["p"]}), ("/interrupt", {"prompt_id": "p"})]

    def gone():
        raise HostError("gone")

    with pytest.raises(HostError, match="gone"):
        client.run(PROMPT, check=gone)
    monkeypatch.setattr(queue_client, "SILENT_SECONDS", 0.05)
    server.history = [OSError("broken")]
    with pytest.raises(ServerLostError, match="stopped answering"):
        client.run(PROMPT)


def frame(kind, content, last=True):
    size = len(content)
    length = bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size) if size < 65536 else b"\x7f" + struct.pack(">Q", size)
    return bytes([kind | (128 if last else 0)]) + length + content


def state(value, **nodes):
    return json.dumps(
        {"type": "progress_state", "data": {"nodes": nodes or {"4": {"state": "running", "value": value, "max": 9}}}}
    ).encode()


@contextlib.contextmanager
def speaking(talk):
    """The address of a server that takes one websocket and has `talk(peer)` say what it says."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        peer, _ = listening.accept()
        with peer:
            while b"\r\n\r\n" not in peer.recv(4096):
                pass
            peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            talk(peer)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    thread.join()
    listening.close()


def test_messages_are_heard_in_pieces_and_pings_are_answered():
    answered = []

    def talk(peer):
        begun = frame(1, state(1)[:20], last=False)
        peer.sendall(begun + frame(9, b"still there?") + frame(0, state(1)[20:]) + frame(2, b"preview"))
        for byte in frame(1, state(2)):
            peer.sendall(bytes([byte]))
        finished = {str(number): {"state": "finished", "value": 1, "max": 1} for number in range(5, 900)}
        peer.sendall(frame(1, state(0, **finished, **{"4": {"state": "running", "value": 3, "max": 9}})))
        answered.append(peer.recv(4096))
        peer.sendall(frame(1, json.dumps({"type": "execution_success"}).encode()) + frame(8, b""))

    heard = []
    with speaking(talk) as address, Listener(address, "me", PROMPT, heard.append) as listener:
        assert any(listener.listen(0.05) for _ in range(100))
        assert not listener.listen(0.01), "the socket is closed: it waits and says nothing"
    assert [(one.node_type, one.done, one.total) for one in heard] == [("TileworkTileSplit", value, 9) for value in (1, 2, 3)]
    assert heard[-1].nodes == 2 and heard[-1].nodes_done == 1
    assert answered[0][:2] == bytes([138, 128 | 12])
    mask, content = answered[0][2:6], answered[0][6:]
    assert bytes(byte ^ mask[i % 4] for i, byte in enumerate(content)) == b"still there?"


@pytest.mark.parametrize("said", [b"[1]", b"5", b"[" * 5000, b"{", b"\xff"])
def test_messages_that_are_none_are_the_end_of_listening_and_of_nothing_else(said):
    with speaking(lambda peer: peer.sendall(frame(1, said))) as address, Listener(address, "me", PROMPT, print) as listener:
        assert not listener.listen(0.2)


def test_a_message_without_end_is_not_gathered_for_ever(monkeypatch):
    monkeypatch.setattr("tilework.machines.websocket.LARGEST_MESSAGE", 1000)

    def talk(peer):
        with contextlib.suppress(OSError):
            peer.sendall(frame(1, b"[", last=False) + frame(0, b"1" * 900, last=False) * 5)

    with speaking(talk) as address, Listener(address, "me", PROMPT, print) as listener:
        assert not listener.listen(0.2) and not listener.hears


def test_where_the_server_says_when_a_run_is_over_it_is_seldom_asked(server, monkeypatch):
    # Were the end not heard, it would be asked after a minute.
    monkeypatch.setattr(queue_client, "SLOW_POLL_SECONDS", 60)

    def talk(peer):
        time.sleep(0.5)
        peer.sendall(frame(1, json.dumps({"type": "execution_success"}).encode()))
        # The history lags behind.
        time.sleep(0.05)
        server.history = [{"p": DONE}]
        peer.recv(1)

    begun = time.monotonic()
    with speaking(talk) as address:
        assert QueueClient(address).run(PROMPT)["outputs"] == DONE["outputs"]
    assert time.monotonic() - begun < 30


def test_without_a_websocket_a_run_is_followed_by_its_history():
    with Listener("http://127.0.0.1:1", "me", PROMPT, print) as listener:
        assert not listener.listen(0.01)
