"""Colour matching: what each method promises, and that nothing is done where nothing is to do."""

import pytest
import torch
from kornia.color import lab_to_rgb as kornia_lab_to_rgb
from kornia.color import rgb_to_lab as kornia_rgb_to_lab
from tilework.blending import TileLayout, compose, cut
from tilework.blending.color.gain import compensate
from tilework.blending.color.low_frequency import blur_count, repeated_blur
from tilework.blending.color.match import match, match_tiles
from tilework.blending.color.settings import MATCH_METHODS
from tilework.blending.pixels.lab import from_f, rgb_to_lab, to_f
from tilework.tests.unit.color.color_scenes import PLAIN, STATISTICS, covariance, gradient, lab_of, rows, scene, seeded

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


@pytest.mark.parametrize("method", MATCH_METHODS)
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
    levels = blur_count(300)
    error = (out[0] - repeated_blur(aim[0], levels)) - (image[0] - repeated_blur(image[0], levels))
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
    assert [blur_count(n) for n in (2, 64, 512, 1024)] == [1, 5, 8, 9]
    line = torch.zeros(1, 65, 1)
    line[0, 32] = 1
    assert repeated_blur(line.expand(9, -1, -1), 1)[4, 30:35, 0].tolist() == [0, 0.25, 0.5, 0.25, 0]


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
    assert float((from_f(to_f(rgb)) - rgb).abs().max()) <= 1e-9
    assert float((from_f(to_f(rgb.float())) - rgb).abs().max()) <= (1e-5 if low == 0 else 5e-5)
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
