"""Tiles that were shifted come back to their places, jointly; those of which nothing is known stay as they are."""

import numpy as np
import pytest
import torch
from tilework.blending import TileLayout, compose, cut
from tilework.blending.registration.aligned_tiles import align_tiles
from tilework.blending.registration.joint_solve import REFERENCE_TILE, Measurement, solve_shifts
from tilework.blending.registration.shift import least_side
from tilework.tests.unit.registration.shifted_photographs import grainy, photograph, piece, tensor

LAYOUT = TileLayout.grid(196, 280, 92, 120, 40)  # 3 x 3


def shifted_tiles(layout, picture, most, levels=0, seed=0):
    """The tiles of a photograph, each shifted by up to `most` px along both axes, and by how much."""
    rng = np.random.default_rng(seed)
    shifts = rng.uniform(-most, most, (len(layout), 2))
    tiles = [tensor([grainy(piece(picture, *rect, shift=by), rng, levels)]) for rect, by in zip(layout.tiles, shifts, strict=True)]
    return tiles, shifts


def aligned(tiles, layout, *args, **more):
    found = align_tiles(tiles.__getitem__, layout, *args, **more)
    return [found.aligned(tiles.__getitem__, i) for i in range(len(tiles))], found


@pytest.mark.parametrize(("levels", "bound"), [(0, 0.1), (2, 0.3)])
@pytest.mark.parametrize("name", ["motorcycle_left.png", "chelsea.png", "ihc.png"])
def test_25_tiles_jointly_to_a_tenth_of_a_pixel(name, levels, bound):
    layout = TileLayout.grid(*(5 * side - 160 for side in LAYOUT.tile_size), *LAYOUT.tile_size, 40)
    assert len(layout) == 25
    tiles, shifts = shifted_tiles(layout, photograph(name), 3, levels)
    found = align_tiles(tiles.__getitem__, layout, 6.0)
    assert found.known.all()
    apart = found.shifts[:, 0] - shifts
    apart = np.linalg.norm(apart - np.median(apart, 0), axis=1)
    print(f"{name}, grain {levels}: mean {apart.mean():.4f}, worst {apart.max():.4f} px")
    assert apart.max() <= bound


def test_against_a_reference_the_place_is_known_and_not_only_the_difference():
    picture = photograph("motorcycle_left.png")[:196, :280]
    tiles, _ = shifted_tiles(LAYOUT, picture, 0)
    tiles = [tensor([piece(picture, *rect, shift=(1.5, -2.0))]) for rect in LAYOUT.tiles]  # all of them alike
    alone = align_tiles(tiles.__getitem__, LAYOUT, 4.0)
    assert np.abs(alone.shifts).max() == 0
    small = torch.nn.functional.interpolate(tensor([picture]).movedim(3, 1), scale_factor=0.5, mode="area").movedim(1, 3)
    for reference in (tensor([picture]), small):
        found = align_tiles(tiles.__getitem__, LAYOUT, 4.0, reference)
        error = np.abs(found.shifts[:, 0] - (1.5, -2.0)).max()
        print(f"reference {tuple(reference.shape[1:3])}: {error:.3f}")
        assert found.known.all() and error <= 0.1


@pytest.mark.parametrize("scale", [2.0, 1.37])
def test_tiles_that_came_back_at_another_scale(scale):
    picture = photograph("motorcycle_left.png")[:196, :280]
    size = tuple(round(side * scale) for side in LAYOUT.tile_size)
    tiles, shifts = shifted_tiles(LAYOUT, picture, 2, seed=1)
    tiles = [torch.nn.functional.interpolate(tile.movedim(3, 1), size, mode="bicubic").movedim(1, 3) for tile in tiles]
    found = align_tiles(tiles.__getitem__, LAYOUT, 4.0)
    apart = found.shifts[:, 0] - shifts * np.array(size) / LAYOUT.tile_size
    error = np.abs(apart - np.median(apart, 0)).max()
    print(f"scale {scale}: {error:.3f} px of the tiles")
    assert found.known.all() and error <= 0.1


def test_a_blend_has_its_texture_back_and_untouched_tiles_are_untouched():
    rng = np.random.default_rng(4)
    picture = photograph("gravel.png")[:196, :280]
    tiles, _ = shifted_tiles(LAYOUT, picture, 0)
    odd = {2: (2.0, -3.0), 5: (-1.25, 0.5)}
    for index, by in odd.items():
        tiles[index] = tensor([grainy(piece(picture, *LAYOUT.tiles[index], shift=by), rng, 0)])
    kept = [tile.clone() for tile in tiles]
    done, found = aligned(tiles, LAYOUT, 4.0)
    assert all(torch.equal(*pair) for pair in zip(tiles, kept, strict=True)), "the input is never changed"
    assert [i for i in range(len(tiles)) if found.moves(i)] == sorted(odd)
    assert all(done[i] is tiles[i] for i in range(len(tiles)) if i not in odd)
    truth = tensor([picture])
    before, after = (float((compose(each, LAYOUT) - truth).abs().mean()) * 255 for each in (kept, done))
    print(f"mean error {before:.2f} -> {after:.3f} levels")
    assert after <= 0.1 * before
    assert "tile 2: moved 3.00 px right, 2.00 px up" in found.report()


def test_what_a_shift_uncovers_comes_from_the_neighbours():
    """A tile with neighbours all around, shifted by whole pixels, is again what it was, corners too."""
    picture = photograph("gravel.png")[:196, :280]
    tiles = list(cut(tensor([picture]), LAYOUT))
    index = 4  # the middle one
    for by in ((3.0, 2.0), (-3.0, -2.0), (3.0, -2.0)):
        came = list(tiles)
        came[index] = tensor([piece(picture, *LAYOUT.tiles[index], shift=by)])
        done, _ = aligned(came, LAYOUT, 4.0)
        assert (done[index] - tiles[index]).abs().max() <= 1e-5, by


def test_grain_stripes_and_other_content_are_left_alone():
    rng = np.random.default_rng(6)
    height, width = LAYOUT.canvas
    y, x = np.mgrid[:height, :width]
    ramp = 0.4 + 0.2 / 255 * np.hypot(y - 100, x + 50)
    scenes = {
        "grain": [0.5 + rng.standard_normal((*LAYOUT.tile_size, 3)) * 3 / 255 for _ in LAYOUT.tiles],
        "stripes": [
            np.repeat((0.5 + 0.3 * np.sin((x + y) / 3))[..., None], 3, 2)[r.y :, r.x :][: r.height, : r.width] for r in LAYOUT.tiles
        ],
        "banded": [
            np.repeat((ramp + rng.uniform(-1, 1) / 255)[..., None], 3, 2)[r.y :, r.x :][: r.height, : r.width] for r in LAYOUT.tiles
        ],
        "other": [piece(photograph("gravel.png"), *rng.integers(0, 380, 2), *LAYOUT.tile_size) for _ in LAYOUT.tiles],
    }
    for name, made in scenes.items():
        tiles = [tensor([grainy(one, rng, 0)]) for one in made]
        done, found = aligned(tiles, LAYOUT, 4.0)
        print(name, found.report()[:2])
        assert not found.known.any() and all(a is b for a, b in zip(done, tiles, strict=True)), name
        assert f"{len(tiles)} left" in found.report()[0] and "left, " in found.report()[1]


def test_batches_and_alpha():
    picture = photograph("gravel.png")[:196, :280]
    rng = np.random.default_rng(2)
    shifts = rng.uniform(-1.5, 1.5, (len(LAYOUT), 2, 2))
    alpha = np.clip((120 - np.hypot(*(np.mgrid[:196, :280] - np.array([150, 220])[:, None, None]))) / 40 + 0.5, 0, 1)[..., None]
    scene = np.concatenate((picture, alpha), 2)
    tiles = [tensor([piece(scene, *rect, shift=by) for by in both]).clamp(0, 1) for rect, both in zip(LAYOUT.tiles, shifts, strict=True)]
    done, found = aligned(tiles, LAYOUT, 4.0)
    assert all(tile.shape == (2, *LAYOUT.tile_size, 4) and tile.min() >= 0 and tile.max() <= 1 for tile in done)
    apart = found.shifts - shifts
    apart = np.abs(apart - np.median(np.where(found.known[..., None], apart, np.nan)[found.known.all(1)], 0))[found.known]
    print(f"known {found.known.mean():.2f}, worst {apart.max():.3f}")
    assert found.known.mean() >= 0.5 and apart.max() <= 0.15
    assert "picture 1" in "\n".join(found.report())


def test_overlaps_without_room_are_refused_and_one_tile_is_not():
    thin = TileLayout.grid(100, 188, 100, 100, 12, 4)
    tiles = [torch.rand(1, 100, 100, 3) for _ in thin.tiles]
    with pytest.raises(ValueError, match=f"overlap of {least_side(4)} or more"):
        align_tiles(tiles.__getitem__, thin, 4.0)
    one = TileLayout.grid(64, 64, 64, 64, 16)
    found = align_tiles([torch.rand(1, 64, 64, 3)].__getitem__, one, 4.0)
    assert "nothing to compare" in found.report()[1]
    with pytest.raises(ValueError, match="max_shift"):
        align_tiles(tiles.__getitem__, thin, -1.0)
    with pytest.raises(ValueError, match="tile 1 has NaN"):
        align_tiles([tiles[0], tiles[1] * float("nan")].__getitem__, TileLayout.grid(100, 160, 100, 100, 40), 4.0)
    with pytest.raises(ValueError, match="the reference is"):
        align_tiles(tiles.__getitem__, thin, 4.0, torch.rand(1, 100, 100, 3))


def test_measurements_that_contradict_the_others_lose():
    truth = np.array([0.0, 0.5, -1.0, 2.0])
    pairs = [(0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (0, 3)]
    sure = [Measurement(i, j, truth[j] - truth[i], 0.0, 1.0) for i, j in pairs]
    wrong = sure[-1]._replace(dy=-3.0)
    shifts, known = solve_shifts(5, [*sure[:-1], wrong])
    assert known.tolist() == [True] * 4 + [False] and not shifts[4].any()
    assert np.abs(shifts[:4, 0] - (truth - np.median(truth))).max() <= 0.02
    held, _ = solve_shifts(4, [*sure, Measurement(REFERENCE_TILE, 0, 1.0, 0.25, 1.0)])
    assert np.abs(held - np.stack((truth + 1, np.full(4, 0.25)), 1)).max() <= 1e-3
