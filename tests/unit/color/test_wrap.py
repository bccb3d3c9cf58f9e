"""Gain compensation around a picture that is joined to itself: the overlap over the joint is one more pair."""

import pytest
import torch
from tilework.blending.color.gain import compensate
from tilework.blending.layout.cutting import cut
from tilework.blending.layout.tile_layout import TileLayout
from tilework.tests.unit.composition.test_wrap import scene


@pytest.mark.parametrize(("size", "wrap"), [((192, 288), (True, True)), ((100, 301), (False, True)), ((201, 160), (True, False))])
def test_the_loop_is_closed(size, wrap):
    layout = TileLayout.grid(*size, 96, 96, 32, 1, wrap=wrap)
    picture = scene(*size, 3)
    generator = torch.Generator().manual_seed(5)
    tones = [0.06 * (torch.rand(3, generator=generator) - 0.5) for _ in layout.tiles]
    gains = compensate((tile + tone for tile, tone in zip(cut(picture, layout), tones, strict=True)), layout)
    assert gains.before > 0.01 and gains.after < 1e-6 and gains.worst < 1e-6
    left = torch.stack([gains.apply(tile + tone, i) - tile for i, (tile, tone) in enumerate(zip(cut(picture, layout), tones, strict=True))])
    levels = left.mean((1, 2, 3))
    assert float((levels.amax(0) - levels.amin(0)).max()) <= 0.001


def test_tiles_that_only_meet_over_the_joint_are_compared_there():
    """Without the overlap over the joint, the first tile and the last one are four pairs apart, and drift adds up."""
    layout = TileLayout.grid(64, 480, 64, 120, 24, 8, wrap=(False, True))
    picture = scene(64, 480, 1)
    generator = torch.Generator().manual_seed(2)
    tiles = [tile + 0.02 * index + 0.02 * torch.randn(tile.shape, generator=generator) for index, tile in enumerate(cut(picture, layout))]
    gains = compensate(tiles, layout)
    done = [gains.apply(tile, index) for index, tile in enumerate(tiles)]
    over = 24 if layout.axes[1].overlap == 24 else layout.axes[1].overlap
    first, last = done[0][:, :, :over], done[-1][:, :, -over:]
    assert abs(float((first - last).mean())) < 0.002


def test_reference_and_mask_go_around_as_well():
    layout = TileLayout.grid(96, 200, 96, 88, 24, 8, wrap=(False, True))
    picture = scene(96, 200, 3)
    tiles = [tile + 0.03 * (index % 2) for index, tile in enumerate(cut(picture, layout))]
    mask = (torch.rand(1, 96, 200, generator=torch.Generator().manual_seed(1)) > 0.3).float()
    gains = compensate(tiles, layout, picture, mask)
    for index, (tile, own) in enumerate(zip(tiles, cut(picture, layout), strict=True)):
        assert float((gains.apply(tile, index) - own).abs().mean()) < 0.003
