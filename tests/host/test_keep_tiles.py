"""Keep Tiles in ComfyUI's own executor, with each of its caches, and over the end of the process; judges what `keep_tiles_runs.py` counts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tilework.tests.host.prompts import blend, node, source, split
from tilework.tools.setup.environment import find_host

ROOT = Path(__file__).resolve().parents[2]
SIDE, STOPPED = 7, 20
TILES = SIDE * SIDE


def runs(work, step, killed=False):
    """What one process counts."""
    command = [sys.executable, str(ROOT / "tests" / "host" / "keep_tiles_runs.py"), str(find_host().comfy), str(work), str(SIDE), step]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT.parent)
    assert (done.returncode < 0) == killed, done.stderr[-3000:]
    said = {}
    for line in done.stdout.splitlines():
        if line.startswith("RESULT"):
            said.update(json.loads(line.removeprefix("RESULT")))
    return said


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The working folder of both processes, with a model in it."""
    folder = tmp_path_factory.mktemp("keep tiles")
    models = folder / "models" / "upscale_models"
    models.mkdir(parents=True)
    (models / "strength.safetensors").write_text("0.5")
    return folder


@pytest.fixture(scope="module")
def first(work):
    """The first process, which is killed at its end."""
    return runs(work, "first", killed=True)


@pytest.fixture(scope="module")
def second(first, work):
    """The one after it."""
    return runs(work, "second")


def counts(run):
    """How often the first and the second of two nodes ran."""
    return run["work"], run["soften"]


@pytest.mark.parametrize("cache", ["CLASSIC", "RAM_PRESSURE", "LRU"])
def test_a_cancelled_list_goes_on_where_it_stopped(first, cache):
    said, alone = first["memory"][cache], first["list alone"]
    assert counts(said["cancelled"]) == (STOPPED, STOPPED)
    assert counts(said["again"]) == (TILES - STOPPED, TILES - STOPPED)
    assert alone["cancelled"]["work"] == STOPPED and counts(alone["again"]) == (TILES, TILES)
    assert said["again"]["picture"] == alone["again"]["picture"] is not None
    assert said["told"] == [[done, TILES] for done in range(STOPPED + 1, TILES + 1)]
    assert counts(said["nothing new"]) == (0, 0)


@pytest.mark.parametrize("cache", ["CLASSIC", "RAM_PRESSURE", "LRU"])
def test_a_changed_setting_runs_what_depends_on_it(first, cache):
    said = first["memory"][cache]
    # The other caches let go of what the first node made in the branches: a second Keep Tiles behind it would have kept that.
    assert counts(said["second node"]) == (0 if cache == "CLASSIC" else TILES, TILES)
    assert counts(said["first node"]) == (TILES, TILES)
    assert len({said[name]["picture"] for name in ("again", "second node", "first node")}) == 3


def test_two_keep_tiles_around_a_node_that_takes_the_whole_list(first):
    said = first["two stages"]
    assert counts(said["cancelled"]) == (TILES + STOPPED, TILES)
    assert counts(said["again"]) == (TILES - STOPPED, 0)
    assert counts(said["list alone"]) == (2 * TILES, TILES)
    assert said["again"]["picture"] == said["list alone"]["picture"] is not None
    assert counts(said["second stage"]) == (TILES, 0)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gives a list", "TestWhole (node 5) stands between the split and Keep Tiles, and gives a list"),
        ("takes a list", "TestGather (node 5) stands between the split and Keep Tiles, and takes the whole list"),
        ("no list", "TestSoften (node 5) gives depends on no list of tiles"),
        ("used elsewhere", "TestKeep (node 9) takes what TestWork (node 4) gives before Keep Tiles"),
        ("restless", "TestRestless (node 5) says that it gives something else at every run"),
        ("the time", "TestClock (node 5) says that it gives something else at every run"),
        ("an array", "TestArray (node 5) says that it gives something else at every run"),
        ("saves at the end", "TestSaveAndGoOn (node 5) saves or shows something by itself"),
        ("saves between", "TestSaveAndGoOn (node 5) saves or shows something by itself"),
        ("another layout", "a list of 49 came for a layout of"),
        ("cache_classic", "started with --cache-classic"),
        ("cache_none", "started with --cache-none"),
    ],
)
def test_what_cannot_be_done_tile_by_tile_is_refused_in_words(first, name, words):
    assert words in first["refusals"][name]["error"]
    if "saves" not in name:  # a node that saves may be run by ComfyUI before it comes to Keep Tiles
        assert counts(first["refusals"][name]) == (0, 0)


def test_what_says_the_same_at_every_run_is_kept_and_what_shows_something_is_run_once(first):
    said = first["what it says"]
    for kind in ("TestCalm", "TestHidden"):
        assert counts(said[kind]["cancelled"]) == (STOPPED, STOPPED) and counts(said[kind]["again"]) == (TILES - STOPPED, TILES - STOPPED)
    tagger = said["tagger"]
    assert counts(tagger["cancelled"]) == (STOPPED, STOPPED) and counts(tagger["again"]) == (TILES - STOPPED, TILES - STOPPED)
    assert tagger["again"]["picture"] == said["tagger, plain"]["picture"] is not None
    assert tagger["tags"] == TILES, "once for each tile, in both runs together"


def test_a_killed_process_has_left_its_tiles(second, work):
    assert counts(second["again"])[0] <= TILES - STOPPED + 1
    assert second["again"]["picture"] == second["plain"]["picture"] is not None
    assert counts(second["from disk"]) == (0, 0) and second["from disk"]["picture"] == second["plain"]["picture"]
    assert {path.suffix for path in (work / "user" / "__tilework" / "kept_tiles").iterdir()} == {".npy"}


def test_on_disk_a_changed_setting_picture_or_file_runs_what_depends_on_it(second):
    for name in ("second node", "first node", "other picture", "file changed"):
        assert counts(second[name]) == (TILES, TILES), name
    assert second["file changed"]["picture"] == second["file changed, plain"]["picture"] != second["plain"]["picture"]
    held = second["file changed while it runs"]
    assert counts(held) == (0, 0) and "strength.safetensors has changed since it was first used here" in held["error"]


def test_the_editor_is_shown_the_tiles_that_are_done_and_the_node_at_work(follow):
    prompt = {
        "1": source(200, 200, seed=21),
        "2": split(["1", 0], tile=128, overlap=32),
        "3": node("ImageInvert", image=["2", 0]),
        "4": node("TileworkKeepTiles", keep="on disk", tiles=["3", 0], layout=["2", 1]),
        "5": blend(["4", 0], ["2", 1]),
        "6": node("TileworkTestCompare", a=["5", 0], b=["1", 0]),
    }
    messages = follow(prompt)
    assert messages[-1][0] == "execution_success"
    states = [data["nodes"]["4"] for kind, data in messages if kind == "progress_state" and "4" in data["nodes"]]
    shown = [(state["value"], state["max"]) for state in states if state["state"] == "running"]
    assert [pair for pair in dict.fromkeys(shown) if pair[1] == 4] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert {data["display_node"] for kind, data in messages if kind == "executing" and data["node"] not in (None, *prompt)} == {"3", "4"}
