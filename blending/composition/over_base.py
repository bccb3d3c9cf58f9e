"""Tiles painted over a picture that is already there: where no tile counts, it stays bit for bit.

Tiles of a grid that lacks some keep the windows that they have in the whole grid; the picture below takes the share of
those that are missing. Regions are painted in order, each fading out around its core. Held beside the output: one tile's
part of it and its weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from ..layout.checked_tiles import check_kind, size_in_words
from ..layout.grid import Rect
from ..layout.grid_layout import GridLayout
from ..layout.patch import centres_of, landed
from ..layout.placement import find_scale
from ..layout.region_layout import RegionLayout
from ..layout.tile_layout import TileLayout
from ..layout.windows import RAMPS, AxisWindow, axis_windows, check_trim, rise
from ..pixels.alpha import LEAST_ALPHA
from ..pixels.picture import ROWS_AT_ONCE, check_finite, in_channels


class Share(NamedTuple):
    """How much a tile counts, against what has been painted before it.

    Attributes:
        number: the tile's, in the layout.
        rows, columns: the output pixels it counts at.
        weight: float32 [rows, columns], 0 to 1.
    """

    number: int
    rows: slice
    columns: slice
    weight: torch.Tensor


def paint(
    out: torch.Tensor,
    tiles: Sequence[torch.Tensor],
    layout: TileLayout,
    window: str = "hann",
    trim: int = 0,
) -> torch.Tensor:
    """Paint the tiles over `out`, in place.

    Args:
        out: float32 [P, H, W, C], any one scale of the layout's canvas.
        tiles: floating point [P, h, w, C'], those that are here (`layout.numbers`), in order; each of any size of its place's
            proportions. C' is C; or fewer, grey is then repeated and alpha is that of `out`.
        layout: where they belong: of any kind.
        window: one of `windows.WINDOWS`; of regions the ramps' shape, "none" cuts in the middle of the ramp.
        trim: source pixels to disregard at the sides of tiles that do not lie at the canvas' border.

    Returns:
        bool [H, W]: where a tile mixes with what is below it.

    Raises:
        ValueError: for a tile that is missing, of other proportions, not finite or of more channels than `out`; for a trim that
            leaves nothing of a ramp, and a window that regions cannot have.
    """
    if trim < 0:
        raise ValueError(f"trim {trim} is negative: use 0 or more")
    size = tuple(out.shape[1:3])
    seams = torch.zeros(size, dtype=torch.bool, device=out.device)
    if len(tiles) != len(layout):
        raise ValueError(f"{len(tiles)} tiles came and the layout has {len(layout)} here: pass every tile on, in order")
    for share, tile in zip(tile_shares(layout, size, window, trim), tiles, strict=True):
        rect = layout.tiles[share.number]
        tile = _fitting(tile, share.number, rect, out)
        if not share.weight.numel():
            continue
        part, weight = out[:, share.rows, share.columns], share.weight.to(out.device)
        above = landed(tile, rect, layout.canvas, size, share.rows, share.columns).to(out)
        if above.shape[-1] < part.shape[-1]:
            above = torch.cat((above, part[..., above.shape[-1] :]), -1)
        part.copy_(mixed(part, above, weight[..., None]))
        seams[share.rows, share.columns] |= (weight > 0) & (weight < 1)
    return seams


def keep_outside(out: torch.Tensor, base: torch.Tensor, mask: torch.Tensor) -> None:
    """Give `out` back to `base` where `mask` is 0, in place; in between they are mixed.

    Args:
        out, base: float32 [P, H, W, C].
        mask: float32 [1 or P, H, W], 0 to 1.
    """
    for below, above, weight in zip(*(picture.split(ROWS_AT_ONCE, 1) for picture in (base, out, mask)), strict=True):
        above.copy_(mixed(below.to(out.device), above, weight[..., None].to(out.device)))


def mixed(below: torch.Tensor, above: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """`above` over `below`: exactly one of them where the weight is 0 or 1, whatever the other holds; RGBA by what can be seen of each.

    Args:
        below, above: float32 [P, h, w, C].
        weight: [..., h, w, 1], 0 to 1.
    """
    if below.shape[-1] == 4:
        alpha = torch.lerp(below[..., 3:], above[..., 3:], weight)
        # By how much of it each is seen, so that two of one colour stay that colour to the last bit.
        seen = torch.where(alpha >= LEAST_ALPHA, (weight * above[..., 3:] / alpha.clamp_min(LEAST_ALPHA)).clamp(0, 1), weight)
        made = torch.cat((torch.lerp(below[..., :3], above[..., :3], seen), alpha), -1)
    else:
        made = torch.lerp(below, above, weight)
    return torch.where(weight <= 0, below, torch.where(weight >= 1, above, made))


def tile_shares(layout: TileLayout, size: tuple[int, int], window: str, trim: int) -> Iterator[Share]:
    """Of every tile that is here, in order, how much it counts where on an output of `size` (height, width)."""
    grid = layout.below if isinstance(layout, RegionLayout) else layout
    if grid is not None:
        yield from _grid_shares(grid, size, window, trim)
    if isinstance(layout, RegionLayout):
        if layout.regions and window not in RAMPS:
            raise ValueError(f"{window} weighs all tiles alike, and a region is painted over what is below it: use {' or '.join(RAMPS)}")
        for number in layout.numbers:
            if number >= layout.grid_tiles:
                yield _region_share(layout, number, size, window, trim)


def _grid_shares(grid: GridLayout, size: tuple[int, int], window: str, trim: int) -> Iterator[Share]:
    """Painting one after the other, a tile's share is its window's weight over what the tiles after it leave."""
    check_trim(grid, trim)
    if any(grid.wrap):
        raise ValueError("single tiles of a layout that wraps around cannot be put into a picture: split with wrap set to none")
    ys, xs = (axis_windows(axis, centres_of(axis.size, n), window, trim) for axis, n in zip(grid.axes, size, strict=True))
    columns_of: dict[int, list[int]] = {}
    for number in grid.numbers:
        columns_of.setdefault(number // len(xs), []).append(number % len(xs))
    for number in grid.numbers:
        row, column = divmod(number, len(xs))
        y, x = slice(ys[row].start, ys[row].stop), slice(xs[column].start, xs[column].stop)
        left = torch.ones(len(ys[row].weight), len(xs[column].weight), dtype=torch.float64)
        for later, columns in columns_of.items():
            after = [c for c in columns if later > row or c > column]
            if later >= row and after and ys[later].start < y.stop:
                left -= _within(ys, [later], y)[:, None] * _within(xs, after, x)
        weight = ys[row].weight[:, None] * xs[column].weight
        # What rounding leaves of a weight that is all there is, is all there is.
        share = torch.where(left - weight < 1e-9, torch.ones_like(weight), weight / left.clamp_min(1e-12))
        yield Share(number, y, x, torch.where(weight > 0, share, 0.0).float())


def _within(windows: Sequence[AxisWindow], indices: Sequence[int], span: slice) -> torch.Tensor:
    """The sum of some windows over the output pixels of `span`: float64."""
    total = torch.zeros(span.stop - span.start, dtype=torch.float64)
    for index in indices:
        start, stop = max(windows[index].start, span.start), min(windows[index].stop, span.stop)
        if start < stop:
            total[start - span.start : stop - span.start] += windows[index].weight[
                start - windows[index].start : stop - windows[index].start
            ]
    return total


def _region_share(layout: RegionLayout, number: int, size: tuple[int, int], window: str, trim: int) -> Share:
    tile = layout.tiles[number]
    core, ramp = layout.cores[number - layout.grid_tiles], layout.ramps[number - layout.grid_tiles]
    lines = []
    for axis, name in ((0, "height"), (1, "width")):
        begin, end = tile[axis] + (trim if tile[axis] else 0), tile[axis] + tile[axis + 2]
        end -= trim if end < layout.canvas[axis] else 0
        if core[axis] < begin or core[axis] + core[axis + 2] > end:
            room = min(core[axis] - tile[axis], tile[axis] + tile[axis + 2] - core[axis] - core[axis + 2])
            raise ValueError(
                f"trim {trim} takes away pixels that must come from region {number}: its {name} of {tile[axis + 2]} leaves {room} px "
                f"beside them; use a trim of {room} or less, or plan with a larger margin"
            )
        lines.append(
            _ramp(centres_of(layout.canvas[axis], size[axis]), (begin, end), (core[axis], core[axis] + core[axis + 2]), ramp, window)
        )
    (rows, y), (columns, x) = lines
    return Share(number, rows, columns, (y[:, None] * x).float())


def _ramp(centres: torch.Tensor, ends: tuple[int, int], core: tuple[int, int], ramp: int, window: str) -> tuple[slice, torch.Tensor]:
    """One axis of a region: which output pixels it counts at, and how much: 1 in the core, falling to 0 where the ramp or the tile ends."""
    widths = (min(ramp, core[0] - ends[0]), min(ramp, ends[1] - core[1]))
    weight = ((centres >= core[0]) & (centres < core[1])).double()
    for outside, width in ((core[0] - centres, widths[0]), (centres - core[1], widths[1])):
        there = (outside > 0) & (outside < width)
        left = 1 - outside[there] / max(width, 1)
        weight[there] = (left >= 0.5).double() if window == "none" else rise(window, left)
    inside = torch.nonzero(weight > 0).flatten()
    if not len(inside):
        return slice(0, 0), weight[:0]
    span = slice(int(inside[0]), int(inside[-1]) + 1)
    return span, weight[span]


def _fitting(tile: torch.Tensor, number: int, rect: Rect, out: torch.Tensor) -> torch.Tensor:
    """A tile with the channels of `out`, or ValueError; alpha that it lacks is put in by who mixes it."""
    check_kind(tile, number)
    tile = tile.detach()
    try:
        find_scale((rect.height, rect.width), (tile.shape[1], tile.shape[2]))
    except ValueError as error:
        raise ValueError(f"tile {number}: {error}") from error
    check_finite(tile, f"tile {number}", "the node before the blend")
    batch, channels = out.shape[0], out.shape[3]
    if tile.shape[0] != batch or tile.shape[3] > channels:
        raise ValueError(
            f"tile {number} is {size_in_words(tile.shape)}, and the picture below has {channels} channels and batch {batch}: "
            "bring both to the same"
        )
    return in_channels(tile, min(channels, 3))
