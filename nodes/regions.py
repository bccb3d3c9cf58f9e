"""Layouts that are planned for what is in the picture: around objects, on a mask, and by choosing tiles."""

from __future__ import annotations

import math
from typing import Any

import torch
from comfy_api.latest import io

from ..blending.layout.captions import describe_here
from .menu import REPAIR
from .types import Layout, SizesAndOverlapInWords, check_image, check_layout, check_painted, size_inputs
from .ui import show

# The values of the combos, in front of the modules that hold what they stand for: those are not needed before a run.
AVOID, OWN = "avoid", "own tile"
WHOLE, COVER = "whole", "cover"
DRAWN = 1280  # pixels of the longer side
TINT = (0.25, 0.6, 1.0)
MARGIN_TIP = "Image pixels around it that its tile shows too, so that a model sees what lies beside it; over them the tile fades out."


def _multiple_of() -> io.Input:
    return io.Int.Input(
        "multiple_of",
        default=8,
        min=1,
        max=1024,
        advanced=True,
        tooltip="Every tile starts on a multiple of this many pixels, and tiles of their own are multiples of it large. 8 suits most models.",
    )


class ObjectTiles(SizesAndOverlapInWords):
    """Mask or boxes -> layout, count, report."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkObjectTiles",
            display_name="Tiles around Objects",
            category=REPAIR,
            description=(
                "Plans tiles whose borders miss the objects of a picture (chains, gemstones, faces, lettering): what a mask or boxes mark. "
                "Connect its layout to Tile Split. An object that no border can miss may get a tile of its own."
            ),
            search_aliases=[
                "object aware tiles",
                "avoid faces",
                "keep objects whole",
                "cut around",
                "content aware split",
                "tile around object",
                "smart tiles",
            ],
            has_intermediate_output=True,
            inputs=[
                *size_inputs(
                    "Width of every tile in image pixels. The tiles of the grid are all of this size; only their places are chosen.",
                    "Neighbouring tiles share at least this many image pixels, and this is the width of the ramp over which one takes over from the other. It is the ramp that misses the objects.",
                ),
                _multiple_of(),
                io.Combo.Input(
                    "objects",
                    options=[AVOID, OWN],
                    default=AVOID,
                    tooltip="avoid: only move the grid, with up to one row and one column of tiles more; what no line can miss stays cut, and the report says which. own tile: what would stay cut gets a tile of its own as well, painted over the grid, so that all of it comes from one tile.",
                ),
                io.Int.Input("margin", default=64, min=0, max=4096, step=8, tooltip=f"For own tile. {MARGIN_TIP}"),
                io.Int.Input(
                    "largest",
                    default=2048,
                    min=64,
                    max=32768,
                    step=8,
                    tooltip="For own tile: the longest side in image pixels that such a tile may have. A larger object stays cut. Take what your memory holds.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="What must not be cut, for example from a segmentation: each connected part is one object. Of the picture's size.",
                ),
                io.BoundingBox.Input(
                    "boxes",
                    optional=True,
                    force_input=True,
                    tooltip="Objects as boxes, in pixels of the picture, as detectors give them (RT-DETR, SAM3, MediaPipe). Beside a mask or instead of it.",
                ),
                io.Image.Input("image", optional=True, tooltip="The picture that will be cut, for its size. Needed where there is no mask."),
            ],
            outputs=[
                Layout.Output("layout", display_name="layout", tooltip="The tiles. Connect it to Tile Split's layout, and from there go on as always."),
                io.Int.Output("count", display_name="count", tooltip="How many tiles there are, tiles of their own with them."),
                io.String.Output("report", display_name="report", tooltip="What was missed, which objects have a tile of their own, and what stays cut."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, tile_width, tile_height, overlap, multiple_of, objects, margin, largest, mask=None, boxes=None, image=None
    ) -> io.NodeOutput:
        """Plan around what is marked."""
        from ..blending.regions.object_tiles import describe_objects, object_layout

        if mask is None and boxes is None:
            raise ValueError("connect mask or boxes: they say where the objects are")
        picture, canvas, there = _canvas(mask, image)
        plan = object_layout(canvas, (tile_height, tile_width), overlap, multiple_of, there, _rects(boxes), objects, margin, largest)
        lines = describe_objects(plan)
        return io.NodeOutput(plan.layout, len(plan.layout), "\n".join(lines), ui=show(picture, plan.layout, lines[:2], lines[2:]))


def _canvas(mask: torch.Tensor | None, image: torch.Tensor | None) -> tuple[torch.Tensor, tuple[int, int], Any]:
    """The picture to draw on, its size, and what of it is marked (None where there is no mask)."""
    if image is not None:
        check_image(image)
    marked = None if mask is None else check_painted(mask)
    if marked is None and image is None:
        raise ValueError("boxes alone do not say how large the picture is: connect image")
    size = tuple(image.shape[1:3]) if image is not None else tuple(marked.shape[1:])
    if marked is not None and tuple(marked.shape[1:]) != size:
        raise ValueError(
            f"mask is {marked.shape[2]} x {marked.shape[1]} and image {size[1]} x {size[0]}: connect a mask of the picture's own size"
        )
    lit = None if marked is None else (marked > 0).any(0)
    return _tinted(image, lit, size), size, None if lit is None else lit.cpu().numpy()


def _tinted(image: torch.Tensor | None, lit: torch.Tensor | None, size: tuple[int, int]) -> torch.Tensor:
    """What the plan is drawn over: a small copy of the picture with what is marked tinted, [1, h, w, 3]."""
    step = max(1, max(size) // DRAWN)
    small = (
        torch.full((1, -(-size[0] // step), -(-size[1] // step), 1), 0.25) if image is None else image[:1, ::step, ::step, :3].float().cpu()
    )
    small = small.expand(-1, -1, -1, 3)
    if lit is None:
        return small
    share = 0.5 * lit[::step, ::step, None].float().cpu()
    return small * (1 - share) + share * small.new_tensor(TINT)


def _rects(boxes: Any) -> list:
    """The boxes of all pictures as rectangles of whole pixels around them."""
    if boxes is None:
        return []
    from ..blending.detection.boxes import read_boxes
    from ..blending.layout.grid import Rect

    found = []
    for box in (one for picture in read_boxes(boxes) for one in picture):
        left, top = math.floor(box["x"]), math.floor(box["y"])
        found.append(Rect(top, left, math.ceil(box["y"] + box["height"]) - top, math.ceil(box["x"] + box["width"]) - left))
    return found


class MaskTiles(SizesAndOverlapInWords):
    """Mask -> layout, count, mask."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkMaskTiles",
            display_name="Tiles on a Mask",
            category=REPAIR,
            description=(
                "Plans tiles for the marked parts of a picture alone: a small place is redone at a model's own size, and the rest of the "
                "picture stays bit for bit. Connect its layout to Tile Split, its mask to Seam Blend's mask, and the picture to base."
            ),
            search_aliases=["crop by mask", "inpaint crop", "crop and stitch", "region", "mask to tiles", "redo a part", "seam refine", "focus crop"],
            has_intermediate_output=True,
            inputs=[
                io.Mask.Input("mask", tooltip="What is to be redone: above 0. Of the picture's size. Where it is empty there are no tiles, and Seam Blend gives the picture back."),
                *size_inputs(
                    "whole: the least width of a tile in image pixels, a part that needs more gets more. cover: the width of every tile.",
                    "For cover: neighbouring tiles share at least this many image pixels. whole has no use for it.",
                ),
                io.Int.Input("margin", default=64, min=0, max=4096, step=8, tooltip=f"For every tile. {MARGIN_TIP} Parts that lie in each other's margin share a tile."),
                _multiple_of(),
                io.Combo.Input(
                    "fit",
                    options=[WHOLE, COVER],
                    default=WHOLE,
                    tooltip="whole: one tile for each part of the mask, as large as it needs. cover: tiles of one size along the mask, for seams and other long shapes.",
                ),
            ],
            outputs=[
                Layout.Output("layout", display_name="layout", tooltip="The tiles. Connect it to Tile Split's layout, and Tile Split's to Seam Blend."),
                io.Int.Output("count", display_name="count", tooltip="How many tiles there are; 0 for an empty mask."),
                io.Mask.Output("mask", display_name="mask", tooltip="The mask, grown and faded out over the margin: for Seam Blend's mask, so that nothing else changes."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, mask, tile_width, tile_height, overlap, margin, multiple_of, fit) -> io.NodeOutput:
        """Plan for what is marked."""
        from ..blending.regions.mask_regions import mask_layout, soft_mask

        mask = check_painted(mask)
        plan = mask_layout(mask, tile_height, tile_width, overlap, margin, multiple_of, fit)
        lines = describe_here(plan) if len(plan) else ["the mask is empty: no tiles", "Seam Blend will give its base back as it is"]
        return io.NodeOutput(plan, len(plan), soft_mask(mask, margin), ui=show(mask[..., None], plan, lines))


class SelectTiles(io.ComfyNode):
    """Layout, numbers, mask -> layout, count."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkSelectTiles",
            display_name="Select Tiles",
            category=REPAIR,
            description=(
                "Chooses some tiles of a layout, by their numbers or by a mask: only those are cut, worked on and put into Seam Blend's "
                "base; the rest of the picture stays bit for bit. Click the tiles in the picture below to write their numbers."
            ),
            search_aliases=["redo tile", "pick tiles", "single tile", "choose tiles", "skip tiles", "filter tiles", "rerun a tile"],
            has_intermediate_output=True,
            inputs=[
                Layout.Input("layout", tooltip="The layout to choose from: of a Tile Split, Tiles around Objects, Tiles on a Mask, or another Select Tiles."),
                io.String.Input(
                    "tiles",
                    default="",
                    tooltip="Numbers and ranges with commas between them, such as 0, 3-5. Tiles are numbered from 0, row by row, as the picture shows. Empty and without a mask: all tiles; none: no tile.",
                ),
                io.Boolean.Input("invert", default=False, tooltip="Take all the other tiles instead."),
                io.Mask.Input("mask", optional=True, tooltip="Tiles that show something of this mask (above 0) are taken too. Of the whole picture, at any size."),
            ],
            outputs=[
                Layout.Output("layout", display_name="layout", tooltip="The same layout with only these tiles. Connect it to Tile Split's layout, and Tile Split's to Seam Blend, with the picture as base."),
                io.Int.Output("count", display_name="count", tooltip="How many tiles are chosen."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, layout, tiles, invert, mask=None) -> io.NodeOutput:
        """Choose."""
        from ..blending.regions.tile_numbers import chosen

        plan = chosen(check_layout(layout), tiles, None if mask is None else check_painted(mask), invert)
        blank = torch.full((1, 1, 1, 1), 0.25)
        return io.NodeOutput(plan, len(plan), ui=show(blank, plan, describe_here(plan)))
