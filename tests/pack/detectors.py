"""Detectors and segmenters without weights: bright things, given as the host's RT-DETR and SAM3 nodes give what they find."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from .sources import CATEGORY

LEAST_AREA = 30


class BrightDiscs(io.ComfyNode):
    """Places of discs -> a dark picture with bright discs, and a mask for each."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestDiscs",
            display_name="Test Discs",
            category=CATEGORY,
            description="Bright discs on a dark ground.",
            inputs=[
                io.Int.Input("width", default=640, min=1, max=16384, tooltip="Pixels."),
                io.Int.Input("height", default=480, min=1, max=16384, tooltip="Pixels."),
                io.String.Input("discs", default="120,100,60", tooltip="y,x,radius of each, with ; between them; may be empty."),
                io.Int.Input("batch", default=1, min=1, max=16, optional=True, tooltip="The same picture so many times."),
            ],
            outputs=[io.Image.Output("image", display_name="image"), io.Mask.Output("masks", display_name="masks")],
        )

    @classmethod
    def execute(cls, width, height, discs, batch=1) -> io.NodeOutput:
        """Draw them."""
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        places = [tuple(map(float, part.split(","))) for part in discs.split(";") if part.strip()]
        masks = [(torch.hypot(y - cy, x - cx) <= radius).float() for cy, cx, radius in places]
        masks = torch.stack(masks) if masks else torch.zeros(0, height, width)
        image = 0.1 + 0.8 * (masks.amax(0) if len(masks) else torch.zeros(height, width))
        return io.NodeOutput(image[None, ..., None].expand(batch, -1, -1, 3).contiguous(), masks)


def bright_things(picture: torch.Tensor) -> tuple[torch.Tensor, list[dict]]:
    """Every connected bright area of [H, W, C]: binary masks [N, H, W], and boxes with scores, the surest first."""
    import numpy as np
    from scipy import ndimage

    names, count = ndimage.label(picture.mean(-1).numpy() > 0.5)
    masks, boxes = [], []
    for name, place in enumerate(ndimage.find_objects(names, count), 1):
        there = names == name
        if there.sum() >= LEAST_AREA:
            masks.append(torch.from_numpy(there.astype(np.float32)))
            (top, bottom), (left, right) = ((float(side.start), float(side.stop)) for side in place)
            score = 1 - 1 / float(there.sum())
            boxes.append({"x": left, "y": top, "width": right - left, "height": bottom - top, "score": score})
    line = sorted(range(len(boxes)), key=lambda i: -boxes[i]["score"])
    return torch.stack([masks[i] for i in line]) if masks else torch.zeros(0, *picture.shape[:2]), [boxes[i] for i in line]


class BrightDetector(io.ComfyNode):
    """IMAGE -> BOUNDING_BOX, as RTDETR_detect."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestDetect",
            display_name="Test Detect",
            category=CATEGORY,
            description="Boxes around bright things: a list for each picture of the batch.",
            inputs=[io.Image.Input("image", tooltip="The picture.")],
            outputs=[io.BoundingBox.Output("bboxes", display_name="bboxes")],
        )

    @classmethod
    def execute(cls, image) -> io.NodeOutput:
        """Look for them."""
        return io.NodeOutput([[{**box, "label": "thing"} for box in bright_things(picture)[1]] for picture in image])


class BrightSegmenter(io.ComfyNode):
    """IMAGE -> MASK and BOUNDING_BOX, as SAM3_Detect."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestSegment",
            display_name="Test Segment",
            category=CATEGORY,
            description="Masks of bright things: one for each, along the batch, or one of all for each picture.",
            inputs=[
                io.Image.Input("image", tooltip="The picture."),
                io.Boolean.Input("individual_masks", default=False, tooltip="A mask for each thing."),
            ],
            outputs=[io.Mask.Output("masks", display_name="masks"), io.BoundingBox.Output("bboxes", display_name="bboxes")],
        )

    @classmethod
    def execute(cls, image, individual_masks) -> io.NodeOutput:
        """Look for them."""
        found = [bright_things(picture) for picture in image]
        boxes = [boxes for _, boxes in found]
        if individual_masks:
            return io.NodeOutput(torch.cat([masks for masks, _ in found]), boxes)
        together = [masks.amax(0) if len(masks) else torch.zeros(masks.shape[1:]) for masks, _ in found]
        return io.NodeOutput(torch.stack(together), boxes)


class SeenBoxes(io.ComfyNode):
    """BOUNDING_BOX and MASK -> what they are, as JSON."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestSeen",
            display_name="Test Seen",
            category=CATEGORY,
            description="Says which boxes came, and how large what masks show is.",
            is_output_node=True,
            inputs=[
                io.BoundingBox.Input("boxes", optional=True, force_input=True, tooltip="Any boxes."),
                io.Int.Input("count", default=0, optional=True, force_input=True, tooltip="Any number."),
                io.Mask.Input("masks", optional=True, tooltip="Any masks."),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, boxes=None, count=None, masks=None) -> io.NodeOutput:
        """Say it."""
        import json

        areas = None if masks is None else [int((mask >= 0.5).sum()) for mask in masks]
        said = {"boxes": boxes, "count": count, "shape": None if masks is None else list(masks.shape), "areas": areas}
        return io.NodeOutput(ui={"text": [json.dumps(said)]})
