"""Starting and stopping a server, with a small stand-in for ComfyUI's main.py."""

import json
import os
import socket
import sys
import urllib.error

import pytest
from tilework.tools.process.host_error import HostError
from tilework.tools.process.lock import taken
from tilework.tools.server import comfy as server_module
from tilework.tools.server.comfy import Server
from tilework.tools.server.loopback import free_port, get_json, is_free
from tilework.tools.setup.environment import Host

STAND_IN = """
import http.server, json, os, sys
args = sys.argv
port = int(args[args.index("--port") + 1])
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"system": {"argv": args}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
print("To see the GUI go to", port, flush=True)
http.server.HTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(server_module, "has_cuda", lambda venv: False)
    comfy = tmp_path / "host" / "ComfyUI"
    comfy.mkdir(parents=True)
    (comfy / "main.py").write_text(STAND_IN)
    return Host(tmp_path / "host", comfy, sys.executable)


@pytest.fixture
def pack(tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("precious")
    return tmp_path / "pack"


def arguments(server):
    return get_json(server.url + "/system_stats")["system"]["argv"]


def test_a_server_is_furnished_answers_and_is_gone_afterwards_even_after_an_error(host, pack, tmp_path):
    (tmp_path / "model.safetensors").write_text("weights")
    (tmp_path / "example.png").write_text("pixels")
    models, inputs = {"upscale_models": [tmp_path / "model.safetensors"]}, [tmp_path / "example.png"]
    server = Server(host, "unit", {"tilework": pack}, models, inputs, extra_args=["--verbose"])
    with pytest.raises(RuntimeError), server:
        given = arguments(server)
        base = server.base
        assert base == host.root / "base-unit"
        assert (base / "custom_nodes" / "tilework" / "__init__.py").read_text() == "precious"
        assert (base / "models" / "upscale_models" / "model.safetensors").read_text() == "weights"
        assert (base / "input" / "example.png").read_text() == "pixels"
        assert json.loads((base / "user" / "default" / "comfy.settings.json").read_text()) == {"Comfy.TutorialCompleted": True}
        raise RuntimeError
    assert {"--cpu", "--disable-api-nodes", "--disable-auto-launch", "--verbose"} <= set(given)
    assert given[given.index("--listen") + 1] == "127.0.0.1"
    assert given[given.index("--base-directory") + 1] == str(base)
    with pytest.raises(urllib.error.URLError):
        get_json(server.url + "/system_stats", timeout=2)


@pytest.mark.parametrize("keep", [False, True])
def test_stale_links_are_gone_packs_are_not_touched_and_only_a_kept_folder_has_what_was_in_it(host, pack, keep):
    with Server(host, "unit", {"old": pack}) as server:
        mine = [server.base / "output" / "mine.png", server.base / "custom_nodes" / "my_pack"]
        settings = server.base / "user" / "default" / "comfy.settings.json"
        mine[0].write_text("x")
        mine[1].mkdir()
        settings.write_text("{}")
    with Server(host, "unit", {"new": pack}, keep=keep) as server:
        assert not (server.base / "custom_nodes" / "old").exists() and (server.base / "custom_nodes" / "new").exists()
        assert [one.exists() for one in mine] == [keep, keep]
        assert (settings.read_text() == "{}") == keep
    assert (pack / "__init__.py").read_text() == "precious"


def test_two_servers_of_one_name_share_no_folder_and_are_not_taken_for_each_other(host, pack):
    with Server(host, "unit", {"tilework": pack}) as first, Server(host, "unit", {"tilework": pack}) as second:
        assert first.base != second.base
        assert str(second.base) in arguments(second)
        second.url = first.url
        assert not second._answers()
    with Server(host, "unit", {"tilework": pack}) as third:
        assert third.base == first.base


def test_a_port_that_is_taken_is_put_in_words(host, pack):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(HostError, match=f"Port {port} is taken.*--port"), Server(host, "unit", {"tilework": pack}, port=port):
            pass
    assert is_free(port) and is_free(free_port())


@pytest.mark.parametrize(
    ("main", "words"),
    [
        ("raise SystemExit('thinking')", "ended while it was starting"),
        ("import time; print('thinking', flush=True); time.sleep(60)", "did not answer within"),
    ],
)
def test_a_server_that_dies_or_never_answers_shows_the_end_of_its_log_and_leaves_nothing(host, pack, monkeypatch, main, words):
    monkeypatch.setattr(server_module, "READY_SECONDS", 1.5)
    (host.comfy / "main.py").write_text(main)
    server = Server(host, "unit", {"tilework": pack})
    with pytest.raises(HostError, match=words) as failure, server:
        pass
    assert "thinking" in failure.value.detail
    assert server._child.poll() is not None
    lock = taken(host.root / "base-unit.lock")
    assert lock is not None, "the working folder is free for the next server"
    os.close(lock)


def test_a_server_that_ends_later_is_noticed(host, pack):
    with Server(host, "unit", {"tilework": pack}) as server:
        server.check_alive()
        server._child.stop()
        with pytest.raises(HostError, match="has ended by itself"):
            server.check_alive()


def test_a_persons_own_comfyui_is_not_written_to(host, tmp_path):
    own = Host(host.root, tmp_path / "own", host.python)
    assert Server(own)._environment()["PYTHONPYCACHEPREFIX"].startswith(str(host.root))
    assert "PYTHONPYCACHEPREFIX" not in Server(host)._environment()
