"""The command line: exit status 0 clean, 1 a seam, 2 bad input, and never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tilework.blending.layout.tile_layout import TileLayout
from tilework.blending.seam_check.folder import main, read_picture

ROOT = Path(__file__).resolve().parents[3]
LAYOUT = TileLayout.grid(256, 384, 192, 192, 0)


def save(path, step=0, edge=0.0, mode="RGB", seed=0):
    rng = np.random.default_rng(seed)
    values = 128 + rng.normal(0, 2, (256, 384, 3)) + np.linspace(0, 30, 384)[None, :, None]
    values[:, 192:] += edge
    values[:128, 192:] += step
    Image.fromarray(values.round().clip(0, 255).astype(np.uint8), "RGB").convert(mode).save(path)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "layout.json").write_text(LAYOUT.to_json())
    save(tmp_path / "pictures" / "a.png")
    return tmp_path


def run(folder, *more):
    return main([str(folder / "pictures"), str(folder / "layout.json"), *more])


def test_a_clean_folder_a_seam_and_a_bad_file(folder, capsys):
    assert run(folder) == 0
    assert capsys.readouterr().out.startswith("a.png: passed: no seam")
    save(folder / "pictures" / "b.png", step=8)
    assert run(folder) == 1
    out = capsys.readouterr().out
    assert "b.png: failed: 2 x seam" in out and "tiles 0|1" in out and out.index("a.png: passed") < out.index("b.png: failed")
    assert run(folder, "--threshold", "50") == 0
    (folder / "pictures" / "c.png").write_text("no picture")
    assert run(folder) == 2
    said = capsys.readouterr()
    assert "c.png: cannot be read as a picture" in said.err and "b.png: failed" in said.out


def test_a_wrong_size_a_bad_layout_and_empty_folders(folder, capsys):
    save(folder / "pictures" / "b.png")
    Image.new("RGB", (300, 256)).save(folder / "pictures" / "b.png")
    assert run(folder) == 2 and "b.png: the picture is 300 x 256" in capsys.readouterr().err
    for text in ("{", "[]", '{"version": 1}', "\x00", '{"version": 1, "canvas": [1]}'):
        (folder / "layout.json").write_text(text)
        assert run(folder) == 2 and "layout.json" in capsys.readouterr().err
    assert main([str(folder / "nowhere"), str(folder / "layout.json")]) == 2
    assert main([str(folder), str(folder / "none.json")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_reference_folder_tells_an_edge_from_a_seam(folder, capsys):
    (folder / "before").mkdir()
    save(folder / "pictures" / "a.png", edge=60, seed=1)
    assert run(folder) == 1 and "edge or seam" in capsys.readouterr().out
    save(folder / "before" / "a.tif", edge=60, seed=1)
    assert run(folder, "--reference", str(folder / "before")) == 0
    save(folder / "pictures" / "b.png")
    assert run(folder, "--reference", str(folder / "before")) == 2
    assert "b.png: has no reference of the same name" in capsys.readouterr().err


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4), ("P", 3), ("CMYK", 3), ("I;16", 1)])
def test_pictures_of_every_kind_are_read(tmp_path, mode, channels):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    if mode == "I;16":
        Image.fromarray(np.full((5, 7), 30000, np.uint16)).save(path)
    else:
        Image.new("RGB", (7, 5), (100, 100, 100)).convert(mode).save(path)
    picture = read_picture(path)
    assert picture.shape == (1, 5, 7, channels) and picture.dtype == torch.float32
    assert 0.3 < float(picture[..., 0].mean()) < 0.6


@pytest.mark.parametrize(("step", "status"), [(0, 0), (8, 1)])
def test_it_runs_in_a_plain_interpreter(folder, step, status):
    save(folder / "pictures" / "a.png", step=step)
    command = [sys.executable, "-m", "blending.check_folder", str(folder / "pictures"), str(folder / "layout.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize(("step", "status"), [(0.0, 0), (8 / 255, 1)])
def test_a_floating_point_file_is_taken_as_it_is(folder, step, status):
    values = 0.5 + np.random.default_rng(1).normal(0, 2 / 255, (256, 384))
    values[:, 192:] += step
    Image.fromarray(values.astype(np.float32), "F").save(folder / "pictures" / "a.tif")
    (folder / "pictures" / "a.png").unlink()
    read = read_picture(folder / "pictures" / "a.tif")
    assert read.shape == (1, 256, 384, 1) and float(read.mean()) == pytest.approx(values.mean(), abs=1e-4)
    assert run(folder) == status


def test_an_unknown_kind_of_pixel_is_refused(folder, capsys, monkeypatch):
    monkeypatch.setattr("tilework.blending.seam_check.folder.KNOWN_MODES", ())
    assert run(folder) == 2 and "its pixels are of the kind RGB" in capsys.readouterr().err


def test_a_name_that_cannot_be_shown_is_written_as_its_code(folder):
    name = b"caf\xe9.png"
    (folder / "pictures" / "a.png").rename(Path(str(folder / "pictures")) / name.decode("utf-8", "surrogateescape"))
    command = [sys.executable, "-m", "blending.check_folder", str(folder / "pictures"), str(folder / "layout.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, env={**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:strict"})
    assert done.returncode == 0 and b"Traceback" not in done.stderr and b"caf\\udce9.png: passed" in done.stdout


def test_an_unreadable_folder_is_said_in_words(folder, capsys, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert run(folder) == 2 and "pictures cannot be read: [Errno 13]" in capsys.readouterr().err


def test_a_picture_of_which_nothing_could_be_judged_is_no_clean_one(folder, capsys):
    (folder / "layout.json").write_text(TileLayout.grid(256, 384, 16, 16, 4).to_json())
    assert run(folder) == 2 and "a.png: nothing could be judged" in capsys.readouterr().err


def test_a_picture_in_place_of_the_layout_and_a_threshold_that_is_none(folder, capsys):
    save(folder / "pictures" / "b.png")
    assert main([str(folder / "pictures"), str(folder / "pictures" / "a.png")]) == 2
    assert "a.png is not a layout JSON" in capsys.readouterr().err
    assert run(folder, "--threshold", "-1") == 2
    assert capsys.readouterr().err.count("is not a z value") == 1
