"""A picture with its tiles drawn over it: the grid, its overlaps shaded, its tiles numbered, a caption below."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from ..blending.layout.grid import Axis
    from ..blending.layout.grid_layout import GridLayout
    from ..blending.layout.tile_layout import TileLayout

LONGEST_SIDE = 640
LEAST_LONGEST_SIDE = 320
LINE = (255, 255, 255, 210)
SHADE = (255, 122, 46, 84)
REGION = (255, 170, 60, 255)
DIM = (16, 18, 22, 120)
PLATE = (16, 18, 22, 170)
MARK = (255, 170, 60, 255)
CAPTION_BACKGROUND = (24, 26, 30)
CAPTION_INK = (235, 235, 235)
CAPTION_SIZE = 24
LEAST_CAPTION_SIZE = 16
CAPTION_MARGIN = 12
LEAST_NUMBER_ROOM = 16


def small(pixels: torch.Tensor, plan: TileLayout) -> Image.Image:
    """The first picture of a batch, or a latent's mean over channels, shrunk to LONGEST_SIDE at most."""
    ratio = min(max(LEAST_LONGEST_SIDE / max(plan.canvas), 1.0), LONGEST_SIDE / max(plan.canvas))
    height, width = (max(1, round(side * ratio)) for side in plan.canvas)
    is_image = plan.unit == 1 and pixels.ndim == 4 and pixels.shape[-1] <= 4
    planes = pixels[0] if is_image else (pixels[0] if pixels.ndim == 4 else pixels[0, :, 0]).movedim(0, -1)
    # A large picture is not read whole: one pixel in every few, which is grainy, and enough to find one's way.
    step = max(1, min(planes.shape[0] // height, planes.shape[1] // width))
    values = _every(planes, step)
    if is_image:
        values = values[..., :3] if values.shape[-1] >= 3 else values[..., :1].repeat(3, -1)
    else:
        mean = values.mean(-1, keepdims=True)
        values = ((mean - mean.min()) / max(float(mean.max() - mean.min()), 1e-6)).repeat(3, -1)
    with np.errstate(invalid="ignore"):  # NaN may come out as anything here
        values = (values * np.float32(255) + np.float32(0.5)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(values, "RGB").resize((width, height), Image.Resampling.BOX)


def _every(planes: torch.Tensor, step: int) -> np.ndarray:
    """float32 copy of every `step`-th pixel of [H, W, C], both ways."""
    if planes.dtype not in (torch.float32, torch.float16, torch.float64) or not planes.is_contiguous():
        return np.ascontiguousarray(planes[::step, ::step].float().cpu().numpy())
    whole = planes.cpu().numpy()
    # Whole pixels are moved at once: number by number it takes five times as long.
    pixels = whole.view(np.dtype((np.void, whole.itemsize * whole.shape[-1])))[::step, ::step]
    return np.ascontiguousarray(pixels).view(whole.dtype).reshape(*pixels.shape[:2], -1).astype(np.float32, copy=False)


def overlaps(axis: Axis) -> list[tuple[int, int]]:
    """Where neighbours change over; of an axis that wraps it may be in two parts, before the end and behind the beginning."""
    if axis.ramps is not None:
        return list(axis.ramps)
    found = []
    for a, b in pairwise(axis.starts):
        start, stop = b % axis.size, b % axis.size + a + axis.tile - b
        found.append((start, min(stop, axis.size)))
        if axis.wraps and stop > axis.size:
            found.append((0, stop - axis.size))
    return found


def cuts(axis: Axis) -> list[float]:
    """The middle of each overlap."""
    if axis.wraps:
        return sorted((a + axis.tile + b) / 2 % axis.size for a, b in pairwise(axis.starts))
    return [(start + stop) / 2 for start, stop in overlaps(axis)]


def with_grid(picture: Image.Image, plan: TileLayout) -> Image.Image:
    """The picture with the layout's grid and its regions over it; tiles that are not here are dimmed."""
    grid, regions = (plan, ()) if plan.kind == "grid" else (plan.below, plan.regions)
    fy, fx = picture.height / plan.canvas[0], picture.width / plan.canvas[1]
    picture, layer = picture.copy(), Image.new("RGBA", picture.size)
    draw = ImageDraw.Draw(layer)
    if grid is not None:
        _draw_grid(draw, picture, grid, fy, fx)
    for tile, core in zip(regions, plan.cores if regions else (), strict=True):
        for rect, line in ((tile, 2), (core, 1)):
            right, bottom = min(rect.x + rect.width, plan.canvas[1]), min(rect.y + rect.height, plan.canvas[0])
            draw.rectangle((rect.x * fx, rect.y * fy, right * fx - 1, bottom * fy - 1), outline=REGION, width=line)
    if plan.present is not None:
        _dim_missing(draw, plan, fy, fx)
    _number(draw, plan, fy, fx)
    picture.paste(layer, mask=layer.getchannel("A"))
    return picture


def _dim_missing(draw: ImageDraw.ImageDraw, plan: TileLayout, fy: float, fx: float) -> None:
    here = set(plan.present)
    for number, tile in enumerate(plan.tiles):
        if number not in here:
            right, bottom = min(tile.x + tile.width, plan.canvas[1]), min(tile.y + tile.height, plan.canvas[0])
            draw.rectangle((tile.x * fx, tile.y * fy, right * fx - 1, bottom * fy - 1), fill=DIM)
    for tile in plan.here:
        right, bottom = min(tile.x + tile.width, plan.canvas[1]), min(tile.y + tile.height, plan.canvas[0])
        draw.rectangle((tile.x * fx, tile.y * fy, right * fx - 1, bottom * fy - 1), fill=(0, 0, 0, 0), outline=REGION, width=2)


def _draw_grid(draw: ImageDraw.ImageDraw, picture: Image.Image, grid: GridLayout, fy: float, fx: float) -> None:
    ys, xs = grid.axes
    for axis, factor, horizontal in ((ys, fy, True), (xs, fx, False)):
        for start, stop in overlaps(axis):
            low, high = start * factor, stop * factor - 1
            if high > low:
                draw.rectangle((0, low, picture.width, high) if horizontal else (low, 0, high, picture.height), fill=SHADE)
    for axis, factor, horizontal in ((ys, fy, True), (xs, fx, False)):
        for cut in (place * factor for place in cuts(axis)):
            draw.line((0, cut, picture.width, cut) if horizontal else (cut, 0, cut, picture.height), fill=LINE)
    _arrows(draw, picture.size, grid.wrap)


def _arrows(draw: ImageDraw.ImageDraw, size: tuple[int, int], wrap: tuple[bool, bool]) -> None:
    """Where sides are joined: three arrows on either of them that point over the border."""
    length = max(6, max(size) // 40)
    for turned, wraps in ((True, wrap[0]), (False, wrap[1])):
        across, along = (size[1], size[0]) if turned else size
        for share in (0.25, 0.5, 0.75) if wraps else ():
            middle = share * along
            for tip, base in ((0, length), (across - 1, across - 1 - length)):
                corners = [(tip, middle), (base, middle - length * 0.7), (base, middle + length * 0.7)]
                draw.polygon([corner[::-1] if turned else corner for corner in corners], fill=MARK, outline=CAPTION_BACKGROUND)


def _number(draw: ImageDraw.ImageDraw, plan: TileLayout, fy: float, fx: float) -> None:
    """Tiles are numbered from 0, row by row, in the middle of what only they cover; left out where there is no room."""
    if not len(plan):
        return
    height, width = plan.canvas
    room = min(min(fy * tile.height, fx * tile.width) for tile in plan.here)
    if room < LEAST_NUMBER_ROOM:
        return
    font = ImageFont.load_default(size=max(9, min(30, int(room / 3))))
    wraps, own = plan.wrap, _own_middles(plan)
    for index, tile in zip(plan.numbers, plan.here, strict=True):
        bottom, right = min(tile.y + tile.height, height), min(tile.x + tile.width, width)
        # Of a tile that goes on at the other side, where its middle is.
        middle = (tile.x + tile.width / 2) % width if wraps[1] else (tile.x + right) / 2
        centre = (middle * fx, ((tile.y + tile.height / 2) % height if wraps[0] else (tile.y + bottom) / 2) * fy)
        if index in own:
            centre = (own[index][1] * fx, own[index][0] * fy)
        half = (0.32 * font.size * len(str(index)) + 3, 0.55 * font.size + 1)
        # A dark plate and not an outline: outlining 80 numbers takes longer than blending their tiles.
        draw.rectangle((centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1]), fill=PLATE)
        draw.text(centre, str(index), fill=(255, 255, 255, 255), font=font, anchor="mm")


def _own_middles(plan: TileLayout) -> dict[int, tuple[float, float]]:
    """(y, x) of the middle of each tile's own share, for grids whose ramps have a place: their tiles may overlap by much."""
    grid = plan if plan.kind == "grid" else plan.below
    if grid is None or grid.ramp_places is None:
        return {}
    ys, xs = ([0.0, *cuts(axis), float(axis.size)] for axis in grid.axes)
    columns = len(xs) - 1
    return {i: ((ys[i // columns] + ys[i // columns + 1]) / 2, (xs[i % columns] + xs[i % columns + 1]) / 2) for i in range(len(grid.tiles))}


def with_caption(picture: Image.Image, lines: list[str]) -> Image.Image:
    longest = max(ImageFont.load_default(size=CAPTION_SIZE).getlength(line) for line in lines)
    size = max(LEAST_CAPTION_SIZE, min(CAPTION_SIZE, int(CAPTION_SIZE * (picture.width - 2 * CAPTION_MARGIN) / longest)))
    font = ImageFont.load_default(size=size)
    width = max(picture.width, max(int(font.getlength(line)) + 1 for line in lines) + 2 * CAPTION_MARGIN)
    step = size * 4 // 3
    out = Image.new("RGB", (width, picture.height + step * len(lines) + CAPTION_MARGIN), CAPTION_BACKGROUND)
    out.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(out)
    for i, line in enumerate(lines):
        draw.text((CAPTION_MARGIN, picture.height + CAPTION_MARGIN // 2 + step * i), line, fill=CAPTION_INK, font=font)
    return out
