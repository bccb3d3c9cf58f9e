"""Views of the whole canvas: strided ones are a permutation of it, pooled ones have the noise that they are said to have."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tilework.blending.fusion.dilated import exchanged, restated, stride_for, strided_views
from tilework.blending.fusion.fuse import fuse
from tilework.blending.fusion.pooled import pooled_view

SIZES = st.tuples(st.integers(4, 40), st.integers(4, 40))


@given(SIZES, st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**64))
def test_split_and_merge_is_a_permutation(canvas, stride, lattice, seed):
    """Every cell is in exactly one view, whatever the size, and an exchange of cells can be undone."""
    numbers = torch.arange(canvas[0] * canvas[1], dtype=torch.float64).view(1, 1, *canvas)
    views = strided_views(canvas, stride, lattice)
    assert len({view.shape for view in views}) == 1 and all(side % lattice == 0 for side in views[0].shape)
    taken = exchanged(canvas, stride, seed)
    mixed = numbers.flatten(-2)[..., taken].view(numbers.shape)
    merged = torch.full_like(numbers, -1)
    for view in views:
        view.scatter(view.gather(mixed), merged)
    assert torch.equal(merged, mixed)
    assert torch.equal(merged.flatten(-2)[..., taken.argsort()].view(numbers.shape), numbers)
    # A view still has its cells from the blocks that it had them from.
    rows = mixed.view(canvas) // canvas[1] // stride
    assert torch.equal(rows, (torch.arange(canvas[0]) // stride).double()[:, None].expand(canvas))


def test_views_go_through_fuse_together():
    canvas = torch.rand(2, 3, 5, 22, 31)
    views = strided_views((22, 31), 3, lattice=2)
    seen = []
    (total,) = fuse(lambda pictures, chunk: [(seen.append(len(chunk)), 2 * pictures)[1]], canvas, views, at_once=4)
    assert torch.equal(total, 2 * canvas) and seen == [4, 4, 1]


@given(SIZES, SIZES)
def test_the_stride_brings_views_nearest_to_the_native_area(canvas, native):
    stride = stride_for(canvas, native)
    share = canvas[0] * canvas[1] / (native[0] * native[1])
    off = {number: max(share / number**2, number**2 / share) for number in range(1, 12)}
    assert off[stride] == pytest.approx(min(off.values()))


def test_the_blur_keeps_mean_and_spread_and_ends_at_nothing():
    canvas = 3 + 2 * torch.randn(2, 4, 48, 50, generator=torch.Generator().manual_seed(1))
    soft = restated(canvas, 3, 1.0)
    for found, right in zip(torch.std_mean(soft, (-2, -1)), torch.std_mean(canvas, (-2, -1)), strict=True):
        assert torch.allclose(found, right, rtol=1e-4)
    assert float((soft - canvas).std()) > 1 and torch.allclose(restated(canvas, 3, 0.01), canvas, atol=1e-4)
    assert torch.isfinite(restated(torch.ones(1, 1, 2, 9), 2, 1.0)).all()


@pytest.mark.parametrize("canvas", [(96, 128), (97, 130)])
def test_pooled_noise_is_as_many_times_less(canvas):
    """Also where the canvas is no whole number of blocks."""
    noise = torch.randn(8, 4, *canvas, generator=torch.Generator().manual_seed(2))
    view = pooled_view(canvas, 4, lattice=2)
    small = view.gather(noise)
    assert tuple(small.shape[-2:]) == view.shape and float(small.std()) == pytest.approx(0.25, rel=0.03)
    for edge in (small[..., 0, :], small[..., -1, :], small[..., 0], small[..., -1]):
        assert float(edge.std()) == pytest.approx(0.25, rel=0.12)
    assert torch.equal(view.gather(torch.ones(1, 1, *canvas)), torch.ones(1, 1, *view.shape))


def test_too_small_a_canvas_is_refused():
    with pytest.raises(ValueError, match="9 x 4 cells are too few for 5 x 5 views"):
        strided_views((4, 9), 5)
    with pytest.raises(ValueError, match="larger picture"):
        pooled_view((3, 9), 2, lattice=4)
