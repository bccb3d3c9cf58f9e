"""The parts of `farm.py folder` that need neither Ray nor ComfyUI."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from tilework.machines.folder_pictures import find_pictures, folder_pictures
from tilework.machines.installation import Installation, find_installation
from tilework.machines.kept_server import ALLOWANCE, KeptServer
from tilework.machines.one_job import Job
from tilework.machines.picture_worker import FolderPlan, PictureWorker, plan_as_json, plan_from_json, with_smaller_tiles
from tilework.machines.process.host_error import HostError
from tilework.machines.queue_client import ServerLostError
from tilework.machines.record import BEGUN, ENDED, Record, begun_more_than_once, left_open, read_record, refusals
from tilework.machines.report_page import report_page, report_row, write_report
from tilework.machines.result_file import write_refused
from tilework.machines.small_pictures import SmallPictures
from tilework.machines.workflow_file import Setting, Workflow, read_workflow
from tilework.tests.machines import stand_in

ROOT = Path(__file__).resolve().parents[2]


# The record


def test_the_record_only_grows_and_half_a_line_is_passed_over(tmp_path):
    with Record(tmp_path, "worker-1") as first, Record(tmp_path, "worker/../2") as second:
        first.note(BEGUN, "a.png", key="k")
        before = first.path.read_bytes()
        first.note(ENDED, "a.png", key="k", state="refused")
        assert first.path.read_bytes().startswith(before)
        second.note(BEGUN, "b\udcff\n.png")
        assert first.path != second.path and second.path.parent == first.path.parent
    with first.path.open("ab") as torn:
        torn.write(b'{"time": 1, "event": "begun", "pict')
    entries = read_record(tmp_path)
    assert [entry["picture"] for entry in entries] == ["a.png", "a.png", "b\udcff\n.png"]
    assert left_open(entries) == [("b\udcff\n.png", "worker/../2")]
    assert refusals(entries) == {"a.png": ["k"]} and begun_more_than_once(entries) == {}
    with Record(tmp_path, "worker-1") as later:
        later.note(BEGUN, "a.png")
        assert later.path != first.path, "nobody adds to a file with half a line at its end"
    assert begun_more_than_once(read_record(tmp_path)) == {"a.png": 2}


def test_a_record_is_on_the_disk_when_its_process_is_killed(tmp_path):
    code = f"""
import sys, os; sys.path.insert(0, {str(ROOT)!r})
from machines.record import Record
from pathlib import Path
Record(Path({str(tmp_path)!r}), "w").note("begun", "a.png")
os.kill(os.getpid(), 9)"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert left_open(read_record(tmp_path)) == [("a.png", "w")]


# The folder


def test_pictures_are_found_below_the_folder_and_nothing_leaves_it(tmp_path):
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"x")
    for name in ("a.png", "deep/B.JPG", "notes.txt", ".hidden.png"):
        (source / name).write_bytes(b"x")
    (source / "out.png").symlink_to(tmp_path / "secret.png")
    (source / "inside.png").symlink_to(source / "a.png")
    (source / "round").symlink_to(source)
    folders = folder_pictures(source, source / "results")
    (source / "results" / "old.png").write_bytes(b"x")
    pictures, left_alone = find_pictures(folders)
    assert pictures == ["a.png", "deep/B.JPG", "inside.png"]
    assert list(left_alone) == ["out.png"] and "leads out" in left_alone["out.png"]
    long = "a" * 217 + ".jpg"
    (source / long).write_bytes(b"x")
    assert find_pictures(folders)[0] == pictures and "use 220 at most" in find_pictures(folders)[1][long]
    (source / long).unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(source / "pipe.png")
        assert find_pictures(folders)[0] == pictures and "is no file" in find_pictures(folders)[1]["pipe.png"]
        (source / "pipe.png").unlink()
    assert folders.result("deep/B.JPG") == source.resolve() / "results" / "deep" / "B.png"
    for name in ("../secret.png", "/etc/passwd.png", "deep/../../secret.png"):
        with pytest.raises(HostError, match="leads out"):
            folders.picture(name)
        with pytest.raises(HostError, match="leads out"):
            folders.result(name)
    (folders.out / "astray").symlink_to(tmp_path)
    with pytest.raises(HostError, match="leads out"):
        folders.result("astray/a.png")


def test_folders_that_cannot_be_used_together_are_refused(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for out in (source, tmp_path):
        with pytest.raises(HostError, match="the pictures are in it"):
            folder_pictures(source, out)
    with pytest.raises(HostError, match="no folder"):
        folder_pictures(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(HostError, match="no ending"):
        folder_pictures(source, tmp_path / "out", "/../png")
    for name in ("a.png", "A.jpg"):
        (source / name).write_bytes(b"x")
    with pytest.raises(HostError, match=r"A.jpg and a.png would have one and the same result"):
        find_pictures(folder_pictures(source, tmp_path / "out"))
    for number in range(12):
        for ending in ("png", "jpg"):
            (source / f"b{number}.{ending}").write_bytes(b"x")
    with pytest.raises(HostError, match=r"A.jpg and a.png; b0.jpg and b0.png; .* and 3 more would have"):
        find_pictures(folder_pictures(source, tmp_path / "out"))


def test_results_of_an_earlier_run_are_no_pictures(tmp_path):
    folders = folder_pictures(tmp_path, tmp_path / "second")
    (tmp_path / "first" / ".farm" / "record").mkdir(parents=True)
    for name in ("a.png", "first/a.png", "second/a.png"):
        (tmp_path / name).write_bytes(b"x")
    assert find_pictures(folders) == (["a.png"], {})


# A worker


class Stub:
    """A server that ends when it is told, and says how large it is."""

    running = 0

    def __init__(self):
        Stub.running += 1
        self.bytes = 1000

    def resident_bytes(self):
        return self.bytes

    def close(self):
        Stub.running -= 1


@pytest.fixture
def kept():
    Stub.running = 0
    made = KeptServer(Stub, restart_after=5)
    yield made
    made.close()
    assert Stub.running == 0


def serve(kept, count):
    """The servers that so many pictures were given."""
    seen = []
    for _ in range(count):
        with kept.use() as server:
            seen.append(server)
            assert Stub.running == 1
    return seen


def test_a_server_is_started_anew_after_so_many_pictures(kept):
    seen = serve(kept, 11)
    assert kept.starts == 3 and len(set(map(id, seen[:5]))) == 1 and seen[4] is not seen[5] and seen[9] is not seen[10]


def test_a_server_is_started_anew_when_it_has_grown(kept):
    kept.restart_after = 100
    first = serve(kept, 4)[0]
    first.bytes = ALLOWANCE + 1400
    assert serve(kept, 1)[0] is first
    first.bytes = ALLOWANCE + 1501
    assert serve(kept, 1)[0] is not first


def test_a_lost_server_is_replaced_when_its_other_user_has_left_it(kept):
    entered, leave, seen = threading.Event(), threading.Event(), []

    def other():
        with kept.use() as server:
            seen.append(server)
            entered.set()
            leave.wait(10)

    def next_one():
        with kept.use() as server:
            seen.append(server)

    threads = [threading.Thread(target=other), threading.Thread(target=next_one)]
    threads[0].start()
    assert entered.wait(10)
    with suppress(ServerLostError), kept.use():
        raise ServerLostError("crash")
    threads[1].start()
    threads[1].join(0.1)
    assert len(seen) == 1 and Stub.running == 1, "it waits"
    leave.set()
    for thread in threads:
        thread.join(10)
    assert len(seen) == 2 and seen[0] is not seen[1]


TILED = {
    "1": {"class_type": "TileworkTileSplit", "inputs": {"tile_width": 1024, "tile_height": 1000, "overlap": 128}},
    "2": {"class_type": "VAEDecodeTiled", "inputs": {"tile_size": 500, "samples": ["1", 0]}},
    "3": {"class_type": "TileworkTiledUpscale", "inputs": {"tile_width": 0, "tile_height": ["1", 2]}},
}


def test_tile_sizes_are_halved_once_where_there_are_any():
    job = Job(Workflow(Path("w.json"), TILED), settings=(Setting("1", "tile_width", 2048),))
    smaller, sizes = with_smaller_tiles(job, TILED)
    assert sizes == {"1.tile_width": 1024, "1.tile_height": 496}
    assert (
        smaller.settings[-2:] == (Setting("1", "tile_width", 1024), Setting("1", "tile_height", 496)) and smaller.workflow is job.workflow
    )
    assert with_smaller_tiles(job, {"3": TILED["3"]}) is None


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"picture")
    installation = Installation(tmp_path / "comfy", Path(sys.executable), tmp_path / "comfy", ("--cpu",))
    job = Job(Workflow(Path("w.json"), TILED), "1", None, (Setting("1", "overlap", 64),))
    return FolderPlan(folder_pictures(tmp_path / "in", tmp_path / "out"), job, installation, tmp_path / "work", 9.0, 3, 1)


def test_a_plan_goes_to_another_machine_as_plain_values(plan):
    assert plan_from_json(json.loads(json.dumps(plan_as_json(plan)))) == plan
    assert plan_from_json(plan_as_json(replace(plan, work=None, timeout=None))).work is None


def test_what_was_refused_twice_is_not_tried_and_a_machine_without_comfyui_is_broken(plan, monkeypatch):
    worker = PictureWorker(plan, "w")
    try:
        broken = worker.make("a.png")
        assert broken.state == "broken" and not read_record(plan.folders.out), "nothing was begun"
        assert worker.make("gone.png").state == "refused"
        keys = []
        monkeypatch.setattr("tilework.machines.picture_worker.find_result", lambda result, key: keys.append(key.digest))
        worker.make("a.png")
        aside = worker.make("a.png", 0, keys[:1] * 2)
        assert aside.state == "aside" and "--again" in aside.reason
        write_refused(plan.folders.result("a.png"), Path("a.png"), "a.png is cut off\nmore")
        assert "earlier run (a.png is cut off); --again" in worker.make("a.png", 0, keys[:1] * 2).reason
        assert worker.make("a.png", 0, ["another"] * 5 + keys[:1]).state == "broken", "it was tried"
    finally:
        worker.close()


def test_a_result_that_has_no_place_is_the_pictures_own_fault(plan):
    worker = PictureWorker(plan, "w")
    try:
        plan.folders.result("a.png").mkdir()
        blocked = worker.make("a.png")
        assert blocked.state == "refused" and "is a folder" in blocked.reason
        (plan.folders.source / "x").mkdir()
        (plan.folders.source / "x" / "b.png").write_bytes(b"picture")
        (plan.folders.out / "x").write_bytes(b"a file")
        assert "is a file" in worker.make("x/b.png").reason
    finally:
        worker.close()


def test_a_full_disk_is_the_machines_fault_and_one_that_may_not_be_written_to_the_pictures(plan, monkeypatch):
    worker = PictureWorker(plan, "w")
    try:
        for number, state in ((errno.ENOSPC, "broken"), (errno.EDQUOT, "broken"), (errno.EROFS, "refused"), (errno.EACCES, "refused")):

            def refuse(result, number=number):
                raise OSError(number, os.strerror(number), str(result))

            monkeypatch.setattr("tilework.machines.picture_worker.check_place", refuse)
            outcome = worker.make("a.png")
            assert outcome.state == state and "a.png" in outcome.reason and ("disk is full" in outcome.reason) == (state == "broken")
    finally:
        worker.close()


def test_a_disk_that_fills_within_comfyui_is_no_pictures_fault(tmp_path):
    comfy = stand_in.make(tmp_path / "comfy")
    (tmp_path / "w.json").write_text(json.dumps(stand_in.WORKFLOW))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(stand_in.picture("FULL"))
    folders = folder_pictures(tmp_path / "in", tmp_path / "out")
    made = FolderPlan(folders, Job(read_workflow(tmp_path / "w.json")), find_installation(comfy, Path(sys.executable)), tmp_path / "work")
    worker = PictureWorker(made, "w")
    try:
        outcome = worker.make("a.png")
    finally:
        worker.close()
    assert outcome.state == "broken" and "A disk is full: Worker (node 2) failed" in outcome.reason
    assert not list(folders.out.glob("*.json")) and not refusals(read_record(folders.out))


# The report


def test_the_page_escapes_everything_and_loads_nothing_from_elsewhere(tmp_path):
    (tmp_path / "in").mkdir()
    folders = folder_pictures(tmp_path / "in", tmp_path / "out")
    evil = "<img src=x onerror=alert(1)>&\"'.png"
    name = "javascript:alert(1)//" + evil
    result = folders.result(name)
    result.parent.mkdir(parents=True)
    result.write_bytes(b"x")
    key = {"texts": {"4": [evil]}, "nodes": {"4": "TileworkSeamCheck"}}
    result.with_name(result.name + ".key.json").write_text(json.dumps(key))
    folders.small(name).parent.mkdir(parents=True)
    folders.small(name).write_bytes(b"x")
    rows = [report_row(folders, name, evil, reason=evil, seconds=1.0, worker=evil, smaller={evil: 5}), report_row(folders, "b.png", evil)]
    summary = {"facts": {evil: evil}, "rows": rows}
    page = report_page(summary)
    assert "<img src=x" not in page and "onerror=alert(1)>" not in page
    assert page.count("<img ") == 1 and 'src="./.farm/small/javascript%3Aalert' in page and 'href="./javascript%3A' in page
    assert "<script" not in page and "http-equiv" in page and "default-src &#x27;none&#x27;" in page
    assert "Seam Check" in page and page.index(">b.png<") < page.index("javascript"), "what has no result comes first"
    write_report(folders, summary)
    assert json.loads((folders.out / "report.json").read_text())["rows"][0]["figures"][0]["text"] == evil
    assert (folders.out / "report.html").read_text("utf-8").startswith("<!doctype html>")


# Without Ray


def test_without_ray_the_command_says_what_to_install(tmp_path, plan):
    (tmp_path / "comfy" / "comfy").mkdir(parents=True)
    (tmp_path / "comfy" / "main.py").write_text("")
    (tmp_path / "w.json").write_text(json.dumps(TILED))
    missing = tmp_path / "no"
    (missing / "ray").mkdir(parents=True)
    (missing / "ray" / "__init__.py").write_text("raise ImportError('not here')")
    command = [sys.executable, str(ROOT / "farm.py"), "folder", str(tmp_path / "w.json"), "--in", str(tmp_path / "in"), "--workers", "1"]
    command += ["--out", str(tmp_path / "out"), "--comfy", str(tmp_path / "comfy"), "--work", str(tmp_path / "work")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(missing)})
    said = " ".join(done.stdout.split())
    assert done.returncode == 1 and "needs Ray" in said and "requirements-farm.txt" in said, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_small_pictures_are_there_when_their_maker_is_closed(tmp_path):
    """Those of pictures that cannot be read are not, and what is there is made again only where that is asked for."""
    Image.new("RGB", (900, 600), (200, 30, 40)).save(tmp_path / "a.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "b.jpg").write_bytes(b"old")
    (tmp_path / "c.jpg").write_bytes(b"old")
    with SmallPictures(Path(sys.executable)) as small:
        small.ask_for(tmp_path / "bad.png", tmp_path / "bad.jpg")
        small.ask_for(tmp_path / "a.png", tmp_path / "deep" / "a.jpg")
        small.ask_for(tmp_path / "a.png", tmp_path / "b.jpg")
        small.ask_for(tmp_path / "a.png", tmp_path / "c.jpg", anew=True)
    assert not (tmp_path / "bad.jpg").exists() and (tmp_path / "b.jpg").read_bytes() == b"old"
    assert [Image.open(tmp_path / name).size for name in ("deep/a.jpg", "c.jpg")] == [(320, 213)] * 2
