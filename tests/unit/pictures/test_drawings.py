"""Drawings of grids, of influences and of budgets."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tilework.blending import TileLayout
from tilework.blending.networks.memory_fit import MemoryFit
from tilework.blending.networks.tile_plan import plan_tiles
from tilework.pictures.budget import CHOSEN, FITS, TOO_LARGE, budget_picture
from tilework.pictures.grid import small, with_caption, with_grid
from tilework.pictures.influence import influence_curves, influence_map, influence_picture


@pytest.mark.parametrize("letters", [24, 15])
def test_a_bar_for_each_candidate_in_its_colour(letters):
    plan = plan_tiles(4096, 3072, MemoryFit(0, 18432), 8 * 2**30, margin=0.1, overlap=32)
    rows = [("size", "words")] * len(plan.candidates)
    pixels = np.asarray(budget_picture(plan, rows, 8 * 2**30, 0.1, "8 GB", 30 * letters, letters))
    seen = [int((pixels == color).all(-1)[:, letters].sum()) for color in (TOO_LARGE, CHOSEN, FITS)]
    wanted = [sum(not one.fits for one in plan.candidates), 1, sum(one.fits and not one.chosen for one in plan.candidates)]
    assert min(wanted) > 0 and [rows / seen[1] for rows in seen] == wanted


def test_overlaps_are_shaded_and_nothing_else_but_lines_and_numbers():
    plan = TileLayout.grid(400, 600, 240, 240, 40, 8)
    drawn = np.asarray(with_grid(small(torch.zeros(1, 400, 600, 3), plan), plan)).astype(int)
    height, width = drawn.shape[:2]
    (ys, xs), orange = plan.axes, drawn[..., 0] > drawn[..., 2] + 20
    for axis, length, line in ((ys, height, orange[:, 3]), (xs, width, orange[3])):
        shared = [range(b, a + axis.tile) for a, b in zip(axis.origins, axis.origins[1:], strict=False)]
        assert int(line.sum()) == pytest.approx(sum(map(len, shared)) * length / axis.size, abs=2 * len(shared) + 2)


def test_joined_sides_have_arrows_and_overlaps_that_go_on_behind_them():
    from tilework.pictures.grid import MARK

    ends = TileLayout.grid(400, 600, 240, 240, 40, 8)
    for wrap in ((False, False), (False, True), (True, True)):
        plan = TileLayout.grid(400, 600, 240, 240, 40, 8, wrap=wrap)
        drawn = np.asarray(with_grid(small(torch.zeros(1, 400, 600, 3), plan), plan)).astype(int)
        arrows = np.abs(drawn - np.array(MARK[:3])).max(-1) < 3
        sides = {"left": arrows[:, 1], "right": arrows[:, -2], "top": arrows[1], "bottom": arrows[-2]}
        assert {name for name, line in sides.items() if line.any()} == {
            name for name, joined in zip(("left", "right", "top", "bottom"), (wrap[1], wrap[1], wrap[0], wrap[0]), strict=True) if joined
        }
        orange = (drawn[..., 0] > drawn[..., 2] + 20) & ~arrows
        assert (orange[3, 3] or wrap == (False, False)) and len(plan) >= len(ends)


def test_a_caption_is_wide_enough_for_its_words():
    picture = Image.new("RGB", (64, 64))
    assert with_caption(picture, ["a"]).width == 64 and with_caption(picture, ["a line that is much wider than this"]).width > 200


def test_the_frame_stands_where_the_trim_cuts():
    influence = torch.zeros(66, 66)
    curve = torch.tensor([8.0, 1.0, 0.01, 0.0]) / 255
    field = SimpleNamespace(
        influence=influence, trim=11, scale=1, profile=curve, profiles={"mirrored": curve}, threshold=0.5 / 255, radius=2,
        sees_everything=False, full_known=True,
    )  # fmt: skip
    drawn = np.asarray(influence_map(field))
    assert (drawn[55, 100:200] == 255).all() and not (drawn[54, 100:200] == 255).any()
    whole, curves = influence_picture(field, "levels", "words"), influence_curves(field)
    assert whole.width > drawn.shape[1] + curves.width - 100 and whole.height > curves.height
