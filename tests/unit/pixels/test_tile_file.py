"""Tile files: whole or not there, bit for bit, inside of one folder, and nothing but numbers in them."""

import numpy as np
import pytest
import torch
from tilework.blending.pixels.tile_file import beside_tiles, read_tile, tile_path, write_record, write_tile


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_tile_comes_back_bit_for_bit(tmp_path, channels):
    tile = torch.rand(2, 7, 5, channels) * 3 - 1
    path = tile_path(tmp_path, "job/tile", 3)
    write_tile(path, tile[:, :, ::1])
    assert path.name == "tile_00003.npy" and torch.equal(read_tile(path), tile)
    write_tile(path, tile.half())
    assert torch.equal(read_tile(path), tile.half().float())
    assert [file.name for file in path.parent.iterdir()] == [path.name], "nothing half is left"


@pytest.mark.parametrize(
    "name",
    [
        "../tile",
        "a/../../tile",
        "/etc/tile",
        "a//b",
        "",
        "a/",
        ".hidden",
        "a\\..\\b",
        "C:/tile",
        "a\0b",
        "a\n",
        "~/tile",
        "x" * 201,
        "..",
        None,
        5,
    ],
)
def test_no_name_leads_out_of_the_folder(tmp_path, name):
    for place in (tile_path, beside_tiles):
        with pytest.raises(ValueError, match="cannot be the name"):
            place(tmp_path, name, 0 if place is tile_path else "layout.json")


def test_no_link_leads_out_of_the_folder(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir(), outside.mkdir()
    (inside / "there").symlink_to(outside)
    write_tile(tile_path(outside, "tile", 0), torch.zeros(1, 2, 2, 3))
    (inside / "tile_00000.npy").symlink_to(outside / "tile_00000.npy")
    for name in ("there/tile", "tile"):
        with pytest.raises(ValueError, match="by a link"):
            tile_path(inside, name, 0)


def test_numbers_are_numbers(tmp_path):
    for number in (-1, 10**8):
        with pytest.raises(ValueError, match="tile number"):
            tile_path(tmp_path, "tile", number)


class Trap:
    """What pickle would run."""

    def __reduce__(self):
        return (print, ("run",))


def written(path, values, **more):
    np.save(path, values, **more)
    return path


def test_what_is_no_tile_is_refused_in_words(tmp_path):
    whole = written(tmp_path / "whole.npy", np.zeros((1, 40, 40, 3), np.float32))
    short = tmp_path / "short.npy"
    short.write_bytes(whole.read_bytes()[:-5])
    liar = tmp_path / "liar.npy"
    liar.write_bytes(whole.read_bytes().replace(b"(1, 40, 40, 3)", b"(9,99999,9999,3)")[:4000])
    text = tmp_path / "text.npy"
    text.write_text("no tile")
    cases = {
        tmp_path / "gone.npy": "there is no tile file",
        short: "not a whole one",
        liar: "not a whole one|no tile file",
        text: "no tile file",
        written(tmp_path / "trap.npy", np.array([Trap()], dtype=object), allow_pickle=True): "no tile file",
        written(tmp_path / "double.npy", np.zeros((1, 2, 2, 3))): "float32",
        written(tmp_path / "flat.npy", np.zeros((2, 2), np.float32)): "shape",
        written(tmp_path / "two.npy", np.zeros((1, 2, 2, 2), np.float32)): "channels",
        written(tmp_path / "nan.npy", np.full((1, 2, 2, 3), np.nan, np.float32)): "NaN",
    }
    for path, words in cases.items():
        with pytest.raises(ValueError, match=words):
            read_tile(path)


def test_what_cannot_be_a_tile_is_not_written(tmp_path):
    for tile in (torch.zeros(2, 2), torch.zeros(1, 2, 2, 5), torch.full((1, 2, 2, 3), torch.inf)):
        with pytest.raises(ValueError):
            write_tile(tmp_path / "tile_00000.npy", tile)
    assert not list(tmp_path.iterdir())


def test_a_record_replaces_the_one_before(tmp_path):
    path = beside_tiles(tmp_path, "job/tile", "layout.json")
    write_record(path, "one")
    write_record(path, "two")
    assert path.name == "tile_layout.json" and path.read_text() == "two"
