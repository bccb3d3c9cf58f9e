"""Masks of tiles as masks of the whole picture: one for all objects, and one for each.

Tiles that see an object are blended by their windows, as pictures are; tiles that do not see it have no say where it is. So an
object that one tile sees and its neighbour misses does not fade in their overlap, and where all see it the noise of their edges
is averaged. Logits are blended as logits, which is where a network is linear, and become soft masks at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from ..layout.grid_layout import GridLayout
from ..pixels.counted import counted
from .identity import joined_by_overlap, largest_first
from .planes import MaskPiece, TileMasks
from .prior import Prior, joined_by_prior

ROWS_AT_ONCE = 256


class MergedMasks(NamedTuple):
    """What `merge_masks` gives.

    Attributes:
        mask: float32 [1, H, W], 0..1: all objects together.
        objects: float32 [K, H, W], the largest first; one empty mask where there is none.
        count: how many objects there are.
        pieces: how many masks of tiles they are made of.
        false: how many pieces lay on no object of the prior.
        small: how many objects were below `min_area`.
    """

    mask: torch.Tensor
    objects: torch.Tensor
    count: int
    pieces: int
    false: int
    small: int


def check_mask_settings(join: float, min_area: float) -> None:
    """Raise ValueError, in words, for a setting that is none."""
    if not 0 <= join <= 1:
        raise ValueError(f"join {join} is not a share: use 0 to 1, for example 0.5")
    if not 0 <= min_area < math.inf:
        raise ValueError(f"min_area {min_area} is no area: use 0 to keep all objects, or a number of pixels")


def merge_masks(
    masks: Sequence[Any],
    layout: GridLayout,
    join: float = 0.5,
    min_area: float = 0,
    prior: torch.Tensor | None = None,
    most_bytes: float = math.inf,
    tell: Callable[[int], None] = lambda _: None,
) -> MergedMasks:
    """Join the masks that tiles gave.

    Memory beside the masks that came and those that are given back: one plane [H, W] at most for masks that reach the half
    nowhere, a byte a pixel of the pieces that can still overlap, with a prior one of the tiles that hold several objects or
    false pieces, and some planes of one tile.

    Args:
        masks: one item per tile, floating point [N, h, w] or [h, w], one mask an object; N may be 0. Soft, binary or, where
            values lie outside of 0..1, logits. At any scale, the same for all tiles.
        layout: where the tiles are.
        join: pieces of two tiles are one object where they share at least this much of the smaller one inside the strip that
            both tiles see; with a prior, a piece is one of its objects where that holds at least this share of it.
        min_area: objects of fewer pixels of the output are left out.
        prior: [K, h, w] or [h, w], masks of the whole picture at low resolution (`Prior`).
        most_bytes: refuse where the objects would take more.
        tell: is called with the steps that are done since the last time; `mask_steps` are the steps in all.

    Raises:
        ValueError: for settings, masks, a prior or a layout that do not fit.
    """
    check_mask_settings(join, min_area)
    tiles = TileMasks(masks, layout)
    size = tiles.mosaic.size
    low, false = None if prior is None else Prior(prior, size), 0
    if low is None:
        objects = joined_by_overlap(tiles, join, tell)
    else:
        objects, false = joined_by_prior(tiles, low, join, tell)
        objects = largest_first(objects)
    _check_room(len(objects), size, most_bytes)
    mask = torch.zeros(1, *size)
    # Zeroed memory costs nothing until it is written to: what is left out of it is never there.
    planes = torch.zeros(max(len(objects), 1), *size)
    count = 0
    for parts in objects:
        if _fuse(tiles, parts, planes[count], tell) >= min_area:
            _into(mask[0], planes[count], tiles, parts)
            count += 1
        else:
            planes[count].zero_()
    faint = _faint(tiles, low, join)
    if faint:
        plane = torch.zeros(size)
        _fuse(tiles, faint, plane, lambda _: None)
        _into(mask[0], plane, tiles, faint)
    return MergedMasks(mask, planes[: max(count, 1)], count, sum(map(len, objects)), false, len(objects) - count)


def mask_steps(masks: Sequence[torch.Tensor]) -> int:
    """How many steps `merge_masks` takes at most: one for each tile, and one for each mask."""
    return len(masks) + sum(len(mask) if mask.ndim == 3 else 1 for mask in masks)


def _check_room(count: int, size: tuple[int, int], most_bytes: float) -> None:
    need = 4 * count * size[0] * size[1]
    if need > most_bytes:
        raise ValueError(
            f"{counted(count, 'object')} of {size[1]} x {size[0]} px take {need / 1e9:.1f} GB and {most_bytes / 1e9:.1f} GB are free: "
            "raise min_area or the detector's threshold, connect a prior, or split a smaller picture"
        )


def _fuse(tiles: TileMasks, parts: Sequence[MaskPiece], out: torch.Tensor, tell: Callable[[int], None]) -> int:
    """Blend the pieces of one object into `out` [H, W], which is zero; gives its area in pixels."""
    by_tile: dict[int, list[MaskPiece]] = {}
    for part in parts:
        by_tile.setdefault(part.tile, []).append(part)
    for tile, own in by_tile.items():
        top, left, bottom, right = tiles.span(tile)
        pixels = _values(tiles, own[0])
        for part in own[1:]:
            pixels = torch.maximum(pixels, _values(tiles, part))
        out[top:bottom, left:right].addcmul_(pixels, _window(tiles, tile, top, bottom))
        tell(len(own))
    area = 0
    for top, bottom in _bands(tiles, parts):
        total = torch.zeros(bottom - top, out.shape[1])
        for tile in by_tile:
            above, left, below, right = tiles.span(tile)
            first, last = max(top, above), min(bottom, below)
            if first < last:
                total[first - top : last - top, left:right] += _window(tiles, tile, first, last)
        rows, seen = out[top:bottom], total > 0
        rows.div_(torch.where(seen, total, 1))
        if tiles.logits:
            rows.sigmoid_().mul_(seen)
        rows.clamp_(0, 1)  # rounding, in the last bit
        area += int(torch.count_nonzero(rows >= 0.5))
    return area


def _values(tiles: TileMasks, part: MaskPiece) -> torch.Tensor:
    """The mask that a piece is of, on the output's grid, less what belongs to other pieces."""
    pixels = tiles.landed(part.tile, part.plane)
    if part.zone is None:
        return pixels
    zone, number = part.zone
    outside = min(float(pixels.min()), tiles.nothing)
    return torch.where(torch.from_numpy(zone == number), pixels, outside)


def _window(tiles: TileMasks, tile: int, top: int, bottom: int) -> torch.Tensor:
    """The weights of a tile in rows top..bottom of the output, float32 [rows, w]."""
    ys, xs = tiles.weights(tile)
    return ys.weight[top - ys.start : bottom - ys.start, None].float() * xs.weight.float()


def _bands(tiles: TileMasks, parts: Sequence[MaskPiece]) -> list[tuple[int, int]]:
    """The rows of the output that the tiles of some pieces reach, some at a time."""
    spans = [tiles.span(part.tile) for part in parts]
    top, bottom = min(span[0] for span in spans), max(span[2] for span in spans)
    return [(row, min(row + ROWS_AT_ONCE, bottom)) for row in range(top, bottom, ROWS_AT_ONCE)]


def _into(mask: torch.Tensor, plane: torch.Tensor, tiles: TileMasks, parts: Sequence[MaskPiece]) -> None:
    """Raise `mask` to `plane` where that is higher."""
    for top, bottom in _bands(tiles, parts):
        torch.maximum(mask[top:bottom], plane[top:bottom], out=mask[top:bottom])


def _faint(tiles: TileMasks, prior: Prior | None, join: float) -> list[MaskPiece]:
    """The masks that reach the half nowhere and are not nothing, such as thin smoke: no objects, but part of the whole mask."""
    found = []
    for tile, item in enumerate(tiles.items):
        for plane in range(len(item)):
            pixels = tiles.landed(tile, plane)
            if not pixels.numel() or not tiles.nothing < float(pixels.max()) or tiles.reached(pixels).any():
                continue
            if prior is not None:
                soft = pixels.sigmoid() if tiles.logits else pixels
                held = torch.from_numpy((prior.under(tiles.span(tile)) > 0).any(0))
                if float(soft[held].sum()) < join * float(soft.sum()):
                    continue
            found.append(MaskPiece(tile, plane, tiles.span(tile), 0.0))
    return found
