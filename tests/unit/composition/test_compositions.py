"""What every way of composing owes: no step on flat areas, texture kept, nothing lost, broken tiles refused."""

import pytest
import torch
import torch.nn.functional as F
from tilework.blending import METHODS, Mosaic, TileLayout, compose, cut
from tilework.blending.composition.bands import band_count
from tilework.blending.composition.survey import survey

NEW = ["optimal seam", "multiband", "gradient", "auto"]


def largest_step(out):
    return max(float(out.diff(dim=dim).abs().max()) for dim in (1, 2))


def checkerboard(layout, tone=0.03):
    columns = len(layout.axes[1].origins)
    height, width = layout.tile_size
    return [torch.full((1, height, width, 3), 0.5 + tone * (-1) ** (i // columns + i % columns)) for i in range(len(layout))]


@pytest.mark.parametrize(
    ("method", "overlap", "bound"),
    [("gradient", 32, 0.004), ("auto", 32, 0.004), ("multiband", 32, 0.008), ("optimal seam", 32, 0.008), ("multiband", 64, 0.004),
     ("optimal seam", 64, 0.004), ("gradient", 64, 0.004)],
)  # fmt: skip
@pytest.mark.parametrize("tile", [128, 256, 512])
def test_a_checkerboard_of_tones_has_no_step(method, overlap, bound, tile):
    size = 3 * tile - 2 * overlap
    layout = TileLayout.grid(size, size, tile, tile, overlap, 1)
    assert layout.axes[0].overlap == overlap
    tiles = checkerboard(layout)
    step = largest_step(compose(tiles, layout, method))
    print(f"{method}, tile {tile}, overlap {overlap}: largest first difference {step:.5f}, hann {largest_step(compose(tiles, layout)):.5f}")
    assert step <= bound


def texture(height, width, sigma, generator):
    x = torch.arange(-8, 9).float()
    kernel = torch.exp(-x.square() / (2 * sigma**2))
    kernel = (kernel / kernel.norm()).expand(3, 1, -1)
    noise = torch.randn(1, 3, height + 16, width + 16, generator=generator)
    noise = F.conv2d(F.conv2d(noise, kernel[:, :, None], groups=3), kernel[:, :, :, None], groups=3)
    return 0.5 + 0.1 * noise.movedim(1, -1)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_texture_is_as_strong_in_the_overlap_as_outside(sigma):
    generator = torch.Generator().manual_seed(3)
    layout = TileLayout.grid(900, 900, 340, 340, 60, 1)
    tiles = [texture(340, 340, sigma, generator) for _ in layout.tiles]
    inside = Mosaic(layout, (340, 340)).seams(1)[0].bool()
    kept = {}
    for method in ("average", "hann", "optimal seam", "multiband", "auto"):
        out = compose(tiles, layout, method)[0]
        kept[method] = float(out[inside].std() / out[~inside].std())
    print(f"sigma {sigma}: texture in the overlap over outside: " + ", ".join(f"{m} {v:.3f}" for m, v in kept.items()))
    for method in ("optimal seam", "multiband", "auto"):
        assert abs(kept[method] - 1) <= 0.05
    assert kept["average"] < 0.8


def three_overlaps():
    """A strip of four tiles whose overlaps show, in turn, nothing, a tone step, and another texture."""
    tile, overlap = 256, 64
    width = 4 * tile - 3 * overlap
    layout = TileLayout.grid(tile, width, tile, tile, overlap, 1)
    generator = torch.Generator().manual_seed(4)
    truth = 0.5 + 0.1 * (texture(tile, width, 1.5, generator) - 0.5) + torch.linspace(0, 0.1, width)[:, None]
    tiles = [part.clone() for part in cut(truth, layout)]
    tiles[2] += 0.03
    tiles[3] = texture(tile, tile, 1.5, generator) - 0.5 + tiles[3].mean((1, 2), keepdim=True) + 0.03
    return layout, tiles, truth


def step_in(out, layout, index):
    """Largest difference of neighbouring column means in overlap `index`, in levels."""
    start = layout.tiles[index + 1].x
    stop = layout.tiles[index].x + layout.tile_size[1]
    return float(out[:, :, start - 2 : stop + 2].mean((1, 3)).diff().abs().max()) * 255


def test_auto_finds_out_what_each_overlap_needs_and_says_so():
    layout, tiles, _ = three_overlaps()
    found = survey(tiles, Mosaic(layout, layout.tile_size))
    print(*found, sep="\n")
    assert [f.choice for f in found] == ["feather", "gradient", "cut"]
    assert [(f.first, f.second, f.beside) for f in found] == [(0, 1, True), (1, 2, True), (2, 3, True)]
    assert abs(found[1].tone - 0.03) < 1e-4
    assert "agree" in str(found[0]) and "7.6 of 255" in str(found[1]) and "detail differs" in str(found[2])


def test_auto_is_nowhere_worse_than_the_best_single_method():
    layout, tiles, _ = three_overlaps()
    steps = {method: [step_in(compose(tiles, layout, method), layout, i) for i in range(3)] for method in METHODS}
    for method, values in steps.items():
        print(f"{method:13} " + "  ".join(f"{value:6.3f}" for value in values))
    # What the picture itself does from column to column is no step of a method.
    for i, fair in enumerate((["hann", "gradient"], ["hann", "gradient", "optimal seam", "multiband"], ["optimal seam", "multiband"])):
        assert steps["auto"][i] <= 1.1 * min(steps[method][i] for method in fair)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_outside_0_and_1_is_lost(method):
    image = torch.rand(1, 150, 210, 4, generator=torch.Generator().manual_seed(5)) * 1.8 - 0.4
    image[..., 3] = image[..., 3].clamp(0, 1)
    layout = TileLayout.grid(150, 210, 80, 80, 24, 1)
    for channels in (1, 3, 4):
        part = image[..., :channels]
        assert float((compose(cut(part, layout), layout, method) - part).abs().max()) <= 1e-4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_broken_tile_is_named(method, bad):
    layout = TileLayout.grid(150, 210, 80, 80, 24, 1)
    tiles = [torch.rand(1, 80, 80, 3) for _ in layout.tiles]
    tiles[4][0, 3, 70, 1] = bad
    with pytest.raises(ValueError, match=f"tile 4 has {'NaN' if bad != bad else 'Inf'}"):
        compose(tiles, layout, method)
    with pytest.raises(ValueError, match="tile 5 is missing"):
        compose([torch.rand(1, 80, 80, 3)] * 5, layout, method)
    with pytest.raises(ValueError, match="tile 2 is 79 x 80"):
        compose([torch.rand(1, 80, 79 if i == 2 else 80, 3) for i in range(len(layout))], layout, method)


@pytest.mark.parametrize("method", NEW)
def test_inputs_are_left_alone_and_one_tile_comes_back_as_it_is(method):
    layout = TileLayout.grid(150, 210, 80, 80, 24, 1)
    tiles = [torch.rand(1, 80, 80, 3, generator=torch.Generator().manual_seed(i)) for i in range(len(layout))]
    copies = [tile.clone() for tile in tiles]
    compose(tiles, layout, method)
    assert all(torch.equal(a, b) for a, b in zip(tiles, copies, strict=True))
    single = TileLayout.grid(80, 80, 80, 80, 24, 1)
    assert torch.equal(compose([tiles[0]], single, method), tiles[0])


@pytest.mark.parametrize("method", NEW)
def test_at_any_scale_and_after_a_trim(method):
    image = (texture(200, 260, 2.0, torch.Generator().manual_seed(6)) - 0.5) * 0.3 + 0.5
    layout = TileLayout.grid(200, 260, 96, 96, 40, 8)
    whole = F.interpolate(image.movedim(-1, 1), scale_factor=1.5, mode="bicubic").movedim(1, -1)
    tiles = [F.interpolate(t.movedim(-1, 1), scale_factor=1.5, mode="bicubic").movedim(1, -1) for t in cut(image, layout)]
    out = compose(tiles, layout, method, trim=6)
    assert out.shape == whole.shape
    inner = (slice(None), slice(12, -12), slice(12, -12))  # at the border of the picture a resize sees the mirrored overhang
    assert float((out - whole).abs()[inner].max()) <= 1e-4


@pytest.mark.parametrize(("overlap", "levels"), [(None, 0), (0, 0), (7, 0), (8, 1), (24, 2), (32, 2), (64, 3), (128, 4), (256, 5)])
def test_the_number_of_bands_follows_the_overlap(overlap, levels):
    assert band_count(overlap) == levels


@pytest.mark.parametrize(
    ("options", "words"),
    [({"method": "blur"}, "blend method 'blur' is not known"),
     ({"method": "optimal seam", "cut_feather": 40}, "cut_feather 40 does not fit into the overlap"),
     ({"method": "auto", "cut_feather": float("nan")}, "cut_feather nan is not a width"),
     ({"method": "gradient", "reference_scale": 1e-300}, "reference_scale 1e-300 is not a length"),
     ({"method": "gradient", "reference_scale": 1e20}, "is not a length"),
     ({"method": "gradient", "reference_scale": -1}, "reference_scale -1 is not a length"),
     ({"method": "gradient", "reference": torch.rand(1, 150, 150, 3)}, "not the shape of the 210 x 150 picture"),
     ({"method": "gradient", "reference": torch.rand(3, 150, 210, 3)}, "3 pictures and 1 are blended"),
     ({"method": "auto", "reference": torch.rand(1, 150, 210, 2)}, "2 channels and the tiles have 3"),
     ({"method": "auto", "reference": torch.full((1, 150, 210, 3), float("nan"))}, "reference has NaN")],
)  # fmt: skip
def test_refusals(options, words):
    layout = TileLayout.grid(150, 210, 80, 80, 24, 1)
    with pytest.raises(ValueError, match=words.replace("(", "\\(")):
        compose([torch.rand(1, 80, 80, 3)] * len(layout), layout, **options)


@pytest.mark.parametrize("method", ["optimal seam", "multiband", "auto"])
def test_colour_and_alpha_stay_within_what_the_tiles_have(method):
    layout = TileLayout.grid(200, 200, 100, 100, 32)
    generator = torch.Generator().manual_seed(8)
    picture = torch.rand(1, 240, 240, 4, generator=generator) * 0.5 + 0.25
    picture[..., 3] = (picture[..., 3] > 0.6).float() * picture[..., 3]
    tiles = [picture[:, r.y + i % 3 : r.y + i % 3 + 100, r.x : r.x + 100].clone() for i, r in enumerate(layout.tiles)]
    out = compose(tiles, layout, method)
    assert float(out[..., :3].min()) >= 0.25 and float(out[..., :3].max()) <= 0.75
    assert float(out[..., 3].min()) >= 0 and float(out[..., 3].max()) <= 0.75


@pytest.mark.parametrize("method", METHODS)
def test_a_tile_that_is_all_nan_is_named(method):
    layout = TileLayout.grid(200, 200, 100, 100, 32)
    for index, bad in ((0, float("nan")), (4, float("nan")), (8, float("inf"))):
        tiles = [torch.rand(1, 100, 100, 3) for _ in layout.tiles]
        tiles[index].fill_(bad)
        with pytest.raises(ValueError, match=f"tile {index} has"):
            compose(tiles, layout, method)


@pytest.mark.parametrize("method", NEW)
def test_tiles_shrunk_to_nothing_and_a_feather_next_to_nothing(method):
    for layout, shape in ((TileLayout.grid(97, 97, 8, 64, 0), (1, 1, 6, 1)), (TileLayout.grid(31, 64, 48, 31, 0), (1, 1, 1, 4))):
        scale = 0.1 if shape[2] == 6 else 0
        out = compose([torch.full(shape, 0.5)] * len(layout), layout, method, scale=scale)
        assert float((out - 0.5).abs().max()) <= 1e-6
    layout = TileLayout.grid(100, 100, 60, 60, 20)
    assert torch.isfinite(compose([torch.rand(1, 60, 60, 3)] * 4, layout, method, cut_feather=1e-46)).all()
