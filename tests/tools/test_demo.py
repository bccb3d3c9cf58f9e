"""The demonstration: what it says and shows of a tiled picture beside the one in one piece."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
numpy = pytest.importorskip("numpy")
from tilework.blending import TileLayout  # noqa: E402
from tilework.tools.demo import run  # noqa: E402


@pytest.fixture(autouse=True)
def _the_packs_folder(monkeypatch):
    """The demonstration is started in it, and imports `blending` from there."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2]))


SIDE = 512
LAYOUT = TileLayout.grid(SIDE, SIDE, 256, 256, 0)


@pytest.fixture
def whole():
    """A smooth picture with some grain."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    plain = 0.5 + 0.2 * torch.sin(x / 90 + y / 70) + 0.01 * torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    return plain[None, ..., None].expand(-1, -1, -1, 3).clone()


def stepped(whole, levels):
    """The right half brighter: a seam on the vertical line in the middle."""
    tiled = whole.clone()
    tiled[:, :, 256:] += levels / 255
    return tiled


def test_a_line_of_the_table_says_how_far_a_picture_is_from_the_one_in_one_piece(whole):
    line, _ = run.measured("none", whole, whole, LAYOUT)
    assert line.split() == ["none,", "overlap", "0", "0", "0.00", "0.0"]
    line, report = run.measured("hard tiles", stepped(whole, 6), whole, LAYOUT)
    *_, apart, step, z = line.split()
    assert apart == "6" and float(step) == pytest.approx(6, abs=0.1) and float(z) > 5 and report.failing


def test_the_sheet_shows_the_seam_at_400_percent_and_its_difference(whole):
    tiled = stepped(whole, 6)
    place = run.shown_place(tiled, whole, run.measured("", tiled, whole, LAYOUT)[1])
    (row,) = place.rows
    assert row.vertical and row.line == 256 and run.BORDER <= row.worst[0] < SIDE - run.BORDER
    shown = numpy.asarray(run.sheet({"hard": tiled, "whole": whole}, whole, place)).astype(int)
    above, below = (shown[run.HEAD + at + 256, run.GAP + 100 : run.GAP + 500 : 4, 0] for at in (0, 512 + run.GAP))
    middle = sum(row.worst) // 2
    wanted = (255 * tiled[0, middle, 192 + 25 : 192 + 125, 0]).round().int().numpy()
    assert abs(above - wanted).max() <= 1, "the very pixels"
    assert below[10] == 128 and below[-10] == pytest.approx(128 + 8 * 6, abs=1), "eight times the difference, around grey"


def test_a_seam_on_an_even_area_is_shown_rather_than_one_in_texture(whole):
    whole[:, :256] += 0.2 * torch.randn(256, SIDE, 1, generator=torch.Generator().manual_seed(2))
    tiled = stepped(whole, 6)
    (row,) = run.shown_place(tiled, whole, run.measured("", tiled, whole, LAYOUT)[1]).rows
    assert row.worst[0] > 256
