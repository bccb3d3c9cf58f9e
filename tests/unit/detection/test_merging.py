"""Cut objects become whole, neighbours stay apart, and the second stage is SAHI's.

`sahi_sets.json` holds sets of boxes with what sahi 0.12.8 makes of them (GreedyNMMPostprocess and NMSPostprocess, by class); the
benchmark `detections.py` does the same with 500 sets and the package itself. `--release` draws as many cut objects as are promised for.
"""

import json
import random
from pathlib import Path

import pytest
from tilework.blending.detection.boxes import Detection
from tilework.blending.detection.merging import MATCHES, MERGE_METHODS, merge_detections, take_together
from tilework.blending.layout.tile_layout import TileLayout
from tilework.tests.unit.detection.detection_scenes import SIDE, beside, corners, cut_object, iou, seen

SETS = json.loads((Path(__file__).parent / "sahi_sets.json").read_text("utf-8"))
FULL, FEWER = 400, 80
JITTER = 0.01


@pytest.fixture(scope="module")
def count(request):
    return FULL if request.config.getoption("--release") else FEWER


def found_in(boxes, **more):
    return [
        Detection((x, y, x + width, y + height), {"x": x, "y": y, "width": width, "height": height, "score": score, "label": label}, **more)
        for x, y, width, height, score, label in boxes
    ]


@pytest.mark.parametrize("method", MERGE_METHODS)
def test_it_gives_what_sahi_gives(method):
    draw = random.Random(1)
    for number, one in enumerate(SETS):
        found = found_in(one["boxes"])
        draw.shuffle(found)
        got = []
        for label in {part.label for part in found}:
            kept = take_together([part for part in found if part.label == label], one["match"], one["threshold"], method)
            got += [[*part.corners, round(part.score, 4), part.label] for part in kept]
        assert sorted(got) == one[method], f"set {number}"
    assert len(SETS) >= 20 and {one["match"] for one in SETS} == set(MATCHES)


@pytest.mark.parametrize(("match", "method"), [(match, method) for match in MATCHES for method in MERGE_METHODS])
def test_the_order_in_which_boxes_come_changes_nothing(match, method):
    draw = random.Random(5)
    layout = TileLayout.grid(1000, 1400, 512, 512, 96, 8)
    for _ in range(4):
        tiles = [
            [
                {"x": draw.randrange(400), "y": draw.randrange(400), "width": draw.randrange(10, 110), "height": draw.randrange(10, 110)}
                | {"score": draw.choice((0.5, 0.6, 0.7)), "label": draw.choice("ab"), "id": draw.random()}
                for _ in range(12)
            ]
            for _ in layout.tiles
        ]
        whole = [dict(box) for box in tiles[0][:4]]
        first = merge_detections(tiles, layout, match, 0.4, method, whole=whole)
        for tile in (*tiles, whole):
            draw.shuffle(tile)
        assert merge_detections(tiles, layout, match, 0.4, method, whole=whole) == first


def rate_of_whole_objects(count, jitter, seed):
    """The share of cut objects that come out as one box, and as one box that is right by IoU > 0.95."""
    draw = random.Random(seed)
    one = right = 0
    for _ in range(count):
        layout, there = cut_object(draw)
        boxes = [corners(box) for box in merge_detections(seen([there], layout, draw, jitter), layout)]
        one += len(boxes) == 1
        right += len(boxes) == 1 and iou(boxes[0], there) > 0.95
    return one / count, right / count


def test_objects_that_tiles_cut_become_one(count):
    exact, noisy = rate_of_whole_objects(count, 0, 1), rate_of_whole_objects(count, JITTER, 2)
    print(f"of {count} cut objects one box, and IoU > 0.95: exact boxes {exact}, jitter of 1 % {noisy}")
    assert exact == (1, 1) and noisy[1] >= 0.84


def test_objects_that_touch_stay_two(count):
    draw = random.Random(3)
    for jitter in (0, JITTER):
        two = tried = 0
        while tried < count:
            layout, there = cut_object(draw)
            other = beside(there, draw)
            if other is None:
                continue
            tried += 1
            boxes = [corners(box) for box in merge_detections(seen([there, other], layout, draw, jitter), layout)]
            two += len(boxes) == 2 and all(max(iou(box, one) for box in boxes) > 0.9 for one in (there, other))
        print(f"of {count} pairs that touch, jitter {jitter}: {two / count} stay two")
        assert two >= 0.95 * count


def test_an_object_that_tiles_see_in_a_strip_alone_is_one_although_ios_would_not_say_so():
    """A bar over six tiles: no two parts of it have half of either in common."""
    layout = TileLayout.grid(256, 1280, 256, 256, 32)
    bar = (20, 100, 1250, 130)
    parts = seen([bar], layout, random.Random(1))
    assert [corners(box) for box in merge_detections(parts, layout)] == [bar]
    line = [
        [box["x"] + tile.x, box["y"] + tile.y, box["width"], box["height"], box["score"], box["label"]]
        for boxes, tile in zip(parts, layout.tiles, strict=True)
        for box in boxes
    ]
    assert len(take_together(found_in(line), "IOS", 0.5)) == len(layout) == 6


def test_two_boxes_of_one_tile_are_two_objects_also_where_a_neighbour_sees_one():
    layout = TileLayout.grid(200, 360, 200, 200, 40)
    left = [{"x": 150, "y": 50, "width": 50, "height": 40}, {"x": 150, "y": 90, "width": 50, "height": 40}]
    right = [{"x": 0, "y": 50, "width": 60, "height": 80}]
    assert len(merge_detections([left, right], layout, match="IoU", threshold=0.9)) == 2


def test_a_pass_over_the_whole_picture_is_joined_in():
    layout = TileLayout.grid(SIDE, SIDE, 1024, 1024, 128, 8)
    large, small = (100, 100, 1900, 1900), (1500, 300, 1540, 340)
    tiles = seen([small], layout, random.Random(2))
    whole = [{"x": 100, "y": 100, "width": 1800, "height": 1800, "score": 0.9, "label": "person"}]
    whole += [{"x": 1498, "y": 301, "width": 40, "height": 41, "score": 0.3, "label": "thing"}]
    boxes = merge_detections(tiles, layout, whole=whole)
    assert {box["label"] for box in boxes} == {"person", "thing"} and len(boxes) == 2
    assert max(iou(corners(box), large) for box in boxes) == 1
    (thing,) = merge_detections(tiles, layout, method="suppress", whole=whole[1:])
    assert corners(thing) == pytest.approx(small), "the better one of the two, as it is"
