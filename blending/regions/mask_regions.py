"""Tiles for what a mask marks: one for each of its parts, or equal ones along it."""

from __future__ import annotations

import math

import numpy as np
import torch

from ..layout.grid import MAX_TILES, Rect, check_plan
from ..layout.region_layout import RegionLayout
from ..pixels.picture import check_mask
from .boxes_apart import Box, both, grown, joined, parts_of

WHOLE, COVER = "whole", "cover"
FITS = (WHOLE, COVER)


def mask_layout(
    mask: torch.Tensor, tile_height: int, tile_width: int, overlap: int, margin: int = 64, multiple_of: int = 8, fit: str = WHOLE
) -> RegionLayout:
    """Plan tiles for a mask.

    Args:
        mask: floating point [B, H, W], above 0 where something is to be worked on, in any picture of the batch.
        tile_height, tile_width: "whole": the least, a part that needs more gets more; "cover": of every tile. A side of the
            picture that is smaller gives the size there.
        overlap: pixels, of "cover": neighbours share at least so many.
        margin: pixels that a tile shows around what is marked, where the picture has them; over them it fades out.
        multiple_of: tiles' sizes and origins are multiples of it.
        fit: one of FITS.

    Returns:
        the regions; none for an empty mask. Those of "whole" do not lie in each other's margin.

    Raises:
        ValueError: for sizes that make no sense, and a mask that is none.
    """
    if fit not in FITS:
        raise ValueError(f"fit {fit!r} is not known: use {' or '.join(FITS)}")
    lit = (check_mask(mask) > 0).any(0).cpu().numpy()
    canvas = (lit.shape[0], lit.shape[1])
    check_plan(*canvas, tile_height, tile_width, overlap, multiple_of)
    if margin < 0:
        raise ValueError(f"margin {margin} is negative: use 0 or more, for example 64")
    plan = _whole if fit == WHOLE else _cover
    tiles, cores, ramps = plan(lit, (tile_height, tile_width), overlap, margin, multiple_of)
    return RegionLayout(canvas, tuple(tiles), cores=tuple(cores), ramps=tuple(ramps))


Plan = tuple[list[Rect], list[Rect], list[int]]


def _whole(lit: np.ndarray, tile: tuple[int, int], overlap: int, margin: int, multiple_of: int) -> Plan:
    boxes = joined(parts_of(lit, 2 * margin), 2 * margin)
    tiles = [_tile_around(grown(box, margin, lit.shape), tile, lit.shape, multiple_of) for box in boxes]
    return tiles, [box.rect for box in boxes], [margin] * len(boxes)


def _tile_around(box: Box, least: tuple[int, int], canvas: tuple[int, int], multiple_of: int) -> Rect:
    """The tile that shows a box in its middle: at least `least` large, on the lattice, within the canvas where it fits in."""
    spans = [span_around(box.low[axis], box.high[axis], least[axis], canvas[axis], multiple_of) for axis in (0, 1)]
    return Rect(spans[0][0], spans[1][0], spans[0][1], spans[1][1])


def span_around(low: int, high: int, least: int, size: int, multiple_of: int) -> tuple[int, int]:
    """(start, length) on the lattice around `low` to `high`, at least `least` long, within 0 to `size` but for the lattice."""
    whole = math.ceil(size / multiple_of) * multiple_of
    length = min(math.ceil(max(high - low, least) / multiple_of) * multiple_of, whole)
    last = whole - length
    start = min(max(round(((low + high) - length) / 2 / multiple_of) * multiple_of, 0), last)
    # Rounded to the lattice it may miss an end by less than a step: then it is moved, and where that does not do, longer.
    if start > low:
        start = low // multiple_of * multiple_of
    if start + length < min(high, size):
        length = min(math.ceil((high - start) / multiple_of) * multiple_of, whole - start)
    return start, length


def _cover(lit: np.ndarray, tile: tuple[int, int], overlap: int, margin: int, multiple_of: int) -> Plan:
    """Tiles from the top down, each over what is not yet covered, its marked part in its middle."""
    rim = max(margin, -(-overlap // 2))
    lengths = [
        min(math.ceil(side / multiple_of), math.ceil(size / multiple_of)) * multiple_of for side, size in zip(tile, lit.shape, strict=True)
    ]
    # A tile that is as long as the picture has no rim there: all of the picture is in it.
    inner = [length if length >= size else length - 2 * rim - multiple_of for length, size in zip(lengths, lit.shape, strict=True)]
    for name, length, room in zip(("height", "width"), lengths, inner, strict=True):
        if room < multiple_of:
            raise ValueError(
                f"a tile {name} of {length} leaves nothing inside its margins of {rim} px: use a tile of {2 * rim + 4 * multiple_of} "
                "or more, or a smaller margin and overlap"
            )
    left = _cells(lit, multiple_of)
    tiles, cores = [], []
    for row in range(left.shape[0]):
        while left[row].any():
            if len(tiles) > MAX_TILES:
                raise ValueError(f"more than {MAX_TILES} tiles would be needed: use larger tiles")
            box = _next_box(left, row, [room // multiple_of for room in inner])
            left[box.low[0] : box.high[0], box.low[1] : box.high[1]] = False
            box = Box(*(tuple(min(end * multiple_of, size) for end, size in zip(ends, lit.shape, strict=True)) for ends in box))
            spans = [span_around(box.low[axis], box.high[axis], lengths[axis], lit.shape[axis], multiple_of) for axis in (0, 1)]
            tiles.append(Rect(spans[0][0], spans[1][0], spans[0][1], spans[1][1]))
            cores.append(box.rect)
    return *_once(tiles, cores), [rim] * len(set(tiles))


def _once(tiles: list[Rect], cores: list[Rect]) -> tuple[list[Rect], list[Rect]]:
    """Each place once, its core around those of all that came out there."""
    held: dict[Rect, Box] = {}
    for tile, core in zip(tiles, cores, strict=True):
        box = Box((core.y, core.x), (core.y + core.height, core.x + core.width))
        held[tile] = both(held[tile], box) if tile in held else box
    return list(held), [box.rect for box in held.values()]


def _next_box(left: np.ndarray, row: int, most: list[int]) -> Box:
    """The cells that the next tile takes: from `row` on, around its first marked one, as far as a tile reaches."""
    column = int(left[row].argmax())
    band = left[row : row + most[0]]
    # As far to the left as something marked hangs on: the first cell of a row need not be the leftmost of what is below it.
    start = max(column - most[1] + 1, 0)
    columns = np.nonzero(band[:, start : column + 1].any(0))[0]
    start += int(columns[0])
    window = band[:, start : start + most[1]]
    ys, xs = (np.nonzero(window.any(axis))[0] for axis in (1, 0))
    return Box((row, start + int(xs[0])), (row + int(ys[-1]) + 1, start + int(xs[-1]) + 1))


def _cells(lit: np.ndarray, step: int) -> np.ndarray:
    """Whether anything is marked in each cell of `step` pixels: bool."""
    height, width = (-(-size // step) * step for size in lit.shape)
    padded = np.pad(lit, ((0, height - lit.shape[0]), (0, width - lit.shape[1])))
    return padded.reshape(height // step, step, width // step, step).any((1, 3))


def soft_mask(mask: torch.Tensor, margin: int) -> torch.Tensor:
    """The mask, grown and faded out: as it is where it is marked, 0 from `margin` pixels on.

    Args:
        mask: float32 [B, H, W], 0 to 1.
        margin: pixels.

    Returns:
        float32 [B, H, W]; the mask itself where the margin is less than 2. Beside it one plane is held at a time.
    """
    reach = margin // 2
    if reach < 1:
        return mask
    kernel = torch.hann_window(2 * reach + 1, periodic=False, dtype=torch.float64)
    kernel = (kernel / kernel.sum()).float()
    out = torch.empty_like(mask)
    for picture, into in zip(mask, out, strict=True):
        plane = picture[None, None]
        for axis in (2, 3):
            window, padding = ((2 * reach + 1, 1), (reach, 0)) if axis == 2 else ((1, 2 * reach + 1), (0, reach))
            plane = torch.nn.functional.max_pool2d(plane, window, 1, padding)
        for axis in (2, 3):
            shape, padding = ((1, 1, -1, 1), (0, 0, reach, reach)) if axis == 2 else ((1, 1, 1, -1), (reach, reach, 0, 0))
            plane = torch.nn.functional.conv2d(torch.nn.functional.pad(plane, padding, mode="replicate"), kernel.view(shape).to(plane))
        into.copy_(torch.maximum(plane[0, 0], picture).clamp_(max=1.0))
    return out
