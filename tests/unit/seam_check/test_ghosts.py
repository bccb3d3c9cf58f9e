"""Detail that a picture shows twice, where its tiles are there to be asked."""

import pytest
import torch
from tilework.blending import TileLayout, compose, cut
from tilework.blending.seam_check.check import check_seams
from tilework.blending.seam_check.tiles_apart import _ghost
from tilework.tests.unit.seam_check.seam_scenes import generator

LAYOUT = TileLayout.grid(384, 640, 256, 256, 64)


def shifted_tile():
    """A texture, and its tiles, of which the second is shifted by 4 px."""
    texture = torch.nn.functional.avg_pool2d(torch.randn(1, 1, 400, 680, generator=generator(7)), 5, 1) * 0.3
    wide = (0.5 + texture).movedim(1, -1)
    image, moved = wide[:, :384, :640], wide[:, :384, 4:644]
    tiles = [b if i == 1 else a for i, (a, b) in enumerate(zip(cut(image, LAYOUT), cut(moved, LAYOUT), strict=True))]
    return image, tiles


def test_tiles_that_show_two_versions_leave_a_ghost():
    image, tiles = shifted_tile()
    report = check_seams(compose(tiles, LAYOUT, "hann"), LAYOUT, tiles=tiles)
    rows = {row.tiles: row for row in report.rows}
    assert rows[(0, 1)].fails and "ghost" in rows[(0, 1)].note and "shifted by -4 px across" in rows[(0, 1)].note
    assert not rows[(3, 4)].fails and rows[(3, 4)].note == ""
    assert check_seams(image, LAYOUT, tiles=list(cut(image, LAYOUT))).passed


def test_a_cut_that_wanders_is_no_ghost():
    _, tiles = shifted_tile()
    for method in ("optimal seam", "none"):
        report = check_seams(compose(tiles, LAYOUT, method), LAYOUT, tiles=tiles)
        assert not [row.boundary for row in report.failing if row.test == "ghost"], method


@pytest.mark.parametrize("grain", [0, 2, 3])
def test_grain_that_came_after_the_blend_hides_no_ghost(grain):
    one, two = (6 * torch.randn(1, 200, 48, generator=generator(seed)) for seed in (71, 72))
    ghosts = []
    for share in (torch.tensor(0.5), torch.linspace(1, 0, 48)):
        mixed = share * one + (1 - share) * two + grain * torch.randn(one.shape, generator=generator(73))
        ghost, seen = _ghost(one, two, mixed)
        assert bool(seen), (grain, float(ghost))
        ghosts.append(float(ghost))
    print(f"grain of {grain}: {ghosts[0]:.2f} half and half, {ghosts[1]:.2f} along a ramp")
    cut = torch.where(torch.rand(1, 200, 48, generator=generator(74)).cumsum(1) % 40 < 20, one, two)
    assert not bool(_ghost(one, two, cut + grain * torch.randn(one.shape, generator=generator(75)))[1])
