"""`farm.py folder` on a real Ray cluster of two node processes, with a stand-in for ComfyUI.

The same with a real ComfyUI, 24 pictures and everything killed that can be: tests/host/test_farm_folder.py, with --release.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tilework.machines.record import BEGUN, read_record
from tilework.tests.machines import stand_in
from tilework.tests.machines.loopback_cluster import listeners, loopback_cluster, marked_processes, wait_for
from tilework.tools.setup.environment import find_host
from tilework.tools.setup.ray import ensure_ray

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what is left of processes is looked up in /proc")
GOOD = [f"deep/{number}.png" for number in range(8)]


@pytest.fixture(scope="module")
def python():
    return ensure_ray(find_host())


def command(python, folder, *more):
    """A driver that talks to the workers of `folder`."""
    named = {"--in": "in", "--out": "out", "--comfy": "comfy", "--work": "work"}
    options = [part for name, place in named.items() for part in (name, str(folder / place))]
    return [str(python), str(ROOT / "farm.py"), "folder", str(folder / "workflow.json"), *options, "--python", sys.executable, *more]


@pytest.fixture
def folder(tmp_path):
    """A folder with pictures, a bad one among them and one that is too large for its tiles."""
    stand_in.make(tmp_path / "comfy")
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in GOOD:
        (tmp_path / "in" / name).write_bytes(stand_in.picture(name))
    (tmp_path / "in" / "bad.png").write_bytes(stand_in.picture("BAD"))
    (tmp_path / "in" / "large.png").write_bytes(stand_in.picture("LARGE"))
    prompt = json.loads(json.dumps(stand_in.WORKFLOW))
    prompt["2"]["inputs"] |= {"tile_width": 512, "seconds": 0.4}
    (tmp_path / "workflow.json").write_text(json.dumps(prompt))
    return tmp_path


def report_of(folder):
    return json.loads((folder / "out" / "report.json").read_text())


def test_a_worker_and_a_driver_are_killed_and_every_picture_is_made_once(python, folder):
    out = folder / "out"
    with loopback_cluster(python) as cluster:
        idle = set(cluster.processes())
        options = ["--workers", "2", "--address", cluster.address]
        driver = subprocess.Popen(command(python, folder, *options), env=cluster.environment, stdout=subprocess.PIPE, text=True)
        wait_for(lambda: len(list(out.rglob("*.png"))) >= 1)
        where = listeners(cluster.processes())
        assert where and set(where) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}, where
        os.kill(cluster.processes("ray::FolderActor")[0], signal.SIGKILL)
        wait_for(lambda: len(list(out.rglob("*.png"))) >= 4)
        driver.kill()
        said = driver.communicate()[0]
        assert "is gone" in said, said
        # A result is there once its key is: between the two the work is done again.
        made = {path: path.stat().st_mtime_ns for path in out.rglob("*.png.key.json")}
        last = subprocess.run(command(python, folder, *options), env=cluster.environment, capture_output=True, text=True, timeout=240)
        said = last.stdout + last.stderr
        assert last.returncode == 1 and "Put aside: bad.png: Worker (node 2) failed: image file is truncated" in said, said
        assert "Traceback" not in said
        wait_for(lambda: set(cluster.processes()) <= idle, 60)
    assert all(path.stat().st_mtime_ns == when for path, when in made.items()), "what was there was not made again"
    rows = {row["picture"]: row for row in report_of(folder)["rows"]}
    assert sorted(rows) == ["bad.png", *GOOD, "large.png"]
    for name, row in rows.items():
        assert (row["result"] is None) == (name == "bad.png"), row
    for name in GOOD:
        assert (out / name).read_bytes() == (folder / "in" / name).read_bytes() + b"1"
    large = json.loads((out / "large.png.key.json").read_text())
    assert large["key"] and (rows["large.png"]["state"] == "there" or rows["large.png"]["smaller"] == {"2.tile_width": 256})
    begun = [entry for entry in read_record(out) if entry["event"] == BEGUN]
    # Ten pictures, one of them tried twice; two were with the worker that was killed, four with those of the driver.
    assert len(begun) <= 11 + 2 + 4, begun
    assert not list((folder / "work").glob("comfy-*")), "a server's folder is left"


@pytest.mark.parametrize("when", ["Starting Ray", "Ray is there", "is ready"])
@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT] * 3])
def test_stopped_at_any_time_it_says_so_and_leaves_nothing(python, folder, when, signals):
    mark = {"TILEWORK_TEST_MARK": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "TMPDIR": "/tmp", "STAND_IN_STARTS_IN": "3"}
    given = {"env": {**os.environ, **mark}, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    # What a shell runs in the background has Ctrl-C switched off, and so have its children.
    given["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    driver = subprocess.Popen(command(python, folder, "--workers", "2", "--set", "2.seconds=30"), **given)
    said = ""
    while when not in said:
        line = driver.stdout.readline()
        assert line, said
        said += line
    time.sleep(0.3 if when == "Ray is there" else 1.0)
    for number in signals:
        driver.send_signal(number)
        time.sleep(0.15)
    said += driver.communicate(timeout=60)[0]
    assert driver.returncode == 130 and "Nothing is left running" in said and "Traceback" not in said, said
    wait_for(lambda: not marked_processes(str(folder)), 30)
    assert not list((folder / "work").glob("*")), "a server's folder is left"


def test_alone_on_this_machine_it_starts_and_ends_its_own_ray(python, folder):
    mark = {"TILEWORK_TEST_MARK": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "HOME": str(folder / "home"), "TMPDIR": "/tmp"}
    run = {"env": {**os.environ, **mark}, "capture_output": True, "text": True, "timeout": 240}
    options = ["--workers", "2", "--restart-after", "3", "--set", "2.seconds=0"]
    done = subprocess.run(command(python, folder, *options), **run)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stdout + done.stderr
    assert sorted(path.name for path in (folder / "out").rglob("*.png")) == [*[f"{n}.png" for n in range(8)], "large.png"]
    assert report_of(folder)["counts"] == {"total": 10, "made": 9, "there": 0, "aside": 1, "left": 0}
    wait_for(lambda: not marked_processes(str(folder)), 30)
    assert not list((folder / "work").iterdir()) and not (folder / "home").exists()
