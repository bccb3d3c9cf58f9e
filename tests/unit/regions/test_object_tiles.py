"""Tiles around objects: ramps that miss them, whole objects in tiles of their own."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from tilework.blending import cut
from tilework.blending.composition.blend import blend
from tilework.blending.layout.grid import Rect
from tilework.blending.layout.tile_layout import TileLayout
from tilework.blending.regions.object_tiles import AVOID, OWN, describe_objects, object_layout

WIDTH, TILE, OVERLAP = 2048, 768, 96


def scene(seed, width=WIDTH, height=1536):
    """3 to 8 discs of up to 5 % of the width and bars of up to 12 %: bool [H, W]."""
    drawn = np.random.default_rng(seed)
    there = np.zeros((height, width), bool)
    y, x = np.ogrid[:height, :width]
    for _ in range(int(drawn.integers(3, 9))):
        cy, cx = drawn.integers(0, height), drawn.integers(0, width)
        if drawn.random() < 0.5:
            there |= (y - cy) ** 2 + (x - cx) ** 2 < (width * drawn.uniform(0.01, 0.025)) ** 2
        else:
            long, thick = width * drawn.uniform(0.04, 0.12), width * drawn.uniform(0.003, 0.01)
            h, w = (long, thick) if drawn.random() < 0.5 else (thick, long)
            there |= (abs(y - cy) < h / 2) & (abs(x - cx) < w / 2)
    return there


def test_a_hundred_frozen_scenes_lose_four_fifths_of_what_lies_under_ramps():
    under = even = 0.0
    for seed in range(100):
        plan = object_layout((1536, WIDTH), (TILE, TILE), OVERLAP, 8, scene(seed))
        under, even = under + plan.under, even + plan.even
    print(f"under the ramps {under / even:.3f} of the even grid's")
    assert under <= 0.2 * even


@pytest.mark.parametrize("seeds", [range(0, 24)])
def test_no_object_is_cut_that_can_have_a_tile_of_its_own(seeds):
    for seed in seeds:
        there = scene(seed)
        plan = object_layout((1536, WIDTH), (TILE, TILE), OVERLAP, 8, there, objects=OWN, largest=640)
        assert not plan.cut, seed
        # Every tile a number of its own: an object's pixels have one number alone.
        tiles = [torch.full((1, r.height, r.width, 1), float(n)) for n, r in enumerate(plan.layout.here)]
        image = blend(tiles, plan.layout, "hann").image[0, ..., 0].numpy()
        labels, count = ndimage.label(there, np.ones((3, 3)))
        for label in range(1, count + 1):
            numbers = np.unique(image[labels == label])
            assert len(numbers) == 1 and float(numbers[0]).is_integer(), (seed, label, numbers)


def test_untouched_tiles_give_the_picture_back_and_own_pixels_bit_for_bit():
    there = np.zeros((300, 400), bool)
    there[:, 190:215] = there[140:160, :] = True  # what no line can avoid, along both axes
    there[100:120, 60:90] = True
    plan = object_layout((300, 400), (160, 160), 32, 8, there, objects=OWN, largest=400)
    image = torch.rand(2, 300, 400, 4)
    layout = plan.layout.fit(300, 400, 2)
    out = blend(list(cut(image, layout)), layout, "hann").image
    assert float((out - image).abs().max()) <= 1e-6
    for _, box in plan.own:
        part = (slice(None), slice(box.low[0], box.high[0]), slice(box.low[1], box.high[1]))
        assert torch.equal(out[part], image[part])


def test_what_is_larger_than_the_largest_stays_cut_and_is_said():
    there = np.zeros((512, 2048), bool)
    there[200:260, 100:1900] = True
    plan = object_layout((512, 2048), (512, 512), 64, 8, there, objects=OWN, largest=1024)
    assert len(plan.cut) == 1 and not plan.own
    assert any("stays cut: the object at x 100, y 200, 1800 x 60" in line for line in describe_objects(plan))


def test_boxes_are_objects_too_and_those_of_another_picture_are_refused():
    plan = object_layout((512, 1024), (512, 560), 64, 8, boxes=[Rect(100, 480, 60, 60)], objects=AVOID)
    assert plan.under == 0 and plan.even > 0 and plan.objects == 1
    with pytest.raises(ValueError, match="does not lie in the picture of 1024 x 512"):
        object_layout((512, 1024), (512, 560), 64, 8, boxes=[Rect(100, 1000, 60, 60)])


def test_the_layout_goes_through_its_record_and_follows_another_size():
    plan = object_layout((1536, WIDTH), (TILE, TILE), OVERLAP, 8, scene(4), objects=OWN, largest=640).layout
    assert TileLayout.from_json(plan.to_json()) == plan and hash(plan)
    double = plan.fit(2 * 1536, 2 * WIDTH, 1)
    assert double.canvas == (2 * 1536, 2 * WIDTH) and TileLayout.from_json(double.to_json()) == double
