"""Means and deviations of tiles and of what is around them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tilework.blending.coherence.tile_moments import GAINS, TileMoments, moments_of, neighbours, pulled, running, scanned, surroundings
from tilework.blending.layout.grid import Rect

RECTS = [Rect(y, x, 16, 16) for y in (0, 12, 24) for x in (0, 10, 20, 30)]
CANVAS = torch.randn(2, 3, 40, 46, generator=torch.Generator().manual_seed(0))


def own():
    return moments_of([CANVAS[..., r.y : r.y + r.height, r.x : r.x + r.width] for r in RECTS])


def flipped(moments, dim):
    return TileMoments(*(part.unflatten(0, (3, 4)).flip(dim).flatten(0, 1) for part in moments))


@pytest.mark.parametrize("method", ["footprint", "running", "scan"])
def test_tiles_that_are_alike_have_neighbours_like_themselves(method):
    flat = torch.full((1, 2, 40, 46), 0.7)
    alike = moments_of([flat[..., :16, :16] for _ in RECTS])
    found = neighbours(method, flat, alike, RECTS)
    assert (found.mean - alike.mean).abs().max() < 1e-6 and found.deviation.abs().max() < 1e-3


def test_scans_of_a_mirrored_grid_are_mirrored():
    for wrap in ((False, False), (False, True), (True, True)):
        there = scanned(own(), RECTS, wrap)
        for dim in (0, 1):
            back = flipped(scanned(flipped(own(), dim), RECTS, wrap), dim)
            assert (there.mean - back.mean).abs().max() < 1e-6


def test_a_scan_that_goes_round_knows_no_beginning():
    turn = TileMoments(*(part.unflatten(0, (3, 4)).roll(1, 1).flatten(0, 1) for part in own()))
    there = scanned(own(), RECTS, (False, True)).mean.unflatten(0, (3, 4)).roll(1, 1).flatten(0, 1)
    assert (there - scanned(turn, RECTS, (False, True)).mean).abs().max() < 0.1 * own().mean.std()


def test_a_running_mean_goes_to_and_fro():
    found, mine = running(own(), RECTS).mean, own().mean
    assert torch.equal(found[0], mine[0])
    share = 1 - math.exp(-10 / 16)
    assert torch.allclose(found[1], mine[0].lerp(mine[1], share))
    # The second row comes back from the right: its last tile follows the first row's last one.
    assert torch.allclose(found[7], found[3].lerp(mine[7], 1 - math.exp(-12 / 16)))


def test_surroundings_count_by_a_bell_and_go_round():
    for wrap in ((False, False), (True, True)):
        found = surroundings(CANVAS, RECTS, wrap)
        for index in (0, 5, 11):
            rect = RECTS[index]
            lines = []
            for first, length, size, wraps in ((rect.y, 16, 40, wrap[0]), (rect.x, 16, 46, wrap[1])):
                away = (torch.arange(size) + 0.5 - first - length / 2).abs()
                away = torch.minimum(away, size - away) if wraps else away
                bell = torch.exp(-((away / length) ** 2) / 2)
                lines.append(bell / bell.sum())
            weight = lines[0][:, None] * lines[1]
            mean = (CANVAS * weight).sum((2, 3))
            assert torch.allclose(found.mean[index], mean, atol=1e-5)
            spread = ((CANVAS - mean[..., None, None]).square() * weight).sum((2, 3)).sqrt()
            assert torch.allclose(found.deviation[index], spread, atol=1e-4)


@given(st.integers(0, 99), st.floats(0, 1))
def test_a_pulled_tile_has_what_was_asked(seed, share):
    tile = torch.randn(2, 3, 9, 7, generator=torch.Generator().manual_seed(seed))
    mine, other = moments_of([tile]), moments_of([1.4 * tile.flip(0) + 0.3])
    aim = mine.mixed(other, share)
    found = moments_of([pulled(tile, mine.mean[0], mine.deviation[0], aim.mean[0], aim.deviation[0])])
    bounded = mine.deviation * (aim.deviation / mine.deviation).clamp(*GAINS)
    assert (found.mean - aim.mean).abs().max() < 1e-5 and (found.deviation - bounded).abs().max() < 1e-5


def test_a_flat_tile_moves_and_gets_no_noise():
    tile = torch.full((1, 1, 4, 4), 0.2)
    assert torch.equal(pulled(tile, *(torch.tensor([[value]]) for value in (0.2, 0.0, 0.5, 3.0))), torch.full((1, 1, 4, 4), 0.5))


def test_a_method_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="use one of footprint, running, scan"):
        neighbours("mamba", CANVAS, own(), RECTS)
