"""Tiles from files into a picture on a memory map: what blending in memory gives, bit for bit, in far less memory."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tilework.blending import TileLayout, compose, cut
from tilework.blending.pixels.tile_file import read_tile, tile_path, write_record, write_tile
from tilework.machines.png_strips import eight_bits
from tilework.machines.stream_blend import blend_files
from tilework.machines.tile_graph import STREAMED

ROOT = Path(__file__).resolve().parents[2]


def job_of(folder, tiles, layout, **more):
    """The files of a job, and the job."""
    paths = [tile_path(folder, "tile", number) for number in range(len(tiles))]
    for path, tile in zip(paths, tiles, strict=True):
        write_tile(path, tile)
    write_record(folder / "layout.json", layout.to_json())
    made = {"tiles": [str(path) for path in paths], "layout": str(folder / "layout.json"), "picture": str(folder / "picture.npy")}
    return {**made, "method": "hann", "trim": 0, "scale": 0, "cut_feather": 0, **more}


def noisy(layout, channels=3, batch=1, seed=3):
    picture = torch.rand(batch, *layout.canvas, channels, generator=torch.Generator().manual_seed(seed))
    return [tile + 0.05 * number / len(layout) for number, tile in enumerate(cut(picture, layout))]


@pytest.mark.parametrize(
    ("method", "channels", "batch", "wrap"),
    [*((method, 3, 1, False) for method in STREAMED), ("hann", 4, 2, False), ("hann", 1, 1, True), ("multiband", 4, 1, False)],
)
def test_it_is_what_blending_in_memory_gives(tmp_path, method, channels, batch, wrap):
    layout = TileLayout.grid(230, 310, 96, 96, 32, 8, batch, wrap=(False, wrap))
    tiles = noisy(layout, channels, batch)
    job = job_of(tmp_path, tiles, layout, method=method, trim=2)
    assert blend_files(job) == {"size": [230, 310], "pictures": batch, "channels": channels}
    assert torch.equal(read_tile(Path(job["picture"])), compose(tiles, layout, method, trim=2))
    assert not list(tmp_path.glob("*.part"))


def test_at_another_scale(tmp_path):
    layout = TileLayout.grid(230, 310, 96, 96, 32, 8)
    tiles = [tile.repeat_interleave(2, 1).repeat_interleave(2, 2) for tile in noisy(layout)]
    job = job_of(tmp_path, tiles, layout)
    assert blend_files(job)["size"] == [460, 620]
    assert torch.equal(read_tile(Path(job["picture"])), compose(tiles, layout))


def test_a_broken_tile_leaves_no_picture(tmp_path):
    layout = TileLayout.grid(230, 310, 96, 96, 32, 8)
    job = job_of(tmp_path, noisy(layout), layout, png=str(tmp_path / "made.png"))
    Path(job["tiles"][5]).write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"tile_00005\.npy is no tile file"):
        blend_files(job)
    assert not Path(job["picture"]).exists() and not Path(job["png"]).exists()


def ran(job, folder):
    (folder / "job.json").write_text(json.dumps(job))
    command = [sys.executable, "farm.py", "blend", str(folder / "job.json")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_as_a_program_it_stays_small(tmp_path):
    """A picture of 2,400 x 1,600 is 46 MB; what is held of it at a time is one row of tiles."""
    layout = TileLayout.grid(1600, 2400, 128, 128, 32, 8)
    tile = torch.rand(1, 128, 128, 1).expand(-1, -1, -1, 3)
    tiles = [tile * (1 - 0.001 * number) for number in range(len(layout))]
    job = job_of(tmp_path, tiles, layout, png=str(tmp_path / "made.png"), text={"prompt": "{}"})
    done = ran(job, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    wanted = compose(tiles, layout).numpy()
    assert np.array_equal(np.load(job["picture"]), wanted)
    with Image.open(tmp_path / "made.png") as saved:
        assert np.array_equal(np.asarray(saved), eight_bits(wanted[0])) and saved.text == {"prompt": "{}"}
    held = said["bytes_at_peak"] - said["bytes_before"]
    print(f"held {held / 1e6:.0f} MB of a picture of {wanted.nbytes / 1e6:.0f} MB")
    if sys.platform == "linux":
        assert 0 < held < 30e6


@pytest.mark.skipif("not config.getoption('--release')", reason="8 GB of files, some minutes")
def test_a_picture_of_12000_x_9000_takes_less_than_a_gigabyte(tmp_path):
    """108 megapixels, 1.3 GB as float32: with an identity step, every value is that of its place, and the peak is told."""
    layout = TileLayout.grid(9000, 12000, 1024, 1024, 128, 8)
    y, x = torch.arange(9000.0)[:, None, None], torch.arange(12000.0)[None, :, None]

    def place(rows: slice, columns: slice) -> torch.Tensor:
        """A picture that is known at every place without having it: waves, another one in each channel."""
        return (0.5 + 0.25 * torch.sin(y[rows] / 37 + x[:, columns] / 53 + torch.arange(3.0)) + 0.25 * torch.cos(x[:, columns] / 11))[None]

    paths = [tile_path(tmp_path, "tile", number) for number in range(len(layout))]
    for path, tile in zip(paths, layout.tiles, strict=True):
        # Border tiles reach over the picture by a few pixels, and what lies there is thrown away.
        part = place(slice(tile.y, tile.y + tile.height), slice(tile.x, tile.x + tile.width))
        pad = (0, 0, 0, tile.width - part.shape[2], 0, tile.height - part.shape[1])
        write_tile(path, torch.nn.functional.pad(part, pad))
    write_record(tmp_path / "layout.json", layout.to_json())
    job = {"tiles": [str(path) for path in paths], "layout": str(tmp_path / "layout.json"), "picture": str(tmp_path / "picture.npy")}
    done = ran({**job, "method": "hann", "trim": 0, "scale": 0, "cut_feather": 0, "png": str(tmp_path / "made.png")}, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    held = said["bytes_at_peak"] - said["bytes_before"]
    print(f"{len(layout)} tiles; {held / 1e6:.0f} MB above the import of torch, at a picture of {9000 * 12000 * 12 / 1e6:.0f} MB")
    made = np.load(job["picture"], mmap_mode="r")
    for top in range(0, 9000, 500):
        rows = slice(top, top + 500)
        assert np.abs(made[:, rows] - place(rows, slice(None)).numpy()).max() < 1e-6
    assert held < 1e9
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(tmp_path / "made.png") as saved:
        assert saved.size == (12000, 9000)
        assert np.array_equal(np.asarray(saved)[4000:5000], eight_bits(made[0, 4000:5000]))
