"""Seam Check on a picture that is joined to itself: the joint is a boundary like any other."""

import pytest
import torch
from tilework.blending.composition.compose import compose
from tilework.blending.layout.cutting import cut
from tilework.blending.layout.tile_layout import TileLayout
from tilework.blending.seam_check.boundaries import boundaries
from tilework.blending.seam_check.check import check_seams
from tilework.blending.seam_check.heat_map import heat_map, worst_strips
from tilework.tests.unit.composition.test_wrap import scene

LAYOUT = TileLayout.grid(384, 576, 256, 256, 64, 8, wrap=(True, True))


def test_the_joint_is_among_the_boundaries_and_tiles_over_the_border_have_two_parts():
    found = boundaries(LAYOUT, 384, 576)
    across = [b for b in found if b.vertical and b.tiles == (2, 0)]
    assert len(across) == 1 and 0 in across[0].lines and across[0].band == (0, 64)
    assert sorted(b.along for b in found if b.vertical and b.tiles == (5, 3)) == [(0, 32), (224, 384)]
    plain = boundaries(TileLayout.grid(384, 576, 256, 256, 64, 8), 384, 576)
    assert {b.tiles for b in found} >= {b.tiles for b in plain}


@pytest.mark.parametrize("dim", [1, 2])
def test_a_step_at_the_joint_is_found_and_nothing_else(dim):
    picture = scene(384, 576)
    assert check_seams(picture, LAYOUT).passed
    shape = [1, 1, 1, 1]
    shape[dim] = -1
    stepped = picture + torch.linspace(0.02, -0.02, picture.shape[dim]).view(shape)
    for reference in (None, picture):
        report = check_seams(stepped, LAYOUT, reference)
        assert report.failing and all(row.line == 0 and row.vertical == (dim == 2) for row in report.failing)
        assert all(0 <= row.along[0] < row.along[1] <= picture.shape[1 if row.vertical else 2] for row in report.rows)
    assert heat_map(stepped, report).shape == (1, 384, 576, 3) and worst_strips(stepped, report).shape[0] == 4


def test_the_same_seams_are_found_wherever_the_picture_begins():
    """Rolled by one tile along x: the same boundaries fail, one tile further on."""
    picture = scene(384, 576)
    tiles = [tile + 0.025 * (index == 4) for index, tile in enumerate(cut(picture, LAYOUT))]
    whole = compose(tiles, LAYOUT, "none")
    report = check_seams(whole, LAYOUT, tiles=tiles)
    turned = [tiles[row * 3 + (column - 1) % 3] for row in range(2) for column in range(3)]
    again = check_seams(whole.roll(192, 2), LAYOUT, tiles=turned)
    on = {tile: tile // 3 * 3 + (tile + 1) % 3 for tile in range(6)}
    failing = {tuple(on[tile] for tile in row.tiles) for row in report.failing}
    assert failing == {row.tiles for row in again.failing} and {tile for pair in failing for tile in pair} >= {5}


def test_a_blend_over_the_joint_passes():
    picture = scene(384, 576)
    generator = torch.Generator().manual_seed(3)
    tiles = [tile + 0.02 * (torch.rand(1, generator=generator) - 0.5) for tile in cut(picture, LAYOUT)]
    assert check_seams(compose(tiles, LAYOUT, "hann"), LAYOUT).passed
