"""What Fidelity Check says of a result: its verdict, profile, tiles, pictures, and of bad input."""

import json

import pytest
import torch
from tilework.blending import TileLayout, compose
from tilework.blending.fidelity import cell_sums as cells
from tilework.blending.fidelity.check import check_fidelity
from tilework.blending.fidelity.comparable import stands_out
from tilework.blending.fidelity.heat_map import fidelity_map, worst_places
from tilework.blending.fidelity.one_grid import OneGrid
from tilework.tests.unit.fidelity.fidelity_scenes import Box, crop, enlarged, faulty, scene

SCENE = scene("astronaut", 0, 256)
RESULT = enlarged(SCENE.source, "bicubic")
PLAN = TileLayout.grid(256, 256, 104, 104, 24)


def stepped(tile, levels):
    alone = [torch.full((1, 2 * one.height, 2 * one.width, 1), float(index == tile)) for index, one in enumerate(PLAN.tiles)]
    return RESULT + levels / 255 * compose(alone, PLAN, "hann")


def test_a_picture_is_true_to_itself():
    report = check_fidelity(SCENE.source, SCENE.source)
    assert report.passed and report.score < 1e-3
    assert report.profiles[0].likeness == pytest.approx((1, 1, 1), abs=1e-3) and not report.profiles[0].repaints


def test_a_result_in_the_sources_place_and_the_source_in_the_results_are_judged_on_the_smaller_grid():
    report = check_fidelity(SCENE.source, RESULT)
    assert report.sizes == ((256, 256),) and report.passed


@pytest.mark.parametrize(("height", "width"), [(333, 333), (900, 898)])
def test_sizes_that_are_no_whole_multiple_are_brought_to_one_grid(height, width):
    planes = SCENE.source.movedim(-1, 1)
    image = torch.nn.functional.interpolate(planes, (height, width), mode="bicubic", antialias=True).movedim(1, -1).clamp(0, 1)
    assert check_fidelity(image, SCENE.source).passed


def test_the_sums_do_not_depend_on_how_many_rows_are_read_at_once(monkeypatch):
    grid = OneGrid(RESULT[:, :, :400], SCENE.source[:, :, :200])
    whole = cells.cell_sums(grid)
    monkeypatch.setattr(cells, "_PIXELS_AT_ONCE", 24 * 200)
    for one, other in zip(whole, cells.cell_sums(grid), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("tile", [0, 4, 5])
def test_a_tile_of_another_tone_is_found_and_its_neighbours_are_not_blamed(tile):
    report = check_fidelity(stepped(tile, -2), SCENE.source, PLAN)
    steps = {row.tile: row.step for row in report.tiles}
    assert steps[tile] == pytest.approx(-2, abs=0.4) and max(abs(step) for other, step in steps.items() if other != tile) < 0.6
    assert [place.measure for place in report.failing] == ["tone of a tile"] and f"tile {tile} darker" in report.summary()
    assert "step, levels" in report.text()
    clean = check_fidelity(RESULT, SCENE.source, PLAN)
    assert clean.passed and len(clean.tiles) == 9


def test_what_a_result_does_everywhere_is_told_and_not_blamed():
    planes = RESULT.movedim(-1, 1)
    soft = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(planes, (2,) * 4, mode="reflect"), 5, 1).movedim(1, -1)
    report = check_fidelity(0.9 * soft, SCENE.source)
    profile = report.profiles[0]
    assert report.passed and profile.repaints and profile.lightness < -3 and max(profile.kept) < 0.85
    assert "repaints" in report.text() and "L darker" in report.text()


def test_another_picture_fails():
    report = check_fidelity(crop("coffee", 0, 20), SCENE.source)
    assert not report.passed and report.score == 100 and "is this the right reference?" in report.text()


def test_a_shift_of_the_whole_result_is_taken_out():
    rolled = torch.roll(RESULT, (3, -2), (1, 2))
    report = check_fidelity(rolled, SCENE.source)
    assert report.passed and report.profiles[0].shift == pytest.approx((1.5, -1), abs=0.1)
    assert "shifted by" in report.text()
    as_it_is = check_fidelity(rolled, SCENE.source, align=False)
    assert as_it_is.profiles[0].likeness[2] < report.profiles[0].likeness[2] - 0.1 and "not registered" in as_it_is.text()


def test_tolerance_lets_pass_and_severity_does_not_depend_on_it():
    spoilt, _ = faulty(RESULT, RESULT, SCENE, "weave")
    strict, lax = check_fidelity(spoilt, SCENE.source), check_fidelity(spoilt, SCENE.source, tolerance=10)
    assert not strict.passed and lax.passed and strict.score == lax.score > 1


def test_pictures_of_a_batch_alpha_and_grey():
    spoilt, box = faulty(RESULT, RESULT, SCENE, "object")
    report = check_fidelity(torch.cat((RESULT, spoilt)), SCENE.source)
    assert {place.picture for place in report.failing} == {1} and not Box(*report.places[0].box).apart(box, 0)
    assert "in 2 pictures" in report.summary() and json.loads(report.to_json())["passed"] is False
    opaque = torch.cat((spoilt, torch.ones_like(spoilt[..., :1])), -1)
    assert check_fidelity(opaque, SCENE.source).score == pytest.approx(check_fidelity(spoilt, SCENE.source).score, rel=1e-3)
    hole = opaque.clone()
    hole[:, :, 300:] = 0
    half = torch.cat((RESULT[:, :, :300], hole[:, :, 300:, :3]), 2)
    assert check_fidelity(torch.cat((half, hole[..., 3:]), -1), SCENE.source).passed, "what is hidden is no change"
    grey = spoilt.mean(-1, keepdim=True), SCENE.source.mean(-1, keepdim=True)
    assert not check_fidelity(*grey).passed


def test_the_pictures_show_the_place():
    spoilt, box = faulty(RESULT, RESULT, SCENE, "object")
    report = check_fidelity(spoilt, SCENE.source)
    heat, worst = fidelity_map(spoilt, report), worst_places(spoilt, SCENE.source, report)
    assert heat.shape == (1, 256, 256, 3) and worst.shape == (1, 512, 1032, 3)
    inside = heat[0, box.y : box.y + box.height, box.x : box.x + box.width]
    assert inside.amax(-1).mean() > 1.5 * heat[0, :40, :40].amax(-1).mean()
    assert heat.min() >= 0 and heat.max() <= 1 and (worst[0, :, :512] - worst[0, :, 520:]).abs().max() > 0.2


@pytest.mark.parametrize("size", [(15, 200), (16, 16), (17, 40), (70, 1000)])
def test_small_and_narrow_pictures(size):
    image = torch.rand(1, *size, 3, generator=torch.Generator().manual_seed(2))
    report = check_fidelity(image, image)
    judged = min(size) >= 16
    assert report.passed == judged and ("not judged" in report.summary()) != judged
    assert fidelity_map(image, report).shape == (1, *size, 3) and len(worst_places(image, image, report)) == 1


def test_a_flat_picture_passes():
    flat = torch.full((1, 64, 64, 3), 0.5)
    assert check_fidelity(flat, flat).passed


def test_places_of_like_content_are_compared():
    seed = torch.Generator().manual_seed(3)
    content = torch.randn(2000, 2, generator=seed)
    value = content @ torch.tensor([1.0, -0.5]) + 0.5 * torch.randn(2000, generator=seed)
    value[7] += 6
    deviations = stands_out(value, content)
    assert deviations.argmax() == 7 and deviations[7] > 8 and deviations.sort().values[-2] < 5


@pytest.mark.parametrize(
    ("image", "reference", "more", "words"),
    [
        (torch.rand(1, 64, 64, 3), torch.rand(1, 64, 90, 3), {}, "not one scale for both sides"),
        (torch.rand(1, 64, 64, 2), torch.rand(1, 64, 64, 3), {}, "image is .* with 1 channel"),
        (torch.rand(1, 64, 64, 3), torch.full((1, 64, 64, 3), float("nan")), {}, "reference has NaN"),
        (torch.rand(1, 64, 64, 3), torch.rand(2, 64, 64, 3), {}, "connect one reference"),
        (torch.rand(1, 64, 64, 3), torch.rand(1, 64, 64, 3), {"tolerance": 0}, "tolerance 0 is not a severity"),
        (torch.rand(1, 64, 64, 3), torch.rand(1, 64, 64, 3), {"layout": PLAN}, None),
        (torch.rand(1, 64, 80, 3), torch.rand(1, 64, 80, 3), {"layout": PLAN}, "the layout was planned for 256 x 256"),
    ],
)
def test_bad_input_is_refused_in_words(image, reference, more, words):
    if words is None:
        assert len(check_fidelity(image, image, **more).tiles) == 9
        return
    with pytest.raises(ValueError, match=words):
        check_fidelity(image, reference, **more)
