"""Merge Detections and Merge Masks on their help pages and in the thumbnail of their template: what tiles say, and what comes of it."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from .sheet import apart, write

# The face and the helmet in NASA's portrait, as a detector would put them: left, top, right, bottom.
FACE, HELMET = (172, 62, 274, 214), (296, 292, 506, 506)
TILE, OVERLAP = 208, 48
COLOURS = ((1.0, 0.48, 0.18), (0.36, 0.78, 1.0), (0.56, 0.9, 0.4), (1.0, 0.85, 0.3))


def drawn(photo: torch.Tensor, boxes: list[tuple[tuple[float, ...], int]], width: int = 4) -> torch.Tensor:
    """A picture [1, H, W, 3] with boxes over it, each with the number of its colour: [H, W, 3]."""
    image = Image.fromarray((photo[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy())
    draw = ImageDraw.Draw(image)
    for corners, colour in boxes:
        draw.rectangle(corners, outline=tuple(round(255 * value) for value in COLOURS[colour % len(COLOURS)]), width=width)
    return torch.from_numpy(np.asarray(image, np.float32) / 255)


def found_by_tiles(layout) -> list[list[dict]]:
    """What a detector says of each tile: the part of the face and of the helmet that lies in it, a few pixels off."""
    chance, tiles = random.Random(4), []
    for tile in layout.tiles:
        ends, boxes = (tile.x, tile.y, tile.x + tile.width, tile.y + tile.height), []
        for thing, label in ((FACE, "face"), (HELMET, "helmet")):
            sides = [side + chance.gauss(0, 1.5) for side in thing]
            sides = [*map(max, sides[:2], ends[:2]), *map(min, sides[2:], ends[2:])]
            if sides[2] - sides[0] > 12 and sides[3] - sides[1] > 12:
                place = {"x": sides[0] - ends[0], "y": sides[1] - ends[1], "width": sides[2] - sides[0], "height": sides[3] - sides[1]}
                boxes.append({**place, "label": label, "score": chance.uniform(0.6, 0.95)})
        tiles.append(boxes)
    return tiles


def boxes_before_and_after(photo: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The boxes of the tiles, one colour for each tile, and what Merge Detections makes of them."""
    from blending import TileLayout
    from blending.detection.merging import merge_detections

    layout = TileLayout.grid(*photo.shape[1:3], TILE, TILE, OVERLAP, 8)
    tiles = found_by_tiles(layout)
    before = []
    for number, (boxes, tile) in enumerate(zip(tiles, layout.tiles, strict=True)):
        before += [
            ((box["x"] + tile.x, box["y"] + tile.y, box["x"] + tile.x + box["width"], box["y"] + tile.y + box["height"]), number)
            for box in boxes
        ]
    merged = merge_detections(tiles, layout)
    after = [((box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]), box["label"] == "face") for box in merged]
    return drawn(photo, before), drawn(photo, after)


def leaf(height: int, width: int) -> torch.Tensor:
    """How far inside of two shapes with wavy edges each pixel is: [2, height, width], pixels."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    shapes = []
    for cy, cx, radius, waves in ((205, 190, 130, 9), (390, 400, 80, 7)):
        angle = torch.atan2(y - cy, x - cx)
        shapes.append(radius * (1 + 0.13 * torch.cos(waves * angle)) - torch.hypot(y - cy, x - cx))
    return torch.stack(shapes)


def masks_before_and_after(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The masks of the tiles apart, a small mask at full size, and the two objects of Merge Masks in colour."""
    from blending import TileLayout
    from blending.detection.mask_merge import merge_masks

    layout = TileLayout.grid(height, width, TILE, TILE, OVERLAP, 8)
    made, inside = torch.Generator().manual_seed(2), leaf(height, width)
    masks = []
    for number, tile in enumerate(layout.tiles):
        part = inside[:, tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
        cells = torch.randn(1, 2, 8, 8, generator=made)
        noise = torch.nn.functional.interpolate(cells, part.shape[1:], mode="bicubic")[0]
        mask = torch.sigmoid(part + 3 * noise)
        if number == 2:
            y, x = torch.meshgrid(torch.arange(TILE), torch.arange(TILE), indexing="ij")
            mask[0] = torch.maximum(mask[0], torch.sigmoid(24 - torch.hypot(y - 60.0, x - 140.0)))
        masks.append(torch.stack([one for one in mask if (one > 0.5).any()]) if (mask > 0.5).any() else mask[:0])
    small = torch.nn.functional.interpolate(torch.sigmoid(inside)[None], (40, round(40 * width / height)), mode="area")[0]
    merged = merge_masks(masks, layout, prior=small)
    tiles = apart([(one.amax(0) if len(one) else torch.zeros(TILE, TILE))[None, ..., None] for one in masks], 3, 24)
    coarse = torch.nn.functional.interpolate(small.amax(0)[None, None], (height, width), mode="bilinear")[0, 0]
    colour = sum(plane[..., None] * torch.tensor(COLOURS[number]) for number, plane in enumerate(merged.objects))
    return tiles, coarse, colour.clamp(0, 1)


def detected(photo: torch.Tensor, folder: Path) -> None:
    """Both pages."""
    before, after = boxes_before_and_after(photo)
    write(folder, "TileworkMergeDetections", [("boxes of the tiles, a colour for each", before), ("Merge Detections", after)])
    tiles, coarse, colour = masks_before_and_after(*photo.shape[1:3])
    panels = [("masks of 9 tiles, a false piece in one", tiles), ("prior: the picture at 40 px", coarse), ("Merge Masks: objects", colour)]
    write(folder, "TileworkMergeMasks", panels)


def detect_and_segment(photo: torch.Tensor) -> Image.Image:
    """The template's thumbnail: left the boxes of the picture, right the objects over it."""
    _, boxes = boxes_before_and_after(photo)
    _, _, colour = masks_before_and_after(*photo.shape[1:3])
    middle = math.ceil(photo.shape[2] / 2)
    right = (0.45 * photo[0] + 0.55 * colour)[:, middle:]
    both = torch.cat((boxes[:, :middle], right), 1)
    both[:, middle - 2 : middle + 1] = 1.0
    return Image.fromarray((both.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
