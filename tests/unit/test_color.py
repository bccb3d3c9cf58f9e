"""Colours of a reference: what matches, what stays, and what is refused."""

import pytest
import torch
from kornia.color import lab_to_rgb as kornia_lab_to_rgb
from kornia.color import rgb_to_lab as kornia_rgb_to_lab
from tilework.blending import TileLayout, compose, cut
from tilework.blending.color import match, match_tiles
from tilework.blending.color_settings import METHODS, NothingToMeasureError
from tilework.blending.gain import compensate
from tilework.blending.lab import lab_to_rgb, rgb_to_lab
from tilework.blending.reference import resized, sample
from tilework.blending.wavelet import levels_for, low_pass

PLAIN = METHODS[:-1]
STATISTICS = PLAIN[:-1]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def scene(seed, height=300, width=340, channels=3, batch=1, low=0.1, high=0.9, noise=0.03):
    """Smooth colours that go together a little, with fine noise."""
    generator = seeded(seed)
    coarse = torch.rand(batch, channels, 7, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").movedim(1, -1)
    smooth = smooth + 0.3 * smooth.flip(-1)
    smooth = (smooth - smooth.amin()) / (smooth.amax() - smooth.amin())
    return (low + (high - low) * smooth + noise * torch.randn(smooth.shape, generator=generator)).contiguous()


def gradient(height=777, width=1000):
    """Red from left to right, green from top to bottom, blue against both."""
    y, x = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    return torch.stack((x.expand(height, -1), y.expand(-1, width), (1 - (x + y) / 2)), -1)[None].contiguous()


def rows(image, weight=None):
    values = image[..., :3].reshape(-1, min(image.shape[-1], 3)).double()
    return values if weight is None else values[weight.reshape(-1) > 0]


def covariance(image):
    return torch.cov(rows(image).T, correction=0)


def lab_of(image):
    return rgb_to_lab(rows(image).T)


# ---------------------------------------------------------------- nothing to do


@pytest.mark.parametrize("method", PLAIN)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_same_picture_is_handed_on_itself(method, channels):
    image = scene(1, channels=channels, batch=2)
    assert match(image, image, method) is image
    assert match(image, image.clone(), method) is image
    assert match(image, scene(2, channels=channels), method, strength=0) is image
    assert match(image, scene(2, channels=channels), method) is not image


@pytest.mark.parametrize("method", STATISTICS)
def test_the_same_colours_elsewhere_change_nothing(method):
    image = scene(1)
    assert float((match(image, image.flip(1), method) - image).abs().max()) <= 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_a_gradient_cut_into_tiles_stays_as_it_is(method):
    image = gradient()
    layout = TileLayout.grid(777, 1000, 256, 256, 64, 8)
    if method == "gain compensation":
        for reference in (None, image):
            gains = compensate(cut(image, layout), layout, reference)
            tiles = [gains.apply(tile, i) for i, tile in enumerate(cut(image, layout))]
            check_gradient(compose(tiles, layout), image)
    else:
        check_gradient(compose(match_tiles(cut(image, layout), layout, image, method), layout), image)


def check_gradient(out, image):
    moved = out.double() - image.double()
    print(f"largest move {float(moved.abs().max()):.1e}, mean {float(moved.mean()):.1e}")
    assert float(moved.abs().max()) <= 1 / 255 and abs(float(moved.mean())) < 1e-5


# ---------------------------------------------------------------- statistics


@pytest.mark.parametrize("method", ["mean-std", "mkl"])
@pytest.mark.parametrize("channels", [1, 3])
def test_mean_and_deviation_match(method, channels):
    out = match(scene(1, channels=channels), aim := scene(2, 200, 250, channels, low=0.3, high=0.6), method)
    assert torch.allclose(rows(out).mean(0), rows(aim).mean(0), atol=1e-5, rtol=0)
    assert torch.allclose(rows(out).std(0, correction=0), rows(aim).std(0, correction=0), atol=1e-5, rtol=0)


def test_mkl_matches_the_covariance_and_mean_std_does_not():
    image, aim = scene(1), scene(2)
    error = {m: float((covariance(match(image, aim, m)) - covariance(aim)).abs().max()) for m in ("mkl", "mean-std")}
    print(error)
    assert error["mkl"] <= 1e-5 < error["mean-std"]


def test_mkl_moves_colours_less_than_another_map_of_the_same_covariance():
    image, aim = scene(1), scene(2)
    a, b = (torch.linalg.cholesky(covariance(p)) for p in (image, aim))
    other = (rows(image) - rows(image).mean(0)) @ (b @ torch.linalg.inv(a)).T + rows(aim).mean(0)
    ours = rows(match(image, aim, "mkl"))
    assert float((ours - rows(image)).square().mean()) < float((other - rows(image)).square().mean())


def test_lab_matches_mean_and_deviation_in_lab():
    aim = scene(2, 200, 250, low=0.2, high=0.7)
    out = lab_of(match(scene(1), aim, "lab"))
    print((out.mean(1) - lab_of(aim).mean(1)).tolist(), (out.std(1, correction=0) - lab_of(aim).std(1, correction=0)).tolist())
    assert torch.allclose(out.mean(1), lab_of(aim).mean(1), atol=1e-5, rtol=0)
    assert torch.allclose(out.std(1, correction=0), lab_of(aim).std(1, correction=0), atol=1e-5, rtol=0)


def test_histogram_matches_quantiles_and_keeps_more_than_256_levels():
    image, aim = scene(1, 600, 700), scene(2, 500, 800, low=0.2, high=0.8)
    out = match(image, aim, "histogram")
    shares = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    error = (torch.quantile(rows(out), shares, dim=0) - torch.quantile(rows(aim), shares, dim=0)).abs()
    coarse = match(image, (aim * 255).round() / 255, "histogram")
    levels = [len(torch.unique(p[..., 0])) for p in (out, coarse)]
    print(f"quantiles within {float(error.max()):.1e}; levels {levels}")
    assert float(error.max()) <= 1e-5
    assert min(levels) > 10_000


def test_histogram_of_few_levels_is_exact():
    levels = torch.tensor([0.0, 0.3, 0.9])
    image = levels[torch.randint(3, (1, 50, 50, 3), generator=seeded(1))]
    aim = torch.tensor([0.1, 0.2, 0.7])[torch.bucketize(image, levels)]
    out = match(image, aim, "histogram")
    assert float((out - aim).abs().max()) <= 2e-5


def test_histogram_puts_nothing_into_a_gap():
    aim = torch.where(torch.rand(1, 100, 100, 1, generator=seeded(3)) < 0.5, 0.05, 0.95)
    out = match(torch.rand(1, 100, 100, 1, generator=seeded(4)), aim, "histogram")
    assert float(((out > 0.06) & (out < 0.94)).float().mean()) < 0.001


def test_low_frequency_keeps_the_details_and_takes_the_rest():
    aim, detail = scene(1), 0.05 * torch.randn(1, 300, 340, 3, generator=seeded(2))
    image = 0.8 * aim + 0.15 + detail
    out = match(image, aim, "low frequency")
    levels = levels_for(300)
    error = (out[0] - low_pass(aim[0], levels)) - (image[0] - low_pass(image[0], levels))
    means = [float((p.mean((1, 2)) - aim.mean((1, 2))).abs().max()) for p in (out, image)]
    print(f"high bands within {float(error.abs().max()):.1e}; mean off by {255 * means[0]:.3f} of 255, {255 * means[1]:.1f} before")
    assert float(error.abs().max()) <= 1e-6
    assert means[0] <= 0.5 / 255 < means[1] / 10


def test_low_frequency_per_tile_takes_the_level_of_its_own_part():
    aim = scene(1, 400, 500)
    layout = TileLayout.grid(400, 500, 200, 200, 40, 8)
    tiles = [tile * (0.9 + 0.02 * i) + 0.01 * i for i, tile in enumerate(cut(aim, layout))]
    for out, part in zip(match_tiles(tiles, layout, aim, "low frequency"), cut(aim, layout), strict=True):
        assert float((out.mean((1, 2)) - part.mean((1, 2))).abs().max()) <= 0.5 / 255


def test_levels_follow_the_tile():
    assert [levels_for(n) for n in (2, 64, 512, 1024)] == [1, 5, 8, 9]
    line = torch.zeros(1, 65, 1)
    line[0, 32] = 1
    assert low_pass(line.expand(9, -1, -1), 1)[4, 30:35, 0].tolist() == [0, 0.25, 0.5, 0.25, 0]


# ---------------------------------------------------------------- strength, range, alpha, batches


@pytest.mark.parametrize("method", PLAIN)
def test_strength_goes_part_of_the_way(method):
    image, aim = scene(1), scene(2)
    full = match(image, aim, method)
    assert torch.allclose(match(image, aim, method, strength=0.25), image + 0.25 * (full - image), atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", PLAIN)
def test_values_outside_the_range_stay_apart(method):
    image, aim = scene(1), scene(2)
    image[0, 10, 10], image[0, 20, 20], image[0, 30, 30] = -0.4, 1.7, 2.2
    before = image.clone()
    out = match(image, aim, method)
    assert torch.equal(image, before), "the input is not written to"
    assert torch.isfinite(out).all()
    low, high, higher = (out[0, i, i].mean() for i in (10, 20, 30))
    # The reference's own range ends where its noise does; histogram alone may take everything there.
    assert low < out[0, 40:].mean() < high < higher
    if method != "histogram":
        assert low < -0.1 and higher > 1.3


@pytest.mark.parametrize("low", [-0.5, 0.0])
def test_lab_comes_back_for_every_value_and_is_kornias_inside_the_range(low):
    rgb = low + (1 - 2 * low) * torch.rand(3, 20_000, generator=seeded(1), dtype=torch.float64)
    assert float((lab_to_rgb(rgb_to_lab(rgb)) - rgb).abs().max()) <= 1e-9
    assert float((lab_to_rgb(rgb_to_lab(rgb.float())) - rgb).abs().max()) <= (1e-5 if low == 0 else 5e-5)
    theirs = kornia_rgb_to_lab(rgb[:, None])[:, 0]
    back = kornia_lab_to_rgb(theirs[:, None], clip=False)[:, 0]
    print(f"kornia differs by {float((rgb_to_lab(rgb) - theirs).abs().max()):.4f} and comes back to {float((back - rgb).abs().max()):.1e}")
    if low == 0:
        assert float((rgb_to_lab(rgb) - theirs).abs().max()) < 0.02
    grey = rgb_to_lab(torch.linspace(-0.5, 1.5, 99, dtype=torch.float64).expand(3, -1))
    assert float(grey[1:].abs().max()) < 1e-10


@pytest.mark.parametrize("method", PLAIN)
def test_alpha_is_kept_and_hidden_colour_does_not_count(method):
    image, aim = scene(1, channels=4), scene(2, channels=4)
    hidden = torch.zeros(300, 340, dtype=torch.bool)
    hidden[:, :150] = True
    for picture in (image, aim):
        picture[..., 3] = 1.0
        picture[0, hidden] = picture[0, hidden] * torch.tensor([1.0, 1, 1, 0])
    clean = match(image, aim, method)
    assert torch.equal(clean[..., 3], image[..., 3])
    for picture in (image, aim):
        picture[0, ..., :3][hidden] = 5.0
    assert torch.allclose(match(image, aim, method)[0, ~hidden], clean[0, ~hidden], atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", PLAIN)
def test_half_transparent_pixels_count_half(method):
    """A pixel of alpha 1/2, twice, is a pixel of alpha 1."""
    image, aim = scene(1, 64, 64, 4), scene(2, 64, 64)
    image[..., 3] = 0.5
    opaque = torch.cat((image[..., :3], torch.ones(1, 64, 64, 1)), -1)
    assert torch.allclose(match(image, aim, method)[..., :3], match(opaque, aim, method)[..., :3], atol=1e-6, rtol=0)


def test_an_invisible_picture_is_handed_on():
    image = scene(1, channels=4)
    image[..., 3] = 0
    assert match(image, scene(2), "mkl") is image


@pytest.mark.parametrize("method", PLAIN)
def test_pictures_of_a_batch_do_not_know_of_each_other(method):
    image, aim = scene(1, 80, 90, batch=3), scene(2, 80, 90, batch=3)
    image[1] = aim[1]
    out = match(image, aim, method)
    alone = [match(image[i : i + 1], aim[i : i + 1], method) for i in range(3)]
    assert torch.equal(out, torch.cat(alone)) and torch.equal(out[1], image[1])
    one = match(image, aim[:1], method)
    assert torch.equal(one[2:], match(image[2:], aim[:1], method))


@pytest.mark.parametrize("method", PLAIN)
@pytest.mark.parametrize(("own", "others"), [(1, 3), (3, 1), (4, 3), (3, 4), (1, 4), (4, 1)])
def test_grey_colour_and_alpha_go_together(method, own, others):
    out = match(scene(1, 60, 70, own), scene(2, 50, 60, others), method)
    assert out.shape == (1, 60, 70, own) and torch.isfinite(out).all()


@pytest.mark.parametrize("method", PLAIN)
def test_flat_pictures_take_the_level_of_the_reference(method):
    out = match(torch.full((1, 40, 50, 3), 0.3), torch.full((1, 40, 50, 3), 0.6), method)
    assert float((out - 0.6).abs().max()) <= 1e-5


# ---------------------------------------------------------------- mask, unchanged_only


@pytest.mark.parametrize("method", STATISTICS)
def test_only_what_the_mask_shows_is_measured(method):
    image, aim, mask = scene(1), scene(2), torch.zeros(1, 300, 340)
    mask[:, :, :200] = 1
    whole = match(image[:, :, :200], aim[:, :, :200], method)
    out = match(image, aim, method, mask=mask)
    assert torch.allclose(out[:, :, :200], whole, atol=1e-6, rtol=0)
    assert not torch.equal(out[:, :, 200:], image[:, :, 200:]), "the change itself goes everywhere"


def test_a_mask_that_is_empty_is_refused():
    with pytest.raises(NothingToMeasureError, match="the mask leaves no pixel of the image to measure"):
        match(scene(1), scene(2), "mkl", mask=torch.zeros(1, 30, 34))


@pytest.mark.parametrize("method", PLAIN)
def test_what_was_painted_anew_does_not_pull_the_colours(method):
    aim = scene(1, noise=0.0)
    image = aim * 0.95 + 0.02
    image[:, 100:200, 100:200] = torch.tensor([0.9, 0.05, 0.1])
    rest = torch.ones(300, 340, dtype=torch.bool)
    rest[100:200, 100:200] = False
    near, plain = (float((match(image, aim, method, unchanged_only=u) - aim)[0, rest].abs().max()) for u in (0.07, 0.0))
    print(f"{method}: {255 * near:.2f} of 255 from the original, {255 * plain:.2f} when all is measured")
    # What was done to the picture is not linear in Lab, and a gain is not a low frequency: those two come near only.
    assert near <= {"lab": 4, "low frequency": 5}.get(method, 1) / 255 and near < plain / 2


def test_the_rule_of_unchanged_pixels_is_x_dubs_formula():
    aim = scene(1)
    image = aim * 0.9 + 0.03 + 0.1 * (scene(3) > 0.6)
    same = (image - aim).abs().mean(-1) < 0.07
    own, want = image[same].double(), aim[same].double()
    gain = ((want.var(0, correction=0) + 1e-7) / (own.var(0, correction=0) + 1e-7)).sqrt()
    expected = (image.double() - own.mean(0)) * gain + want.mean(0)
    assert 0.5 < float(same.float().mean()) < 0.97
    assert float((match(image, aim, "mean-std", unchanged_only=0.07) - expected).abs().max()) <= 1e-6


def test_nothing_unchanged_is_refused():
    with pytest.raises(NothingToMeasureError, match=r"tile 3 differs.*less than unchanged_only 0.01: use a larger value"):
        match(torch.zeros(1, 8, 8, 3), torch.ones(1, 8, 8, 3), "lab", unchanged_only=0.01, name="tile 3")


# ---------------------------------------------------------------- tiles and their reference


@pytest.mark.parametrize("method", PLAIN)
@pytest.mark.parametrize("factor", [0.5, 1, 2, 1.37])
def test_each_tile_takes_the_colours_of_its_own_part(method, factor):
    """The reference may have any size, and so may the tiles."""
    image = scene(1, 300, 420, noise=0.0)
    layout = TileLayout.grid(300, 420, 128, 160, 32, 4)
    reference = resized(image, (round(300 * factor), round(420 * factor)))
    tiles = [tile * (0.8 + 0.05 * (i % 4)) + 0.02 * (i % 3) for i, tile in enumerate(cut(image, layout))]
    out = compose(match_tiles(tiles, layout, reference, method), layout)
    error = float((out - image).abs().max())
    print(f"{method} x{factor}: {255 * error:.2f} of 255")
    # As above; the tiles were up to 50 of 255 away.
    assert error <= {"lab": 8, "low frequency": 11}.get(method, 1) / 255


def test_tiles_of_another_scale_and_a_mask_over_the_whole():
    image = scene(1, 256, 256, noise=0.0)
    layout = TileLayout.grid(256, 256, 128, 128, 32, 8)
    tiles = [resized(tile, (256, 256)) * 0.9 for tile in cut(image, layout)]
    mask = torch.zeros(1, 64, 64)
    mask[:, :30] = 1
    out = list(match_tiles(tiles, layout, image, "mean-std", mask=mask))
    assert all(o is t for o, t in zip(out[6:], tiles[6:], strict=True)), "no part of the mask"
    assert float((out[0] - resized(next(iter(cut(image, layout))), (256, 256))).abs().max()) <= 5 / 255


def test_sampling_is_placed_between_pixels():
    line = torch.arange(40.0).view(1, 40, 1, 1).expand(-1, -1, 40, -1)
    part = sample(line, (4.25, 3, 20, 10), (20, 10))
    assert torch.allclose(part[0, :, 0, 0], torch.arange(20) + 4.25)
    half = sample(line, (0, 0, 40, 40), (20, 20))
    assert torch.allclose(half[0, 2:-2, 0, 0], 2 * torch.arange(2.0, 18) + 0.5, atol=1e-4)
    assert sample(line, (4, 3, 20, 10), (20, 10)).data_ptr() == line[:, 4:, 3:].data_ptr(), "a view where it can be"


# ---------------------------------------------------------------- one weight for tile and reference


@pytest.mark.parametrize("method", PLAIN)
@pytest.mark.parametrize("side", ["tiles", "reference"])
@pytest.mark.parametrize("unchanged_only", [0.0, 0.3])
def test_hidden_black_of_the_other_side_does_not_count_with_a_layout(method, side, unchanged_only):
    colour = 0.5 + 0.3 * torch.rand(1, 300, 300, 3, generator=seeded(1))
    alpha = (torch.rand(1, 300, 300, 1, generator=seeded(2)) > 0.5).float()
    hidden = torch.where(alpha > 0, colour, 0.0)
    layout = TileLayout.grid(300, 300, 128, 128, 32)
    image, reference = torch.cat((hidden, alpha), -1), hidden
    if side == "reference":
        image, reference = colour, torch.cat((hidden, alpha), -1)
    tiles = list(cut(image, layout))
    done = match_tiles(tiles, layout, reference, method, unchanged_only=unchanged_only)
    moved = max(float((d - t).abs().max()) for d, t in zip(done, tiles, strict=True))
    print(f"{method}, {side}: moved by {moved:.1e}")
    assert moved <= 1e-6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [0.5, 2, 1.37])
def test_hidden_black_does_not_leak_into_a_reference_of_another_size(method, factor):
    """Cut-outs, and a reference without alpha that knows nothing of them."""
    colour = 0.5 + 0.3 * scene(1, 300, 300, noise=0.0)
    alpha = torch.zeros(1, 300, 300, 1)
    alpha[:, 40:190, 30:240] = alpha[:, 220:280, 60:280] = 1
    hidden = torch.where(alpha > 0, colour, 0.0)
    layout = TileLayout.grid(300, 300, 128, 128, 32)
    tiles = [resized(tile, (round(128 * factor),) * 2) for tile in cut(torch.cat((hidden, alpha), -1), layout)]
    if method == "gain compensation":
        gains = compensate(tiles, layout, hidden)
        done = [gains.apply(tile, i) for i, tile in enumerate(tiles)]
    else:
        done = list(match_tiles(tiles, layout, hidden, method))
    inner = [resized(tile, tuple(t.shape[1:3]))[..., 0] > 0.999 for tile, t in zip(cut(alpha, layout), tiles, strict=True)]
    moved = max(float((d - t)[..., :3].abs()[i].max()) for d, t, i in zip(done, tiles, inner, strict=True) if i.any())
    print(f"{method} x{factor}: moved by {255 * moved:.2f} of 255")
    assert moved <= 1 / 255


def test_a_weight_counts_once():
    """Half-transparent where the mask is soft: each pixel counts by alpha times mask, and no power of them."""
    image, aim = scene(1, 64, 64, 4), scene(2, 64, 64)
    image[..., 3] = torch.rand(1, 64, 64, generator=seeded(3))
    mask = torch.rand(1, 64, 64, generator=seeded(4))
    opaque = torch.cat((image[..., :3], torch.ones(1, 64, 64, 1)), -1)
    for method, unchanged in (("low frequency", 0.0), ("mean-std", 0.5)):
        ours = match(image, aim, method, mask=mask, unchanged_only=unchanged)[..., :3]
        once = match(opaque, aim, method, mask=mask * image[..., 3], unchanged_only=unchanged)[..., :3]
        assert torch.allclose(ours, once, atol=1e-5, rtol=0), method
    twice = match(opaque, aim, "low frequency", mask=mask.square())[..., :3]
    assert not torch.allclose(match(opaque, aim, "low frequency", mask=mask)[..., :3], twice, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", PLAIN)
def test_a_mask_that_touches_no_tile_is_refused_at_once(method):
    image, layout = scene(1), TileLayout.grid(300, 340, 128, 128, 32, 4)
    with pytest.raises(NothingToMeasureError, match="the mask leaves no pixel of any tile to measure: paint it"):
        match_tiles(cut(image, layout), layout, image, method, mask=torch.zeros(1, 30, 34))


def test_each_picture_of_a_batch_has_its_own_part_of_the_mask():
    layout = TileLayout.grid(300, 340, 128, 128, 32, 4, batch=2)
    image, mask = scene(1, batch=2), torch.zeros(2, 300, 340)
    mask[0, :80] = mask[1, 220:] = 1
    tiles = [0.9 * tile for tile in cut(image, layout)]
    out = list(match_tiles(tiles, layout, image, "mean-std", mask=mask))
    first, last = out[0] - tiles[0], out[-1] - tiles[-1]
    assert first[0].any() and not first[1].any() and last[1].any() and not last[0].any()


# ---------------------------------------------------------------- odd values


@pytest.mark.parametrize("width", [1e-34, 1e-37, 1e-45])
def test_histogram_takes_a_tiny_range_for_a_flat_one(width):
    tiny = torch.zeros(1, 20, 20, 3)
    tiny[0, :10] = width
    for image, aim in ((tiny, scene(1)), (scene(1), tiny)):
        out = match(image, aim, "histogram")
        assert torch.isfinite(out).all() and out.shape == image.shape
    assert float(match(scene(1), tiny, "histogram").abs().max()) <= 1e-30


@pytest.mark.parametrize("method", PLAIN)
def test_pictures_that_are_part_of_a_graph(method):
    image, aim, mask = scene(1), scene(2), torch.ones(1, 300, 340)
    graph = [t.clone().requires_grad_() for t in (image, aim, mask)]
    out = match(graph[0], graph[1], method, mask=graph[2])
    assert torch.equal(out, match(image, aim, method, mask=mask)) and not out.requires_grad
    layout = TileLayout.grid(300, 340, 300, 340, 0)
    (tile,) = match_tiles([graph[0]], layout, graph[1], method, mask=graph[2])
    assert not tile.requires_grad


@pytest.mark.parametrize("value", [1e7, 1e20, -1e30])
def test_lab_refuses_what_it_cannot_hold(value):
    image, broken = scene(1), scene(2)
    broken[0, 5, 5, 1] = value
    with pytest.raises(ValueError, match=r"tile 3 has values up to 1e\+\d+, and lab works up to 1e\+06"):
        match(broken, image, "lab", name="tile 3")
    with pytest.raises(ValueError, match=r"reference has values up to 1e\+\d+, and lab"):
        match(image, broken, "lab")
    broken[0, 5, 5, 1] = 9e5
    assert torch.isfinite(match(broken, image, "lab")).all() and torch.isfinite(match(image, broken, "lab")).all()


def test_what_is_missing_is_said_at_once():
    image, layout = scene(1), TileLayout.grid(300, 340, 128, 128, 32, 4)
    with pytest.raises(ValueError, match="reference is missing: expected a picture"):
        match_tiles(cut(image, layout), layout, None, "lab")
    for call in (lambda: match(image, image, "gain compensation"), lambda: match_tiles([], layout, image, "gain compensation")):
        with pytest.raises(ValueError, match=r"use blending\.gain\.compensate"):
            call()
    for scale in (float("inf"), float("nan"), -1.0):
        with pytest.raises(ValueError, match=r"scale .* is not a length in pixels: use 0"):
            match(image, scene(2), "low frequency", scale=scale)


# ---------------------------------------------------------------- refusals


def test_what_does_not_fit_is_refused():
    image, layout = scene(1), TileLayout.grid(300, 340, 128, 128, 32, 4)
    with pytest.raises(ValueError, match="'wct' is not known: use one of mean-std, lab, mkl, histogram, low frequency, gain"):
        match(image, image, "wct")
    with pytest.raises(ValueError, match="works on all tiles of a layout at once"):
        match(image, image, "gain compensation")
    with pytest.raises(ValueError, match=r"strength -1\.0 is not a strength"):
        match(image, image, "lab", strength=-1.0)
    with pytest.raises(ValueError, match="reference has a batch of 2 and the image one of 1"):
        match(image, scene(1, batch=2), "lab")
    with pytest.raises(ValueError, match=r"with 1 channel \(grey\), 3 \(RGB\) or 4"):
        match(scene(1, channels=2), image, "lab")
    with pytest.raises(ValueError, match="reference is 340 x 100 and the layout was planned for 340 x 300"):
        next(match_tiles(cut(image, layout), layout, image[:, :100], "lab"))
    with pytest.raises(ValueError, match="more than the 12 tiles"):
        list(match_tiles([*cut(image, layout)] * 2, layout, image, "mean-std"))


@pytest.mark.parametrize("method", PLAIN)
@pytest.mark.parametrize(("value", "name"), [("nan", "NaN"), ("inf", "Inf"), ("-inf", "Inf")])
def test_a_broken_tile_is_named(method, value, name):
    image, layout = scene(1), TileLayout.grid(300, 340, 128, 128, 32, 4)
    tiles = [tile.clone() for tile in cut(image, layout)]
    tiles[7][0, 5, 6, 1] = float(value)
    with pytest.raises(ValueError, match=rf"tile 7 has {name} in it \(1 values\)"):
        list(match_tiles(tiles, layout, image, method))
    image[0, 3, 3, 0] = float(value)
    with pytest.raises(ValueError, match=f"reference has {name}"):
        match(scene(1), image, method)
