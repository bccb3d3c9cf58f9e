"""Gain compensation: what counts where a mask, alpha or a change hides some of the picture."""

import pytest
import torch
from tilework.blending import TileLayout, cut
from tilework.blending.color.gain import compensate
from tilework.blending.color.settings import NothingToMeasureError
from tilework.blending.layout.reference import resized, tile_part

from .test_gain import LAYOUT, corrected, scene, seeded, toned


def test_alpha_is_kept_and_hidden_colour_does_not_count():
    image = torch.cat((scene(1), torch.ones(1, 520, 520, 1)), -1)
    image[:, 150:400, 100:300, 3] = 0
    tiles = [torch.cat((t[..., :3] * (1 + 0.01 * i), t[..., 3:]), -1) for i, t in enumerate(cut(image, LAYOUT))]
    clean = compensate(tiles, LAYOUT)
    generator = seeded(9)
    hidden = [t.clone() for t in tiles]
    for tile in hidden:
        tile[..., :3][tile[..., 3] == 0] = torch.rand(3, generator=generator) * 9
    ours = compensate(hidden, LAYOUT)
    assert torch.allclose(ours.gains, clean.gains, atol=1e-5) and torch.allclose(ours.offsets, clean.offsets, atol=1e-5)
    assert torch.equal(ours.apply(hidden[2], 2)[..., 3], tiles[2][..., 3])


def test_a_mask_says_where_to_compare():
    image, mask = scene(1), torch.ones(1, 260, 260)
    mask[:, 130:] = 0
    tiles = toned(cut(image, LAYOUT), 2)
    clean = compensate(tiles, LAYOUT, image, mask)
    broken = [t.clone() for t in tiles]
    for tile, rect in zip(broken, LAYOUT.tiles, strict=True):
        if rect.y < 268 < rect.y + 136:
            tile[:, 270 - rect.y :] = 0.1
    assert torch.allclose(compensate(broken, LAYOUT, image, mask).gains, clean.gains, atol=1e-3)
    with pytest.raises(NothingToMeasureError, match="leave no place where tiles could be compared"):
        compensate(tiles, LAYOUT, mask=torch.zeros(1, 64, 64))


def test_unchanged_only_leaves_out_what_differs():
    image = scene(1)
    tiles = list(cut(image, LAYOUT))
    tiles[12] = tiles[12].clone()
    tiles[12][:, :100] = 0.9 - tiles[12][:, :100]
    done, _ = corrected(tiles, LAYOUT, image, unchanged_only=0.07)
    assert float((done[12] - tiles[12]).abs().max()) <= 1 / 255
    with pytest.raises(NothingToMeasureError, match="use a larger unchanged_only"):
        compensate([t + 0.5 for t in tiles], LAYOUT, image, unchanged_only=0.07)
    with pytest.raises(ValueError, match=r"unchanged_only 0\.07 needs a reference"):
        compensate(tiles, LAYOUT, unchanged_only=0.07)


def cut_out(seed=1, size=300):
    """Colours in 0.5..0.8 where they can be seen, black where not; [1, h, w, 3] and alpha [1, h, w, 1]."""
    colour = 0.5 + 0.3 * torch.rand(1, size, size, 3, generator=seeded(seed))
    alpha = (torch.rand(1, size, size, 1, generator=seeded(seed + 1)) > 0.5).float()
    return torch.where(alpha > 0, colour, 0.0), alpha


SMALL = TileLayout.grid(300, 300, 128, 128, 32)


@pytest.mark.parametrize("side", ["tiles", "reference", "grey tiles", "twice the size"])
def test_hidden_black_on_one_side_does_not_bias(side):
    colour, alpha = cut_out()
    if side == "grey tiles":
        colour = colour[..., :1].expand(-1, -1, -1, 3)
    image, reference = torch.cat((colour, alpha), -1), colour
    if side == "reference":
        image, reference = colour, image
    if side == "grey tiles":
        image, reference = torch.where(alpha > 0, colour, 1.0)[..., :1], image
    if side == "twice the size":
        reference = reference.repeat_interleave(2, 1).repeat_interleave(2, 2)
        tiles = [t.repeat_interleave(2, 1).repeat_interleave(2, 2) for t in cut(image, SMALL)]
    else:
        tiles = list(cut(image, SMALL))
    done, _ = corrected(tiles, SMALL, reference)
    moved = max(float((d - t).abs().max()) for d, t in zip(done, tiles, strict=True))
    print(f"{side}: moved by {moved:.1e}")
    assert moved <= 1e-6


def test_what_the_mask_hides_does_not_leak_between_pixels():
    """At x1.37 every pixel is read from its neighbours, of which some are hidden and white."""
    image = scene(1, 300, 300, noise=0.0)
    mask = (torch.rand(1, 60, 60, generator=seeded(2)) > 0.5).float().repeat_interleave(5, 1).repeat_interleave(5, 2)
    tiles, seen = [], []
    for index, tile in enumerate(cut(image, SMALL)):
        seen.append(tile_part(mask[..., None], SMALL, index, (175, 175)) > 0)
        tiles.append(torch.where(seen[-1], resized(tile, (175, 175)) + 0.1, 1.0))
    gains = compensate(tiles, SMALL, image, mask)
    error = max(float((gains.apply(t, i) - t + 0.1).abs()[s.expand_as(t)].max()) for i, (t, s) in enumerate(zip(tiles, seen, strict=True)))
    print(f"off by {255 * error:.4f} of 255")
    assert error <= 0.6 / 255


@pytest.mark.parametrize("with_reference", [False, True])
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_a_mask_of_single_pixels_does_not_bias(with_reference, kind):
    image, mask = torch.rand(1, 300, 300, 3, generator=seeded(1)), torch.rand(1, 300, 300, generator=seeded(2))
    mask = (mask > 0.5).float() if kind == "hard" else mask
    tiles = list(cut(image, SMALL))
    done, _ = corrected(tiles, SMALL, image if with_reference else None, mask)
    moved = max(float((d - t).abs().max()) for d, t in zip(done, tiles, strict=True))
    print(f"moved by {moved:.1e}")
    assert moved <= 1e-6


@pytest.mark.parametrize("channels", [3, 4])
def test_one_mask_serves_a_batch(channels):
    layout = TileLayout.grid(200, 200, 100, 100, 32, batch=3)
    tiles = toned(cut(torch.cat([scene(i, 200, 200) for i in range(3)]), layout), 2)
    if channels == 4:
        tiles = [torch.cat((t, torch.ones_like(t[..., :1])), -1) for t in tiles]
    plain, one = compensate(tiles, layout), compensate(tiles, layout, mask=torch.ones(1, 200, 200))
    assert one.gains.shape == (len(tiles), 3, 3)
    assert torch.allclose(one.gains, plain.gains, atol=1e-6) and torch.allclose(one.offsets, plain.offsets, atol=1e-6)
    reference = scene(0, 200, 200)
    assert compensate(tiles, layout, reference, torch.ones(1, 50, 50)).gains.shape == (len(tiles), 3, 3)


def test_tiles_outside_the_mask_are_left_and_it_is_said():
    layout = TileLayout.grid(520, 400, 136, 136, 40, 8)
    image, mask = scene(1, 520, 400), torch.zeros(1, 520, 400)
    mask[:, :300] = 1
    tiles = toned(cut(image, layout), 2)
    outside = [i for i, rect in enumerate(layout.tiles) if rect.y >= 300]
    for reference in (None, image):
        done, gains = corrected(tiles, layout, reference, mask)
        assert [i for i, (d, t) in enumerate(zip(done, tiles, strict=True)) if d is t] == outside
        assert gains.outside == gains.left == len(outside) == 4
        print(gains.report())
        assert f"4 of {len(tiles)} tiles outside the mask, left as they came" in gains.report()
        assert gains.worst >= 5 / 255, "an overlap with a tile that was left is still as it was"
        assert f"{255 * gains.worst:.2f} in the worst overlap" in gains.report()
    # Each by itself the tiles within the mask are what they would be without the others.
    _, gains = corrected(tiles, layout)
    assert gains.left == 0 and gains.worst <= 1e-4 and "left as they came" not in gains.report()


def test_now_is_over_all_overlaps():
    image, mask = scene(1), torch.zeros(1, 520, 520)
    mask[:, :200] = 1
    tiles = toned(cut(image, LAYOUT), 2)
    gains, plain = compensate(tiles, LAYOUT, mask=mask), compensate(tiles, LAYOUT)
    print(gains.report())
    assert abs(gains.before - plain.before) < 1e-6 and gains.after > 1 / 255 > plain.after


def test_tiles_that_part_of_a_graph_made():
    tiles = toned(cut(scene(1), LAYOUT), 2)
    plain = compensate(tiles, LAYOUT, scene(1), torch.ones(1, 52, 52))
    graph = [t.clone().requires_grad_() for t in (*tiles, scene(1), torch.ones(1, 52, 52))]
    gains = compensate(graph[:-2], LAYOUT, graph[-2], graph[-1])
    assert torch.equal(gains.gains, plain.gains) and not gains.apply(graph[0], 0).requires_grad
    with pytest.raises(ValueError, match=r"the mask is torch.float32 of shape \(520, 520\)"):
        compensate(tiles, LAYOUT, mask=torch.ones(520, 520))
