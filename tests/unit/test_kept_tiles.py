"""Tiles as files: whole or not there, nowhere else, and not without end."""

import os
import time

import numpy as np
import pytest
import torch
from tilework.host.disk_cache import DAY, SEAL_BYTES, UNUSED_DAYS, TileFiles
from tilework.host.kept_tiles import TilesInMemory

ROOMY = {"most_bytes": 1 << 30, "least_free": 0}


def key(number):
    return f"{number:064x}"


def tile(number=0, side=16):
    return torch.rand(1, side, side, 3, generator=torch.Generator().manual_seed(number))


def test_a_tile_comes_back_to_the_bit(tmp_path):
    for number, dtype in enumerate((torch.float32, torch.float16)):
        given = tile(number).to(dtype).transpose(1, 2)
        assert TileFiles(tmp_path, **ROOMY).write(key(number), given)
        back = TileFiles(tmp_path, **ROOMY).read(key(number))
        assert back.dtype == dtype and torch.equal(back, given)
    assert TileFiles(tmp_path, **ROOMY).read(key(9)) is None


@pytest.mark.parametrize("name", ["../" + "a" * 61, "a" * 63, "A" * 64, "", "a" * 64 + "/x", "/etc/passwd", "a" * 64 + "\n"])
def test_no_name_leads_out_of_the_folder(tmp_path, name):
    files = TileFiles(tmp_path / "kept", **ROOMY)
    for use in (files.read, lambda key: files.write(key, tile())):
        with pytest.raises(ValueError, match="no key of a tile"):
            use(name)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    files = TileFiles(tmp_path, **ROOMY)

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write(key(1), tile())
    assert list(tmp_path.iterdir()) == [] and files.read(key(1)) is None


@pytest.mark.parametrize(
    "spoil",
    [
        "cut",
        "empty",
        "pickle",
        "numbers",
        "flat",
        "archive",
        "promise",
        "link",
        "pipe",
        "folder",
        "shape",
        "channels",
        "not a number",
        "one bit",
        "another tile",
    ],
)
def test_a_damaged_or_foreign_file_is_no_tile(tmp_path, spoil):
    files, path = TileFiles(tmp_path, **ROOMY), tmp_path / f"{key(1)}.npy"
    files.write(key(1), tile())
    whole = path.read_bytes()
    if spoil == "pickle":
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    elif spoil == "archive":
        np.savez(tmp_path / "archive.npz", np.zeros((1, 4, 4, 3), np.float32))
        (tmp_path / "archive.npz").replace(path)
    elif spoil == "promise":
        header = {"descr": "<f4", "fortran_order": False, "shape": (1, 524288, 524288, 1)}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)  # a terabyte, and nothing behind it
    elif spoil == "link":
        path.rename(tmp_path / "elsewhere.npy")
        path.symlink_to(tmp_path / "elsewhere.npy")
    elif spoil in ("pipe", "folder"):
        if spoil == "pipe" and not hasattr(os, "mkfifo"):
            pytest.skip("this system has no pipes among files")
        path.unlink()
        os.mkfifo(path) if spoil == "pipe" else path.mkdir()
    elif spoil in ("shape", "channels", "not a number"):
        shape = {"shape": (1, 8, 16, 3), "channels": (1, 16, 16, 4)}.get(spoil, (1, 16, 16, 3))
        np.save(path, np.full(shape, np.nan, np.float32))
    elif spoil == "one bit":
        path.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    elif spoil == "another tile":
        files.write(key(2), tile(2))
        (tmp_path / f"{key(2)}.npy").replace(path)
    elif spoil in ("numbers", "flat"):
        np.save(path, np.zeros((1, 4, 4, 3), np.int64) if spoil == "numbers" else np.zeros((4, 4), np.float32))
    else:
        path.write_bytes(whole[: len(whole) // 2 if spoil == "cut" else 0])
    assert files.read(key(1)) is None
    if spoil == "folder":  # nothing of a person's is deleted; the run goes on, see kept_tiles.put
        with pytest.raises(OSError):
            files.write(key(1), tile())
        return
    assert not path.exists() and files.write(key(1), tile())
    assert torch.equal(files.read(key(1)), tile()), "it is made anew"


def test_the_oldest_go_when_there_is_no_more_room_and_none_of_this_run(tmp_path):
    size = tile().numel() * 4 + 128 + SEAL_BYTES
    for number in range(4):
        TileFiles(tmp_path, **ROOMY).write(key(number), tile())
        os.utime(tmp_path / f"{key(number)}.npy", (time.time() - 100 + number,) * 2)
    files = TileFiles(tmp_path, most_bytes=4 * size, least_free=0)
    assert files.read(key(0)) is not None  # used now, so number 1 is the oldest
    assert files.write(key(4), tile())
    there = lambda: sorted(int(path.stem, 16) for path in tmp_path.iterdir())  # noqa: E731
    assert there() == [0, 2, 3, 4]
    assert files.write(key(5), tile()) and files.write(key(6), tile())
    assert there() == [0, 4, 5, 6]
    assert not files.write(key(7), tile())
    assert there() == [0, 4, 5, 6]


def test_the_disk_is_not_filled(tmp_path):
    assert not TileFiles(tmp_path, least_free=1 << 60).write(key(1), tile())
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_uses_goes_and_what_is_not_ours_stays(tmp_path):
    TileFiles(tmp_path, **ROOMY).write(key(1), tile())
    TileFiles(tmp_path, **ROOMY).write(key(2), tile())
    half, foreign = tmp_path / f"{key(3)}.{'0' * 32}.part", tmp_path / "notes.txt"
    half.write_text("half")
    foreign.write_text("mine")
    long_ago = time.time() - (UNUSED_DAYS + 1) * DAY
    for path in (tmp_path / f"{key(1)}.npy", half, foreign):
        os.utime(path, (long_ago, long_ago))
    TileFiles(tmp_path, **ROOMY)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f"{key(2)}.npy", "notes.txt"])


def test_what_is_no_tile_is_refused(tmp_path):
    for wrong in (torch.zeros(4, 4), torch.zeros(1, 4, 4, 3, dtype=torch.int32), torch.zeros(1, 4, 4, 3, dtype=torch.float64)):
        with pytest.raises(ValueError, match="expected float32"):
            TileFiles(tmp_path, **ROOMY).write(key(1), wrong)


def test_in_memory_only_the_last_run_that_used_any_counts():
    held = TilesInMemory()
    for number in range(3):
        held.put(key(number), tile(number))
    held.end_of_run()
    held.end_of_run()  # of a workflow without Keep Tiles
    assert len(held) == 3
    assert torch.equal(held.get(key(1)), tile(1)) and held.get(key(9)) is None
    held.put(key(5), tile(5))
    held.end_of_run()
    assert held.get(key(0)) is None and held.get(key(1)) is not None and held.get(key(5)) is not None
    held.let_go({key(1), key(7)})
    assert len(held) == 1
