"""Colour that cannot be seen has no say, whatever it is."""

import pytest
import torch
from tilework.blending.pixels.hidden_color import visible_mean, without_hidden


@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), 1e30])
def test_hidden_rubbish_far_from_everything_visible_changes_nothing(rubbish):
    picture = torch.rand(96, 200, 4, generator=torch.Generator().manual_seed(1))
    picture[..., 3] = 1
    picture[:, 100:, 3] = 0
    spoilt = picture.clone()
    spoilt[:, 100:, :3] = rubbish
    mean = visible_mean(spoilt)
    assert torch.equal(mean, visible_mean(picture)) and torch.allclose(mean, picture[:, :100, :3].mean((0, 1)), atol=1e-5)
    filled = without_hidden(spoilt, mean)
    assert torch.isfinite(filled).all() and torch.equal(filled, without_hidden(picture, mean))
