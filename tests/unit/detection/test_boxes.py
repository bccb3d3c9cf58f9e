"""Boxes in every form that nodes give them, kept as they are, and refused in words where they are none."""

import numpy as np
import pytest
import torch
from tilework.blending.detection.boxes import read_boxes
from tilework.blending.detection.merging import merge_detections
from tilework.blending.layout.grid import Rect
from tilework.blending.layout.tile_layout import TileLayout

LAYOUT = TileLayout.grid(100, 180, 100, 100, 20)
BOX = {"x": 10, "y": 20, "width": 30, "height": 40}


def test_one_box_a_list_and_a_list_for_each_picture_are_read():
    assert read_boxes(BOX) == read_boxes([BOX]) == read_boxes([[BOX]]) == read_boxes(((BOX,),)) == [[BOX]]
    assert read_boxes(None) == read_boxes([]) == read_boxes([[]]) == [[]]
    assert read_boxes([[BOX], [], [BOX, BOX]]) == [[BOX], [], [BOX, BOX]]


@pytest.mark.parametrize("number", [np.float32(10), torch.tensor(10.0), 10.0])
def test_numbers_of_other_libraries_are_numbers(number):
    (box,) = merge_detections([[{**BOX, "x": number}], []], LAYOUT)
    assert (box["x"], box["y"], box["width"], box["height"]) == (10, 20, 30, 40)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("here", "boxes is a str"),
        ([3], "box 0 of boxes is 3"),
        ([[1, 2, 3, 4]], "box 0 of boxes is 1"),
        ([{"x": 1, "y": 2}], "expected a box with x, y, width and height"),
        ([{**BOX, "x": float("nan")}], "the x nan"),
        ([BOX, {**BOX, "width": -1}], "box 1 of boxes has the width -1"),
        ([{**BOX, "score": "high"}], "the score high, which is no number"),
    ],
)
def test_what_is_no_box_is_refused(value, words):
    with pytest.raises(ValueError, match=words):
        read_boxes(value)


def test_every_key_is_kept_and_whole_numbers_stay_whole():
    mine = {**BOX, "label": "ring", "score": 0.75, "metadata": {"stones": [1, 2]}, "id": 7}
    (box,) = merge_detections([[], [mine]], LAYOUT)
    assert box == {**mine, "x": 90} and type(box["x"]) is int
    assert list(box) == list(mine)


def test_labels_and_scores_may_be_absent_and_unlike_labels_are_never_joined():
    ring, clasp, nameless = ({**BOX, "label": "ring"}, {**BOX, "label": "clasp"}, dict(BOX))
    assert len(merge_detections([[ring, clasp, nameless, nameless, ring], []], LAYOUT)) == 3
    assert "score" not in merge_detections([[nameless], []], LAYOUT)[0]


def test_a_box_is_cut_to_the_picture_and_mirrored_pixels_hold_none():
    layout = TileLayout.grid(90, 90, 128, 128, 0)
    over = {"x": -5, "y": 80, "width": 30, "height": 40}
    mirrored = {"x": 95, "y": 95, "width": 20, "height": 20}
    assert merge_detections([[over, mirrored]], layout) == [{"x": 0, "y": 80, "width": 25, "height": 10}]


def test_tiles_that_were_made_larger():
    twice = [[], [{"x": 20, "y": 40, "width": 60, "height": 80}]]
    assert merge_detections(twice, LAYOUT, scale=2) == [{"x": 90, "y": 20, "width": 30, "height": 40}]


def test_boxes_below_min_score_are_left_out_and_those_without_one_are_kept():
    boxes = [[{**BOX, "score": 0.3}], [{**BOX, "score": 0.5}, {"x": 60, "y": 60, "width": 20, "height": 20}]]
    kept = merge_detections(boxes, LAYOUT, min_score=0.4, whole=[{**BOX, "score": 0.2}])
    assert [(box["x"], box.get("score")) for box in kept] == [(140, None), (90, 0.5)]


def test_a_box_of_another_picture_is_refused():
    with pytest.raises(ValueError, match="box 0 of tile 1 lies at x 500, y 20, outside of the tile"):
        merge_detections([[], [{**BOX, "x": 500}]], LAYOUT)
    with pytest.raises(ValueError, match="a box of whole lies outside of the picture of 180 x 100"):
        merge_detections([[], []], LAYOUT, whole=[{**BOX, "y": 300}])
    with pytest.raises(ValueError, match="boxes of 1 tiles"):
        merge_detections([[]], LAYOUT)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"match": "GIoU"}, "match 'GIoU' is not known"),
        ({"method": "average"}, "method 'average' is not known"),
        ({"threshold": 0}, "threshold 0 is not a share"),
        ({"threshold": float("nan")}, "threshold nan is not a share"),
        ({"scale": -1}, "scale -1 is not a scale"),
        ({"min_score": float("inf")}, "min_score inf is not a score"),
    ],
)
def test_settings_that_are_none_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        merge_detections([[], []], LAYOUT, **settings)


class Scattered:
    """As much of a layout as boxes need: rectangles of any size, and which of them are here."""

    canvas, wrap = (100, 180), (False, False)
    tiles = (Rect(0, 0, 50, 60), Rect(10, 40, 80, 100), Rect(5, 100, 60, 80))
    present = None

    @property
    def here(self):
        return [self.tiles[number] for number in self.present or range(3)]


def test_any_layout_counts_by_its_rectangles_and_by_those_that_are_here():
    layout = Scattered()
    cut = [[{"x": 20, "y": 20, "width": 40, "height": 20}], [{"x": 0, "y": 10, "width": 50, "height": 20}], []]
    assert merge_detections(cut, layout) == [{"x": 20, "y": 20, "width": 70, "height": 20}]
    layout.present = (0, 2)
    assert [box["x"] for box in merge_detections([cut[0], [BOX]], layout)] == [20, 110]
    layout.wrap = (False, True)
    with pytest.raises(ValueError, match="wraps around"):
        merge_detections([[], []], layout)
