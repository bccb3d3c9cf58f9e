"""Masks of any kind of number, read between pixels."""

import pytest
import torch
from tilework.blending import TileLayout
from tilework.blending.layout.noise_mask import cut_mask

LAYOUT = TileLayout.grid(160, 264, 96, 96, 32, 8, unit=8)


@pytest.mark.parametrize("kind", [torch.int32, torch.bool, torch.float16, torch.bfloat16, torch.float32])
def test_a_mask_of_ones_stays_one(kind):
    for part in cut_mask(torch.ones(1, 61, 67, dtype=kind), LAYOUT):
        assert bool((part == 1).all())


def test_half_precision_is_as_good_as_it_can_be():
    mask = torch.rand(1, 61, 67, generator=torch.Generator().manual_seed(1))
    for half, whole in zip(cut_mask(mask.half(), LAYOUT), cut_mask(mask.half().float(), LAYOUT), strict=True):
        assert half.dtype == torch.float16 and float((half.float() - whole).abs().max()) <= 2**-11
