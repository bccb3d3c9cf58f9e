"""Colour matching: what is hidden, masked out or painted anew is not measured, and tiles take their own part of a reference."""

import pytest
import torch
from tilework.blending import TileLayout, compose, cut
from tilework.blending.color.gain import compensate
from tilework.blending.color.match import match, match_tiles
from tilework.blending.color.settings import MATCH_METHODS, NothingToMeasureError
from tilework.blending.layout.reference import resized, sample
from tilework.tests.unit.color.color_scenes import PLAIN, STATISTICS, scene, seeded

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


@pytest.mark.parametrize("method", MATCH_METHODS)
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
