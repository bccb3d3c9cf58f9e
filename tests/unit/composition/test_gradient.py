"""The screened Poisson equation, and pictures composed through it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending import TileLayout, compose, cut
from tilework.blending.composition.poisson import screening, solve


def minus_laplace(c):
    """-Laplace with no flow through the border, from the definition."""
    out = torch.zeros_like(c)
    for dim in (0, 1):
        flow = c.diff(dim=dim)
        n = c.shape[dim]
        out.narrow(dim, 0, n - 1).sub_(flow)
        out.narrow(dim, 1, n - 1).add_(flow)
    return out


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([0.0, 1e-4, 0.01, 1.0, 100.0]), st.integers(0, 1000))
def test_the_solution_solves_the_equation(height, width, lam, seed):
    field = torch.randn(height, width, generator=torch.Generator().manual_seed(seed))
    field -= field.mean()  # float32 cannot hold a mean divided by a small lambda beside the rest
    c = solve(field.clone(), lam).double()
    assert float((lam * c + minus_laplace(c) - field).abs().max()) <= 2e-4
    if lam == 0:
        assert abs(float(c.mean())) < 1e-4


def offsets(layout, image, sd, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [tile + sd * torch.randn(1, 1, 1, image.shape[-1], generator=generator) for tile in cut(image, layout)]


@pytest.mark.parametrize("overlap", [2, 32, 64])
def test_random_offsets_of_tiles_are_taken_out_exactly(overlap):
    size = 4 * 160 - 3 * overlap
    image = torch.rand(1, size, size, 3, generator=torch.Generator().manual_seed(1))
    layout = TileLayout.grid(size, size, 160, 160, overlap, 1)
    assert len(layout) == 16
    tiles = offsets(layout, image, 0.04)
    out = compose(tiles, layout, "gradient", reference_scale=1 << 20)
    error = out - image
    error -= error.mean((1, 2), keepdim=True)
    plain = compose(tiles, layout) - image
    print(f"overlap {overlap}: error {float(error.abs().max()):.1e} after the mean, windows {float(plain.std()):.3f}")
    assert float(error.abs().max()) <= 1e-4


def test_lambda_to_infinity_gives_the_reference():
    image = torch.rand(1, 200, 260, 3, generator=torch.Generator().manual_seed(2))
    layout = TileLayout.grid(200, 260, 96, 96, 32, 1)
    out = compose(offsets(layout, image, 0.04), layout, "gradient", reference_scale=1e-3, reference=image)
    assert float((out - image).abs().max()) <= 1e-5


def test_tone_comes_from_the_reference_and_detail_from_the_tiles():
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(1, 384, 384, 3, generator=generator) * 0.1 + 0.4
    layout = TileLayout.grid(384, 384, 160, 160, 48, 1)
    tiles = offsets(layout, image, 0.04)
    small = torch.nn.functional.avg_pool2d(image.movedim(-1, 1), 2).movedim(1, -1)
    for reference in (image, small, image.half()):
        out = compose(tiles, layout, "gradient", reference=reference)
        error = out - image
        blocks = torch.nn.functional.avg_pool2d(error.movedim(-1, 1), 64)
        print(f"reference {tuple(reference.shape)}: error {float(error.abs().max()):.4f}, of 64 px blocks {float(blocks.abs().max()):.4f}")
        assert float(blocks.abs().max()) <= 0.002
    alone = compose(tiles, layout, "gradient")
    assert abs(float((alone - compose(tiles, layout)).mean())) < 1e-5, "the plain blend's tone is kept where there is no reference"


def test_a_correction_dies_away_from_the_seams():
    layout = TileLayout.grid(256, 1280, 256, 704, 128, 1)
    tiles = [torch.full((1, 256, 704, 3), 0.5 + 0.03 * i) for i in range(2)]
    out = compose(tiles, layout, "gradient", reference_scale=128)
    far = (out - compose(tiles, layout)).abs()[:, :, : 576 - 128]
    assert float(far.max()) < 0.1 * 0.03


def test_alpha_is_left_alone_and_hidden_colour_does_not_leak():
    image = torch.full((1, 200, 260, 4), 0.5)
    image[..., 3] = 1
    image[:, 60:140, :, 3] = 0
    layout = TileLayout.grid(200, 260, 96, 96, 32, 1)
    generator = torch.Generator().manual_seed(4)
    tiles = []
    for tile in cut(image, layout):
        tile = tile.clone()
        hidden = tile[..., 3] == 0
        tile[..., :3][hidden] = torch.rand(int(hidden.sum()), 3, generator=generator)
        tiles.append(tile)
    out = compose(tiles, layout, "gradient")
    seen = out[..., 3] > 0
    assert torch.equal(out[..., 3], image[..., 3])
    assert float((out[..., :3][seen] - 0.5).abs().max()) <= 1e-5


def test_structure_longer_than_the_length_is_half_kept():
    assert screening(100.0) == pytest.approx((2 * 3.14159265 / 100) ** 2, rel=1e-6)
    x = torch.arange(1000, dtype=torch.float64)
    wave = torch.cos((x + 0.5) * (2 * 3.14159265358979 / 100))
    lam = screening(100.0)
    out = solve((wave * lam).float()[None].expand(4, -1).clone(), lam)
    assert float((out[0].double() / wave).median()) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("length", [1 << 16, 1 << 20])
def test_rounding_does_not_become_a_tint(length):
    layout = TileLayout.grid(300, 257, 128, 128, 32)
    for picture in (torch.full((1, 300, 257, 3), 0.5), torch.rand(1, 300, 257, 3, generator=torch.Generator().manual_seed(5))):
        assert float((compose(cut(picture, layout), layout, "gradient", reference_scale=length) - picture).abs().max()) <= 1e-4
    small = TileLayout.grid(64, 64, 32, 32, 8)
    picture = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(6))
    tiles = [tile + 0.04 * (i % 3 - 1) for i, tile in enumerate(cut(picture, small))]
    out = compose(tiles, small, "gradient", reference_scale=length)
    assert abs(float((out - compose(tiles, small)).mean())) <= 1e-5
    out = compose(tiles, small, "gradient", reference_scale=length, reference=picture.clone().requires_grad_())
    assert abs(float((out - picture).mean())) <= 1e-5
