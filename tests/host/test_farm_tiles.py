"""farm.py run --split-tiles with a real ComfyUI: the editor's picture bit for bit, and going on after being killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tilework.host.tile_folder import USUAL
from tilework.machines.process.child import program_environment
from tilework.machines.split_tiles import IN_FLIGHT, tiles_beside
from tilework.tests.host.prompts import blend, node, split
from tilework.tools.server.workflow import convert, fetch, images

ROOT = Path(__file__).resolve().parents[2]


def picture(folder, width, height):
    made = np.random.default_rng(5)
    smooth = np.linspace(0, 200, width)[None, :, None] + np.linspace(0, 30, height)[:, None, None]
    path = folder / "photo.png"
    Image.fromarray((smooth + made.integers(0, 20, (height, width, 3))).astype(np.uint8)).save(path)
    return path


def chain(name, method="hann", tile=128):
    """A network and a filter on each tile; the network comes from outside."""
    return {
        "1": node("LoadImage", image=name),
        "2": split(["1", 0], tile, 32),
        "3": node("UpscaleModelLoader", model_name="tilework_tiny_x2.safetensors"),
        "4": node("ImageUpscaleWithModel", upscale_model=["3", 0], image=["2", 0]),
        "5": node("ImageSharpen", image=["4", 0], sharpen_radius=2, sigma=1.0, alpha=0.5),
        "6": blend(["5", 0], ["2", 1], method),
        "7": node("SaveImage", images=["6", 0], filename_prefix="farm"),
    }


def command(server, workflow, source, result, *more):
    (result.parent / "workflow.json").write_text(json.dumps(workflow))
    named = ["--in", source, "--out", result, "--comfy", server.host.comfy, "--base", server.base, "--python", server.host.python]
    words = [
        sys.executable,
        "farm.py",
        "run",
        str(result.parent / "workflow.json"),
        *map(str, named),
        "--work",
        str(result.parent / "work"),
    ]
    return [*words, "--split-tiles", "--keep-tiles", *more, "--", "--cpu"]


def ran(*arguments):
    done = subprocess.run(command(*arguments), cwd=ROOT, env=program_environment(OMP_NUM_THREADS="1"), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kept(result):
    """The folder of the tile files."""
    (folder,) = (path for path in tiles_beside(result).iterdir() if path.is_dir())
    return folder


def editors(server, run_entry, workflow, source):
    """The picture as the editor makes it, as float32 and as the file that Save Image writes."""
    (server.base / "input" / "photo.png").write_bytes(source.read_bytes())
    with_file = {**workflow, "8": node("TileworkWriteTile", tiles=["6", 0], name="editors", first=0)}
    entry = run_entry(with_file, 600)
    (file,) = images(entry)
    (server.base / "farm.png").write_bytes(fetch(server.url, file))
    return np.load(server.base / "output" / USUAL / "editors_00000.npy"), np.asarray(Image.open(server.base / "farm.png"))


def test_it_is_the_editors_picture_bit_for_bit(server, run_entry, tmp_path):
    source, result = picture(tmp_path, 400, 300), tmp_path / "made.png"
    workflow = chain("photo.png")
    said = ran(server, workflow, source, result)
    assert "The work of one tile: ImageUpscaleWithModel, ImageSharpen." in said
    wanted, saved = editors(server, run_entry, workflow, source)
    assert np.array_equal(np.load(kept(result) / "picture_00000.npy"), wanted)
    with Image.open(result) as made:
        assert np.array_equal(np.asarray(made), saved) and json.loads(made.text["prompt"])["6"]["class_type"] == "TileworkSeamBlend"
    assert not list((tmp_path / "work").glob("comfy-*")), "the server's folder is gone"


def lines(result, since=0):
    """(event, tile) of the log of the tiles."""
    read = (kept(result) / "log.jsonl").read_text().splitlines()
    return [(one["event"], one["tile"]) for one in map(json.loads, read[since:])]


def standing(result):
    return len(list(tiles_beside(result).glob("*/tile0_*.npy")))


@pytest.mark.skipif("not config.getoption('--release')", reason="three starts of ComfyUI")
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_when_60_of_81_tiles_stand_it_goes_on_from_there(server, run_entry, tmp_path, workers):
    source, result = picture(tmp_path, 896, 896), tmp_path / "made.png"
    workflow = chain("photo.png")
    words = command(server, workflow, source, result, "--workers", str(workers))
    driver = subprocess.Popen(words, cwd=ROOT, env=program_environment(OMP_NUM_THREADS="1"), stdout=subprocess.DEVNULL)
    give_up = time.monotonic() + 300
    while standing(result) < 60 and time.monotonic() < give_up:
        time.sleep(0.002)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    killed_at = standing(result)
    give_up = time.monotonic() + 30
    while list((tmp_path / "work").glob("comfy-*")) and time.monotonic() < give_up:
        time.sleep(0.1)
    assert not list((tmp_path / "work").glob("comfy-*")) and not result.exists()
    before = len((kept(result) / "log.jsonl").read_text().splitlines())
    stand = standing(result)
    said = ran(server, workflow, source, result, "--workers", str(workers))
    begun = [tile for event, tile in lines(result, before) if event == "begun"]
    print(f"{killed_at} stood at the kill, {stand} when all was quiet; the next call computed {len(begun)}: {said.splitlines()[-3]}")
    assert len(begun) == 81 - stand <= 21 + IN_FLIGHT * workers and len(set(begun)) == len(begun)
    wanted, _ = editors(server, run_entry, workflow, source)
    assert np.array_equal(np.load(kept(result) / "picture_00000.npy"), wanted)


@pytest.mark.skipif("not config.getoption('--release')", reason="two starts of ComfyUI")
def test_two_commands_work_on_one_picture_together(server, run_entry, tmp_path):
    source, result = picture(tmp_path, 896, 896), tmp_path / "made.png"
    workflow = chain("photo.png")
    words, env = command(server, workflow, source, result), program_environment(OMP_NUM_THREADS="1")
    both = [subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate(timeout=300)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    begun = [tile for event, tile in lines(result) if event == "begun"]
    print(f"{len(begun)} tiles begun by both; {[text.splitlines()[-1] for text in said]}")
    assert sorted(begun) == list(range(81))
    wanted, saved = editors(server, run_entry, workflow, source)
    assert np.array_equal(np.load(kept(result) / "picture_00000.npy"), wanted)
    assert np.array_equal(np.asarray(Image.open(result)), saved)


@pytest.mark.skipif("not config.getoption('--release')", reason="a start of ComfyUI for each")
@pytest.mark.parametrize("method", ["multiband", "optimal seam", "gradient", "auto", "confidence"])
def test_methods_beyond_windows_give_the_editors_file(server, run_entry, tmp_path, method):
    source, result = picture(tmp_path, 400, 300), tmp_path / "made.png"
    workflow = chain("photo.png", method)
    ran(server, workflow, source, result)
    wanted, saved = editors(server, run_entry, workflow, source)
    assert np.array_equal(np.asarray(Image.open(result)), saved)
    if method in ("multiband", "optimal seam"):
        assert np.array_equal(np.load(kept(result) / "picture_00000.npy"), wanted)


@pytest.mark.skipif("not config.getoption('--release')", reason="a start of ComfyUI")
def test_joint_nodes_and_what_comes_after_the_blend(server, run_entry, tmp_path):
    """Gain compensation runs where all tiles are; after the blend a filter, whose picture is saved."""
    source, result = picture(tmp_path, 400, 300), tmp_path / "made.png"
    workflow = chain("photo.png")
    workflow["9"] = node("ImageInvert", image=["6", 0])
    workflow["7"]["inputs"]["images"] = ["9", 0]
    said = ran(server, workflow, source, result)
    assert "runs where all tiles are" not in said
    assert np.array_equal(np.asarray(Image.open(result)), editors(server, run_entry, workflow, source)[1])
    workflow["10"] = node(
        "TileworkColorMatch", images=["5", 0], method="gain compensation", strength=1.0, unchanged_only=0.0, layout=["2", 1]
    )
    workflow["6"]["inputs"]["tiles"] = ["10", 0]
    said = ran(server, workflow, source, tmp_path / "joint.png")
    assert "Color Match" in said and "runs where all tiles are" in said
    assert np.array_equal(np.asarray(Image.open(tmp_path / "joint.png")), editors(server, run_entry, workflow, source)[1])


@pytest.mark.skipif("not config.getoption('--release')", reason="a start of ComfyUI")
def test_the_template_of_any_nodes_can_be_given_out(server, object_info, tmp_path):
    """Template 3 as the editor saved it, up to its blend."""
    saved = convert(ROOT / "example_workflows" / "03 Any nodes, tile by tile.json", object_info)
    saves = [key for key, part in saved.items() if part["class_type"] == "SaveImage"]
    result = tmp_path / "made.png"
    said = ran(server, saved, server.base / "input" / "example.png", result, "--save", saves[0])
    assert result.exists(), said
