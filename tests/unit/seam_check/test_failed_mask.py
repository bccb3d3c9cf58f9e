"""The mask of what failed: along the boundaries that the report names, and nowhere else."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending import TileLayout, compose, cut
from tilework.blending.seam_check.boundaries import boundaries
from tilework.blending.seam_check.check import check_seams
from tilework.blending.seam_check.failed_mask import LEAST_STRIP, failed_mask
from tilework.blending.seam_check.report import CLEAN, EITHER, SEAM, UNJUDGED, SeamReport
from tilework.tests.unit.seam_check.seam_scenes import generator

LAYOUT = TileLayout.grid(384, 640, 256, 256, 64)
VERDICTS = (SEAM, EITHER, CLEAN, UNJUDGED)


def scene(batch=1, levels=2.0):
    y, x = torch.linspace(0, 3, 384)[:, None], torch.linspace(0, 4, 640)
    base = 0.5 + 0.15 * torch.sin(x + 0.7 * y) + 0.05 * torch.cos(2 * y - x)
    return base[None, :, :, None] + torch.randn(batch, 384, 640, 3, generator=generator(1)) * (levels / 255)


def drifted(image, *tiles):
    """Some tiles 6 levels lighter, put together without a blend."""
    return compose([tile + 6 / 255 * (i in tiles) for i, tile in enumerate(cut(image, LAYOUT))], LAYOUT, "none")


def test_where_all_passes_it_is_empty():
    report = check_seams(scene(2), LAYOUT)
    mask = failed_mask(report, LAYOUT)
    assert report.passed and mask.shape == (2, 384, 640) and mask.dtype == torch.float32 and not mask.any()


def test_it_covers_the_overlaps_of_the_tile_that_drifts_and_each_picture_has_its_own():
    image = torch.cat((scene(), drifted(scene(), 0), drifted(scene(), 5)))
    report = check_seams(image, LAYOUT)
    mask = failed_mask(report, LAYOUT)
    assert mask.unique().tolist() == [0, 1] and not mask[0].any() and mask[1].any() and mask[2].any()
    wanted = torch.zeros_like(mask)
    for boundary in boundaries(LAYOUT, 384, 640):
        for picture, tile in ((1, 0), (2, 5)):
            if tile in boundary.tiles:
                a, b = (LAYOUT.tiles[index] for index in boundary.tiles)
                ends = [min(a[n] + a[n + 2], b[n] + b[n + 2]) for n in (0, 1)]
                wanted[picture, max(a.y, b.y) : ends[0], max(a.x, b.x) : ends[1]] = 1
    assert torch.equal(mask, wanted)
    assert all(boundary.band[1] - boundary.band[0] >= LEAST_STRIP for boundary in boundaries(LAYOUT, 384, 640))


def test_all_of_the_change_of_tone_lies_in_it():
    """Whatever the blend, corners included: so what mends the mask mends the seam."""
    layout = TileLayout.grid(640, 640, 256, 256, 64)
    image = torch.nn.functional.interpolate(scene().movedim(-1, 1), size=(640, 640), mode="bilinear").movedim(1, -1)
    tiles = [tile + 8 / 255 * (i == 4) for i, tile in enumerate(cut(image, layout))]
    for method in ("none", "hann", "average"):
        out = compose(tiles, layout, method)
        mask = failed_mask(check_seams(out, layout, reference=image), layout)[0] > 0
        tone = (out - image)[0].mean(-1)
        slope = torch.zeros_like(mask)
        slope[:, 1:] |= tone.diff(dim=1).abs() > 1e-5
        slope[1:] |= tone.diff(dim=0).abs() > 1e-5
        assert slope.any() and not (slope & ~mask).any(), method


@pytest.mark.parametrize("overlap", [0, 8])
def test_a_narrow_overlap_still_leaves_a_repair_room(overlap):
    layout = TileLayout.grid(384, 640, 192, 192, overlap)
    image = scene()
    tiles = [tile + 8 / 255 * (i == 5) for i, tile in enumerate(cut(image, layout))]
    report = check_seams(compose(tiles, layout, "none"), layout)
    mask = failed_mask(report, layout)[0]
    assert report.failing
    for row in report.failing:
        across = mask[sum(row.along) // 2] if row.vertical else mask[:, sum(row.along) // 2]
        assert across[row.line - LEAST_STRIP // 2 : row.line + LEAST_STRIP // 2].all()


@pytest.mark.parametrize("scale", [0.5, 2])
def test_it_has_the_size_of_the_picture_that_was_checked(scale):
    size = [round(side * scale) for side in (384, 640)]
    tiles = [
        torch.nn.functional.interpolate(tile.movedim(-1, 1), scale_factor=scale, mode="area").movedim(1, -1)
        for tile in cut(scene(), LAYOUT)
    ]
    report = check_seams(compose([tile + 6 / 255 * (i == 0) for i, tile in enumerate(tiles)], LAYOUT, "none"), LAYOUT)
    mask = failed_mask(report, LAYOUT)
    assert report.failing and mask.shape == (1, *size)
    assert {round(64 * scale)} <= {int(mask[0, row.along[0] + 1].sum()) for row in report.failing if row.vertical}


@given(
    sizes=st.tuples(st.integers(40, 400), st.integers(40, 400)),
    tile=st.integers(24, 200),
    overlap=st.integers(0, 20),
    verdicts=st.lists(st.sampled_from(VERDICTS), min_size=1, max_size=400),
)
@settings(max_examples=40, deadline=None)
def test_any_report(sizes, tile, overlap, verdicts):
    """1 along what fails, at most the strips of what fails; unjudged and clean boundaries are none of it."""
    from dataclasses import replace

    from tilework.blending.seam_check.judge import unjudged

    layout = TileLayout.grid(*sizes, tile, tile, overlap)
    found = boundaries(layout, *sizes)
    rows = tuple(replace(unjudged(one, 0), verdict=verdicts[i % len(verdicts)]) for i, one in enumerate(found))
    mask = failed_mask(SeamReport(rows, 5.0, sizes, 1), layout)
    allowed = torch.zeros_like(mask, dtype=torch.bool)
    for row, one in zip(rows, found, strict=True):
        if row.fails:
            plane, may = (p[0] if row.vertical else p[0].T for p in (mask, allowed))
            assert bool((plane[row.along[0] : row.along[1], row.line - 1 : row.line + 1] == 1).all())
            room = max(LEAST_STRIP, abs(one.band[1] - one.band[0])) // 2 + 1
            middle = sum(one.band) // 2
            # Along it no further than the tiles themselves reach.
            may[max(row.along[0] - tile, 0) : row.along[1] + tile, max(middle - room, 0) : middle + room] = True
    assert mask.shape == (1, *sizes) and not (mask.bool() & ~allowed).any()
    assert bool(mask.any()) == any(row.fails for row in rows)
