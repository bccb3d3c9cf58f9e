"""Guidance of the whole canvas: its exact laws, and what a run's way keeps."""

import pytest
import torch
from tilework.blending.coherence.flow import guide_acceleration
from tilework.blending.coherence.schedules import cosine, linear
from tilework.blending.coherence.skip_residual import draw_to, skip_weight
from tilework.blending.coherence.structure import guide_structure
from tilework.blending.coherence.trajectory import Trajectory
from tilework.blending.frequency.low_pass import low_pass


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gap(a, b):
    return float((a - b).abs().max())


def test_the_schedules_at_their_ends():
    assert abs(cosine(1.0) - 1) < 1e-7 and abs(cosine(0.5) - 0.5) < 1e-7 and abs(cosine(0.0)) < 1e-7
    assert [linear(step, 4) for step in (0, 1, 4)] == [1, 0.75, 0]
    assert skip_weight(1.0, 0.6) == 0.6 and skip_weight(0.5, 1.0) == pytest.approx(0.125)


@pytest.mark.parametrize("shape", [(1, 4, 40, 56), (2, 4, 41, 57), (1, 16, 3, 24, 33)])
def test_structure_with_haar_is_exact(shape):
    x0, reference = noise(*shape), noise(1, *shape[1:], seed=1)
    low = low_pass(reference, "haar", 3)
    led = guide_structure(x0, low, 1.0, "haar", 3)
    assert gap(low_pass(led, "haar", 3), low.expand_as(x0)) < 1e-5
    assert gap(led - low_pass(led, "haar", 3), x0 - low_pass(x0, "haar", 3)) < 1e-5, "the fine is the model's own"
    assert torch.equal(guide_structure(x0, low, 0.0, "haar", 3), x0)


@pytest.mark.parametrize("kind", ["resize", "butterworth"])
def test_structure_with_the_others_leads_there(kind):
    x0, low = noise(1, 4, 48, 48), low_pass(noise(1, 4, 48, 48, seed=1), kind, 4)
    off = [gap(low_pass(x0, kind, 4), low)]
    for _ in range(4):
        x0 = guide_structure(x0, low, 1.0, kind, 4)
        off.append(gap(low_pass(x0, kind, 4), low))
    assert off == sorted(off, reverse=True) and off[-1] < 0.5 * off[0], off


def test_what_is_held_is_drawn_in_place_and_at_one_to_the_bit():
    held, noised = noise(2, 4, 8, 8), noise(1, 4, 8, 8, seed=1)
    before = held.clone()
    draw_to(held, noised, 0.25)
    assert gap(held, 0.75 * before + 0.25 * noised) < 1e-6
    draw_to(held, noised, 1.0)
    assert torch.equal(held, noised.expand_as(held))


def test_acceleration_follows_the_references_change():
    """Straight ways: where the velocity does not change from step to step, and the reference's changes by c, half of c is added."""
    x, x0, change = noise(1, 4, 6, 6), noise(1, 4, 6, 6, seed=1), noise(1, 4, 6, 6, seed=2)
    sigma, velocity = 0.5, None
    first, before = guide_acceleration(x, x0, x0, sigma, 0, None, 0.5)
    assert torch.equal(first, x0)
    velocity = (x - x0) / sigma
    # The next step: the model's velocity is as it was, the reference's is larger by `change`.
    led, after = guide_acceleration(x, x0, x0 - sigma * change, sigma, 1, before, 0.5)
    assert gap((x - led) / sigma, velocity + 0.5 * change) < 1e-5 and after.step == 1
    assert torch.equal(guide_acceleration(x, x0, x, sigma, 5, before, 0.5)[0], x0), "of another step"


def test_a_way_keeps_what_it_is_given_within_half_precision_and_within_its_bound():
    one = noise(1, 4, 8, 8)
    way = Trajectory(most_bytes=8 * one.numel() * 2)
    for step in range(31):
        way.record(31.0 - step, one * (31 - step))
    assert len(way) <= 8 and len(way) * one.numel() * 2 <= way.most_bytes
    assert way.levels == tuple(sorted(way.levels)) and way.shape == tuple(one.shape)
    for sigma in (1.0, 1.5, 7.25, 20.0):
        kept = min(max(sigma, way.levels[0]), way.levels[-1])
        assert gap(way.at(sigma), one * kept) <= kept * 4e-3, "straight between two levels"
    same = way.snapshot()
    way.begin()
    assert len(way) == 0 and len(same) > 0
    with pytest.raises(ValueError, match="nothing was recorded"):
        way.at(1.0)


def test_the_last_word_about_a_level_counts():
    way = Trajectory()
    way.record(1.0, torch.zeros(1, 1, 2, 2))
    way.record(1.0, torch.ones(1, 1, 2, 2))
    assert len(way) == 1 and float(way.at(1.0).mean()) == 1
