"""`farm.py run` from the outside, on a stand-in for ComfyUI: what it makes, what it leaves, what it says."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tilework.machines.comfy_server import ComfyServer
from tilework.machines.installation import find_installation
from tilework.machines.one_job import Job
from tilework.machines.one_picture import MADE, REFUSED, run_one
from tilework.machines.workflow_file import parse_setting, read_workflow
from tilework.tests.machines import stand_in

WHOLE = ["result.png", "result.png.key.json"]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")


def changed(**inputs):
    """The workflow with other inputs of its worker and its Save Image."""
    return {
        key: {**part, "inputs": {**part["inputs"], **{name: value for name, value in inputs.items() if name in part["inputs"]}}}
        for key, part in stand_in.WORKFLOW.items()
    }


def test_a_picture_is_made_once_and_the_second_call_starts_nothing(bench, tmp_path):
    said = bench.run()
    assert "Starting ComfyUI" in said and "result.png: made in" in said
    assert bench.result.read_bytes() == bench.picture.read_bytes() + b"1" and bench.left() == WHOLE
    assert list(bench.work.iterdir()) == [], "the server's folder is gone with it"
    key = json.loads((tmp_path / "out" / "result.png.key.json").read_text())
    assert key["texts"] == {"2": ["passed: no seam"]} and set(key["parts"]["models"]) == {"upscale_models/weights.safetensors"}
    before = {path: path.stat().st_mtime_ns for path in bench.result.parent.iterdir()}
    # With a Python that is not there: whatever was started would fail.
    said = bench.run("--python", str(tmp_path / "none"))
    assert "there already" in said and "nothing started" in said
    assert {path: path.stat().st_mtime_ns for path in bench.result.parent.iterdir()} == before

    bench.picture.write_bytes(stand_in.picture("photo", side=3))
    assert "made anew: another picture than before" in bench.run()
    assert bench.result.read_bytes() == bench.picture.read_bytes() + b"1"
    bench.result.write_bytes(b"half")
    assert "made in" in bench.run("--set", "Worker.strength=2")
    assert bench.result.read_bytes() == bench.picture.read_bytes() + b"2"


@pytest.mark.parametrize(
    ("words", "more", "said"),
    [
        ("BAD", (), "Worker (node 2) failed: image file is truncated"),
        ("FULL", (), "A disk is full: Worker (node 2) failed: [Errno 28]"),
        ("DIE", (), "ComfyUI has ended by itself (status 9)"),
        ("fine", ("--timeout", "0.3", "--set", "2.seconds=5"), "not done after 0.3 seconds"),
        ("fine", ("--set", 'strength="a"'), "not of the form node.input=value"),
    ],
)
def test_what_cannot_be_made_is_said_and_leaves_no_result(bench, words, more, said):
    bench.picture.write_bytes(stand_in.picture(words))
    assert said in bench.run(*more, status=1)
    # What is wrong with the command or the server is no refusal of the picture.
    assert bench.left() == ([] if words in ("DIE", "FULL") or "=value" in said else ["result.png.refused.json"])
    assert not bench.left() or said in json.loads((bench.result.parent / bench.left()[0]).read_text())["reason"]
    assert list(bench.work.iterdir() if bench.work.exists() else []) == []


def test_each_fault_of_a_picture_a_setting_or_a_server_is_an_outcome_with_its_reason(bench, tmp_path):
    with ComfyServer(find_installation(bench.comfy), bench.work) as server:
        for words, more, ending, said in [
            ("TWO", {}, "png", "saved 2 files where one was expected"),
            ("ASTRAY", {}, "png", "leads out of"),
            ("LARGE", {}, "png", "Allocation on device"),
            ("fine", {"settings": (parse_setting("2.strength=10"),)}, "png", "Worker (node 2): Value too big: strength"),
            ("fine", {"settings": (parse_setting("2.gain=1"),)}, "png", "has no input 'gain'; it has image, strength"),
            ("fine", {"load": "9"}, "png", "No node is called '9'"),
            ("fine", {}, "jpg", "saves a .png file: name the result result.png and not result.jpg"),
        ]:
            bench.picture.write_bytes(stand_in.picture(words))
            result = tmp_path / "out" / f"result.{ending}"
            outcome = run_one(server, Job(read_workflow(bench.workflow), **more), bench.picture, result)
            assert outcome.state == REFUSED and said in outcome.reason, outcome
            assert outcome.out_of_memory == (words == "LARGE")
            assert said in json.loads((tmp_path / "out" / f"result.{ending}.refused.json").read_text())["reason"]
            assert not result.exists()
        assert [*(server.folder / "input").iterdir()] == [server.folder / "input" / "example.png"], "what was given is taken back"


def test_two_pictures_at_once_go_through_one_server_and_get_their_own_results(bench, tmp_path):
    job = Job(read_workflow(bench.workflow))
    pictures = [tmp_path / f"{number}.png" for number in range(4)]
    for number, picture in enumerate(pictures):
        picture.write_bytes(stand_in.picture(f"number {number}"))
    with ComfyServer(find_installation(bench.comfy), bench.work) as server, ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda one: run_one(server, job, one, tmp_path / "out" / one.name), pictures))
    assert [one.state for one in outcomes] == [MADE] * 4
    assert all((tmp_path / "out" / one.name).read_bytes() == one.read_bytes() + b"1" for one in pictures)


def test_why_comfyui_did_not_start_is_said(bench):
    main = bench.comfy / "main.py"
    main.write_text("import sys; sys.exit('main.py: error: unrecognized arguments: --nonsense')")
    assert "unrecognized arguments: --nonsense" in bench.run(status=1)
    assert list(bench.work.iterdir()) == []


def test_a_python_may_be_named_from_where_one_stands(bench, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    assert "made in" in bench.run("--python", "bin/python")
    bench.result.unlink()
    assert "There is no Python" in bench.run("--python", "bin/none", status=1)


def test_a_refusal_is_gone_once_the_picture_is_made(bench):
    good = bench.picture.read_bytes()
    bench.picture.write_bytes(stand_in.picture("BAD"))
    bench.run(status=1)
    bench.picture.write_bytes(good)
    bench.run()
    assert bench.left() == WHOLE


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ({"picture": "gone.png"}, "There is no picture"),
        ({"result": "photo.png"}, "is the picture itself"),
        ({"result": "out/result"}, "has no ending"),
        ({"result": "comfy"}, "is a folder"),
        ({"result": "photo.png/a.png"}, "photo.png is a file, and a.png is to lie in a folder of that name"),
        ({"result": "/proc/none/a.png"}, "A file operation failed (/proc/none"),
        ({"result": "/dev/full/a.png"}, "/dev/full is a file"),
        ({"result": "out/" + "a" * 217 + ".png"}, "221 bytes long: use 220 at most"),
    ],
)
def test_paths_that_cannot_be_meant_are_refused(bench, tmp_path, paths, said):
    words = bench.run(status=1, **{name: tmp_path / path for name, path in paths.items()})
    assert said in words and "Starting ComfyUI" not in words
    assert bench.picture.read_bytes() == stand_in.picture("photo")


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_refused_before_anything_starts(bench, seconds):
    assert "is no number of seconds over 0" in bench.run(f"--timeout={seconds}", status=2)


def test_the_longest_name_of_a_result_has_room_for_what_is_written_beside_it(bench, tmp_path):
    result = tmp_path / "out" / ("a" * 216 + ".png")
    bench.run(result=result)
    assert len(list(result.parent.iterdir())) == 2
    bench.picture.write_bytes(stand_in.picture("BAD"))
    bench.run(result=result, status=1)
    assert result.with_name(result.name + ".refused.json").exists()


def test_a_running_server_is_used_left_running_and_asked_every_time(bench):
    with ComfyServer(find_installation(bench.comfy), bench.work) as server:
        for _ in range(2):
            said = bench.run("--server", server.address)
            assert "cannot be known from here" in said and "made in" in said and "Starting" not in said
        server.check_alive()
    assert bench.result.read_bytes() == bench.picture.read_bytes() + b"1"
    assert json.loads((bench.result.parent / "result.png.key.json").read_text())["key"] is None
    assert "No ComfyUI answers at http://127.0.0.1:1:" in bench.run("--server", "127.0.0.1:1", status=1)


def test_a_running_server_that_dies_while_it_gives_the_result_leaves_no_half_result(bench):
    bench.picture.write_bytes(stand_in.picture("CUT"))
    with ComfyServer(find_installation(bench.comfy), bench.work) as server:
        assert "does not answer any more" in bench.run("--server", server.address, status=1)
    assert bench.left() == []


@pytest.mark.parametrize("address", ["", "ftp://here", "http://[::1", "http://"])
def test_what_is_no_address_of_a_server_is_said(bench, address):
    assert "is no address of a server" in bench.run("--server", address, status=1)


@linux
def test_killed_at_any_moment_it_leaves_no_half_file_and_no_process_and_the_next_call_completes(bench, pytestconfig):
    times = 20 if pytestconfig.getoption("--release") else 3
    bench.picture.write_bytes(stand_in.picture("photo", side=700))
    bench.write(changed(seconds=0.2, slow=0.05))
    begun = time.monotonic()
    bench.run()
    whole, needed = bench.result.read_bytes(), time.monotonic() - begun
    moments = random.Random(18)
    for number in range(times):
        moment = needed * moments.random()
        result = bench.result.parent / str(number) / "result.png"
        process = subprocess.Popen(bench.command(result=result), env=bench.environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        time.sleep(moment)
        # Every other time as Slurm and Kubernetes begin: with a request.
        process.send_signal(signal.SIGTERM if number % 2 else signal.SIGKILL)
        process.wait()
        gone = time.monotonic() + 10
        while stand_in.processes_of(bench.folder) and time.monotonic() < gone:
            time.sleep(0.05)
        assert not stand_in.processes_of(bench.folder), f"killed after {moment:.2f} of {needed:.2f} s"
        left = sorted(path.name for path in result.parent.iterdir()) if result.parent.exists() else []
        assert left in ([], WHOLE[:1], WHOLE) and (not left or result.read_bytes() == whole)
        print(f"killed after {moment:.2f} of {needed:.2f} s: left {left}")
        bench.run(result=result)
        assert result.read_bytes() == whole and sorted(path.name for path in result.parent.iterdir()) == WHOLE
        assert list(bench.work.iterdir()) == []


@linux
def test_a_server_ends_also_where_its_keeper_is_killed(bench):
    with ComfyServer(find_installation(bench.comfy), bench.work) as server:
        pid, keeper = server.pid, server._child.process.pid
        os.kill(keeper, signal.SIGKILL)
        gone = time.monotonic() + 5
        while pid in stand_in.processes_of(bench.folder) and time.monotonic() < gone:
            time.sleep(0.02)
        assert pid not in stand_in.processes_of(bench.folder)
    assert list(bench.work.iterdir()) == []


def test_a_folder_that_a_dead_owner_left_is_removed_and_that_of_a_living_one_is_not(bench):
    (bench.work / "comfy-dead" / "input").mkdir(parents=True)
    (bench.work / "comfy-dead" / "lock").write_text("")
    (bench.work / "mine").mkdir()
    with ComfyServer(find_installation(bench.comfy), bench.work) as server:
        bench.run()
        assert {path.name for path in bench.work.iterdir()} == {server.folder.name, "mine"}
