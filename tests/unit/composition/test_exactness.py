"""The exactness law: with the receptive radius trimmed, tiled equals untiled."""

import pytest
import torch
from tilework.blending import METHODS, TileLayout, compose, cut


def convolution(radius, seed=0):
    """A zero-padded random convolution net of the given receptive radius."""
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(4 if i else 3, 3 if i == 0 else 4, 3, 3, generator=generator) * 0.35 for i in range(radius - 1)]
    weights.append(torch.randn(3, 4, 3, 3, generator=generator) * 0.35)
    weights[0] = torch.randn(4, 3, 3, 3, generator=generator) * 0.35
    for i in range(1, radius - 1):
        weights[i] = torch.randn(4, 4, 3, 3, generator=generator) * 0.35

    def run(pixels):
        x = pixels.movedim(-1, 1)
        for weight in weights:
            x = torch.tanh(torch.nn.functional.conv2d(x, weight, padding=1))
        return x.movedim(1, -1)

    return run


@pytest.mark.parametrize("radius", [2, 4, 9])
def test_with_the_radius_trimmed_tiled_equals_untiled(radius):
    model = convolution(radius)
    image = torch.rand(1, 210, 330, 3, generator=torch.Generator().manual_seed(5))
    whole = model(image)
    layout = TileLayout.grid(210, 330, 96, 96, 2 * radius + 16, 1)
    inner = (slice(None), slice(radius, -radius), slice(radius, -radius))
    for method in METHODS:
        tiled = compose((model(tile) for tile in cut(image, layout)), layout, method, trim=radius)
        untrimmed = compose((model(tile) for tile in cut(image, layout)), layout, method)
        exact = float((tiled - whole).abs()[inner].max())
        wrong = float((untrimmed - whole).abs()[inner].max())
        print(f"radius {radius}, {method}: largest error {exact:.1e} with trim {radius}, {wrong:.1e} with trim 0")
        assert exact <= 1e-5
        if method not in ("none", "multiband"):  # a cut in the middle of an overlap of 2R + 16 trims 8 more than R by itself
            assert wrong > 1e-5


def test_the_law_holds_at_a_scale_too():
    model = convolution(3)
    image = torch.rand(1, 200, 200, 3, generator=torch.Generator().manual_seed(6))

    def upscale(pixels):
        return model(pixels).repeat_interleave(2, 1).repeat_interleave(2, 2)

    layout = TileLayout.grid(200, 200, 80, 80, 30, 8)
    tiled = compose((upscale(tile) for tile in cut(image, layout)), layout, trim=3)
    assert float((tiled - upscale(image)).abs()[:, 6:-6, 6:-6].max()) <= 1e-5
