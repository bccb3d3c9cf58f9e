"""Objects as boxes and as masks, and how tiles see them."""

import math

import torch
from tilework.blending.layout.tile_layout import TileLayout

OVERLAPS = (64, 96, 128, 192, 256)
SIDE, TILE = 2000, 1024


def iou(a, b):
    """Of two boxes (left, top, right, bottom)."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def corners(box):
    """Of a box as a node gives it."""
    return box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]


def seen(objects, layout, draw, jitter=0.0, label="thing"):
    """What a detector says of each tile: the part of every object that lies in it, each side wrong by `jitter` of the object."""
    tiles = []
    for tile in layout.tiles:
        low, high = (tile.x, tile.y), (tile.x + tile.width, tile.y + tile.height)
        boxes = []
        for left, top, right, bottom in objects:
            noise = [draw.gauss(0, jitter * length) for length in (right - left, bottom - top) * 2]
            part = [max(left, low[0]), max(top, low[1]), min(right, high[0]), min(bottom, high[1])]
            if part[2] - part[0] < 1 or part[3] - part[1] < 1:
                continue
            part = [side + off for side, off in zip(part, noise, strict=True)]
            part = [max(part[0], low[0]), max(part[1], low[1]), min(part[2], high[0]), min(part[3], high[1])]
            if part[2] - part[0] < 1 or part[3] - part[1] < 1:
                continue
            place = {"x": part[0] - low[0], "y": part[1] - low[1], "width": part[2] - part[0], "height": part[3] - part[1]}
            boxes.append({**place, "label": label, "score": draw.uniform(0.4, 0.99)})
        tiles.append(boxes)
    return tiles


def cut_object(draw):
    """A layout, and an object of 128 to 700 px that lies where four tiles meet, or two."""
    layout = TileLayout.grid(SIDE, SIDE, TILE, TILE, draw.choice(OVERLAPS), 8)
    width, height = draw.uniform(128, 700), draw.uniform(128, 700)
    x, y = (draw.choice([at for at in axis.origins if at]) + axis.overlap / 2 for axis in layout.axes[::-1])
    left, top = min(max(x - draw.random() * width, 0), SIDE - width), min(max(y - draw.random() * height, 0), SIDE - height)
    return layout, (left, top, left + width, top + height)


def beside(one, draw):
    """Another object that touches it, to the right or below; None where the picture has no room for one of 100 px."""
    left, top, right, bottom = one
    width, height = draw.uniform(128, 700), draw.uniform(128, 700)
    if draw.random() < 0.5:
        shift = top + draw.uniform(-0.5, 0.5) * (bottom - top)
        other = (right, max(shift, 0), min(right + width, SIDE), min(shift + height, SIDE))
    else:
        shift = left + draw.uniform(-0.5, 0.5) * (right - left)
        other = (max(shift, 0), bottom, min(shift + width, SIDE), min(bottom + height, SIDE))
    return other if other[2] - other[0] >= 100 and other[3] - other[1] >= 100 else None


def smooth_noise(height, width, length, generator):
    """Noise of sd 1 that changes over `length` pixels: [height, width]."""
    cells = torch.randn(1, 1, math.ceil(height / length) + 2, math.ceil(width / length) + 2, generator=generator)
    noise = torch.nn.functional.interpolate(cells, (height, width), mode="bicubic", align_corners=False)[0, 0]
    return noise / noise.std()


def distance_to(shapes, height, width):
    """How far inside of a union of discs (y, x, radius) each pixel is, negative outside: [height, width], pixels."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([radius - torch.hypot(y - cy, x - cx) for cy, cx, radius in shapes]).amax(0)


def soft(distance, width=2.0):
    """A soft mask of what is inside, its edge about `width` pixels wide."""
    return torch.sigmoid(distance / (width / 2))


def noisy_tiles(distance, layout, generator, sd, length, width=2.0):
    """The mask of every tile, its edge off by smooth noise of its own, in pixels: [1, h, w] each."""
    masks = []
    for tile in layout.tiles:
        part = distance[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
        masks.append(soft(part + sd * smooth_noise(*part.shape, length, generator), width)[None])
    return masks
