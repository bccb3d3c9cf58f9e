"""The figures of benchmarks/real_upscalers.py: each on tiles whose fault is known."""

import pytest
import torch
from tilework.benchmarks.real_tiles import DISTANCES, blended, by_distance, error, steps, whole_grid
from tilework.blending import compose, cut
from tilework.blending.layout.grid import Rect

LEVEL = 1 / 255
CANVAS, SCALE = (160, 224), 2


def picture(height, width):
    noise = torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(1))
    return 0.3 + 0.1 * noise


def mosaic(overlap, counts, fault=0.0):
    """(layout, untiled, tiles of which every other one is lighter by `fault` levels)."""
    layout, untiled = whole_grid(CANVAS, counts, overlap), picture(CANVAS[0] * SCALE, CANVAS[1] * SCALE)
    tiles = [tile.clone() for tile in cut(untiled, layout.scaled(SCALE))]
    columns = counts[1]
    return layout, untiled, [tile + (sum(divmod(i, columns)) % 2) * fault * LEVEL for i, tile in enumerate(tiles)]


def test_a_grid_overlaps_by_just_what_was_asked_and_ends_with_the_canvas():
    layout = whole_grid((320, 448), (2, 3), 64)
    assert layout.tile_size == (192, 192) and [axis.overlap for axis in layout.axes] == [64, 64]
    assert layout.tiles[-1] == Rect(128, 256, 192, 192)
    hard = whole_grid((320, 448), (2, 4), 0)
    assert hard.tile_size == (160, 112) and [axis.overlap for axis in hard.axes] == [0, 0]
    with pytest.raises(ValueError, match="3 tiles with overlap 32 do not cover 448 px"):
        whole_grid((320, 448), (2, 3), 32)


def test_error_by_distance_finds_how_far_borders_reach_and_leaves_the_pictures_own_sides_alone():
    layout, untiled, tiles = mosaic(32, (2, 2))
    spoilt = [tile.clone() for tile in tiles]
    # Three source pixels of each border that faces a neighbour.
    for tile, rect in zip(spoilt, layout.tiles, strict=True):
        reach = 3 * SCALE
        tile[:, slice(-reach, None) if rect.y == 0 else slice(reach)] += 2 * LEVEL
        tile[:, :, slice(-reach, None) if rect.x == 0 else slice(reach)] += 2 * LEVEL
    found = dict(zip(DISTANCES, by_distance(spoilt, untiled, layout, SCALE), strict=True))
    assert found[0].largest == pytest.approx(4, abs=1e-3)  # in the corner, from both sides
    assert found[0].mean == pytest.approx(2, abs=0.1)
    assert found[2].mean == pytest.approx(1, abs=0.1)  # of pixels 2 and 3 from the border the first alone
    assert all(found[distance].largest == 0 for distance in DISTANCES[3:])
    assert all(found == (0, 0) for found in by_distance(tiles, untiled, layout, SCALE))


def test_hard_tiles_of_another_tone_step_by_that_tone():
    layout, untiled, tiles = mosaic(0, (2, 2), fault=8)
    came = compose(tiles, layout, "none")
    found = steps(came, untiled, layout, SCALE)
    assert found.error_seam == pytest.approx(8, abs=1e-3) and found.error_beside == pytest.approx(0, abs=1e-3)
    assert found.seam > found.untiled and found.beside == pytest.approx(found.untiled, rel=0.1)
    assert error(came, untiled).largest == pytest.approx(8, abs=1e-3)
    assert error(came, untiled).mean == pytest.approx(4, abs=1e-3)


def test_average_steps_by_half_and_hann_by_a_slope():
    layout, untiled, tiles = mosaic(32, (2, 2), fault=8)
    average, hann = (steps(compose(tiles, layout, method), untiled, layout, SCALE) for method in ("average", "hann"))
    assert average.error_seam == pytest.approx(4, abs=1e-3)
    # The steepest line of a raised cosine is pi/2 times as steep as a straight ramp over 64 px of the result.
    assert hann.error_seam == pytest.approx(8 / 64 * 3.1416 / 2, rel=0.02)


def test_tiles_without_a_fault_leave_nothing():
    layout, untiled, tiles = mosaic(32, (2, 2))
    found = steps(compose(tiles, layout, "hann"), untiled, layout, SCALE)
    assert found.error_seam < 1e-3 and found.seam == pytest.approx(found.untiled, abs=1e-3)
    assert max(blended(compose(tiles, layout, "hann"), untiled, layout, SCALE)[1:]) < 1e-3


def test_what_lies_in_the_overlaps_is_told_from_the_rest():
    layout, untiled, _tiles = mosaic(32, (2, 2))
    came = untiled.clone()
    came[:, :, (224 // 2 - 16) * SCALE : (224 // 2 + 16) * SCALE] += 3 * LEVEL
    found = blended(came, untiled, layout, SCALE)
    assert found.error.mean < found.in_overlaps < 3
    came[:, (160 // 2 - 16) * SCALE : (160 // 2 + 16) * SCALE] = untiled[:, (160 // 2 - 16) * SCALE : (160 // 2 + 16) * SCALE] + 3 * LEVEL
    assert blended(came, untiled, layout, SCALE).in_overlaps == pytest.approx(3, abs=1e-3)
    assert blended(came, untiled, layout, SCALE).line == pytest.approx(3, abs=1e-3)
