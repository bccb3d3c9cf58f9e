"""Detections of tiles, and of a pass over the whole picture, as one list of objects.

First the boxes that a tile's border cuts are joined (`joining.py`). What still overlaps, the same object found twice, is then
merged greedily as in SAHI (Akyon et al., "Slicing Aided Hyper Inference", ICIP 2022; GREEDYNMM), or all but the best is left out.
Both are done for each label by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ..layout.tile_layout import TileLayout
from .boxes import Detection, detections_of_picture, detections_of_tile
from .joining import join_cut

IOS, IOU = MATCHES = ("IOS", "IoU")
MERGE, SUPPRESS = MERGE_METHODS = ("merge", "suppress")


def check_merge_settings(match: str, threshold: float, method: str, min_score: float, scale: float) -> None:
    """Raise ValueError, in words, for a setting that is none."""
    if match not in MATCHES:
        raise ValueError(f"match {match!r} is not known: use one of {', '.join(MATCHES)}")
    if method not in MERGE_METHODS:
        raise ValueError(f"method {method!r} is not known: use one of {', '.join(MERGE_METHODS)}")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold} is not a share of a box: use a number above 0 and up to 1, for example 0.5")
    if not math.isfinite(min_score):
        raise ValueError(f"min_score {min_score} is not a score: use 0 to keep all boxes, or for example 0.4")
    if not 0 <= scale < math.inf:
        raise ValueError(f"scale {scale} is not a scale: use 0 for tiles as they were cut, 2 for tiles that were made twice as large")


def merge_detections(
    boxes: Sequence[Sequence[dict[str, Any]]],
    layout: TileLayout,
    match: str = IOS,
    threshold: float = 0.5,
    method: str = MERGE,
    min_score: float = 0.0,
    scale: float = 0.0,
    whole: Sequence[dict[str, Any]] = (),
) -> list[dict[str, Any]]:
    """One box for each object of one picture.

    Args:
        boxes: the boxes of each tile that is here, in pixels of the tile: dicts with x, y, width, height; score and label if known.
        layout: where the tiles are; of any kind that does not wrap around.
        match: IOS compares the common area with the smaller box, IoU with both together.
        threshold: from which share on two boxes of one label are one object, above 0.
        method: MERGE gives the union of the boxes, SUPPRESS the best of them.
        min_score: boxes with less are left out before anything else; boxes without a score count as 1. 0 keeps all.
        scale: pixels of a tile as the detector saw it per pixel of the picture; 0 is 1.
        whole: boxes of a pass over the whole picture, in its pixels.

    Returns:
        the boxes in pixels of the picture that was cut, the best score first, each with all keys of the best that went into it.
        Does not depend on the order of the boxes.

    Raises:
        ValueError: for settings, boxes or a layout that do not fit.
    """
    check_merge_settings(match, threshold, method, min_score, scale)
    tiles = layout.here
    if any(layout.wrap):
        raise ValueError("the layout wraps around, and a box cannot reach over the border of a picture: split with wrap set to none")
    if len(boxes) != len(tiles):
        raise ValueError(f"boxes of {len(boxes)} tiles came for a layout of {len(tiles)}")
    found = [
        one
        for index, (items, rect) in enumerate(zip(boxes, tiles, strict=True))
        for one in detections_of_tile(items, rect, layout.canvas, index, scale or 1)
        if not min_score or one.score >= min_score
    ]
    objects = join_cut(found, tiles, layout.canvas)
    objects += [one for one in detections_of_picture(whole, layout.canvas) if not min_score or one.score >= min_score]
    kept = [one for part in _by_label(objects) for one in take_together(part, match, threshold, method)]
    return [one.to_record() for one in sorted(kept, key=lambda one: one.order)]


def _by_label(found: Sequence[Detection]) -> list[list[Detection]]:
    parts: dict[Any, list[Detection]] = {}
    for one in found:
        parts.setdefault(one.label, []).append(one)
    return list(parts.values())


def take_together(found: Sequence[Detection], match: str, threshold: float, method: str = MERGE) -> list[Detection]:
    """Greedy non-maximum merging or suppression of boxes of one label.

    The best box takes all that match it, then the best of the rest does. Merging, it grows by one after the other in the
    order of their scores, each compared once more with what it has become, as SAHI does. Equal scores go by their corners.

    Args:
        found: detections, in any order.
        match, threshold, method: as for `merge_detections`.
    """
    line = sorted(found, key=lambda one: one.order)
    corners = torch.tensor([one.corners for one in line], dtype=torch.float64).reshape(-1, 4)
    if method == SUPPRESS and match == IOU:
        from torchvision.ops import nms

        falling = torch.arange(len(line), 0, -1, dtype=torch.float64)  # the order is ours, also among equal scores
        return [line[i].at(line[i].corners) for i in nms(corners, falling, threshold).tolist()]
    kept, left = [], torch.arange(len(line))
    while len(left):
        head, left = int(left[0]), left[1:]
        hits = _overlap(corners[head], corners[left], match) >= threshold
        grown = corners[head]
        for other in left[hits].tolist() if method == MERGE else ():
            if float(_overlap(grown, corners[other : other + 1], match)) >= threshold:
                grown = torch.cat((torch.minimum(grown[:2], corners[other, :2]), torch.maximum(grown[2:], corners[other, 2:])))
        kept.append(line[head].at(grown.tolist()))
        left = left[~hits]
    return kept


def _overlap(box: torch.Tensor, others: torch.Tensor, match: str) -> torch.Tensor:
    """The common area of a box [4] with each of [n, 4], as a share of the smaller one or of both together."""
    sides = (torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2])).clamp_min(0)
    common = sides.prod(-1)
    area, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(-1)
    return common / (torch.minimum(area, areas) if match == IOS else area + areas - common)
