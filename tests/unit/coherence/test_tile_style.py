"""The style of tiles, and the step towards another one's."""

import pytest
import torch
from tilework.blending.coherence.tile_style import LONGEST, style_change, style_distance, style_gradient, style_of


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def other(*shape):
    """Of another mean, another contrast, and channels that go together in another way."""
    x = 1.6 * drawn(*shape, seed=9) + 0.4
    x[:, 1] += 0.5 * x[:, 0]
    return x


def test_equal_tiles_are_of_one_style_and_need_no_change():
    tile = drawn(2, 4, 32, 32)
    style = style_of(tile)
    distance, gradient = style_gradient(tile, style)
    assert not distance.any() and not style_change(distance, gradient, 1.0, torch.ones(2)).any()


@pytest.mark.parametrize("shape", [(2, 4, 32, 24), (1, 3, 3, 16, 16), (1, 2, 7, 9)])
def test_the_gradient_in_closed_form(shape):
    """Of an analytic denoiser D(x) = a x, every term by hand; 1e-4 is asked for."""
    tile, aim, a = drawn(*shape).double(), style_of(other(*shape).double()), 0.7
    clean = a * tile
    style, cells = style_of(clean), clean[0, 0].numel()
    column = (*clean.shape[:2], *[1] * (clean.ndim - 2))
    expected = (2 * (style.mean - aim.mean) / cells).view(column).expand_as(clean).clone()
    expected += (2 * (style.deviation - aim.deviation) / (cells * style.deviation)).view(column) * (clean - style.mean.view(column))
    half, up = clean, lambda x: x
    for mine, theirs in zip(style.grams, aim.grams, strict=True):
        height, width = half.shape[-2] // 2 * 2, half.shape[-1] // 2 * 2
        p, q, r, s = (half[..., i:height:2, j:width:2] for i in (0, 1) for j in (0, 1))
        bands = torch.cat([p - q + r - s, p + q - r - s, p - q - r + s], 1) / 4
        places = bands.flatten(2)
        slope = 4 / clean.shape[1] ** 2 / places.shape[2] * (mine - theirs) @ places
        horizontal, vertical, diagonal = slope.view(bands.shape).chunk(3, 1)
        back = torch.zeros_like(half)
        for (i, j), signs in zip(((0, 0), (0, 1), (1, 0), (1, 1)), ((1, 1, 1), (-1, 1, -1), (1, -1, -1), (-1, -1, 1)), strict=True):
            back[..., i:height:2, j:width:2] = (
                sum(sign * band for sign, band in zip(signs, (horizontal, vertical, diagonal), strict=True)) / 4
            )
        expected += up(back)
        up = _from(up, half.shape, height, width)
        half = (p + q + r + s) / 4
    distance, gradient = style_gradient(tile.float(), _float(aim), lambda x: a * x)
    error = float((gradient - a * expected).abs().max() / (a * expected).abs().max())
    print(f"gradient - closed form: {error:.1e} of the largest")
    assert error <= 1e-4 and (distance.double() - style_distance(style, aim)).abs().max() < 1e-4


def _from(up, shape, height, width):
    """What a gradient with respect to the half is with respect to the clean latent: each cell's quarter over its four."""

    def spread(slope):
        back = torch.zeros(shape, dtype=slope.dtype)
        back[..., :height, :width] = slope.repeat_interleave(2, -2).repeat_interleave(2, -1) / 4
        return up(back)

    return spread


def _float(style):
    return type(style)(style.mean.float(), style.deviation.float(), tuple(gram.float() for gram in style.grams))


def test_the_distance_falls_by_half_in_ten_steps():
    """Of an analytic denoiser D(x) = a x, with the change bound to a tenth of what is changed, as in a run."""
    x, a = drawn(2, 4, 32, 32), 0.6
    aim = style_of(other(2, 4, 32, 32))
    first = None
    for step in range(10):
        distance, gradient = style_gradient(x, aim, lambda x: a * x)
        first = distance if first is None else first
        change = style_change(distance, gradient, 0.95**step, x.flatten(1).std(1))
        assert (change.flatten(1).square().mean(1).sqrt() <= LONGEST * x.flatten(1).std(1) * 1.0001).all()
        x = x + change
    last, _ = style_gradient(x, aim, lambda x: a * x)
    print(f"distance after ten steps: {(last / first).tolist()} of the first")
    assert (last <= 0.5 * first).all()


def test_the_form_without_a_gradient_falls_as_well():
    """The change is made by the clean latent's gradient, divided by how the clean latent answers."""
    x, a = drawn(1, 4, 32, 32), 0.6
    aim = style_of(other(1, 4, 32, 32))
    first = style_distance(style_of(a * x), aim)
    for step in range(10):
        distance, gradient = style_gradient(a * x, aim)
        x = x + style_change(distance, gradient, 0.95**step, x.flatten(1).std(1), response=a)
    assert style_distance(style_of(a * x), aim) <= 0.5 * first


def test_a_flat_tile_and_one_of_a_single_cell_have_a_gradient():
    for shape in ((1, 2, 16, 16), (1, 2, 1, 1)):
        distance, gradient = style_gradient(torch.full(shape, 0.3), style_of(drawn(*shape)))
        assert distance.isfinite().all() and gradient.isfinite().all()


def test_it_works_under_inference_mode():
    with torch.inference_mode():
        distance, gradient = style_gradient(drawn(1, 2, 16, 16), style_of(other(1, 2, 16, 16)))
        assert not gradient.requires_grad and (distance > 0).all()
