"""Seam Check: what it takes, what it says, and its two pictures."""

import json
from dataclasses import replace

import pytest
import torch
from tilework.blending import TileLayout, compose, cut
from tilework.blending.seam_check.boundaries import boundaries
from tilework.blending.seam_check.check import check_seams
from tilework.blending.seam_check.heat_map import COLOURS, heat_map, worst_strips
from tilework.blending.seam_check.report import CLEAN, EITHER, SEAM, UNJUDGED, SeamReport
from tilework.blending.seam_check.step_filters import SHARP, WIDE, step_filter
from tilework.tests.unit.seam_check.seam_scenes import generator

LAYOUT = TileLayout.grid(384, 640, 256, 256, 64)


def picture(height=384, width=640, channels=3, seed=0, levels=2.0):
    g = generator(seed)
    y, x = torch.linspace(0, 3, height)[:, None], torch.linspace(0, 4, width)
    base = 0.5 + 0.15 * torch.sin(x + 0.7 * y) + 0.05 * torch.cos(2 * y - x)
    return base[None, :, :, None] + torch.randn(1, height, width, channels, generator=g) * (levels / 255)


def lighter(tiles, index, levels):
    return [tile + levels / 255 * (i == index) for i, tile in enumerate(tiles)]


def drifted(image, layout, index=0, levels=6.0, method="none"):
    return compose(lighter(cut(image, layout), index, levels), layout, method)


def neighbours(layout, index):
    return {b.tiles for b in boundaries(layout, *layout.canvas) if index in b.tiles}


@pytest.mark.parametrize("kind", [SHARP, WIDE], ids=["sharp", "wide"])
def test_the_filters_see_a_step_as_it_is_and_smooth_shades_not_at_all(kind):
    arm, powers = kind
    weights = torch.tensor(step_filter(arm, powers), dtype=torch.float64)
    x = (torch.arange(2 * arm, dtype=torch.float64) + 0.5 - arm) / arm
    assert float(weights @ (x > 0).double()) == pytest.approx(1)
    for power in range(powers[-1] + 2):
        assert abs(float(weights @ x**power)) < 1e-9


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("tile", [0, 1, 4, 5])
def test_the_tile_that_drifts_is_named(channels, tile):
    image = picture(channels=channels)
    if channels == 4:
        image[..., 3] = 0.9
    assert check_seams(image, LAYOUT).passed
    before = image.clone()
    report = check_seams(drifted(image, LAYOUT, tile)[:, :, :], LAYOUT)
    assert {row.tiles for row in report.failing} == neighbours(LAYOUT, tile)
    assert torch.equal(image, before)
    assert all(row.verdict == SEAM and row.test == "step" for row in report.failing)
    assert all(abs(row.step) == pytest.approx(6 * (0.9 if channels == 4 else 1), abs=1.5) for row in report.failing)
    assert all(1 < row.delta_e < 4 for row in report.failing)
    assert report.score >= 1 and not report.passed


@pytest.mark.parametrize("scale", [2, 1.5, 1.37])
def test_the_picture_may_be_larger_than_the_layout(scale):
    def enlarge(pixels):
        size = [round(side * scale) for side in pixels.shape[1:3]]
        return torch.nn.functional.interpolate(pixels.movedim(-1, 1), size=size, mode="bicubic").movedim(1, -1)

    image = picture()
    tiles = [enlarge(tile) for tile in cut(image, LAYOUT)]
    out = compose(lighter(tiles, 1, 6), LAYOUT, "none")
    assert {row.tiles for row in check_seams(out, LAYOUT).failing} == neighbours(LAYOUT, 1)
    assert check_seams(compose(tiles, LAYOUT), LAYOUT).passed


def test_boundaries_lie_where_the_blends_have_theirs():
    layout = TileLayout.grid(300, 500, 128, 200, 33, 4)
    for method in ("none", "average"):
        flat = torch.zeros(1, *layout.canvas, 1)
        steps = set()
        for index in range(len(layout)):
            out = compose(lighter(cut(flat, layout), index, 100), layout, method)[0, :, :, 0]
            steps |= {("x", int(at) + 1) for at in (out.diff(dim=1).abs() > 0.01).any(0).nonzero()}
            steps |= {("y", int(at) + 1) for at in (out.diff(dim=0).abs() > 0.01).any(1).nonzero()}
        lines = {("x" if b.vertical else "y", line) for b in boundaries(layout, 300, 500) for line in b.lines}
        assert steps and steps <= lines


def test_the_blend_decides_what_is_left():
    image = picture(seed=3)
    scores = {method: check_seams(drifted(image, LAYOUT, 1, 3, method), LAYOUT).score for method in ("none", "average", "hann")}
    print(scores)
    assert scores["none"] >= 1 and scores["average"] >= 1 and scores["hann"] == 0


def test_a_feathered_drift_needs_a_reference_or_the_tiles():
    layout = TileLayout.grid(640, 640, 256, 256, 64)
    image = picture(640, 640, seed=4)
    tiles = list(lighter(cut(image, layout), 4, 8))
    out = compose(tiles, layout, "hann")
    said = check_seams(out, layout, reference=image)
    assert {row.tiles for row in said.failing} == neighbours(layout, 4) and {row.test for row in said.failing} == {"tone drift"}
    assert said.compared == "reference"
    beside = check_seams(out, layout, tiles=tiles)
    assert {row.tiles for row in beside.rows if "tiles differ by" in row.note} == neighbours(layout, 4)
    assert beside.failing and {row.tiles for row in beside.failing} <= neighbours(layout, 4)


@pytest.mark.parametrize("size", [(192, 320), (384, 640), (768, 1280)])
def test_the_reference_may_have_another_size(size):
    image = picture(seed=5, levels=0.5)
    before = torch.nn.functional.interpolate(image.movedim(-1, 1), size=size, mode="bicubic", antialias=True).movedim(1, -1)
    assert check_seams(image, LAYOUT, before).passed
    assert not check_seams(drifted(image, LAYOUT, 1, 2), LAYOUT, before).passed
    with pytest.raises(ValueError, match="not one scale for both sides"):
        check_seams(image, LAYOUT, picture(300, 640))


def edge_on_a_boundary(seed=6):
    image = picture(seed=seed)
    line = next(b for b in boundaries(LAYOUT, 384, 640) if b.tiles == (0, 1)).lines[0]
    image[:, :, line:] += 0.2
    return image


def test_an_edge_on_a_boundary_fails_unless_reference_or_tiles_have_it_too():
    image = edge_on_a_boundary()
    alone = check_seams(image, LAYOUT)
    assert {row.verdict for row in alone.failing} == {EITHER} and not alone.passed
    assert check_seams(image, LAYOUT, reference=image + 0.01).passed
    tiles = list(cut(image, LAYOUT))
    beside = check_seams(image, LAYOUT, tiles=tiles)
    assert beside.passed and any("the tiles themselves have this edge" in row.note for row in beside.rows)
    seamed = check_seams(drifted(image, LAYOUT, 0, 60), LAYOUT, tiles=lighter(tiles, 0, 60))
    assert {row.tiles for row in seamed.failing} >= neighbours(LAYOUT, 0), "a seam of the same size is one with the tiles connected"


@pytest.mark.parametrize("curve", [lambda x: x, lambda x: 0.8 * x + 0.1, lambda x: x.clamp_min(0) ** 1.06])
def test_a_process_that_changes_the_contrast_makes_no_seam_of_an_edge(curve):
    image = edge_on_a_boundary(seed=16)
    changed = curve(image) + torch.randn(image.shape, generator=generator(17)) / 255
    assert check_seams(changed, LAYOUT, reference=image).passed
    found = check_seams(drifted(changed, LAYOUT, 0, 12), LAYOUT, reference=image)
    assert {row.tiles for row in found.failing} == neighbours(LAYOUT, 0)


def test_tiles_may_have_come_back_larger():
    image = picture(seed=8)
    tiles = [t.repeat_interleave(2, 1).repeat_interleave(2, 2) for t in cut(image, LAYOUT)]
    out = compose(lighter(tiles, 2, 6), LAYOUT, "none")
    report = check_seams(out, LAYOUT, tiles=lighter(tiles, 2, 6))
    assert {row.tiles for row in report.failing} == neighbours(LAYOUT, 2)
    with pytest.raises(ValueError, match="connect the tiles that were blended into this picture"):
        check_seams(image, LAYOUT, tiles=tiles)
    with pytest.raises(ValueError, match="5 tiles came and the layout has 6"):
        check_seams(out, LAYOUT, tiles=tiles[:5])


def test_a_batch_is_judged_picture_by_picture():
    clean, bad = picture(seed=9), drifted(picture(seed=10), LAYOUT, 4)
    report = check_seams(torch.cat((clean, bad, clean)), LAYOUT)
    assert {row.picture for row in report.failing} == {1} and report.pictures == 3
    alone = check_seams(bad, LAYOUT)
    assert [(r.tiles, r.z) for r in alone.failing] == [(r.tiles, r.z) for r in report.failing]
    assert "picture" in report.text().splitlines()[2]


def test_values_outside_the_range_are_looked_at_and_hidden_colour_is_not():
    image = picture(seed=11) + 0.8
    assert check_seams(image, LAYOUT).passed
    assert not check_seams(drifted(image, LAYOUT, 1), LAYOUT).passed
    assert not check_seams(drifted(image - 2, LAYOUT, 1), LAYOUT).passed
    hidden = torch.cat((drifted(picture(seed=11), LAYOUT, 1, 60), torch.zeros(1, 384, 640, 1)), -1)
    assert check_seams(hidden, LAYOUT).passed


def test_one_tile_and_tiny_tiles_say_what_they_are():
    one = check_seams(picture(64, 64), TileLayout.grid(64, 64, 128, 128, 16))
    assert one.passed and one.score == 0 and one.rows == () and one.worst is None and "single tile" in one.text()
    assert worst_strips(picture(64, 64), one).shape == (1, 512, 512, 3) and heat_map(picture(64, 64), one).shape == (1, 64, 64, 3)
    tiny = check_seams(picture(64, 64), TileLayout.grid(64, 64, 16, 16, 4))
    assert {row.verdict for row in tiny.rows} == {UNJUDGED} and tiny.judged == 0
    assert not tiny.passed and tiny.score == 0 and tiny.summary().startswith("not judged: all "), "what was not looked at did not pass"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x[:, :300], "the picture is 640 x 300 and the layout was planned for 640 x 384"),
        (lambda x: x.index_fill(1, torch.tensor([7]), float("nan")), "picture 0 of image has NaN"),
        (lambda x: x.index_fill(1, torch.tensor([7]), float("inf")), "picture 0 of image has Inf"),
        (lambda x: x[0], "expected floating point"),
        (lambda x: x[..., :2], "expected floating point"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(change, words):
    with pytest.raises(ValueError, match=words):
        check_seams(change(picture()), LAYOUT)


@pytest.mark.parametrize("threshold", [0, -1, float("nan")])
def test_a_threshold_that_is_none(threshold):
    with pytest.raises(ValueError, match="is not a z value"):
        check_seams(picture(), LAYOUT, threshold=threshold)


def test_the_threshold_is_the_threshold():
    out = drifted(picture(seed=12), LAYOUT, 1, 3)
    row = check_seams(out, LAYOUT).failing[0]
    assert check_seams(out, LAYOUT, threshold=row.z - 0.1).score > 1
    assert check_seams(out, LAYOUT, threshold=row.z + 0.1).passed


def test_the_table_is_aligned_short_and_worst_first_and_json_is_whole():
    layout = TileLayout.grid(384, 640, 96, 96, 0)
    image = picture(seed=13)
    image[:, :96, :96] += 8 / 255
    report = check_seams(image, layout)
    lines = report.text().splitlines()
    assert lines[0].startswith("Seam Check: failed: 2 x seam at") and "tiles 0|1" in lines[0] + lines[4]
    assert f"... and {len(report.rows) - 40} more, 0 of them failing" in lines
    head = lines[2]
    assert all(line[head.index("boundary") :].startswith("tiles ") for line in lines[4:44])
    assert [row.fails for row in report.rows] == sorted((row.fails for row in report.rows), reverse=True)
    record = json.loads(report.to_json())
    assert record["passed"] is False and len(record["boundaries"]) == len(report.rows)
    assert record["boundaries"][0]["boundary"] in ("tiles 0|1", "tiles 0|7")


def test_the_heat_map_shows_the_seam_in_its_colour_and_what_is_clean_in_its_own():
    out = drifted(picture(seed=14), LAYOUT, 0)
    report = check_seams(out, LAYOUT)
    shown = heat_map(out, report)
    assert shown.shape == (1, 384, 640, 3) and float(shown.min()) >= 0 and float(shown.max()) <= 1
    for row in report.rows:
        across = shown[0] if row.vertical else shown[0].transpose(0, 1)
        pixel = across[sum(row.along) // 2, row.line if row.fails else row.middle]
        red, green, _ = COLOURS[SEAM if row.fails else CLEAN]
        assert (pixel[0] > pixel[1]) == (red > green)


def test_the_worst_places_are_four_enlargements():
    out = drifted(picture(seed=15), LAYOUT, 0)
    report = check_seams(out, LAYOUT)
    strips = worst_strips(out, report)
    assert strips.shape == (4, 512, 512, 3)
    row = report.rows[0]
    middle = sum(row.worst) // 2
    y, x = (middle, row.line) if row.vertical else (row.line, middle)
    top, left = min(max(y - 64, 0), 384 - 128), min(max(x - 64, 0), 640 - 128)
    cut_out = out[0, top : top + 128, left : left + 128].clamp(0, 1)
    inner = strips[0, 40:-40:4, 40:-40:4]
    assert torch.allclose(inner, cut_out[10:-10, 10:-10], atol=1e-5)
    assert worst_strips(picture(), check_seams(picture(), LAYOUT)).shape == (4, 512, 512, 3)


def test_watching_is_told_of_every_boundary_and_may_stop():
    seen = []
    check_seams(picture(), LAYOUT, watch=lambda done, total: seen.append((done, total)))
    assert seen == [(i + 1, 7) for i in range(7)]

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_seams(picture(), LAYOUT, watch=stop)


GRID = TileLayout.grid(704, 704, 256, 256, 32)


def plain(size=704, seed=30):
    return 0.5 + torch.randn(1, size, size, 1, generator=generator(seed)) * (2 / 255)


@pytest.mark.parametrize("levels", [6, 20, 60, -60])
def test_a_feathered_drift_fails_the_more_the_larger_it_is(levels):
    out = drifted(plain(), GRID, 4, levels, "hann")
    report = check_seams(out, GRID)
    assert {row.tiles for row in report.failing} == neighbours(GRID, 4) and {row.verdict for row in report.failing} == {EITHER}
    if abs(levels) > 12:
        assert all("the drift ends where the tile ends" in row.note for row in report.failing)


def test_a_soft_edge_that_runs_on_along_the_line_or_ends_elsewhere_is_the_scenes():
    line = next(b for b in boundaries(GRID, 704, 704) if b.tiles == (3, 4)).lines[0]
    ramp = ((torch.arange(704) + 0.5 - line) / 32 + 0.5).clamp(0, 1)
    ramp = torch.sin(ramp * torch.pi / 2).square()[None, None, :, None] * (40 / 255)
    assert check_seams(plain() + ramp, GRID).passed
    rows = ((torch.arange(704) > 150) & (torch.arange(704) < 600))[None, :, None, None]
    assert check_seams(plain() + ramp * rows, GRID, threshold=5).passed


def test_a_report_that_passes_says_what_it_cannot_see():
    image = plain()
    remark = "a drift that the blend spread over the overlaps is only judged with a reference"
    assert remark in check_seams(image, GRID).summary() and "reference" not in check_seams(image, GRID, image).summary()
    assert "of less than 2 levels" in check_seams(image, GRID, tiles=list(cut(image, GRID))).summary()
    assert remark not in check_seams(image, TileLayout.grid(704, 704, 352, 352, 0)).summary()
    wide = TileLayout.grid(384, 640, 256, 256, 128)
    report = check_seams(picture(), wide)
    blind = sum("drift not judged" in row.note for row in report.rows)
    assert blind and f"(drift not judged at {blind})" in report.summary()


def test_tiles_that_differ_and_a_picture_that_shows_it_are_a_seam_and_one_that_hides_it_is_not():
    image = picture(704, 704, seed=31)
    tiles = [tile + torch.tensor([17.4, 16.5, -16.5]) / 255 * (i == 4) for i, tile in enumerate(cut(image, GRID))]
    report = check_seams(compose(tiles, GRID, "hann"), GRID, tiles=tiles)
    assert {row.tiles for row in report.failing} == neighbours(GRID, 4) and {row.verdict for row in report.failing} == {SEAM}
    hidden = check_seams(image, GRID, tiles=tiles)
    assert hidden.passed
    notes = [row.note for row in hidden.rows if row.tiles in neighbours(GRID, 4)]
    assert all("tiles differ by" in note and "levels, and the blend hides it" in note for note in notes)


@pytest.mark.parametrize("with_tiles", [False, True])
def test_the_z_of_a_picture_does_not_follow_the_threshold(with_tiles):
    image = picture(seed=32)
    tiles = list(lighter(cut(image, LAYOUT), 1, 1))
    out = compose(tiles, LAYOUT, "none")
    tiles = tiles if with_tiles else None
    found = [{row.tiles: row.z for row in check_seams(out, LAYOUT, tiles=tiles, threshold=t).rows} for t in (0.5, 2.0, 3.0, 4.0, 5.0, 50.0)]
    assert all(one == found[0] for one in found)


def test_what_is_above_the_threshold_and_passes_says_why():
    image = torch.full((1, 384, 640, 1), 0.5)
    for threshold in (0.1, 0.3, 0.6):
        report = check_seams(drifted(image, LAYOUT, 1, 0.4), LAYOUT, threshold=threshold)
        top = max(row.z for row in report.rows)
        assert report.passed and top > threshold
        assert f"threshold {threshold:g}, tiles" in report.summary() and "above the threshold, but too faint to be seen" in report.summary()


def test_z_is_never_rounded_up_to_the_threshold():
    row = check_seams(picture(), LAYOUT).rows[0]
    report = SeamReport((replace(row, z=4.99),), 5.0, (384, 640), 1)
    assert "highest z 4.9, threshold 5" in report.summary()


def test_tiles_blended_at_a_scale_that_was_typed_are_taken():
    layout = TileLayout.grid(500, 500, 200, 200, 50)
    tiles = [torch.rand(1, 247, 247, 1, generator=generator(33))] * len(layout)
    for scale in (1.2345, 1.237, 1.233):
        out = compose(tiles, layout, scale=scale)
        assert check_seams(out, layout, tiles=tiles).compared == "tiles"


def test_a_reference_without_alpha_is_seen_through_the_pictures():
    layout = TileLayout.grid(768, 768, 256, 256, 32)
    y, x = torch.meshgrid(torch.linspace(0, 1, 768), torch.linspace(0, 1, 768), indexing="ij")
    alpha = ((0.5 - ((x - 0.5) ** 2 + (y - 0.5) ** 2).sqrt()) / 0.2 + 0.5).clamp(0, 1)
    rgb = torch.stack((x, y, (x + y) / 2), -1)[None]
    image = torch.cat((rgb + torch.randn(rgb.shape, generator=generator(34)) * (0.2 / 255), alpha[None, ..., None]), -1)
    assert check_seams(image, layout, rgb).passed
    drift = lighter(cut(image, layout), 4, torch.tensor([6.0, 6.0, 6.0, 0.0]))
    assert not check_seams(compose(drift, layout, "none"), layout, rgb).passed
    opaque = image.clone()
    opaque[..., 3] = 0.8
    drift = lighter(cut(opaque, layout), 4, torch.tensor([0.0, 0.0, 0.0, -20.0]))
    report = check_seams(compose(drift, layout, "none"), layout, rgb)
    assert {row.tiles for row in report.failing} == neighbours(layout, 4)
    assert all("in the alpha" in row.note for row in report.failing)
