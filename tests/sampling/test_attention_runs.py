"""Tiled Attention through the host's own code: judges the figures of `attention_runs.py`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tilework.tools.setup.environment import find_host

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def figures():
    """All figures, by check."""
    command = [sys.executable, str(ROOT / "tests" / "sampling" / "attention_runs.py"), str(find_host().comfy)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    said = {}
    for line in done.stdout.splitlines():
        if line.startswith("RESULT"):
            said.update(json.loads(line.removeprefix("RESULT")))
    return said


def test_with_nothing_to_do_the_run_is_the_same_to_the_bit(figures):
    assert len(figures["idle"]) == 26 and all(figures["idle"].values()), figures["idle"]


def test_one_seed_gives_one_picture_and_something_is_done(figures):
    for name, (same, changed) in figures["seeds"].items():
        assert same and changed > 0.01, (name, same, changed)


def test_the_model_with_windows_is_the_model_with_a_mask(figures):
    print(figures["exact"])
    assert set(figures["exact"]) == {"unet", "dit", "dit, reference"} and max(figures["exact"].values()) < 1e-5


def test_text_sees_a_window_as_it_sees_a_picture(figures):
    assert figures["turned_text"]["turned"] < 1e-5 < 0.1 < figures["turned_text"]["unturned"]


def test_it_stands_beside_other_packs_and_itself(figures):
    assert len(figures["chained"]) == 10 and all(figures["chained"].values()), figures["chained"]


def test_what_tiles_are_told_stays_as_it_was(figures):
    said = figures["conditions"]
    assert said.pop("tiles") >= 4 and len(said) == 3 and all(said.values()), said


def test_every_form_of_asking_gives_one_answer(figures):
    assert set(figures["forms"]) == {"rows", "values apart", "mask", "heads apart", "few"} and max(figures["forms"].values()) < 1e-6


def test_a_cancel_is_heard_between_windows(figures):
    said = figures["stopped"]
    assert said["cancelled"] and said["after"] == 5 < said["calls"] / 4, said


def test_memory_that_runs_out_halves_the_chunks(figures):
    said = figures["stopped"]
    assert said["tried"] > 4 >= said["done"] and said["off"] < 1e-6, said


def test_which_attentions_go_over_the_picture(figures):
    flux = [[512, 32, 40], [32, 32]]
    assert figures["layouts"] == {
        "flux": flux,
        "flux, references": flux,
        "flux, text alone": None,
        "flux, cross": None,
        "picture alone": [[0, 32, 40], [32, 32]],
        "padded": [[128, 30, 40], [32, 32]],
        "padded text alone": None,
        "picture first": [[0, 32, 40], [32, 32]],
        "still of a video model": [[0, 32, 40], [32, 32]],
        "unet": [[0, 50, 34], [32, 32]],
        "unet, deepest": [[0, 13, 9], [8, 8]],
        "unet, text of its size": None,
        "unet, other": None,
        "unknown": "where Sky keeps the picture among its tokens is not known here",
        "video": "a video has frames, and only still pictures are cut into windows",
    }


def test_what_is_said(figures):
    said = figures["words"]
    for part in ("latent is not larger", "tiles are not larger", "add Tiled Sampling", "ConvDenoiser keeps the picture"):
        assert sum(part in line for line in said["log"]) == 1, (part, said["log"])
    assert len(said["log"]) == 4
    for name, part in {
        "sequential": "order sequential paints tile after tile",
        "strength": "strength 1.5 is not between",
        "method": "use one of neighbourhood, scale fusion, global tokens",
        "native": "native_height 0",
    }.items():
        assert part in said[name]
