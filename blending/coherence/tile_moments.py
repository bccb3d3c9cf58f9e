"""Means and deviations of tiles, pulled towards their neighbours'.

What conditional modulation, FiLM, recurrent networks and state-space models over tiles do with learnt weights is done here
without any: a tile's mean and deviation, channel by channel, move towards those of its surroundings. It is a smoothing
filter over the tiles' statistics, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ..layout.grid import Rect

CONTEXT_METHODS = ("footprint", "running", "scan")
REACH = 1.0  # of the surroundings, in tiles
KEPT = 0.5  # a scan keeps this share of what it saw from one tile to the next
GAINS = (0.5, 2.0)  # a deviation is never changed more than by these factors


class TileMoments(NamedTuple):
    """Means and deviations, both [tiles, B, C]."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def mixed(self, other: TileMoments, share: float) -> TileMoments:
        """A share of the other's, the rest of these."""
        return TileMoments(*(one.lerp(two, share) for one, two in zip(self, other, strict=True)))


def moments_of(tiles: Sequence[torch.Tensor]) -> TileMoments:
    """Of tiles [B, C, ..., h, w]."""
    flat = [tile.float().flatten(2) for tile in tiles]
    return TileMoments(torch.stack([tile.mean(2) for tile in flat]), torch.stack([tile.std(2, correction=0) for tile in flat]))


def _bell(middle: float, reach: float, size: int, wraps: bool, device: torch.device) -> torch.Tensor:
    """Weights [size] that sum to one, around a place on an axis."""
    away = (torch.arange(size, device=device, dtype=torch.float32) + 0.5 - middle).abs()
    if wraps:
        away = torch.minimum(away, size - away)
    weights = torch.exp(-((away / reach) ** 2) / 2)
    return weights / weights.sum()


def surroundings(canvas: torch.Tensor, rects: Sequence[Rect], wrap: tuple[bool, bool] = (False, False)) -> TileMoments:
    """Of the canvas around each tile, cells counting by a bell around the tile's middle, as wide as the tile on either side.

    Args:
        canvas: [B, C, ..., H, W].
        rects: the tiles, in cells.
        wrap: (y, x), whether the canvas is joined to itself.
    """
    canvas, size = canvas.float(), canvas.shape[-2:]
    squares = canvas.square()
    found: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = {}
    for rect in rects:
        # Tiles of one column share what is summed along the rows.
        if (rect.x, rect.width) not in found:
            bell = _bell((rect.x + rect.width / 2) % size[1], REACH * rect.width, size[1], wrap[1], canvas.device)
            found[rect.x, rect.width] = (canvas @ bell, squares @ bell)
    means, deviations = [], []
    for rect in rects:
        bell = _bell((rect.y + rect.height / 2) % size[0], REACH * rect.height, size[0], wrap[0], canvas.device)
        mean, square = ((line @ bell).reshape(*canvas.shape[:2], -1).mean(2) for line in found[rect.x, rect.width])
        means.append(mean)
        deviations.append((square - mean.square()).clamp_min(0).sqrt())
    return TileMoments(torch.stack(means), torch.stack(deviations))


def _grid(rects: Sequence[Rect]) -> tuple[int, int]:
    rows = len({rect.y for rect in rects})
    return rows, len(rects) // rows


def running(own: TileMoments, rects: Sequence[Rect]) -> TileMoments:
    """An exponential mean over the tiles in order, to and fro along the rows; the first tile keeps its own.

    Each tile's part is 1 - exp(-distance / tile) where the distance is that of its middle to the one before.

    Args:
        own: of the tiles, row by row.
        rects: their places.
    """
    _, columns = _grid(rects)
    order = [
        row + (column if row // columns % 2 == 0 else columns - 1 - column)
        for row in range(0, len(rects), columns)
        for column in range(columns)
    ]
    made = [torch.empty_like(part) for part in own]
    for index, tile in enumerate(order):
        if index == 0:
            state = [part[tile] for part in own]
        else:
            one, other = rects[order[index - 1]], rects[tile]
            away = (((one.y - other.y) / one.height) ** 2 + ((one.x - other.x) / one.width) ** 2) ** 0.5
            state = [old.lerp(part[tile], 1 - 2.718281828459045**-away) for old, part in zip(state, own, strict=True)]
        for part, value in zip(made, state, strict=True):
            part[tile] = value
    return TileMoments(*made)


def scanned(own: TileMoments, rects: Sequence[Rect], wrap: tuple[bool, bool] = (False, False)) -> TileMoments:
    """The mean of four scans: along every row and every column, forward and backward, each keeping half of what it saw.

    Along a direction that wraps, a scan goes round twice, and its beginning is forgotten.
    """
    rows, columns = _grid(rects)
    made = []
    for part in own:
        grid = part.unflatten(0, (rows, columns))
        scans = [_scan(grid.flip(dim) if back else grid, dim, wrap[dim]) for dim in (0, 1) for back in (False, True)]
        turned = [scan.flip(index // 2) if index % 2 else scan for index, scan in enumerate(scans)]
        made.append((sum(turned) / 4).flatten(0, 1))
    return TileMoments(*made)


def _scan(grid: torch.Tensor, dim: int, wraps: bool) -> torch.Tensor:
    lines = grid.unbind(dim)
    state, seen = lines[0], []
    for line in [*lines, *lines] if wraps else lines:
        state = line.lerp(state, KEPT)
        seen.append(state)
    return torch.stack(seen[-len(lines) :], dim)


def neighbours(
    method: str, canvas: torch.Tensor, own: TileMoments, rects: Sequence[Rect], wrap: tuple[bool, bool] = (False, False)
) -> TileMoments:
    """What the tiles are pulled towards.

    Args:
        method: one of CONTEXT_METHODS.
        canvas: [B, C, ..., H, W].
        own: of the tiles, row by row.
        rects: their places in cells.
        wrap: (y, x), whether the canvas is joined to itself.

    Raises:
        ValueError: for a method that is not known.
    """
    if method not in CONTEXT_METHODS:
        raise ValueError(f"method {method!r} is not known: use one of {', '.join(CONTEXT_METHODS)}")
    if method == "footprint":
        return surroundings(canvas, rects, wrap)
    return running(own, rects) if method == "running" else scanned(own, rects, wrap)


def pulled(
    tile: torch.Tensor, mean: torch.Tensor, deviation: torch.Tensor, new_mean: torch.Tensor, new_deviation: torch.Tensor
) -> torch.Tensor:
    """A tile [B, C, ..., h, w] with another mean and deviation, each [B, C]: one gain and one offset per channel.

    The deviation changes at most by a factor of `GAINS`; a flat channel only moves.
    """
    gain = torch.where(deviation > 0, new_deviation / deviation.clamp_min(1e-12), 1.0).clamp(*GAINS)
    gain, mean, new_mean = (value.view(*value.shape, *[1] * (tile.ndim - 2)).to(tile.dtype) for value in (gain, mean, new_mean))
    return (tile - mean) * gain + new_mean
