"""Split then blend of untouched tiles gives the picture back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending import METHODS, TileLayout, compose, cut
from tilework.blending.layout.regroup import gather, tile_spans
from tilework.blending.layout.windows import WINDOWS

BOUND = {method: 1e-6 for method in WINDOWS} | {"optimal seam": 1e-5, "multiband": 1e-5, "gradient": 1e-4, "auto": 1e-4, "confidence": 1e-6}
SIZES = [(1, 1), (1, 1024), (16, 16), (129, 128), (195, 250), (150, 300), (256, 256)]


def picture(height, width, batch=1, channels=3, seed=0):
    image = torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(seed))
    if channels == 4:
        alpha = image[..., 3]
        alpha.copy_(((alpha - 0.3) * 2).clamp(0, 1))  # with fully transparent and fully opaque parts
        image[:, : height // 3, : width // 3, 3] = 0.0005  # hardly any alpha: blended straight
    return image


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize(("tile", "overlap"), [(128, 0), (128, 16), (128, 64), (512, 32)])
def test_untouched_tiles_give_the_picture_back(size, tile, overlap):
    for batch, channels, multiples in ((1, 3, (1, 8, 64)), (2, 3, (8,)), (1, 4, (8,)), (1, 1, (8,))):
        image = picture(*size, batch, channels)
        for multiple_of in multiples:
            methods = METHODS if (multiple_of, batch) == (8, 1) and tile < 512 else WINDOWS
            come_back(image, TileLayout.grid(*size, tile, tile, overlap, multiple_of, batch), methods)


def test_so_they_do_at_the_size_of_a_photograph():
    come_back(picture(777, 1000), TileLayout.grid(777, 1000, 512, 512, 64, 8), METHODS)


def come_back(image, layout, methods):
    for method in methods:
        out = compose(cut(image, layout), layout, method)
        assert out.shape == image.shape
        assert float((out - image).abs().max()) <= BOUND[method], (layout, method)
        assert abs(float((out - image).mean(dtype=torch.float64))) < 1e-5, "no bias"


@settings(max_examples=90, deadline=None)
@given(
    st.integers(1, 90), st.integers(1, 90), st.integers(8, 60), st.integers(8, 60), st.floats(0, 0.95), st.sampled_from([1, 2, 4]),
    st.sampled_from([1, 3, 4]), st.sampled_from(METHODS), st.sampled_from([1, 2, 3]),
)  # fmt: skip
def test_any_plan_at_any_whole_scale(height, width, tile_height, tile_width, share, multiple_of, channels, method, scale):
    overlap = int(share * (min(tile_height, tile_width) - multiple_of))
    layout = TileLayout.grid(height, width, tile_height, tile_width, overlap, multiple_of)
    image = picture(height, width, 1, channels)

    def enlarge(pixels):
        return pixels.repeat_interleave(scale, 1).repeat_interleave(scale, 2)

    out = compose((enlarge(tile) for tile in cut(image, layout)), layout, method)
    assert out.shape[1:3] == (height * scale, width * scale)
    assert float((out - enlarge(image)).abs().max()) <= 2 * BOUND[method]


@pytest.mark.parametrize("batching", ["list", "one batch", "singles", "threes"])
def test_batches_lists_and_rebatches_are_all_understood(batching):
    image = picture(200, 300, batch=2)
    layout = TileLayout.grid(200, 300, 96, 128, 32, 8, batch=2)
    flat = torch.cat(list(cut(image, layout)))
    size = {"list": 2, "one batch": len(flat), "singles": 1, "threes": 3}[batching]
    items = list(flat.split(size))
    (spans,) = tile_spans([len(item) for item in items], [layout])
    out = compose((gather(items, parts) for parts in spans), layout)
    assert float((out - image).abs().max()) <= 1e-6


def test_pictures_of_different_sizes_come_back_one_per_layout():
    images = [picture(70, 200), picture(333, 90), picture(64, 64)]
    layouts = [TileLayout.grid(*image.shape[1:3], 64, 64, 16, 8) for image in images]
    items = [tile for image, layout in zip(images, layouts, strict=True) for tile in cut(image, layout)]
    for image, layout, spans in zip(images, layouts, tile_spans([1] * len(items), layouts), strict=True):
        assert torch.allclose(compose((gather(items, parts) for parts in spans), layout), image, atol=1e-6)


def test_nothing_is_modified_and_inner_tiles_are_views():
    image = picture(500, 700)
    before = image.clone()
    layout = TileLayout.grid(500, 700, 128, 128, 32, 8)
    tiles = list(cut(image, layout))
    inner = [t for t, r in zip(tiles, layout.tiles, strict=True) if r.y + r.height <= 500 and r.x + r.width <= 700]
    assert inner and all(t.untyped_storage().data_ptr() == image.untyped_storage().data_ptr() for t in inner)
    copies = [t.clone() for t in tiles]
    compose(tiles, layout)
    assert torch.equal(image, before) and all(torch.equal(a, b) for a, b in zip(tiles, copies, strict=True))


def test_an_output_buffer_is_written_in_place_and_checked():
    image = picture(100, 100)
    layout = TileLayout.grid(100, 100, 64, 64, 16)
    out = torch.full_like(image, float("nan"))
    assert compose(cut(image, layout), layout, out=out) is out
    assert torch.allclose(out, image, atol=1e-6)
    with pytest.raises(ValueError, match="expected contiguous float32"):
        compose(cut(image, layout), layout, out=torch.empty(1, 100, 99, 3))


def test_tiles_are_let_go_one_by_one():
    import weakref

    image = picture(256, 256)
    layout = TileLayout.grid(256, 256, 64, 64, 16)
    alive = []

    def stream():
        for tile in cut(image, layout):
            tile = tile.clone()
            alive.append(weakref.ref(tile))
            assert sum(ref() is not None for ref in alive) <= 2
            yield tile

    compose(stream(), layout)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 2e-3), (torch.bfloat16, 8e-3)])
def test_half_precision_tiles_give_a_float32_picture_with_sound_corners(dtype, bound):
    image = picture(777, 1000)
    layout = TileLayout.grid(777, 1000, 256, 256, 64, 8)
    exact = compose(cut(image, layout), layout)
    for method in METHODS:
        out = compose((tile.to(dtype) for tile in cut(image, layout)), layout, method)
        error = (out - exact).abs()
        print(f"{dtype} {method}: largest error {float(error.max()):.5f}")
        assert out.dtype == torch.float32
        assert float(error.max()) <= bound
        corner = out[:, -1, -1] - image[:, -1, -1]
        assert float(corner.abs().max()) <= bound, "corners are not black"


def test_a_tile_may_be_overwritten_as_soon_as_the_next_is_asked_for():
    image = picture(100, 100)
    layout = TileLayout.grid(100, 100, 40, 40, 12, 4)
    buffer = torch.empty(1, 40, 40, 3)

    def stream():
        for tile in cut(image, layout):
            buffer.copy_(tile)
            yield buffer

    assert float((compose(stream(), layout) - image).abs().max()) <= 1e-6


@pytest.mark.parametrize(("height", "width"), [(1000, 3000), (1, 6000), (700, 64)])
def test_a_border_tile_costs_a_tile_and_not_a_strip(height, width):
    layout = TileLayout.grid(height, width, 256, 256, 32, 64)
    copies = {}
    image = torch.zeros(1, height, width, 3)
    for tile in cut(image, layout):
        storage = tile.untyped_storage()
        if storage.data_ptr() != image.untyped_storage().data_ptr():
            copies[storage.data_ptr()] = storage.nbytes()
            assert storage.nbytes() <= 256 * 256 * 3 * 4
    assert copies


def test_tiles_that_require_grad_are_blended():
    image = picture(100, 100)
    layout = TileLayout.grid(100, 100, 40, 40, 12, 4)
    out = compose((tile.clone().requires_grad_() for tile in cut(image, layout)), layout)
    assert not out.requires_grad and float((out - image).abs().max()) <= 1e-6
