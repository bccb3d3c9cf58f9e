"""The coherence test bed counts what is there: one sun and one house in every drawn scene, more where more were put."""

from pathlib import Path

import pytest
import torch
from tilework.tests.pack.coherence import models, scenes
from tilework.tests.pack.coherence.figures import figures, mean_figures

KINDS = torch.tensor([0] * 64 + [1] * 32)


def drawn(size, kinds=KINDS, seed=5):
    return scenes.draw(torch.Generator().manual_seed(seed), kinds, scenes.WHOLE.expand(len(kinds), 3), size)


@pytest.mark.parametrize("size", [32, 64, 96])
def test_every_drawn_scene_has_one_sun_and_one_house(size):
    found = mean_figures(drawn(size), size // scenes.NATIVE)
    print(f"{size}: {found}")
    assert (found.suns, found.houses, found.one_sun, found.one_house) == (1, 1, 1, 1) and found.horizons < 0.01


def test_four_scenes_side_by_side_have_four_and_a_horizon_too_many():
    scene = drawn(32, KINDS[:8])
    joined = torch.cat([torch.cat([scene[:2], scene[2:4]], 3), torch.cat([scene[4:6], scene[6:]], 3)], 2)
    found = mean_figures(joined, 2)
    print(found)
    assert found.suns == 4 and found.houses == 4 and found.one_sun == 0 and found.horizons > 0.9


def test_a_scene_without_a_sun_has_none_and_an_enlarged_one_is_soft():
    found = mean_figures(drawn(32, torch.full((8,), 2)), 1)
    assert found.suns == 0 and found.one_house == 1
    large, sharp = drawn(32, KINDS[:8]), drawn(96, KINDS[:8])
    soft = torch.nn.functional.interpolate(large, size=(96, 96), mode="bicubic")
    assert mean_figures(soft, 3).texture < 0.3 * mean_figures(sharp, 3).texture


def test_weights_in_eight_bits_come_back_within_half_a_level(tmp_path):
    weights = {"a": torch.randn(5, 7, 3, 3), "b": torch.randn(9), "c": torch.zeros(2, 4)}
    models.write_weights(weights, tmp_path / "kept.safetensors")
    back = models.read_weights(tmp_path / "kept.safetensors")
    assert back.keys() == weights.keys() and torch.equal(back["c"], weights["c"])
    largest = weights["a"].flatten(1).abs().amax(1).view(-1, 1, 1, 1)
    assert bool(((back["a"] - weights["a"]).abs() <= largest / 127 * 0.51).all())


@pytest.mark.parametrize("kind", models.KINDS)
def test_the_committed_weights_are_small(kind):
    assert Path(models.HERE / f"{kind}.safetensors").stat().st_size < 3_000_000


def test_two_scenes_differ_and_one_seed_gives_one():
    assert torch.equal(scenes.drawn(2, 7), scenes.drawn(2, 7)) and not torch.equal(*scenes.drawn(2, 7).unbind())
    assert figures(scenes.drawn(1, 7)[0], 1).suns == 1
