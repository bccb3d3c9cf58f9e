"""Values outside of 0..1: counted, said and clipped."""

import pytest
import torch
from tilework.blending import TileLayout
from tilework.blending.networks.channels import Channels
from tilework.blending.networks.tiled_run import TiledRun
from tilework.blending.pixels.picture import Outside, outside


def test_nothing_is_outside_of_a_picture():
    pixels = torch.tensor([0.0, 0.5, 1.0, 1.0 + 1e-7, -1e-7]).reshape(1, 1, 5, 1)
    assert outside(pixels) is None and outside(torch.full((1, 2, 2, 3), float("nan"))) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_what_is_outside_is_counted_with_how_far(dtype):
    pixels = torch.full((2, 700, 300, 3), 0.25, dtype=dtype)
    pixels[0, 5, 7, 1], pixels[1, 600, 0, 0], pixels[1, 699, 299, 2], pixels[0, 0, 0, 0] = -0.5, 1.25, 3.0, float("nan")
    assert outside(pixels) == Outside(3, pixels.numel(), -0.5, 3.0)
    assert outside(pixels[:1]) == Outside(1, pixels[:1].numel(), -0.5, None)


def test_in_words():
    assert str(Outside(3, 1000, -0.5, 3.0)) == "3 values (0.3 %), from -0.5 to 3"
    assert str(Outside(1, 30_000_000, None, 1.0009)) == "1 value (less than 0.001 %), up to 1.0009"
    assert str(Outside(500, 1000, -0.25, None)) == "500 values (50 %), down to -0.25"


def test_a_run_tells_of_the_result_and_clips_it():
    image = torch.rand(2, 40, 56, 3, generator=torch.Generator().manual_seed(0))
    layout = TileLayout.grid(40, 56, 32, 32, 8, 8, 2)
    quiet = TiledRun(lambda batch: batch, layout, Channels(3, 3, 3), 1)
    assert torch.allclose(quiet(image), image) and quiet.clipped is None
    loud = TiledRun(lambda batch: 2 * batch - 0.5, layout, Channels(3, 3, 3), 1)
    came, exact = loud(image), 2 * image - 0.5
    assert torch.allclose(came, exact.clamp(0, 1), atol=1e-6)
    count = int(((exact < 0) | (exact > 1)).sum())
    print(loud.clipped)
    assert abs(loud.clipped.count - count) <= 2 and loud.clipped.lowest == pytest.approx(float(exact.min()), abs=1e-6)
