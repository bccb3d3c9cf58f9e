"""Tiles given out, on servers that are no ComfyUI: what is done once, what is done again, and what is refused."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tilework.blending import TileLayout
from tilework.machines import split_command, split_tiles
from tilework.machines.finished_tiles import FinishedTiles
from tilework.machines.folder_pictures import folder_pictures
from tilework.machines.installation import find_installation
from tilework.machines.kept_server import KeptServer
from tilework.machines.one_job import Job
from tilework.machines.one_picture import MADE, REFUSED, THERE
from tilework.machines.picture_worker import FolderPlan, PictureWorker
from tilework.machines.queue_client import RunFailedError, ServerLostError
from tilework.machines.record import BEGUN, ENDED, HELPED, read_record
from tilework.machines.split_command import add_tile_options, check_tile_options
from tilework.machines.split_tiles import TilesRun, give_out, tiles_beside
from tilework.machines.work_key import WorkKey
from tilework.machines.workflow_file import read_workflow
from tilework.tests.machines import stand_in
from tilework.tests.machines.test_tile_graph import KINDS, workflow

TILES = 9
LAYOUT = TileLayout.grid(90, 90, 48, 48, 16, 2)


class FakeQueue:
    """Does what a ComfyUI would do with the prompts of a tiles run: the work of a tile is its number as a grey level."""

    def __init__(self, root: Path) -> None:
        self.root, self.lock = root, threading.Lock()
        self.done: list = []
        self.fail = lambda number: None

    def object_info(self):
        return KINDS

    def forget(self, prompt_id):
        pass

    def run(self, prompt, on_progress=None, timeout=None, check=lambda: None, workflow=None):
        check()
        kinds = {part["class_type"] for part in prompt.values()}
        entry = {"prompt_id": "1", "status": {"completed": True}, "outputs": {}}
        if "TileworkTileSplit" in kinds and "TileworkWriteTile" in kinds:
            self.done.append("cut")
            for number in range(TILES):
                self.write("cut0", prompt, number)
            name = prompt["tilework write 0"]["inputs"]["name"]
            (self.root / f"{name}_layout.json").write_text(LAYOUT.to_json())
        elif "TileworkWriteTile" in kinds:
            number = prompt["tilework write 0"]["inputs"]["first"]
            error = self.fail(number)
            if error is not None:
                raise error
            with self.lock:
                self.done.append(number)
            self.write("tile0", prompt, number)
        else:
            assert "work" not in prompt, "the work of a tile is done already"
            self.done.append("rest")
            entry["outputs"]["save"] = {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}
        return entry

    def write(self, kind, prompt, number):
        name = prompt["tilework write 0"]["inputs"]["name"]
        assert name.endswith(kind)
        np.save(self.root / f"{name}_{number:05d}.npy", np.full((1, 48, 48, 3), number / 10, np.float32))


class FakeServer:
    started_by_us = True
    address = "http://127.0.0.1:9"

    def __init__(self, root, installation):
        self.queue, self.installation, self.alive = FakeQueue(root), installation, True

    def check_alive(self):
        if not self.alive:
            raise ServerLostError("gone")

    def give(self, picture, name):
        return name

    def take_back(self, name):
        pass

    def read(self, record):
        return io.BytesIO(b"saved by the server")

    def discard(self, record):
        pass


class Place:
    """A picture, its workflow, and servers that make it."""

    def __init__(self, folder, servers=1, prompt=None):
        self.folder = folder
        (folder / "base" / "input").mkdir(parents=True, exist_ok=True)
        self.picture = folder / "a.png"
        self.picture.write_bytes(b"picture")
        self.result = folder / "out" / "b.png"
        self.prompt = prompt or workflow()
        installation = type("Installation", (), {"base": folder / "base", "python": None})()
        self.servers = [FakeServer(tiles_beside(self.result), installation) for _ in range(servers)]
        self.said = []

    def go(self, picture="one", keep=False):
        # A file of its own: two commands may be at it at once.
        saved = self.folder / f"w-{id(self)}.json"
        saved.write_text(json.dumps(self.prompt))
        job = Job(read_workflow(saved))
        parts = {"picture": picture, "workflow": json.dumps(self.prompt)}
        key = WorkKey(json.dumps(parts), parts)
        return TilesRun(self.servers, job, self.picture, self.result, key, self.said.append, keep=keep).go()

    @property
    def done(self):
        return [what for server in self.servers for what in server.queue.done]

    @property
    def tiles(self):
        return sorted(what for what in self.done if isinstance(what, int))


@pytest.fixture
def joint(tmp_path):
    """All tiles are needed at the end, so that no child blends: a server does."""
    return Place(tmp_path, prompt=workflow("gradient"))


def test_every_tile_is_worked_on_once_and_the_rest_where_all_are(joint):
    outcome = joint.go()
    assert outcome.state == MADE and joint.result.read_bytes() == b"saved by the server"
    assert joint.tiles == list(range(TILES)) and joint.done[0] == "cut" and joint.done[-1] == "rest" and len(joint.done) == TILES + 2
    assert any("gradient" in line for line in joint.said), "why nothing was streamed"
    assert not tiles_beside(joint.result).exists(), "tile files go when the result is there"
    assert "gradient" in json.loads(joint.result.with_name("b.png.key.json").read_text())["key"]


def test_what_is_there_is_not_made_again(joint):
    joint.servers[0].queue.fail = lambda number: ServerLostError("gone") if number == 6 else None
    with pytest.raises(ServerLostError):
        joint.go()
    assert not joint.result.exists() and joint.tiles
    again = Place(joint.folder, prompt=joint.prompt)
    assert again.go(keep=True).state == MADE
    assert again.tiles == sorted(set(range(TILES)) - set(joint.tiles)) and "cut" not in again.done
    third = Place(joint.folder, prompt=workflow("auto"))
    assert third.go().state == MADE and third.done == ["rest"], "how tiles are blended is no part of their work"


@pytest.mark.parametrize("change", ["picture", "work", "split"])
def test_what_decides_about_tiles_makes_them_anew(joint, change):
    joint.go(keep=True)
    prompt = workflow("gradient")
    if change == "work":
        prompt["work"]["inputs"]["seed"] = 6
    if change == "split":
        prompt["split"]["inputs"]["tile_width"] = 72
    other = Place(joint.folder, prompt=prompt)
    other.go("two" if change == "picture" else "one")
    assert other.tiles == list(range(TILES)) and other.done[0] == "cut"


def test_a_tile_that_fails_once_is_tried_again(joint):
    failing = iter([RunFailedError("no luck")])
    joint.servers[0].queue.fail = lambda number: next(failing, None) if number == 4 else None
    assert joint.go().state == MADE and joint.tiles == list(range(TILES))


def test_a_tile_that_fails_twice_refuses_the_picture_in_words(joint):
    joint.servers[0].queue.fail = lambda number: RunFailedError("Work (node work) failed: no sense") if number == 4 else None
    outcome = joint.go()
    assert outcome.state == REFUSED and "no sense" in outcome.reason and not joint.result.exists()
    assert "no sense" in json.loads(joint.result.with_name("b.png.refused.json").read_text())["reason"]
    assert tiles_beside(joint.result).exists(), "what is done stays for the next time"


def test_a_server_that_is_lost_gives_its_tiles_to_the_others(tmp_path):
    place = Place(tmp_path, 3, workflow("gradient"))

    def dies(number):
        place.servers[1].alive = False
        return ServerLostError("gone")

    place.servers[1].queue.fail = dies
    assert place.go().state == MADE and place.tiles == list(range(TILES))


def test_a_server_that_writes_elsewhere_is_found_out(joint):
    joint.servers[0].queue.write = lambda kind, prompt, number: (
        None if kind == "tile0" else FakeQueue.write(joint.servers[0].queue, kind, prompt, number)
    )
    outcome = joint.go()
    assert outcome.state == REFUSED and "shared by all machines" in outcome.reason


def test_a_workflow_that_cannot_be_split_is_refused_before_anything_runs(tmp_path):
    prompt = workflow()
    prompt["work"] = {"class_type": "TileworkColorMatch", "inputs": {"images": ["split", 0]}}
    place = Place(tmp_path, prompt=prompt)
    outcome = place.go()
    assert outcome.state == REFUSED and "takes all tiles" in outcome.reason and place.done == []


def test_another_ending_is_refused_before_anything_runs(tmp_path):
    place = Place(tmp_path)
    place.result = place.result.with_suffix(".jpg")
    outcome = place.go()
    assert outcome.state == REFUSED and "name the result b.png" in outcome.reason and place.done == []


def test_a_picture_that_is_cut_off_is_refused_before_anything_runs(joint):
    joint.picture.write_bytes(stand_in.picture("whole")[:-20])
    outcome = joint.go()
    assert outcome.state == REFUSED and "is cut off" in outcome.reason and not joint.done
    assert "is cut off" in json.loads(joint.result.with_name("b.png.refused.json").read_text())["reason"]


def test_no_more_is_in_flight_than_said():
    servers, at_once, most = [FakeServer(Path(), None) for _ in range(2)], [0, 0], [0, 0]
    lock = threading.Lock()

    def one(server, number, check):
        index = servers.index(server)
        with lock:
            at_once[index] += 1
            most[index] = max(most[index], at_once[index])
        threading.Event().wait(0.01)
        with lock:
            at_once[index] -= 1

    give_out(servers, range(20), one)
    assert most == [split_tiles.IN_FLIGHT] * 2


def test_what_comes_up_in_one_thread_ends_all(joint):
    seen = []

    def fail(number):
        seen.append(number)
        raise KeyboardInterrupt

    joint.servers[0].queue.fail = fail
    with pytest.raises(KeyboardInterrupt):
        joint.go()
    assert len(seen) <= split_tiles.IN_FLIGHT


def test_two_commands_share_the_tiles_of_one_picture(tmp_path):
    """As from two machines with one folder: every tile once, cut once, put together once, and the second one finds the result."""
    places = [Place(tmp_path, prompt=workflow("gradient")) for _ in range(2)]
    begun = [threading.Event(), threading.Event()]

    def both_at_work(index):
        begun[index].set()
        assert begun[1 - index].wait(20), "the other one was given no tile"

    for index, place in enumerate(places):
        place.servers[0].queue.fail = lambda number, index=index: both_at_work(index)
    with ThreadPoolExecutor(2) as pool:
        outcomes = [running.result(60) for running in [pool.submit(place.go) for place in places]]
    assert sorted(outcome.state for outcome in outcomes) == [MADE, THERE]
    assert all(place.tiles for place in places)
    assert sorted(places[0].tiles + places[1].tiles) == list(range(TILES))
    assert [what for place in places for what in place.done if isinstance(what, str)].count("cut") == 1
    assert [what for place in places for what in place.done].count("rest") == 1
    assert not tiles_beside(places[0].result).exists()


def test_workers_of_a_folder_share_a_picture_and_one_of_them_writes_down_what_became_of_it(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(stand_in.picture("photo"))
    (tmp_path / "w.json").write_text(json.dumps(workflow("gradient")))
    installation = find_installation(stand_in.make(tmp_path / "comfy"))
    folders = folder_pictures(tmp_path / "in", tmp_path / "out")
    plan = FolderPlan(folders, Job(read_workflow(tmp_path / "w.json")), installation, tmp_path / "work", split_tiles=True)
    workers = [PictureWorker(plan, name) for name in ("one", "two")]
    servers = [FakeServer(folders.tiles, installation) for _ in workers]
    begun = [threading.Event(), threading.Event()]

    def both_at_work(index):
        begun[index].set()
        assert begun[1 - index].wait(20), "the other one was given no tile"

    for index, (worker, server) in enumerate(zip(workers, servers, strict=True)):
        server.close = lambda: None
        server.resident_bytes = lambda: None
        server.queue.fail = lambda number, index=index: both_at_work(index)
        worker.server = KeptServer(lambda server=server: server, 100)
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(worker.make, "a.png", helping=index == 1) for index, worker in enumerate(workers)]
        outcomes = [one.result(60) for one in running]
    assert sorted(outcome.state for outcome in outcomes) == [MADE, THERE], outcomes
    assert sorted(what for server in servers for what in server.queue.done if isinstance(what, int)) == list(range(TILES))
    assert sum(worker.state()["tiles"] for worker in workers) == TILES and all(worker.state()["tiles"] for worker in workers)
    for worker in workers:
        worker.close()
    assert sorted(entry["event"] for entry in read_record(folders.out)) == [BEGUN, ENDED, HELPED]
    assert not list(folders.tiles.iterdir()), "tile files go when the result is there"


def test_a_claim_ends_with_its_holder(tmp_path):
    files = FinishedTiles(tmp_path, "work")
    with files.claimed(3) as mine:
        assert mine
        with files.claimed(3) as second, files.claimed(4) as other:
            assert not second and other
    with files.claimed(3) as mine:
        assert mine


@pytest.mark.parametrize(
    "which", ["the folder", "the work's folder", "log.jsonl", "blend.json", "tile0_00003.npy", "picture_00000.npy.part"]
)
def test_a_link_among_the_tile_files_is_refused_and_what_it_leads_to_stays(joint, which):
    joint.servers[0].queue.fail = lambda number: RunFailedError("stop here")
    joint.go()
    root = tiles_beside(joint.result)
    (folder,) = root.iterdir()
    elsewhere = joint.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("mine")
    if which == "the folder":
        root.rename(elsewhere / "moved")
        root.symlink_to(elsewhere / "moved")
    elif which == "the work's folder":
        folder.rename(elsewhere / "moved")
        folder.symlink_to(elsewhere / "moved")
    else:
        (folder / which).unlink(missing_ok=True)
        (folder / which).symlink_to(elsewhere / "file")
    before = {path.relative_to(elsewhere): path.stat().st_mtime_ns for path in elsewhere.rglob("*")}
    outcome = Place(joint.folder, prompt=joint.prompt).go()
    assert outcome.state == REFUSED and "is a link" in outcome.reason
    assert {path.relative_to(elsewhere): path.stat().st_mtime_ns for path in elsewhere.rglob("*")} == before
    assert (elsewhere / "file").read_text() == "mine"


def test_a_record_of_a_layout_that_is_none_is_cut_anew(joint):
    joint.go(keep=True)
    (record,) = tiles_beside(joint.result).glob("*/cut0_layout.json")
    record.write_text("{")
    joint.result.unlink()
    again = Place(joint.folder, prompt=joint.prompt)
    assert again.go().state == MADE and again.done == ["cut", "rest"]


@pytest.mark.parametrize(("kind", "number", "done"), [("tile0", 3, [3, "rest"]), ("cut0", 5, ["cut", "rest"])])
def test_a_file_of_another_size_than_the_others_is_made_anew(joint, kind, number, done):
    joint.go(keep=True)
    (folder,) = tiles_beside(joint.result).iterdir()
    np.save(folder / f"{kind}_{number:05d}.npy", np.zeros((1, 48, 32, 3), np.float32))
    joint.result.unlink()
    again = Place(joint.folder, prompt=joint.prompt)
    assert again.go(keep=True).state == MADE and again.done == done
    assert any(f"{kind}_{number:05d}.npy is of another size" in line for line in again.said)
    assert np.load(folder / f"{kind}_{number:05d}.npy").shape == (1, 48, 48, 3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among files")
@pytest.mark.parametrize("which", ["log.jsonl", "cut0_layout.json", "tile0_00003.npy"])
def test_a_pipe_among_the_tile_files_is_refused_and_nothing_waits_for_it(joint, which):
    joint.go(keep=True)
    (folder,) = tiles_beside(joint.result).iterdir()
    (folder / which).unlink()
    os.mkfifo(folder / which)
    joint.result.unlink()
    outcome = Place(joint.folder, prompt=joint.prompt).go()
    assert outcome.state == REFUSED and f"{which} is no file" in outcome.reason


def options(*words):
    parser = argparse.ArgumentParser()
    parser.add_argument("--server")
    add_tile_options(parser)
    asked = parser.parse_args(["--split-tiles", *words])
    check_tile_options(parser, asked)
    return asked


@pytest.mark.parametrize(
    ("words", "cards"), [((), [None]), (("--workers", "3"), [None] * 3), (("--cards", "1"), ["1"]), (("--cards", "0, 2"), ["0", "2"])]
)
def test_a_comfyui_for_each_card_or_worker(joint, monkeypatch, words, cards):
    started = []

    def start(installation, root, environment, report):
        started.append(dict(environment))
        server = FakeServer(Path(environment[split_tiles.VARIABLE]), installation)
        return contextlib.nullcontext(server)

    monkeypatch.setattr(split_command, "ComfyServer", start)
    asked = options(*words)
    asked.work, asked.timeout, asked.result, asked.picture = None, None, joint.result, joint.picture
    (joint.folder / "w.json").write_text(json.dumps(joint.prompt))
    job = Job(read_workflow(joint.folder / "w.json"))
    outcome = split_command.run_split(asked, job, WorkKey("key", {}), joint.servers[0].installation)
    assert outcome.state == MADE and [one.get("CUDA_VISIBLE_DEVICES") for one in sorted(started, key=str)] == cards


@pytest.mark.parametrize(
    "words",
    [("--cards", "0,0"), ("--cards", ""), ("--cards", "0,"), ("--cards", "cuda:0"), ("--cards", "0", "--workers", "2"), ("--workers", "0")],
)
def test_cards_and_workers_that_make_no_sense_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        options(*words)
    assert words[0] in capsys.readouterr().err
