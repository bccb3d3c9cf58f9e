"""Merge Detections and Merge Masks through the real server, behind nodes that give what RT-DETR and SAM3 give."""

import json
import math
from pathlib import Path

import pytest
from tilework.tests.host.prompts import node, split
from tilework.tests.host.test_sampling_workflows import with_test_models
from tilework.tools.server.workflow import WorkflowError as HostRunError
from tilework.tools.server.workflow import convert

TEMPLATE = Path(__file__).resolve().parents[2] / "example_workflows" / "17 Detect and segment in tiles.json"

# y, x, radius; the largest lies where four tiles meet, the smallest in one tile alone.
DISCS = [(215, 300, 90), (100, 520, 40), (420, 60, 12)]


def discs(places=DISCS, width=640, height=480, batch=1):
    """A picture with bright discs, and a mask for each."""
    return node("TileworkTestDiscs", width=width, height=height, discs=";".join(",".join(map(str, disc)) for disc in places), batch=batch)


def merge_boxes(boxes, layout, match="IOS", threshold=0.5, method="merge", min_score=0.0, scale=0.0, **links):
    """Merge Detections."""
    settings = {"match": match, "threshold": threshold, "method": method, "min_score": min_score, "scale": scale}
    return node("TileworkMergeDetections", boxes=boxes, layout=layout, **settings, **links)


def merge_masks(masks, layout, join=0.5, min_area=0, **links):
    """Merge Masks."""
    return node("TileworkMergeMasks", masks=masks, layout=layout, join=join, min_area=min_area, **links)


def around(boxes, places=DISCS):
    """Whether the boxes are those around the discs, each once; a tile's part of a disc may leave a hundredth of it open."""
    seen = sorted((box["x"], box["y"], box["width"], box["height"]) for box in boxes)
    there = sorted((x - radius, y - radius, 2 * radius, 2 * radius) for y, x, radius in places)
    return len(seen) == len(there) and all(a == pytest.approx(b, abs=b[2] / 100 + 0.5) for a, b in zip(seen, there, strict=True))


def test_boxes_of_tiles_become_boxes_of_the_picture(run_prompt, report):
    prompt = {
        "1": discs(),
        "2": split(["1", 0], tile=256, overlap=64),
        "3": node("TileworkTestDetect", image=["2", 0]),
        "4": merge_boxes(["3", 0], ["2", 1]),
        "5": node("TileworkTestSeen", boxes=["4", 0], count=["4", 1]),
        "6": node("TileworkTestDetect", image=["1", 0]),
        "7": merge_boxes(["3", 0], ["2", 1], "IoU", 0.6, "suppress", whole=["6", 0]),
        "8": node("TileworkTestSeen", boxes=["7", 0], count=["7", 1]),
        "9": node("DrawBBoxes", image=["1", 0], bboxes=["4", 0]),
        "10": node("PreviewImage", images=["9", 0]),
    }
    outputs = run_prompt(prompt)
    for key in ("5", "8"):
        (said,) = (json.loads(text) for text in outputs[key]["text"])
        assert said["count"] == 3 and around(said["boxes"][0])
        assert all(box["label"] == "thing" and 0.9 < box["score"] < 1 for box in said["boxes"][0])
    (words,) = outputs["4"]["text"]
    assert words.startswith("3 objects of ") and words.endswith("in 9 tiles") and outputs["10"]["images"]


def test_batches_rebatched_tiles_and_lists_of_pictures(report):
    """Two pictures at each place; tiles joined into batches of five on the way; several pictures with a layout each."""
    prompt = {
        "1": discs(batch=2),
        "2": split(["1", 0], tile=256, overlap=64),
        "3": node("RebatchImages", images=["2", 0], batch_size=5),
        "4": node("TileworkTestDetect", image=["3", 0]),
        "5": merge_boxes(["4", 0], ["2", 1]),
        "6": node("TileworkTestSeen", boxes=["5", 0], count=["5", 1]),
    }
    (said,) = report(prompt, "6")
    assert said["count"] == 6 and [around(boxes) for boxes in said["boxes"]] == [True] * 2
    prompt = {
        "1": node("RebatchImages", images=["10", 0], batch_size=1),
        "10": discs(batch=2),
        "2": split(["1", 0], tile=256, overlap=64),
        "3": node("TileworkTestSegment", image=["2", 0], individual_masks=True),
        "4": merge_boxes(["3", 1], ["2", 1]),
        "5": node("TileworkTestSeen", boxes=["4", 0], count=["4", 1]),
        "6": merge_masks(["3", 0], ["2", 1]),
        "7": node("TileworkTestSeen", masks=["6", 1]),
    }
    said = report(prompt, "5")
    assert [one["count"] for one in said] == [3, 3] and all(around(one["boxes"][0]) for one in said)
    assert [one["shape"] for one in report(prompt, "7")] == [[3, 480, 640]] * 2


@pytest.mark.parametrize("individual", [True, False])
def test_masks_of_tiles_become_masks_of_the_picture(run_prompt, individual):
    """SAM3's items are empty where a tile holds nothing: [0, H, W], or one mask of nothing."""
    prompt = {
        "1": discs(),
        "2": split(["1", 0], tile=256, overlap=64),
        "3": node("TileworkTestSegment", image=["2", 0], individual_masks=individual),
        "4": merge_masks(["3", 0], ["2", 1]),
        "5": node("TileworkTestSeen", masks=["4", 0]),
        "6": node("TileworkTestSeen", masks=["4", 1]),
        "7": node("TileworkTestSegment", image=["20", 0], individual_masks=True),
        "20": node("ImageScale", image=["1", 0], upscale_method="area", width=160, height=120, crop="disabled"),
        "8": merge_masks(["3", 0], ["2", 1], prior=["7", 0]),
        "9": node("TileworkTestSeen", masks=["8", 1]),
    }
    outputs = run_prompt(prompt)
    whole, objects, with_prior = (json.loads(outputs[key]["text"][0]) for key in ("5", "6", "9"))
    areas = [math.pi * radius**2 for _, _, radius in DISCS]
    assert whole["shape"] == [1, 480, 640] and whole["areas"][0] == pytest.approx(sum(areas), rel=0.01)
    for said in [with_prior] + [objects] * individual:
        assert said["shape"] == [3, 480, 640] and said["areas"] == pytest.approx(areas, rel=0.03)
    assert "0 outside of the prior" in outputs["8"]["text"][0]


def test_what_the_small_picture_does_not_have_is_left_out(report):
    """A false piece: a disc that the tiles see and the pass over the whole picture does not."""
    prompt = {
        "1": discs(),
        "2": split(["1", 0], tile=256, overlap=64),
        "3": node("TileworkTestSegment", image=["2", 0], individual_masks=True),
        "4": discs(DISCS[:2]),
        "5": merge_masks(["3", 0], ["2", 1], prior=["4", 1]),
        "6": node("TileworkTestSeen", masks=["5", 1]),
        "7": merge_masks(["3", 0], ["2", 1], min_area=1000),
        "8": node("TileworkTestSeen", masks=["7", 1]),
    }
    for key in ("6", "8"):
        (said,) = report(prompt, key)
        assert len(said["areas"]) == 2 and min(said["areas"]) > 4000


def test_nothing_found_is_no_error(report):
    prompt = {
        "1": discs([]),
        "2": split(["1", 0], tile=256, overlap=64),
        "3": node("TileworkTestSegment", image=["2", 0], individual_masks=True),
        "4": merge_masks(["3", 0], ["2", 1]),
        "5": node("TileworkTestSeen", masks=["4", 1]),
        "6": merge_boxes(["3", 1], ["2", 1]),
        "7": node("TileworkTestSeen", boxes=["6", 0], count=["6", 1]),
    }
    assert report(prompt, "5") == [{"boxes": None, "count": None, "shape": [1, 480, 640], "areas": [0]}]
    assert report(prompt, "7") == [{"boxes": [[]], "count": 0, "shape": None, "areas": None}]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (merge_boxes(["6", 0], ["2", 1]), "boxes of 1 picture came in 1 item"),
        (merge_boxes(["3", 1], ["2", 1], whole=["7", 0]), "a box of whole lies outside of the picture of 640 x 480"),
        (merge_masks(["1", 1], ["2", 1]), "9 tiles and 1 item of masks came"),
        (merge_masks(["3", 0], ["2", 1], prior=["8", 0]), "prior is 64 x 64 and the picture 640 x 480"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(run_prompt, part, words):
    prompt = {
        "1": discs(),
        "2": split(["1", 0], tile=256, overlap=64),
        "3": node("TileworkTestSegment", image=["2", 0], individual_masks=True),
        "4": part,
        "6": node("TileworkTestDetect", image=["1", 0]),
        "7": node("PrimitiveBoundingBox", x=5000, y=0, width=10, height=10),
        "8": node("SolidMask", value=1.0, width=64, height=64),
        "9": node("TileworkTestSeen", **({"masks": ["4", 0]} if "Masks" in part["class_type"] else {"boxes": ["4", 0]})),
    }
    with pytest.raises(HostRunError, match=words) as caught:
        run_prompt(prompt)
    print(caught.value)


def test_the_template_gives_boxes_and_masks_of_the_whole_picture(server, object_info, run_entry):
    """With stand-ins for its models: bright things in the photograph."""
    prompt = with_test_models(convert(TEMPLATE, object_info))
    entry = run_entry(prompt)
    shown = {prompt[key]["class_type"]: value for key, value in entry["outputs"].items()}
    for kind in ("TileworkMergeDetections", "TileworkMergeMasks"):
        assert "in 9 tiles" in shown[kind]["text"][0] and not shown[kind]["text"][0].startswith("0 ")
    previews = [
        len(value["images"]) for key, value in entry["outputs"].items() if prompt[key]["class_type"] in ("MaskPreview", "PreviewImage")
    ]
    assert len(previews) == 3 and max(previews) > 1, "boxes, all objects, and a mask for each"
