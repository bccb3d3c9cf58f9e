"""Crops of photographs with lettering and a weave, results of them, and faults put into a result.

The source is 256 x 256 and a result 512 x 512. All places and sizes below are pixels of the source; the fault is put into the result.
"""

from __future__ import annotations

import io
import math
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch.nn.functional import avg_pool2d, grid_sample, interpolate

SIDE, SCALE = 256, 2
MARGIN = 24
FAULTS = ("letter", "edge", "weave", "object")
LETTERS = "ABDEFGHKLMNPRSTVXZ"
PATCH = 32  # of weave: 64 px of the result
VISIBLE = 0.2  # what a changed letter changes in 6 pixels or more
# (photograph of scikit-image, its left upper corner): thresholds were chosen on the first list, rates are told of the second.
TRIED = [
    *(("chelsea", 20, x) for x in (0, 195)),
    *(("coffee", y, x) for y in (0, 144) for x in (20, 330)),
    *(("rocket", 100, x) for x in (60, 360)),
    *(("hubble_deep_field", y, x) for y in (100, 560) for x in (150, 640)),
    *(("grass", y, x) for y in (0, 256) for x in (0, 256)),
    *(("moon", y, x) for y in (0, 256) for x in (0, 256)),
    *(("coins", 20, x) for x in (0, 128)),
]
REPORTED = [
    *(("astronaut", y, x) for y in (0, 256) for x in (0, 256)),
    *(("stereo_motorcycle", y, x) for y in (0, 244) for x in (0, 242, 485)),
    *(("camera", y, x) for y in (0, 256) for x in (0, 256)),
    *(("retina", y, x) for y in (300, 860) for x in (300, 860)),
    *(("brick", 0, x) for x in (0, 256)),
    *(("immunohistochemistry", 256, x) for x in (0, 256)),
    *(("gravel", 0, x) for x in (0, 256)),
]


class Box(NamedTuple):
    """A place in the source, in pixels."""

    y: int
    x: int
    height: int
    width: int

    def apart(self, other: Box, by: int) -> bool:
        """Whether `by` pixels lie between the two."""
        below = self.y >= other.y + other.height + by or other.y >= self.y + self.height + by
        return below or self.x >= other.x + other.width + by or other.x >= self.x + self.width + by


class Scene(NamedTuple):
    """A source, and where what happens to it.

    Attributes:
        source: [1, 256, 256, 3].
        altered: the same with one letter changed.
        letter, weave, edge, object: where a fault goes.
        cut: where the duplicated object is taken from.
        normal: (y, x) across the edge, of length one.
    """

    source: torch.Tensor
    altered: torch.Tensor
    letter: Box
    weave: Box
    edge: Box
    object: Box
    cut: Box
    normal: tuple[float, float]


@cache
def _photograph(name: str) -> torch.Tensor:
    import skimage.data

    loaded = getattr(skimage.data, name)()
    pixels = torch.from_numpy(np.array(loaded[0] if isinstance(loaded, tuple) else loaded)).float() / 255
    return pixels[..., None].expand(-1, -1, 3) if pixels.ndim == 2 else pixels[..., :3]


def crop(name: str, top: int, left: int) -> torch.Tensor:
    """[1, 256, 256, 3] of one of scikit-image's photographs."""
    part = _photograph(name)[None, top : top + SIDE, left : left + SIDE].contiguous()
    assert part.shape[1:3] == (SIDE, SIDE), (name, top, left)
    return part


def _ink(word: str, height: int) -> tuple[torch.Tensor, list[int]]:
    """How much of each pixel a word covers, [h, w], drawn at four times the size; and where each letter begins."""
    font = ImageFont.load_default(4 * height)
    starts = [font.getlength(word[:i]) for i in range(len(word) + 1)]
    sheet = Image.new("L", (4 * (math.ceil(starts[-1] / 4) + 2), 4 * (height + 6)))
    ImageDraw.Draw(sheet).text((4, 4), word, fill=255, font=font)
    ink = torch.from_numpy(np.array(sheet)).float()[None, None] / 255
    return avg_pool2d(ink, 4)[0, 0], [1 + round(start / 4) for start in starts]


def _lettered(picture: torch.Tensor, at: Box, ink: torch.Tensor) -> torch.Tensor:
    out = picture.clone()
    part = out[0, at.y : at.y + ink.shape[0], at.x : at.x + ink.shape[1]]
    colour = torch.tensor(0.12 if picture[0, at.y : at.y + at.height, at.x : at.x + at.width].mean() > 0.45 else 0.88)
    part.lerp_(colour.expand_as(part), ink[..., None])
    return out


def _woven(picture: torch.Tensor, at: Box, seed: torch.Generator) -> torch.Tensor:
    """A plain weave, of an uneven yarn, laid over a part of the picture."""
    period, angle = 4 + 2 * float(torch.rand((), generator=seed)), math.pi * float(torch.rand((), generator=seed))
    strength = 0.03 + 0.02 * float(torch.rand((), generator=seed))
    y, x = torch.meshgrid(torch.arange(float(at.height)), torch.arange(float(at.width)), indexing="ij")
    uneven = interpolate(torch.rand(1, 2, 12, 12, generator=seed), (at.height, at.width), mode="bicubic")[0]
    u = 2 * math.pi * (math.cos(angle) * x + math.sin(angle) * y) / period + 3 * uneven[0]
    v = 2 * math.pi * (-math.sin(angle) * x + math.cos(angle) * y) / period + 3 * uneven[1]
    out = picture.clone()
    part = out[0, at.y : at.y + at.height, at.x : at.x + at.width]
    part.mul_(0.8).add_(0.1).add_((strength * (u.sin() + v.sin() + 0.5 * u.sin() * v.sin()))[..., None]).clamp_(0, 1)
    return out


def _free_box(height: int, width: int, taken: list[Box], seed: torch.Generator) -> Box:
    for _ in range(2000):
        y, x = (int(torch.randint(MARGIN, SIDE - MARGIN - side + 1, (), generator=seed)) for side in (height, width))
        box = Box(y, x, height, width)
        if all(box.apart(other, 8) for other in taken):
            return box
    raise AssertionError("no room")


def _best_box(side: int, taken: list[Box], value: torch.Tensor, seed: torch.Generator) -> Box:
    """Of 200 free places the one with the greatest mean of `value` [256, 256]."""
    boxes = [_free_box(side, side, taken, seed) for _ in range(200)]
    return max(boxes, key=lambda box: float(value[box.y : box.y + side, box.x : box.x + side].mean()))


def scene(name: str, top: int, left: int) -> Scene:
    """The scene of one crop; its seed is its place."""
    seed = torch.Generator().manual_seed(1000 * top + left + sum(map(ord, name)))
    picture = crop(name, top, left)
    letters = [LETTERS[int(torch.randint(len(LETTERS), (), generator=seed))] for _ in range(6)]
    which = int(torch.randint(6, (), generator=seed))
    other = next(c for c in (LETTERS[int(torch.randint(len(LETTERS), (), generator=seed))] for _ in range(99)) if c != letters[which])
    height = int(torch.randint(11, 16, (), generator=seed))
    ink, starts = _ink("".join(letters), height)
    weave = _free_box(2 * PATCH, 2 * PATCH, [], seed)
    word = _free_box(*ink.shape, [weave], seed)
    woven = _woven(picture, weave, seed)
    source = _lettered(woven, word, ink)
    for new in (other, *LETTERS):
        alone = ink.clone()
        changed, _ = _ink("".join([*letters[:which], new, *letters[which + 1 :]]), height)
        # The letters behind it stay where they are, whatever the width of the new one.
        wide = slice(starts[which], starts[which + 1])
        alone[:, wide] = changed[:, wide]
        altered = _lettered(woven, word, alone)
        if ((altered - source).mean(-1).abs() > VISIBLE).sum() >= 6:
            break
        which = which if new != LETTERS[-1] else (which + 1) % 6
    letter = Box(word.y, word.x + starts[which], ink.shape[0], starts[which + 1] - starts[which])

    light = source[0].mean(-1)
    smooth = avg_pool2d(light[None, None], 3, 1, 1, count_include_pad=False)[0, 0]
    dy, dx = torch.gradient(smooth)
    pooled = [avg_pool2d(t[None, None], 9, 1, 4)[0, 0] for t in (dy * dy, dx * dx, dy * dx)]
    directed = ((pooled[0] - pooled[1]).square() + 4 * pooled[2].square()).sqrt()
    edge = _best_box(24, [weave, word], directed, seed)
    middle = (edge.y + 12, edge.x + 12)
    turn = 0.5 * math.atan2(2 * float(pooled[2][middle]), float(pooled[1][middle] - pooled[0][middle]))
    taken = [weave, word, edge]
    rough = (light - avg_pool2d(light[None, None], 29, 1, 14, count_include_pad=False)[0, 0]).square()
    cut = _best_box(28, [weave, word], rough, seed)
    places = [_free_box(28, 28, [*taken, cut], seed) for _ in range(60)]

    def unlike(box: Box) -> float:
        return float((_part(light, box) - _part(light, cut)).square().mean())

    to = sorted(places, key=unlike)[45]
    return Scene(source, altered, letter, Box(weave.y + 16, weave.x + 16, PATCH, PATCH), edge, to, cut, (math.sin(turn), math.cos(turn)))


def _part(plane: torch.Tensor, box: Box) -> torch.Tensor:
    return plane[box.y : box.y + box.height, box.x : box.x + box.width]


def enlarged(source: torch.Tensor, how: str, seed: int = 0) -> torch.Tensor:
    """A faithful result of twice the size: bicubic, lanczos, jpeg 95, or noise of one level."""
    if how == "lanczos":
        planes = [
            Image.fromarray(plane.numpy()).resize((SCALE * SIDE, SCALE * SIDE), Image.Resampling.LANCZOS)
            for plane in source[0].movedim(-1, 0)
        ]
        return torch.stack([torch.from_numpy(np.array(plane)) for plane in planes], -1)[None].clamp(0, 1)
    big = interpolate(source.movedim(-1, 1), scale_factor=SCALE, mode="bicubic").movedim(1, -1).clamp(0, 1).contiguous()
    if how == "jpeg 95":
        file = io.BytesIO()
        Image.fromarray((big[0] * 255).round().byte().numpy()).save(file, "JPEG", quality=95)
        return torch.from_numpy(np.array(Image.open(file))).float()[None] / 255
    if how == "noise":
        noise = torch.randint(-1, 2, big.shape, generator=torch.Generator().manual_seed(seed)) / 255
        return (big + noise).clamp(0, 1)
    assert how == "bicubic", how
    return big


FAITHFUL = ("bicubic", "lanczos", "jpeg 95", "noise")


def _ramp(box: Box, feather: int) -> torch.Tensor:
    """1 inside the box, 0 outside of it by `feather` px of the result: [512, 512, 1]."""
    lines = []
    for start, length in ((box.y, box.height), (box.x, box.width)):
        at = torch.arange(SCALE * SIDE) + 0.5
        inside = torch.minimum(at - SCALE * start, SCALE * (start + length) - at)
        lines.append((inside / feather + 1).clamp(0, 1))
    return (lines[0][:, None] * lines[1])[..., None]


def faulty(result: torch.Tensor, altered: torch.Tensor, where: Scene, kind: str) -> tuple[torch.Tensor, Box]:
    """A fault in a result [1, 512, 512, 3], and its place; `altered` is what the same process made of the altered source."""
    if kind == "letter":
        return torch.lerp(result, altered, _ramp(where.letter, 4)), where.letter
    if kind == "weave":
        planes = result.movedim(-1, 1)
        flat = torch.nn.functional.pad(planes, (20,) * 4, mode="reflect")
        for _ in range(3):
            flat = avg_pool2d(flat, 13, 1, 0)
        flat = flat[..., 2:-2, 2:-2].movedim(1, -1)
        return torch.lerp(result, flat, _ramp(where.weave, 2)), where.weave
    if kind == "edge":
        return _moved(result, where), where.edge
    assert kind == "object", kind
    out = result.clone()
    cut, to = (Box(*(SCALE * value for value in box)) for box in (where.cut, where.object))
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in (to.height, to.width)), indexing="ij")
    round_ = ((1 - (y.square() + x.square()).sqrt()) * to.height / 2 / 4).clamp(0, 1)[..., None]
    out[0, to.y : to.y + to.height, to.x : to.x + to.width].lerp_(result[0, cut.y : cut.y + cut.height, cut.x : cut.x + cut.width], round_)
    return out, where.object


def _moved(result: torch.Tensor, where: Scene) -> torch.Tensor:
    """The edge moved by two pixels of the result across itself, fading out around it."""
    side = SCALE * SIDE
    at = torch.arange(side) + 0.5
    y, x = torch.meshgrid(at, at, indexing="ij")
    centre = [SCALE * (start + length / 2) for start, length in zip(where.edge[:2], where.edge[2:], strict=True)]
    far = ((y - centre[0]).square() + (x - centre[1]).square()).sqrt()
    bump = 2 * (0.5 + 0.5 * (math.pi * ((far - 20) / 24).clamp(0, 1)).cos())
    grid = torch.stack((x - bump * where.normal[1], y - bump * where.normal[0]), -1) / side * 2 - 1
    return grid_sample(result.movedim(-1, 1), grid[None], "bicubic", "border", align_corners=False).movedim(1, -1).clamp(0, 1)
