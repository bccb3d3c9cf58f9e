"""Masks of tiles: an edge better than a single tile's, objects whole, false pieces gone, nothing lost. Figures with `pytest -s`."""

import pytest
import torch
from tilework.blending.detection.mask_merge import merge_masks
from tilework.blending.layout.cutting import cut
from tilework.blending.layout.tile_layout import TileLayout
from tilework.tests.unit.detection.detection_scenes import distance_to, noisy_tiles, smooth_noise, soft

LAYOUT = TileLayout.grid(400, 520, 192, 192, 64, 8)
DISCS = [(110, 130, 60), (290, 330, 80)]


def generator(seed):
    return torch.Generator().manual_seed(seed)


def tiles_of(mask, layout=LAYOUT):
    """The mask [H, W] as tiles see it: [1, h, w] each."""
    return [tile[..., 0] for tile in cut(mask[None, ..., None], layout)]


def each_object(discs, layout=LAYOUT, binary=False, width=2.0):
    """As SAM3 gives them: one mask for each object that a tile sees, [N, h, w], N may be 0."""
    planes = [tiles_of(soft(distance_to([disc], *layout.canvas), width), layout) for disc in discs]
    items = []
    for masks in zip(*planes, strict=True):
        there = [mask for mask in masks if (mask >= 0.5).any()]
        item = torch.cat(there) if there else masks[0][:0]
        items.append((item >= 0.5).float() if binary else item)
    return items


def boundary_error(mask, truth):
    """How far the edge of [..., h, w] is off, in pixels: the area between both edges, per pixel of edge; as (area, edge)."""
    edge = (truth[1:] != truth[:-1]).sum() + (truth[:, 1:] != truth[:, :-1]).sum()
    return float(((mask >= 0.5) != truth).sum()), float(edge)


@pytest.fixture(scope="module")
def scene():
    """A scene of 3,000 px in tiles at 50 % overlap: (layout, what is true, the mask of each tile, the mask of a pass at 640 px).

    The same noise in the pixels of whoever looks: a tile's are the picture's, those of the pass at 640 px are 4.7 times as large.
    """
    made, side, small, sd = generator(1), 3000, 640, 2.0
    distance = distance_to([(700, 900, 420), (900, 1300, 300), (2100, 2000, 500), (2300, 700, 260)], side, side)
    layout = TileLayout.grid(side, side, 1000, 1000, 500, 8)
    masks = noisy_tiles(distance, layout, made, sd, 40)
    shrunk = torch.nn.functional.interpolate(distance[None, None], (small, small), mode="area")[0, 0] * small / side
    return layout, distance > 0, masks, soft(shrunk + sd * smooth_noise(small, small, 40, made))


@pytest.mark.parametrize("kind", ["soft", "binary", "logits"])
def test_the_edge_is_better_than_a_single_tiles_and_far_better_than_a_small_masks(scene, kind):
    layout, truth, masks, low = scene
    single = [
        boundary_error(mask[0], truth[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width])
        for mask, tile in zip(masks, layout.tiles, strict=True)
    ]
    single = sum(area for area, _ in single) / sum(edge for _, edge in single)
    large = torch.nn.functional.interpolate(low[None, None], tuple(truth.shape), mode="bilinear")[0, 0]
    if kind != "soft":
        masks = [(mask >= 0.5).float() if kind == "binary" else torch.logit(mask, 1e-6) for mask in masks]
    merged = merge_masks(masks, layout, prior=low)
    area, edge = boundary_error(merged.mask[0], truth)
    error, upscaled = area / edge, boundary_error(large, truth)[0] / edge
    print(f"{kind}: edge off by {error:.2f} px, a tile's {single:.2f}, the upscaled small mask's {upscaled:.2f}")
    assert error <= (0.85 if kind != "binary" else 0.95) * single and error <= 0.35 * upscaled
    assert merged.count == 3 and merged.false <= 2


def test_tiles_that_were_not_touched_give_the_mask_back():
    mask = soft(distance_to(DISCS, *LAYOUT.canvas), 30)
    merged = merge_masks(tiles_of(mask), LAYOUT)
    assert (merged.mask[0] - mask).abs().max() <= 1e-6
    logits = merge_masks([torch.logit(tile, 1e-6) for tile in tiles_of(mask)], LAYOUT)
    assert (logits.mask[0] - mask).abs().max() <= 1e-5
    faint = merge_masks(tiles_of(0.4 * mask), LAYOUT)
    assert (faint.mask[0] - 0.4 * mask).abs().max() <= 1e-6 and faint.count == 0, "smoke is no object, and is kept"


@pytest.mark.parametrize("scale", [0.5, 1.37, 2])
def test_masks_at_another_scale(scale):
    size = [round(side * scale) for side in LAYOUT.canvas]
    tiles = [
        torch.nn.functional.interpolate(tile[None], scale_factor=scale, mode="bilinear")[0]
        for tile in tiles_of(soft(distance_to(DISCS, *LAYOUT.canvas), 12))
    ]
    merged = merge_masks(tiles, LAYOUT)
    discs = [[scale * length for length in disc] for disc in DISCS]
    assert list(merged.mask.shape) == [1, *size] and merged.mask.amin() >= 0 and merged.mask.amax() <= 1
    assert (merged.mask[0] - soft(distance_to(discs, *size), 12 * scale)).abs().max() < 0.06


@pytest.mark.parametrize("binary", [False, True])
def test_every_object_is_one_also_across_four_tiles(binary):
    discs = [*DISCS, (200, 480, 25)]
    merged = merge_masks(each_object(discs, binary=binary), LAYOUT)
    assert merged.count == len(merged.objects) == 3 and merged.pieces > 6
    for disc, plane in zip(sorted(discs, key=lambda disc: -disc[2]), merged.objects, strict=True):
        there = distance_to([disc], *LAYOUT.canvas) > 0
        assert ((plane >= 0.5) != there).sum() <= 2, "the largest comes first"
    assert torch.equal(merged.mask[0], merged.objects.amax(0))


def test_objects_that_touch_stay_two():
    made = generator(3)
    wrong = 0
    for _ in range(20):
        y, x = 160 + 60 * torch.rand(2, generator=made)
        angle = 6.28 * torch.rand(1, generator=made)
        discs = [(y, x, 70), (y + 130 * torch.sin(angle), x + 130 * torch.cos(angle), 60)]
        apart = distance_to(discs[:1], *LAYOUT.canvas) - distance_to(discs[1:], *LAYOUT.canvas)
        planes = [
            noisy_tiles(torch.minimum(distance_to([disc], *LAYOUT.canvas), side + 2), LAYOUT, made, 1.5, 20)
            for disc, side in zip(discs, (apart, -apart), strict=True)
        ]
        items = [torch.cat([one for one in masks if (one >= 0.5).any()] or [masks[0][:0]]) for masks in zip(*planes, strict=True)]
        padded = [torch.nn.functional.pad(item, (0, 192 - item.shape[2], 0, 192 - item.shape[1])) for item in items]
        wrong += merge_masks(padded, LAYOUT, min_area=200).count != 2
    print(f"{wrong} of 20 pairs that touch did not stay two")
    assert wrong <= 1


def test_what_lies_outside_of_the_prior_is_gone_and_the_rest_is_not_touched():
    mask = soft(distance_to(DISCS, *LAYOUT.canvas), 4)
    low = torch.nn.functional.interpolate(mask[None, None], (50, 65), mode="area")[0]
    tiles = tiles_of(mask)
    tiles[0] = torch.maximum(tiles[0], soft(distance_to([(30, 30, 20)], 192, 192), 6))
    tiles[-1] = torch.cat((tiles[-1], soft(distance_to([(170, 170, 12)], 192, 192), 2)[None]))
    assert merge_masks(tiles, LAYOUT).mask[0, 30, 30] > 0.9
    for prior in (low, low[0], torch.logit(low, 1e-4)):
        merged = merge_masks(tiles, LAYOUT, prior=prior)
        assert (merged.mask[0] - mask).abs().max() < 2e-3 and merged.false == 2 and merged.count == 2


def test_the_prior_says_what_is_one_object():
    """Two bars that no overlap joins are one ring in the prior; one mask that holds two is taken apart."""
    ring = torch.zeros(LAYOUT.canvas)
    ring[40:60, 20:100] = ring[40:60, 420:500] = 1
    other = torch.zeros(LAYOUT.canvas)
    other[300:340, 200:260] = 1
    tiles = tiles_of(torch.maximum(ring, other))
    prior = torch.nn.functional.max_pool2d(torch.stack((ring, other))[:, None], 8)[:, 0]
    merged = merge_masks(tiles, LAYOUT, prior=prior)
    assert merged.count == 2 and torch.equal(merged.objects, torch.stack((ring, other)))
    assert merge_masks(tiles, LAYOUT, prior=prior.amax(0)).count == 3, "a mask of everything is its separate areas"


@pytest.mark.parametrize("prior", [None, torch.zeros(1, 40, 52), torch.zeros(0, 40, 52)])
def test_nothing_found_is_no_error(prior):
    for empty in (torch.zeros(0, 192, 192), torch.zeros(1, 192, 192), torch.zeros(192, 192)):
        merged = merge_masks([empty] * len(LAYOUT), LAYOUT, prior=prior)
        assert merged.count == 0 and merged.mask.shape == merged.objects.shape == (1, *LAYOUT.canvas)
        assert merged.mask.amax() == merged.objects.amax() == 0
    some = [torch.zeros(0, 192, 192)] * (len(LAYOUT) - 1) + [torch.ones(2, 192, 192)]
    assert merge_masks(some, LAYOUT).count == 2
    assert merge_masks([torch.zeros(0, 0, 0)] * len(LAYOUT), LAYOUT).mask.shape == (1, *LAYOUT.canvas)


def test_small_objects_are_left_out_where_that_is_asked_for():
    merged = merge_masks(each_object([*DISCS, (30, 480, 9)]), LAYOUT, min_area=400)
    assert (merged.count, merged.small) == (2, 1) and merged.mask[0, 30, 480] == 0 and len(merged.objects) == 2
    assert merge_masks(each_object(DISCS), LAYOUT, min_area=1e9).mask.amax() == 0


def test_what_one_tile_sees_and_its_neighbour_misses_does_not_fade():
    there = torch.zeros(LAYOUT.canvas)
    there[60:100, 100:160] = 1  # reaches 32 px into the second tile
    tiles = tiles_of(there)
    tiles[1:] = [torch.zeros_like(tile) for tile in tiles[1:]]
    assert torch.equal(merge_masks(tiles, LAYOUT).mask[0], there)


def test_a_resize_that_overshoots_makes_no_logits():
    mask = soft(distance_to(DISCS, *LAYOUT.canvas), 10)
    merged = merge_masks(tiles_of(1.2 * mask - 0.1), LAYOUT)
    assert (merged.mask[0] - (1.2 * mask - 0.1).clamp(0, 1)).abs().max() <= 1e-6


def test_the_input_is_left_as_it_was():
    items = each_object(DISCS)
    before = [item.clone() for item in items]
    merge_masks(items, LAYOUT, prior=torch.ones(1, 40, 52))
    assert all(torch.equal(a, b) for a, b in zip(items, before, strict=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"masks": [torch.zeros(1, 192, 192)]}, "has 12 tiles and 1 item of masks came"),
        ({"masks": [torch.zeros(1, 192, 192)] * 11 + [torch.zeros(1, 96, 96)]}, "192 x 192 and those of tile 11 96 x 96"),
        ({"masks": [torch.full((1, 192, 192), torch.nan)] * 12}, "item 0 of masks has NaN"),
        ({"masks": ["none"] * 12}, "item 0 of masks is str"),
        ({"masks": [torch.zeros(1, 192, 100)] * 12}, "not one scale"),
        ({"prior": torch.zeros(1, 40, 40)}, "prior is 40 x 40 and the picture 520 x 400"),
        ({"prior": torch.full((1, 40, 52), torch.inf)}, "prior has Inf"),
        ({"prior": torch.zeros(1, 4, 4, 3)}, "prior is torch.float32 of shape"),
        ({"join": 1.5}, "join 1.5 is not a share"),
        ({"min_area": float("nan")}, "min_area nan is no area"),
        ({"most_bytes": 1000}, "2 objects of 520 x 400 px take"),
        ({"layout": TileLayout.grid(400, 520, 192, 192, 64, 8, batch=2)}, "2 pictures in one batch"),
    ],
)
def test_bad_input_is_refused_in_words(change, words):
    given = {"masks": each_object(DISCS), "layout": LAYOUT, **change}
    with pytest.raises(ValueError, match=words):
        merge_masks(**given)
