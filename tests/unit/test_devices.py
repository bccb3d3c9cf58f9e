"""Tiles on one device, the picture on another: wherever there is a second device, it must agree with the CPU."""

import pytest
import torch
from tilework.blending import METHODS, TileLayout, compose, cut

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def resized(tile, scale):
    size = [round(side * scale) for side in tile.shape[1:3]]
    return torch.nn.functional.interpolate(tile.movedim(-1, 1), size=size, mode="bilinear").movedim(1, -1)


@pytest.mark.parametrize("tiles_on", DEVICES)
@pytest.mark.parametrize("picture_on", DEVICES)
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("scale", [1, 1.37])
def test_every_device_gives_the_same_picture(tiles_on, picture_on, channels, scale):
    image = torch.rand(1, 200, 333, channels, generator=torch.Generator().manual_seed(0))
    layout = TileLayout.grid(200, 333, 96, 128, 32, 1)
    for method in METHODS:
        tiles = [resized(tile, scale) for tile in cut(image, layout)]
        expected = compose(tiles, layout, method)
        out = compose((tile.to(tiles_on) for tile in tiles), layout, method, device=picture_on)
        assert out.device.type == picture_on
        assert float((out.cpu() - expected).abs().max()) <= 1e-5
        mirrored = [tile for tile in cut(image.to(tiles_on), layout)]
        assert all(torch.equal(a.cpu(), b) for a, b in zip(mirrored, cut(image, layout), strict=True))
