"""Gain compensation: tiles that a model gave different tones, brought together.

One gain and one offset per tile and channel, the same over the whole tile. A correction
that went smoothly from tile to tile would change both sides of an overlap alike and mend
nothing. What is compared are means of 8 x 8 pixels at the same places of the canvas, so
tiles may have come back at any scale; the equations are in `tone_solve.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import torch

from .canvas import check_tiles
from .color import NothingToMeasureError, affine, check_finite, check_pixels, colours, in_channels, visible
from .layout import TileLayout
from .memory import empty
from .mosaic import Mosaic
from .reference import check_scene, tile_part
from .resample import on_grid
from .tone_solve import REFERENCE, Tones, solve_tones
from .windows import AxisWindow

_CELL = 8
_LEAST_WEIGHT = 1 / 1024
_SAME = 1e-7


class _Cells(NamedTuple):
    """A tile's means over the cells of the canvas that lie inside it.

    Attributes:
        y, x: the first cell's place on the canvas, in cells.
        mean: float32 [P, rows, columns, C].
        weight: float32 [P, rows, columns]; None where all count alike.
    """

    y: int
    x: int
    mean: torch.Tensor
    weight: torch.Tensor | None


@dataclass(frozen=True)
class Gains:
    """What `compensate` found.

    Attributes:
        gains, offsets: float64 [tiles, P, C], C without alpha: a tile becomes gain * x + offset.
        largest: the largest change of a tile's mean level, 0..1.
        before, after: the median difference of two tiles at the same place, 0..1; the worst picture of the batch.
        compared: whether there were overlaps, or a reference alone.
    """

    gains: torch.Tensor
    offsets: torch.Tensor
    largest: float
    before: float
    after: float
    compared: bool = True

    def apply(self, tile: torch.Tensor, index: int, strength: float = 1.0) -> torch.Tensor:
        """Correct tile `index`, [P, h, w, C]; the tensor itself where nothing changes, else float32. Alpha is kept."""
        tile = tile.detach() if tile.requires_grad else tile
        gain, offset = (torch.lerp(to, value[index], strength) for to, value in self._neutral(index))
        if strength == 0 or (float((gain - 1).abs().max()) < _SAME and float(offset.abs().max()) < _SAME):
            return tile
        out = empty(tile.shape, device=tile.device)
        for picture, target, g, b in zip(tile, out, gain, offset, strict=True):
            affine(colours(picture), g, b, colours(target))
            target[..., 3:].copy_(picture[..., 3:])
        return out

    def _neutral(self, index: int) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
        return (torch.ones_like(self.gains[index]), self.gains), (torch.zeros_like(self.offsets[index]), self.offsets)

    def report(self) -> str:
        """What was done, in one line, in 8-bit levels."""
        what = "overlaps differed by" if self.compared else "tiles differed from the reference by"
        return f"largest correction {255 * self.largest:.2f} of 255; {what} {255 * self.before:.2f}, now {255 * self.after:.2f} (median)"


def compensate(
    tiles: Iterable[torch.Tensor],
    layout: TileLayout,
    reference: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
    scale: float = 0,
    unchanged_only: float = 0.0,
) -> Gains:
    """Find one gain and one offset per tile and channel under which all overlaps agree best.

    Args:
        tiles: floating point [P, h, w, C] in the layout's order, C = 1, 3 or 4; one is held at a time.
        layout: where they belong.
        reference: [P or 1, H, W, C'], the whole scene at any size. It fixes the level of the whole and stops drift
            over many tiles; without it the mean level and the mean gain stay as they are.
        mask: [P or 1, H', W'] over the whole scene, at any size: what counts, as weight.
        scale: output pixels per source pixel; 0 takes it from the tiles.
        unchanged_only: above 0 (and with a reference), places that differ from it by this much or more do not count.

    Raises:
        NothingToMeasureError: where mask, alpha or `unchanged_only` leave no place to compare.
        ValueError: for tiles that are missing, of different sizes or not finite (by their number), and where tiles
            neither overlap nor have a reference.
    """
    layout = layout.in_pixels()
    _check_scenes(layout, reference, mask, unchanged_only)
    own: list[_Cells] = []
    aims: list[_Cells] = []
    mosaic = None
    columns = len(layout.axes[1].origins)
    for index, tile in enumerate(check_tiles(tiles, layout)):
        if mosaic is None:
            check_pixels(tile, f"tile {index}")
            mosaic = Mosaic(layout, tuple(tile.shape[1:3]), "average", 0, scale)
            cell = _cell_size(mosaic)
        row, column = divmod(index, columns)
        window = (mosaic.windows[0][row], mosaic.windows[1][column])
        own_mask = None if mask is None else tile_part(mask[..., None].float(), layout, index, tuple(tile.shape[1:3]))
        cells = _pooled(mosaic, tile, own_mask, (row, column), window, cell)
        if reference is not None:
            part = in_channels(tile_part(reference, layout, index, tuple(tile.shape[1:3])), colours(tile).shape[-1])
            aim = _pooled(mosaic, part, None, (row, column), window, cell)
            cells = _unchanged(cells, aim, unchanged_only) if unchanged_only > 0 else cells
            aims.append(aim)
        own.append(cells)
    return _solve(own, aims, _neighbours(mosaic))


def _check_scenes(layout: TileLayout, reference: torch.Tensor | None, mask: torch.Tensor | None, unchanged_only: float) -> None:
    if reference is None and unchanged_only > 0:
        raise ValueError(f"unchanged_only {unchanged_only:g} needs a reference to compare with: connect one, or set it to 0")
    if reference is not None:
        check_scene(check_pixels(reference, "reference"), layout, "reference")
        check_finite(reference, "reference")
    if mask is not None:
        check_scene(mask, layout, "mask")
        check_finite(mask, "mask")


def _cell_size(mosaic: Mosaic) -> int:
    """The side of a cell: 8, or less where an overlap is so narrow that it might hold no whole one."""
    narrowest = 2 * _CELL
    for windows in mosaic.windows:
        shared = [a.stop - b.start for a, b in pairwise(windows) if a.stop > b.start]
        narrowest = min([narrowest, *shared, *(w.stop - w.start for w in windows if w.stop > w.start)])
    cell = _CELL
    while cell > 1 and 2 * cell - 1 > narrowest:
        cell //= 2
    return cell


def _pooled(
    mosaic: Mosaic,
    tile: torch.Tensor,
    mask: torch.Tensor | None,
    place: tuple[int, int],
    window: tuple[AxisWindow, AxisWindow],
    cell: int,
) -> _Cells:
    """A tile's cell means, colour weighted by alpha and mask."""
    pixels = on_grid(mosaic, tile, *place)
    weight = visible(pixels, None if mask is None else on_grid(mosaic, mask, *place)[..., 0].clamp_min(0))
    first = [-(-w.start // cell) for w in window]
    count = [max(w.stop // cell - f, 0) for w, f in zip(window, first, strict=True)]
    cut = tuple(slice(f * cell - w.start, (f + n) * cell - w.start) for w, f, n in zip(window, first, count, strict=True))
    colour = colours(pixels)[:, cut[0], cut[1]]
    if weight is None:
        return _Cells(*first, _means(colour, cell), None)
    weight = weight[:, cut[0], cut[1], None].float()
    both = _means(torch.cat((colour * weight, weight), -1), cell)
    share = both[..., -1]
    return _Cells(*first, both[..., :-1] / share.clamp_min(1e-12)[..., None], torch.where(share > _LEAST_WEIGHT, share, 0))


def _means(pixels: torch.Tensor, cell: int) -> torch.Tensor:
    """Means over cells: [P, n * cell, m * cell, C] -> float32 [P, n, m, C]."""
    batch, height, width, channels = pixels.shape
    rows = pixels.reshape(batch, height, -1).unflatten(1, (height // cell, cell)).sum(2, dtype=torch.float32)
    return rows.view(batch, height // cell, width // cell, cell, channels).sum(3) / cell**2


def _unchanged(cells: _Cells, aim: _Cells, limit: float) -> _Cells:
    same = ((cells.mean - aim.mean).abs().mean(-1) < limit).float()
    return cells._replace(weight=same if cells.weight is None else cells.weight * same)


def _neighbours(mosaic: Mosaic) -> list[tuple[int, int]]:
    """All pairs of tiles that share canvas, corners included, each once; more than two may share a place."""
    rows, columns = (
        [(i, j) for i, a in enumerate(windows) for j, b in enumerate(windows) if max(a.start, b.start) < min(a.stop, b.stop)]
        for windows in mosaic.windows
    )
    width = len(mosaic.windows[1])
    found = ((r * width + c, q * width + d) for (r, q), (c, d) in product(rows, columns))
    return [(a, b) for a, b in found if a < b]


def _samples(a: _Cells, b: _Cells, picture: int) -> tuple[np.ndarray, ...] | None:
    """The cells both have, as (colours [n, C], colours [n, C], weight [n]); None where there are none."""
    top, left = max(a.y, b.y), max(a.x, b.x)
    bottom = min(cells.y + cells.mean.shape[1] for cells in (a, b))
    right = min(cells.x + cells.mean.shape[2] for cells in (a, b))
    if top >= bottom or left >= right:
        return None
    cuts = [(picture % len(s.mean), slice(top - s.y, bottom - s.y), slice(left - s.x, right - s.x)) for s in (a, b)]
    values = [s.mean[cut].reshape(-1, s.mean.shape[-1]) for s, cut in zip((a, b), cuts, strict=True)]
    weights = [s.weight[cut].reshape(-1) for s, cut in zip((a, b), cuts, strict=True) if s.weight is not None]
    if not weights:
        return tuple(v.cpu().numpy() for v in values)
    weight = weights[0] if len(weights) == 1 else weights[0] * weights[1]
    seen = weight > 0
    return tuple(v[seen].cpu().numpy() for v in (*values, weight)) if seen.any() else None


def _solve(own: list[_Cells], aims: list[_Cells], neighbours: list[tuple[int, int]]) -> Gains:
    """Put the equations of each picture of the batch together, and solve them."""
    solved: list[Tones] = []
    asked = bool(neighbours or aims)
    for picture in range(len(own[0].mean)):
        pairs, samples = [], []
        wanted = [(i, j, own[i], own[j]) for i, j in neighbours] + [(i, REFERENCE, own[i], aim) for i, aim in enumerate(aims)]
        for i, j, a, b in wanted:
            shared = _samples(a, b, picture)
            if shared is not None:
                pairs.append((i, j))
                samples.append(shared)
        if asked and not pairs:
            raise NothingToMeasureError(
                "mask, alpha or unchanged_only leave no place where tiles could be compared: "
                "paint the mask over some overlaps, or use a larger unchanged_only"
            )
        if not pairs and len(own) == 1:
            nothing = np.zeros((1, own[0].mean.shape[-1]))
            solved.append(Tones(nothing + 1, nothing, nothing, 0.0, 0.0))
            continue
        solved.append(solve_tones(pairs, samples, len(own)))
    gains, offsets, levels = (np.stack([getattr(t, name) for t in solved], axis=1) for name in ("gains", "offsets", "levels"))
    largest = float(np.abs(gains * levels + offsets - levels).max())
    worst = max(solved, key=lambda t: t.before)
    return Gains(torch.from_numpy(gains), torch.from_numpy(offsets), largest, worst.before, worst.after, bool(neighbours))
