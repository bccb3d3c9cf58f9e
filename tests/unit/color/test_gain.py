"""Gain compensation: joint, robust, without drift and without collapse."""

import numpy as np
import pytest
import torch
from tilework.blending import TileLayout, compose, cut
from tilework.blending.color import tone_solve
from tilework.blending.color.gain import compensate
from tilework.blending.color.tone_solve import REFERENCE, solve_tones
from tilework.blending.layout.reference import resized


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def scene(seed, height=520, width=520, channels=3, noise=0.02):
    """Smooth colours and fine noise in 0.1..0.9."""
    generator = seeded(seed)
    coarse = torch.rand(1, channels, height // 40, width // 40, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").movedim(1, -1)
    return (0.2 + 0.6 * smooth + noise * torch.randn(smooth.shape, generator=generator)).contiguous()


def toned(tiles, seed, gain=0.05, offset=0.02):
    """Each tile with a gain and an offset of its own per channel."""
    generator = seeded(seed)
    return [t * (1 + gain * torch.randn(3, generator=generator)) + offset * torch.randn(3, generator=generator) for t in tiles]


def mismatch(tiles, layout):
    """Largest difference of two tiles at one place."""
    worst = 0.0
    for i, a in enumerate(layout.tiles):
        for j, b in enumerate(layout.tiles[:i]):
            top, left = max(a.y, b.y), max(a.x, b.x)
            bottom, right = min(a.y + a.height, b.y + b.height), min(a.x + a.width, b.x + b.width)
            if top < bottom and left < right:
                parts = [t[:, top - r.y : bottom - r.y, left - r.x : right - r.x] for t, r in ((tiles[i], a), (tiles[j], b))]
                worst = max(worst, float((parts[0] - parts[1]).abs().max()))
    return worst


def corrected(tiles, layout, *args, **more):
    gains = compensate(tiles, layout, *args, **more)
    return [gains.apply(tile, i) for i, tile in enumerate(tiles)], gains


LAYOUT = TileLayout.grid(520, 520, 136, 136, 40, 8)


def test_25_tiles_agree_afterwards():
    tiles = toned(cut(scene(1), LAYOUT), 2)
    assert len(tiles) == 25
    done, gains = corrected(tiles, LAYOUT)
    print(f"mismatch {mismatch(tiles, LAYOUT):.4f} -> {mismatch(done, LAYOUT):.1e}; {gains.report()}")
    assert mismatch(done, LAYOUT) <= 1e-5 < 0.05 < mismatch(tiles, LAYOUT)
    assert torch.allclose(gains.gains.mean(0), torch.ones(3, dtype=torch.float64)), "the gauge"


def test_with_the_original_as_reference_it_comes_back():
    image = scene(1)
    tiles = toned(cut(image, LAYOUT), 2)
    done, _ = corrected(tiles, LAYOUT, image)
    error = float((compose(done, LAYOUT) - image).abs().max())
    print(f"{255 * error:.4f} of 255 from the original")
    assert error <= 0.1 / 255


@pytest.mark.parametrize("with_reference", [False, True])
def test_a_checkerboard_of_tones_on_flat_grey(with_reference):
    grey = torch.full((1, 512, 512, 3), 0.5)
    layout = TileLayout.grid(512, 512, 128, 128, 32, 1)
    columns = len(layout.axes[1].origins)
    tiles = [t + (0.03 if sum(divmod(i, columns)) % 2 else -0.03) for i, t in enumerate(cut(grey, layout))]
    done, gains = corrected(tiles, layout, grey if with_reference else None)
    out = compose(done, layout)
    before = compose(tiles, layout)
    print(f"spread {float(before.std()):.4f} -> {float(out.std()):.1e}, mean {float(out.mean()):.6f}")
    assert float(out.std()) <= 0.001 < 0.01 < float(before.std())
    assert float((gains.gains - 1).abs().max()) < 1e-3, "a flat overlap says nothing about gain"
    if with_reference:
        assert abs(float(out.mean()) - 0.5) <= 0.002


def test_the_order_of_tiles_does_not_matter():
    image, picture = scene(1), seeded(3)
    tiles = toned(cut(image, LAYOUT), 2)
    tiles = [t + 0.01 * torch.randn(t.shape, generator=picture) for t in tiles]
    ours = compensate(tiles, LAYOUT)
    turned = compensate([t.flip(1, 2) for t in reversed(tiles)], LAYOUT)
    error = float((ours.gains - turned.gains.flip(0)).abs().max()), float((ours.offsets - turned.offsets.flip(0)).abs().max())
    print(f"turned by 180 degrees: gains within {error[0]:.1e}, offsets {error[1]:.1e}")
    assert max(error) <= 1e-6


def grid_pairs(rows, columns):
    """Neighbours to the right and below."""
    at = np.arange(rows * columns).reshape(rows, columns)
    return [*zip(at[:, :-1].ravel(), at[:, 1:].ravel(), strict=True), *zip(at[:-1].ravel(), at[1:].ravel(), strict=True)]


def noisy_pairs(seed, rows, columns, noise, samples=24):
    """The same texture on both sides, and an offset of normal noise per pair, times `noise`."""
    generator = np.random.default_rng(seed)
    pairs = grid_pairs(rows, columns)
    errors = generator.standard_normal((len(pairs), 3))
    textures = 0.5 + 0.1 * generator.standard_normal((len(pairs), samples, 3))
    return pairs, [(t, t + noise * e) for t, e in zip(textures, errors, strict=True)], errors


def test_reversing_pairs_and_indices_changes_nothing():
    pairs, samples, _ = noisy_pairs(4, 6, 7, 0.01)
    ours = solve_tones(pairs, samples, 42)
    turned = solve_tones([(41 - j, 41 - i) for i, j in reversed(pairs)], [(b, a) for a, b in reversed(samples)], 42)
    assert np.abs(ours.gains - turned.gains[::-1]).max() <= 1e-6
    assert np.abs(ours.offsets - turned.offsets[::-1]).max() <= 1e-6


def test_drift_over_400_tiles_is_at_most_half_of_chaining():
    noise = 0.01
    pairs, samples, errors = noisy_pairs(5, 20, 20, noise)
    tones = solve_tones(pairs, samples, 400)
    ours = ((tones.gains - 1) * tones.levels + tones.offsets) / noise
    chained = np.zeros((400, 3))
    known = dict(zip(pairs, errors, strict=True))
    for tile in range(1, 400):
        # Each tile is fitted to the one before it, the first of a row to the one above: b = a + error, so b takes error off.
        before = tile - 1 if tile % 20 else tile - 20
        chained[tile] = chained[before] - known[before, tile]
    drift, theirs = ours.std(), (chained - chained.mean(0)).std(0).mean()
    print(f"drift (sd, in units of a pair's noise): joint {drift:.2f}, chained {theirs:.2f}")
    assert drift <= theirs / 2
    assert drift > 0.3, "and not because nothing was corrected"


def test_one_dark_tile_is_brought_to_the_reference():
    image = scene(1)
    tiles = list(cut(image, LAYOUT))
    tiles[7] = tiles[7] * 0.9
    done, _ = corrected(tiles, LAYOUT, image)
    errors = [float((d - t).abs().max()) * 255 for d, t in zip(done, cut(image, LAYOUT), strict=True)]
    others = max(e for i, e in enumerate(errors) if i != 7)
    print(f"the dark tile within {errors[7]:.4f} of 255, the others within {others:.4f}")
    assert errors[7] <= 2 and others <= 1


@pytest.mark.parametrize("with_reference", [False, True])
def test_other_content_in_a_tenth_of_every_overlap_changes_little(with_reference):
    image = scene(1)
    tiles = toned(cut(image, LAYOUT), 2)
    clean = compensate(tiles, LAYOUT, image if with_reference else None)
    changed = [tile.clone() for tile in tiles]
    for i, a in enumerate(LAYOUT.tiles):
        for b in LAYOUT.tiles[i + 1 :]:
            top, left = max(a.y, b.y), max(a.x, b.x)
            height, width = min(a.y + a.height, b.y + b.height) - top, min(a.x + a.width, b.x + b.width) - left
            if height > 0 and width > 0 and max(height, width) == 136:  # neighbours with a side in common
                share = max(height, width) // 10
                where = (slice(top - a.y, top - a.y + (share if height > width else height)),)
                where += (slice(left - a.x, left - a.x + (width if height > width else share)),)
                block = changed[i][0][where]
                block.copy_(torch.tensor([0.9, 0.1, 0.15]) + 0.05 * torch.randn(block.shape, generator=seeded(i)))
    dirty = compensate(changed, LAYOUT, image if with_reference else None)
    assert any(not torch.equal(a, b) for a, b in zip(tiles, changed, strict=True))
    moved = max(float((dirty.apply(tile, i) - clean.apply(tile, i)).abs().max()) for i, tile in enumerate(tiles))
    print(f"moved by {255 * moved:.4f} of 255")
    assert moved < 0.5 / 255


@pytest.mark.parametrize("with_reference", [False, True])
def test_noise_does_not_fade_the_tiles(with_reference):
    """Each tile has noise of its own, as from a sampler; plain least squares answers with a gain far below one."""
    image = scene(1, noise=0.0)
    generator = seeded(6)
    tiles = [
        t + torch.nn.functional.interpolate(0.03 * torch.randn(1, 3, 17, 17, generator=generator), size=(136, 136)).movedim(1, -1)
        for t in cut(image, LAYOUT)
    ]
    gains = compensate(tiles, LAYOUT, image if with_reference else None).gains
    print(f"gains {float(gains.min()):.3f} .. {float(gains.max()):.3f}, mean {float(gains.mean()):.4f}")
    # With a reference the tiles' contrast is the reference's, and theirs includes the noise.
    assert abs(float(gains.mean()) - 1) < (0.04 if with_reference else 1e-6)
    assert float(gains.min()) > 0.85 and float(gains.max()) < 1.15


@pytest.mark.parametrize("with_reference", [False, True])
def test_grain_on_a_flat_sky_keeps_its_gain(with_reference):
    sky = torch.full((1, 520, 520, 3), 0.6)
    generator = seeded(7)
    tiles = [
        t + torch.nn.functional.interpolate(0.01 * torch.randn(1, 3, 34, 34, generator=generator), size=(136, 136)).movedim(1, -1)
        for t in cut(sky, LAYOUT)
    ]
    gains = compensate(tiles, LAYOUT, sky if with_reference else None).gains
    print(f"gains {float(gains.min()):.3f} .. {float(gains.max()):.3f}")
    assert float(gains.min()) > 0.9 and float(gains.max()) < 1.1


@pytest.mark.parametrize("scale", [0.5, 2, 1.5, 1.37])
def test_tiles_that_came_back_at_another_scale(scale):
    image = scene(1, noise=0.0)
    size = (round(136 * scale),) * 2
    tiles = toned([resized(t, size) for t in cut(image, LAYOUT)], 2)
    clean = [resized(t, size) for t in cut(image, LAYOUT)]
    done, gains = corrected(tiles, LAYOUT, image)
    error = max(float((d - c).abs().mean()) for d, c in zip(done, clean, strict=True))
    print(f"x{scale}: {255 * error:.3f} of 255; {gains.report()}")
    assert error <= 0.7 / 255


@pytest.mark.parametrize("overlap", [1, 5, 20])
def test_narrow_overlaps_are_enough(overlap):
    layout = TileLayout.grid(400, 400, 110, 110, overlap, 1)
    tiles = toned(cut(scene(3, 400, 400), layout), 2)
    done, _ = corrected(tiles, layout)
    assert mismatch(done, layout) <= 1e-4


def test_three_tiles_on_an_axis_and_a_batch():
    layout = TileLayout.grid(512, 1000, 512, 512, 64, 8, batch=2)
    assert [t.x for t in layout.tiles] == [0, 240, 488]
    image = torch.cat((scene(1, 512, 1000), scene(2, 512, 1000)))
    tiles = [t * (1 + 0.02 * i) + 0.01 * i for i, t in enumerate(cut(image, layout))]
    tiles = [torch.cat((t[:1], t[1:] * 0.97)) if i == 1 else t for i, t in enumerate(tiles)]
    done, gains = corrected(tiles, layout)
    assert gains.gains.shape == (3, 2, 3)
    assert mismatch(done, layout) <= 1e-5
    assert not torch.allclose(gains.gains[:, 0], gains.gains[:, 1]), "each picture of the batch by itself"


def test_tiles_that_agree_are_handed_on_themselves():
    tiles = list(cut(scene(1), LAYOUT))
    done, _ = corrected(tiles, LAYOUT)
    assert all(d is t for d, t in zip(done, tiles, strict=True))
    one = TileLayout.grid(64, 64, 64, 64, 0)
    done, gains = corrected([tiles[0][:, :64, :64]], one)
    assert done[0].shape == (1, 64, 64, 3) and torch.equal(gains.gains, torch.ones(1, 1, 3, dtype=torch.float64))


def test_strength_and_the_range_beyond():
    tiles = [t * 1.6 - 0.3 for t in toned(cut(scene(1), LAYOUT), 2)]
    gains = compensate(tiles, LAYOUT)
    full, half = gains.apply(tiles[3], 3), gains.apply(tiles[3], 3, 0.5)
    assert gains.apply(tiles[3], 3, 0) is tiles[3]
    assert float(full.min()) < 0 and float(full.max()) > 1
    assert torch.allclose(half, (full + tiles[3]) / 2, atol=1e-6)


def test_refusals():
    tiles = toned(cut(scene(1), LAYOUT), 2)
    broken = [t.clone() for t in tiles]
    broken[7][0, 3, 4, 1] = float("nan")
    with pytest.raises(ValueError, match=r"tile 7 has NaN in it \(1 value\)"):
        compensate(broken, LAYOUT)
    with pytest.raises(ValueError, match="24 tiles came and the layout has 25: tile 24 is missing"):
        compensate(tiles[:-1], LAYOUT)
    apart = TileLayout.grid(100, 100, 50, 50, 0)
    with pytest.raises(ValueError, match="no two tiles share a place to compare: split with an overlap"):
        compensate(list(cut(scene(1, 100, 100), apart)), apart)
    with pytest.raises(ValueError, match="reference is 520 x 260 and the layout was planned for 520 x 520"):
        compensate(tiles, LAYOUT, scene(1, 260, 520))


def test_the_sparse_solution_is_the_dense_one(monkeypatch):
    pairs, samples, _ = noisy_pairs(8, 10, 12, 0.003, samples=6)
    dense = solve_tones(pairs, samples, 120)
    monkeypatch.setattr(tone_solve, "_DENSE_BELOW", 0)
    sparse = solve_tones(pairs, samples, 120)
    assert np.abs(dense.gains - sparse.gains).max() < 1e-8 and np.abs(dense.offsets - sparse.offsets).max() < 1e-8


def test_over_a_thousand_tiles_hold_the_gauge():
    pairs, samples, _ = noisy_pairs(8, 30, 40, 0.003, samples=6)
    tones = solve_tones(pairs, samples, 1200)
    level = (tones.gains - 1) * tones.levels + tones.offsets
    assert np.abs(tones.gains.mean(0) - 1).max() < 1e-9 and np.abs(level.mean(0)).max() < 1e-9
    assert tones.after < tones.before


def test_a_reference_is_a_tile_that_does_not_move():
    generator = np.random.default_rng(1)
    seen = generator.random((50, 3))
    tones = solve_tones([(0, REFERENCE)], [((seen - 0.05) / 1.2, seen)], 1)
    assert np.abs(tones.gains - 1.2).max() < 1e-4 and np.abs(tones.offsets - 0.05).max() < 1e-4
