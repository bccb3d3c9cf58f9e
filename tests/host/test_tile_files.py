"""Write Tile File and Read Tile File on the real server: bit for bit, read anew when written anew, and nowhere else."""

import numpy as np
import pytest
from tilework.host.tile_folder import USUAL
from tilework.tests.host.prompts import blend, node, source, split
from tilework.tools.server.workflow import WorkflowError


def writing(name, first=0, seed=1, channels=3):
    return {
        "1": source(300, 200, channels=channels, seed=seed),
        "2": split(["1", 0], 128, 32),
        "3": node("TileworkWriteTile", tiles=["2", 0], name=name, first=first, layout=["2", 1]),
    }


def reading(name, first=0, count=6, seed=1, channels=3):
    """Blend what is read, and compare it with the picture."""
    return {
        "1": source(300, 200, channels=channels, seed=seed),
        "2": split(["1", 0], 128, 32),
        "4": node("TileworkReadTile", name=name, first=first, count=count),
        "5": blend(["4", 0], ["2", 1]),
        "6": blend(["2", 0], ["2", 1]),
        "7": node("TileworkTestCompare", a=["5", 0], b=["6", 0]),
    }


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_is_read_is_what_was_written(server, run_prompt, report, channels):
    run_prompt(writing("bits/tile", 3, channels=channels))
    folder = server.base / "output" / USUAL / "bits"
    assert sorted(path.name for path in folder.glob("tile*")) == [*(f"tile_{number:05d}.npy" for number in range(3, 9)), "tile_layout.json"]
    assert np.load(folder / "tile_00003.npy").dtype == np.float32
    assert [one["max_abs"] for one in report(reading("bits/tile", 3, channels=channels), "7")] == [0]


def test_files_that_were_written_anew_are_read_anew(run_prompt, report):
    for seed in (5, 6):
        run_prompt(writing("anew", seed=seed))
        assert [one["max_abs"] for one in report(reading("anew", seed=seed), "7")] == [0]


def test_a_file_that_somebody_removed_is_written_again(server, run_prompt):
    file = server.base / "output" / USUAL / "again_00002.npy"
    for _ in range(2):
        run_prompt(writing("again"))
        file.unlink()


@pytest.mark.parametrize("name", ["../tile", "/etc/passwd", "bits/../../tile", "a\\b", ""])
def test_nothing_outside_of_the_folder_is_read_or_written(server, run_prompt, name):
    before = {path for path in server.base.rglob("*.npy")}
    for prompt in (writing(name), reading(name)):
        with pytest.raises(WorkflowError, match="cannot be the name of tile files"):
            run_prompt(prompt)
    assert {path for path in server.base.rglob("*.npy")} == before


def test_what_is_missing_is_named(run_prompt):
    run_prompt(writing("short"))
    with pytest.raises(WorkflowError, match=r"there is no tile file short_00006\.npy"):
        run_prompt(reading("short", count=7))
