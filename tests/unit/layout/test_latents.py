"""Latents of every shape, and noise masks at any resolution."""

import pytest
import torch
from tilework.blending import TileLayout, compose, cut_cells
from tilework.blending.composition.masks import compose_masks
from tilework.blending.layout.noise_mask import cut_mask
from tilework.blending.layout.regroup import tile_spans
from tilework.blending.layout.windows import WINDOWS


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def blend(samples, layout, method="hann"):
    out = compose((tile.reshape(-1, *tile.shape[-2:], 1) for tile in cut_cells(samples, layout)), layout, method)
    return out.reshape(samples.shape)


@pytest.mark.parametrize("channels", [4, 16, 128])
@pytest.mark.parametrize("frames", [None, 1, 5])
@pytest.mark.parametrize("ratio", [1, 8, 16, 32])
def test_untouched_latents_come_back(channels, frames, ratio):
    shape = (2, channels, 61, 90) if frames is None else (1, channels, frames, 61, 90)
    samples = noise(*shape)
    layout = TileLayout.grid(61 * ratio, 90 * ratio, 32 * ratio, 40 * ratio, 9 * ratio, 8, shape[0], ratio)
    for method in WINDOWS:
        assert float((blend(samples, layout, method) - samples).abs().max()) <= 1e-6


def masks_through(mask, layout, batch, method="hann", batching=None):
    tiles = list(cut_mask(mask, layout))
    sizes = [batch] * len(tiles) if batching is None else batching
    (spans,) = tile_spans(sizes, [layout])
    return compose_masks(tiles, sizes, spans, layout, method)


@pytest.mark.parametrize("size", [(60, 90), (480, 720), (30, 45), (120, 90)])
@pytest.mark.parametrize("shape", ["HW", "1HW", "BHW", "1CHW", "BCHW", "BCTHW", "3CHW"])
def test_masks_that_divide_come_back_exactly(size, shape):
    batch = 2
    lead = {"HW": (), "1HW": (1,), "BHW": (2,), "1CHW": (1, 1), "BCHW": (2, 1), "BCTHW": (2, 1, 4), "3CHW": (3, 1)}[shape]
    mask = torch.rand(*lead, *size, generator=torch.Generator().manual_seed(1))
    layout = TileLayout.grid(480, 720, 240, 240, 80, 16, batch, 8, mask_size=size)
    for method in WINDOWS:
        out = masks_through(mask, layout, batch, method)
        assert out.shape == mask.shape
        assert float((out - mask).abs().max()) <= 1e-6


@pytest.mark.parametrize("size", [(61, 91), (100, 100), (333, 517), (1, 1), (7, 9)])
def test_masks_that_do_not_divide_come_back_at_their_resolution(size):
    y, x = torch.meshgrid(torch.linspace(0, 3, size[0]), torch.linspace(0, 4, size[1]), indexing="ij")
    mask = (0.5 + 0.4 * torch.sin(y) * torch.cos(x))[None, None]
    layout = TileLayout.grid(480, 720, 240, 240, 80, 8, 1, 8, mask_size=size)
    out = masks_through(mask, layout, 1)
    assert out.shape == mask.shape
    assert float(out.min()) >= 0 and float(out.max()) <= 1
    if min(size) > 50:
        assert float((out - mask).abs().max()) < 5e-3
    ones = masks_through(torch.ones_like(mask), layout, 1)
    assert torch.allclose(ones, torch.ones_like(ones), atol=1e-6)


def test_masks_survive_a_rebatch_into_single_pictures():
    mask = torch.rand(2, 1, 60, 90, generator=torch.Generator().manual_seed(2))
    layout = TileLayout.grid(480, 720, 240, 240, 80, 8, 2, 8, mask_size=(60, 90))
    singles = [part for tile in cut_mask(mask, layout) for part in tile.split(1)]
    sizes = [1] * len(singles)
    (spans,) = tile_spans(sizes, [layout])
    assert torch.allclose(compose_masks(singles, sizes, spans, layout, "hann"), mask, atol=1e-6)


def test_tiles_without_a_mask_may_be_painted_everywhere():
    mask = torch.zeros(1, 1, 60, 90)
    mask[..., 50:] = 1
    layout = TileLayout.grid(480, 720, 240, 240, 80, 8, 1, 8, mask_size=(60, 90))
    tiles = [None if float(tile.mean()) == 1 else tile for tile in cut_mask(mask, layout)]
    assert any(tile is None for tile in tiles)
    (spans,) = tile_spans([1] * len(tiles), [layout])
    assert torch.allclose(compose_masks(tiles, [1] * len(tiles), spans, layout, "hann"), mask, atol=1e-6)
    assert compose_masks([None] * len(tiles), [1] * len(tiles), spans, layout, "hann") is None


def test_a_mask_replaced_per_tile_gives_one_in_proportion():
    layout = TileLayout.grid(480, 720, 240, 240, 80, 8, 1, 8, mask_size=(60, 90))
    (spans,) = tile_spans([1] * len(layout), [layout])
    out = compose_masks([torch.ones(1, 1, 120, 120)] * len(layout), [1] * len(layout), spans, layout, "hann")
    assert out.shape == (1, 1, 240, 360)


def test_masks_of_different_batches_lose_no_plane():
    layout = TileLayout.grid(320, 320, 128, 128, 32, 8, 2, 8, mask_size=(40, 40))
    masks = [torch.zeros(16, 16), *[torch.stack([torch.zeros(16, 16), torch.ones(16, 16)])] * (len(layout) - 1)]
    (spans,) = tile_spans([2] * len(layout), [layout])
    out = compose_masks(masks, [2] * len(layout), spans, layout, "hann")
    assert out.shape == (2, 40, 40) and float(out[1, -1, -1]) == 1
