"""The command line of Fidelity Check: exit status 0 nothing changed, 1 something was, 2 bad input, and never a traceback."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tilework.blending import TileLayout
from tilework.blending.fidelity.folder import check_results
from tilework.tests.unit.fidelity.fidelity_scenes import enlarged, faulty, scene

ROOT = Path(__file__).resolve().parents[3]
SCENE = scene("camera", 0, 256)
RESULT = enlarged(SCENE.source, "bicubic")


def save(path, pixels):
    Image.fromarray((pixels[0] * 255).round().byte().numpy()).save(path)


@pytest.fixture
def folder(tmp_path):
    for name in ("results", "sources"):
        (tmp_path / name).mkdir()
    save(tmp_path / "sources" / "a.jpg", SCENE.source)
    save(tmp_path / "sources" / "a.png", SCENE.source)
    save(tmp_path / "results" / "a.png", RESULT)
    return tmp_path


def run(folder, *more):
    return check_results([str(folder / "results"), str(folder / "sources"), *more])


def test_a_faithful_result_a_changed_one_and_a_bad_file(folder, capsys):
    assert run(folder) == 0 and capsys.readouterr().out.startswith("a.png: passed: nothing was changed")
    save(folder / "results" / "b.png", faulty(RESULT, RESULT, SCENE, "object")[0])
    save(folder / "sources" / "b.png", SCENE.source)
    assert run(folder, "--json", str(folder / "all.json")) == 1
    out = capsys.readouterr().out
    assert "b.png: failed: 1 place changed" in out and "everywhere: " in out
    assert {name: one["passed"] for name, one in json.loads((folder / "all.json").read_text()).items()} == {"a.png": True, "b.png": False}
    assert run(folder, "--tolerance", "50") == 0
    capsys.readouterr()
    (folder / "sources" / "b.png").unlink()
    assert run(folder) == 2 and "b.png: has no reference of the same name" in capsys.readouterr().err


def test_a_layout_and_what_cannot_be_read(folder, capsys):
    (folder / "layout.json").write_text(TileLayout.grid(256, 256, 104, 104, 24).to_json())
    assert run(folder, "--layout", str(folder / "layout.json")) == 0
    (folder / "layout.json").write_text("{")
    assert run(folder, "--layout", str(folder / "layout.json")) == 2
    assert run(folder, "--tolerance", "0") == 2
    assert check_results([str(folder / "nowhere"), str(folder)]) == 2
    assert "is not a folder" in capsys.readouterr().err
    Image.fromarray(np.zeros((64, 200), np.uint8)).save(folder / "results" / "a.png")
    assert run(folder) == 2 and "not one scale for both sides" in capsys.readouterr().err


def test_it_is_a_command(folder):
    command = [sys.executable, "-m", "blending.fidelity", str(folder / "results"), str(folder / "sources")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("a.png: passed"), done.stderr
