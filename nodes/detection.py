"""Merge Detections and Merge Masks: what models found tile by tile, as boxes and masks of the whole picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from comfy_api.latest import io

from ..blending.detection.boxes import pictures_of_tiles, read_boxes
from ..blending.detection.mask_merge import MergedMasks, check_mask_settings, mask_steps, merge_masks
from ..blending.detection.merging import MATCHES, MERGE_METHODS, check_merge_settings, merge_detections
from ..blending.layout.tile_layout import TileLayout
from ..blending.pixels.counted import counted
from ..host.memory import free_memory
from ..host.progress import check_cancelled, watched_steps
from .menu import REPAIR
from .overlay import NOTE_KEY
from .types import Layout, Least, check_grid, check_layout

LAYOUT_TIP = "The layout output of the Tile Split that cut the picture. As many layouts as pictures were cut."


class MergeDetections(io.ComfyNode):
    """List of BOUNDING_BOX, one per tile, and layouts -> boxes in the picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkMergeDetections",
            display_name="Merge Detections",
            category=REPAIR,
            description=(
                "Boxes that a detector found tile by tile become boxes of the whole picture: objects that a tile's border cuts are joined, "
                "those that two tiles found are taken once. Small things that a detector misses in the whole picture are found in its tiles."
            ),
            search_aliases=[
                "SAHI",
                "sliced inference",
                "merge bounding boxes",
                "tiled detection",
                "NMS",
                "non maximum suppression",
                "object detection",
                "small objects",
                "bbox",
                "face detection",
            ],
            is_input_list=True,
            has_intermediate_output=True,
            inputs=[
                io.BoundingBox.Input(
                    "boxes",
                    force_input=True,
                    tooltip="What a detector (RT-DETR, SAM3, MediaPipe) found in the tiles: one item for each tile, in pixels of the tile. Labels and scores may be missing; every other value a box has is kept.",
                ),
                Layout.Input("layout", tooltip=LAYOUT_TIP + " Any kind: grids, regions, tiles that were selected."),
                io.Combo.Input(
                    "match",
                    options=list(MATCHES),
                    default=MATCHES[0],
                    tooltip="How boxes that lie over each other are compared. IOS: their common area as a share of the smaller box, so that a part goes with its whole. IoU: as a share of both together; keeps small things apart that lie in front of large ones.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.5,
                    min=Least(0.01),
                    max=1.0,
                    step=0.01,
                    tooltip="From which share on two boxes of one label are one object. Higher keeps more boxes apart. Boxes that a tile's border cuts are joined before, whatever this says.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(MERGE_METHODS),
                    default=MERGE_METHODS[0],
                    tooltip="What becomes of boxes that are one object. merge: one box around all of them (greedy non-maximum merging, as in SAHI); suppress: the one with the best score, the others are left out.",
                ),
                io.Float.Input(
                    "min_score",
                    default=0.0,
                    min=Least(0.0),
                    max=1000.0,
                    step=0.01,
                    advanced=True,
                    tooltip="Boxes with a lower score are left out before anything else; those without a score count as 1. 0 keeps all.",
                ),
                io.Float.Input(
                    "scale",
                    default=0.0,
                    min=Least(0.0),
                    max=64.0,
                    step=0.05,
                    round=False,
                    advanced=True,
                    tooltip="How many times as large as it was cut a tile was when the detector saw it: 2 where tiles were enlarged to find small things. 0 is 1. Boxes come out in pixels of the picture that was cut.",
                ),
                io.BoundingBox.Input(
                    "whole",
                    optional=True,
                    force_input=True,
                    tooltip="What the detector found in the whole picture at once, in pixels of that picture. It sees large objects that no tile holds. One for all layouts, or one for each.",
                ),
            ],
            outputs=[
                io.BoundingBox.Output(
                    "boxes",
                    display_name="boxes",
                    is_output_list=True,
                    tooltip="The boxes in pixels of the picture that was cut, the best score first, for each picture of the batch: for Draw BBoxes, SAM3 Detect, Crop By Bounding Boxes.",
                ),
                io.Int.Output("count", display_name="count", is_output_list=True, tooltip="How many boxes there are."),
            ],
        )

    @classmethod
    def execute(cls, boxes, layout, match, threshold, method, min_score, scale, whole=None) -> io.NodeOutput:
        """Merge the boxes of each layout."""
        match, threshold, method, min_score, scale = match[0], threshold[0], method[0], min_score[0], scale[0]
        check_merge_settings(match, threshold, method, min_score, scale)
        plans = [check_layout(one).in_pixels() for one in layout]
        done, words = [], []
        for plan, items, one in zip(plans, _of_layouts(boxes, plans, "boxes"), _for_each(whole, len(plans), "whole"), strict=True):
            check_cancelled()
            tiles = pictures_of_tiles(items, len(plan), plan.batch)
            over = _whole_pictures(one, plan.batch)
            settings = (match, threshold, method, min_score, scale)
            merged = [merge_detections(mine, plan, *settings, large) for mine, large in zip(tiles, over, strict=True)]
            done.append(merged)
            came = sum(len(mine) for picture in tiles for mine in picture) + sum(map(len, over))
            words.append(f"{counted(sum(map(len, merged)), 'object')} of {came} boxes in {counted(len(plan), 'tile')}")
        ui = {"text": words, NOTE_KEY: ["\n".join(words)]}
        return io.NodeOutput(done, [sum(map(len, merged)) for merged in done], ui=ui)


class MergeMasks(io.ComfyNode):
    """List of MASK, one item per tile with its objects along the batch, and layouts -> one mask, and one for each object."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkMergeMasks",
            display_name="Merge Masks",
            category=REPAIR,
            description=(
                "Masks that a model made tile by tile become masks of the whole picture, with the edge of the full size: objects that "
                "several tiles see are one, and the noise of their edges is averaged. A mask of the whole picture at low resolution can "
                "say which pieces are one object, and keep false ones out."
            ),
            search_aliases=[
                "tiled segmentation",
                "merge masks",
                "stitch masks",
                "SAM3",
                "segment large image",
                "instance segmentation",
                "join masks",
                "high resolution mask",
                "background removal",
                "matting",
            ],
            is_input_list=True,
            has_intermediate_output=True,
            inputs=[
                io.Mask.Input(
                    "masks",
                    tooltip="What a model (SAM3 with individual_masks on, or any other) made of the tiles: one item for each tile, at any scale, its objects along the batch; an item may be empty. Soft, yes or no, or logits (values outside 0 to 1).",
                ),
                Layout.Input("layout", tooltip=LAYOUT_TIP + " A whole grid."),
                io.Float.Input(
                    "join",
                    default=0.5,
                    min=Least(0.0),
                    max=1.0,
                    step=0.01,
                    tooltip="Pieces of two tiles are one object where at least this share of the smaller one is common to both, in the strip that both tiles see. With a prior: a piece is part of an object of the prior where that holds at least this share of it.",
                ),
                io.Int.Input(
                    "min_area",
                    default=0,
                    min=0,
                    max=1 << 30,
                    advanced=True,
                    tooltip="Objects of fewer pixels are left out; 0 keeps all.",
                ),
                io.Mask.Input(
                    "prior",
                    optional=True,
                    tooltip="Masks of the whole picture at low resolution, one for each object along the batch; one mask of everything is taken apart into its separate areas. Says which pieces are one object; pieces that lie on none are left out. One for all layouts, or one for each.",
                ),
            ],
            outputs=[
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    is_output_list=True,
                    tooltip="All objects in one mask over the whole picture, soft, at the scale at which the masks came.",
                ),
                io.Mask.Output(
                    "objects",
                    display_name="objects",
                    is_output_list=True,
                    tooltip="A mask for each object along the batch, the largest first; one empty mask where nothing was found.",
                ),
            ],
        )

    @classmethod
    def execute(cls, masks, layout, join, min_area, prior=None) -> io.NodeOutput:
        """Merge the masks of each layout."""
        import comfy.model_management as management

        join, min_area = join[0], min_area[0]
        check_mask_settings(join, min_area)
        plans = [check_grid(one, "Merge Masks").in_pixels() for one in layout]
        parts = _of_layouts(masks, plans, "masks")
        step = watched_steps(sum(mask_steps([one for one in part if isinstance(one, torch.Tensor)]) for part in parts))
        device, done = management.intermediate_device(), []
        for plan, items, low in zip(plans, parts, _for_each(prior, len(plans), "prior"), strict=True):
            done.append(merge_masks(items, plan, join, min_area, low, free_memory(torch.device("cpu")), step))
        words = [
            _said(one, plan, low is not None) for one, plan, low in zip(done, plans, _for_each(prior, len(plans), "prior"), strict=True)
        ]
        outputs = [[one.mask.to(device) for one in done], [one.objects.to(device) for one in done]]
        return io.NodeOutput(*outputs, ui={"text": words, NOTE_KEY: ["\n".join(words)]})


def _said(merged: MergedMasks, plan: TileLayout, prior: bool) -> str:
    """What was done, in a few words."""
    words = f"{counted(merged.count, 'object')} of {counted(merged.pieces, 'piece')} in {counted(len(plan), 'tile')}"
    if prior:
        words += f"; {merged.false} outside of the prior left out"
    return words + (f"; {merged.small} below min_area left out" if merged.small else "")


def _of_layouts(items: Sequence[Any], plans: Sequence[TileLayout], name: str) -> list[list[Any]]:
    """The items of each layout, in order."""
    counts = [len(plan) for plan in plans]
    if len(plans) == 1:
        return [list(items)]
    if len(items) != sum(counts):
        raise ValueError(
            f"{counted(len(items), 'item')} of {name} came for {len(plans)} layouts with {sum(counts)} tiles: give one item for each tile, and "
            "connect the layout of the Tile Split that cut them"
        )
    walk = iter(items)
    return [[next(walk) for _ in range(count)] for count in counts]


def _for_each(given: Sequence[Any] | None, count: int, name: str) -> list[Any]:
    """One for each layout: one that came serves all, None where none did."""
    came = [one for one in given or () if one is not None]
    if len(came) not in (0, 1, count):
        raise ValueError(
            f"{counted(len(came), 'item')} of {name} came for {counted(count, 'layout')}: connect one for all, or one for each"
        )
    return came * count if len(came) == 1 else came or [None] * count


def _whole_pictures(value: Any, batch: int) -> list[list[dict[str, Any]]]:
    """The boxes of the whole picture, for each picture of the batch; those of one serve all."""
    pictures = read_boxes(value, "whole")
    if len(pictures) not in (1, batch):
        raise ValueError(
            f"whole has boxes of {counted(len(pictures), 'picture')} and the layout is of {batch}: connect the boxes of its pictures"
        )
    return pictures * batch if len(pictures) == 1 else pictures
