"""Gain compensation: tiles that a model gave different tones, brought together.

One gain and one offset per tile and channel, the same over the whole tile. A correction
that went smoothly from tile to tile would change both sides of an overlap alike and mend
nothing. What is compared are means of 8 x 8 pixels at the same places of the canvas, so
tiles may have come back at any scale; the equations are in `tone_solve.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import torch

from ..layout.checked_tiles import CheckedTiles
from ..layout.grid_layout import GridLayout
from ..layout.landing import on_grid
from ..layout.mosaic import Mosaic
from ..layout.reference import check_scene, clear_of_hidden, part_size, tile_part
from ..layout.windows import AxisWindow
from ..pixels.cell_means import cell_means
from ..pixels.counted import counted
from ..pixels.memory import empty
from ..pixels.picture import check_finite, check_mask, check_pixels, colours, in_channels, joint_weight, visible
from .match import affine
from .settings import NothingToMeasureError
from .tone_solve import REFERENCE, solve_tones

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


@dataclass
class _Measured:
    """The cells of all tiles.

    Attributes:
        own: what tiles are compared with each other by.
        faced, aims: the tile and the reference, pooled by the same weight, so that equal colours have equal means.
        shown: all that can be seen, whatever mask and `unchanged_only` leave out: what the report goes by.
        tiles: which tile each of them is of: one that reaches over a joined end is there in two parts or four.
        outside: the tiles the mask shows nothing of.
    """

    own: list[_Cells] = field(default_factory=list)
    faced: list[_Cells] = field(default_factory=list)
    aims: list[_Cells] = field(default_factory=list)
    shown: list[_Cells] = field(default_factory=list)
    tiles: list[int] = field(default_factory=list)
    outside: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Gains:
    """What `compensate` found.

    Attributes:
        gains, offsets: float64 [tiles, P, C], C without alpha: a tile becomes gain * x + offset.
        largest: the largest change of a tile's mean level, 0..1.
        before, after: how far two tiles at the same place are apart, 0..1: the median within an overlap, and of those the mean
            over all overlaps by their size, also where mask and `unchanged_only` left places out. A median over all would
            not show it where a third of the tiles are left. Of the picture of the batch that was worst before.
        compared: whether there were overlaps, or a reference alone.
        worst: the median difference within the overlap (or tile) that is worst afterwards.
        left: how many tiles had no place to compare and stay as they are.
        outside: how many of these the mask shows nothing of.
    """

    gains: torch.Tensor
    offsets: torch.Tensor
    largest: float
    before: float
    after: float
    compared: bool = True
    worst: float = 0.0
    left: int = 0
    outside: int = 0

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
        what, one = ("overlaps differed by", "overlap") if self.compared else ("tiles differed from the reference by", "tile")
        words = f"largest correction {255 * self.largest:.2f} of 255; {what} {255 * self.before:.2f}, now {255 * self.after:.2f} on average"
        words += f", {255 * self.worst:.2f} in the worst {one}"
        for count, why in ((self.outside, "outside the mask"), (self.left - self.outside, "with nothing to compare")):
            words += f"; {count} of {counted(len(self.gains), 'tile')} {why}, left as they came" if count else ""
        return words


def compensate(
    tiles: Iterable[torch.Tensor],
    layout: GridLayout,
    reference: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
    scale: float = 0,
    unchanged_only: float = 0.0,
) -> Gains:
    """Find one gain and one offset per tile and channel under which all overlaps agree best.

        >>> layout = TileLayout.grid(96, 96, 64, 64, overlap=32)
        >>> gains = compensate((tile + 0.1 * i for i, tile in enumerate(cut(torch.rand(1, 96, 96, 3), layout))), layout)
        >>> gains.before > 0.05, gains.after < 1e-4
        (True, True)

    Args:
        tiles: floating point [P, h, w, C] in the layout's order, C = 1, 3 or 4; one is held at a time.
        layout: where they belong.
        reference: [P or 1, H, W, C'], the whole scene at any size. It fixes the level of the whole and stops drift
            over many tiles; without it the mean level and the mean gain stay as they are.
        mask: [P or 1, H', W'] over the whole scene, at any size: what counts, as weight. Tiles that have nothing to be
            compared by stay as they are, drift and all.
        scale: output pixels per source pixel; 0 takes it from the tiles.
        unchanged_only: above 0 (and with a reference), places that differ from it by this much or more do not count.

    Raises:
        NothingToMeasureError: where mask, alpha or `unchanged_only` leave no place to compare.
        ValueError: for tiles that are missing, of different sizes or not finite (by their number), and where tiles
            neither overlap nor have a reference.
    """
    layout = layout.in_pixels()
    reference, mask = _checked_scenes(layout, reference, mask, unchanged_only)
    found = _Measured()
    mosaic = None
    for index, tile in enumerate(CheckedTiles(tiles, layout)):
        if mosaic is None:
            check_pixels(tile, f"tile {index}")
            mosaic = Mosaic(layout, tuple(tile.shape[1:3]), "average", 0, scale)
            cell = _cell_size(mosaic)
            places = defaultdict(list)
            for visited, *place in mosaic.visits:
                places[visited].append(place)
        size = tuple(tile.shape[1:3])
        own_mask = None if mask is None else tile_part(mask[..., None], layout, index, size)[..., 0]
        part = None if reference is None else tile_part(reference, layout, index, size)
        reference_size = None if reference is None else part_size(reference, layout, index)
        for row, column in places[index]:
            window = (mosaic.windows[0][row], mosaic.windows[1][column])
            pooled = partial(_pooled, mosaic, place=(row, column), window=window, cell=cell)
            found.tiles.append(index)
            _measure(found, tile, part, reference_size, own_mask, unchanged_only, pooled)
    return _solve(found, _neighbours(mosaic))


def _measure(
    found: _Measured,
    tile: torch.Tensor,
    part: torch.Tensor | None,
    reference_size: tuple[float, float] | None,
    mask: torch.Tensor | None,
    unchanged_only: float,
    pooled: Callable[[torch.Tensor, torch.Tensor | None], _Cells],
) -> None:
    """Put the cells of one tile, and of its part of the reference, which was of size `reference_size`, to those found so far."""
    alpha, colour = visible(tile), colours(tile)
    weight = alpha if mask is None else joint_weight(alpha, mask.clamp_min(0))
    own = pooled(colour, weight)
    found.shown.append(own if mask is None else pooled(colour, alpha))
    if mask is not None and not bool((mask > 0).any()):
        found.outside.add(found.tiles[-1])
    if part is not None:
        theirs = visible(part)
        seen = joint_weight(alpha, theirs)
        if (alpha is None) != (theirs is None):
            seen = clear_of_hidden(seen, reference_size)
        full = weight if seen is alpha else joint_weight(seen, None if mask is None else mask.clamp_min(0))
        faced = own if full is weight else pooled(colour, full)
        aim = pooled(colours(in_channels(part, colour.shape[-1])), full)
        if unchanged_only > 0:
            own = faced = _unchanged(faced, aim, unchanged_only)
        found.faced.append(faced)
        found.aims.append(aim._replace(weight=None))  # it is the tile's, and is not to count twice
    found.own.append(own)


def _checked_scenes(
    layout: GridLayout, reference: torch.Tensor | None, mask: torch.Tensor | None, unchanged_only: float
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Reference and mask, not part of any graph, or ValueError."""
    if reference is None and unchanged_only > 0:
        raise ValueError(f"unchanged_only {unchanged_only:g} needs a reference to compare with: connect one, or set it to 0")
    if reference is not None:
        reference = check_pixels(reference, "reference")
        check_scene(reference, layout, "reference")
        check_finite(reference, "reference")
    if mask is not None:
        mask = check_mask(mask)
        check_scene(mask, layout, "mask")
    return reference, mask


def _cell_size(mosaic: Mosaic) -> int:
    """The side of a cell: 8, or less where an overlap is so narrow that it might hold no whole one."""
    narrowest = 2 * _CELL
    for windows in mosaic.around().windows:
        # Of a joined axis a tile's part may be a sliver: what counts is what whole tiles share.
        shared = [a.stop - b.start for a, b in pairwise(windows) if a.stop > b.start]
        narrowest = min([narrowest, *shared, *(w.stop - w.start for w in windows if w.stop > w.start)])
    cell = _CELL
    while cell > 1 and 2 * cell - 1 > narrowest:
        cell //= 2
    return cell


def _gridded(
    mosaic: Mosaic, colour: torch.Tensor, weight: torch.Tensor | None, place: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Colour [P, h, w, C] and weight [P, h, w] on the output's grid; what does not count does not leak into what does."""
    if weight is None:
        return on_grid(mosaic, colour, *place), None
    batch = max(len(colour), len(weight))
    colour, weight = colour.expand(batch, -1, -1, -1), weight.expand(batch, -1, -1)[..., None]
    if mosaic.exact:
        return on_grid(mosaic, colour, *place), on_grid(mosaic, weight, *place)
    both = on_grid(mosaic, torch.cat((in_channels(colour, 3).float(), weight.float()), -1), *place)
    return both[..., : colour.shape[-1]], both[..., 3:]


def _pooled(
    mosaic: Mosaic,
    colour: torch.Tensor,
    weight: torch.Tensor | None,
    place: tuple[int, int],
    window: tuple[AxisWindow, AxisWindow],
    cell: int,
) -> _Cells:
    """Cell means of a tile's colour [P or 1, h, w, C], weighted by [P or 1, h, w]."""
    colour, weight = _gridded(mosaic, colour, weight, place)
    first = [-(-w.start // cell) for w in window]
    count = [max(w.stop // cell - f, 0) for w, f in zip(window, first, strict=True)]
    cut = tuple(slice(f * cell - w.start, (f + n) * cell - w.start) for w, f, n in zip(window, first, count, strict=True))
    colour = colour[:, cut[0], cut[1]]
    if weight is None:
        return _Cells(*first, cell_means(colour, cell), None)
    weight = weight[:, cut[0], cut[1]].float()
    both = cell_means(torch.cat((colour * weight, weight), -1), cell)
    share = both[..., -1]
    return _Cells(*first, both[..., :-1] / share.clamp_min(1e-12)[..., None], torch.where(share > _LEAST_WEIGHT, share, 0))


def _unchanged(cells: _Cells, aim: _Cells, limit: float) -> _Cells:
    same = ((cells.mean - aim.mean).abs().mean(-1) < limit).float()
    return cells._replace(weight=same if cells.weight is None else cells.weight * same)


def _neighbours(mosaic: Mosaic) -> list[tuple[int, int]]:
    """All pairs of places in the mosaic that share canvas, corners included, each once; more than two tiles may share it.

    They are counted as the tiles come: the places of tile 0, then those of tile 1.
    """
    rows, columns = (
        [(i, j) for i, a in enumerate(windows) for j, b in enumerate(windows) if max(a.start, b.start) < min(a.stop, b.stop)]
        for windows in mosaic.windows
    )
    number = {(row, column): i for i, (_, row, column) in enumerate(sorted(mosaic.visits))}
    found = ((number[r, c], number[q, d]) for (r, q), (c, d) in product(rows, columns))
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
    # Half a weight on both sides is half a weight.
    weight = weights[0] if len(weights) == 1 else (weights[0] * weights[1]).sqrt()
    seen = weight > 0
    return tuple(v[seen].cpu().numpy() for v in (*values, weight)) if seen.any() else None


def _by_tiles(parts: Iterable[tuple[int, int, _Cells, _Cells]]) -> list[tuple[int, int, list[tuple[_Cells, _Cells]]]]:
    """Each pair of tiles once, with all places they share; a tile is not compared with itself."""
    found = defaultdict(list)
    for i, j, one, other in parts:
        if i != j:
            found[i, j].append((one, other))
    return [(*pair, cells) for pair, cells in found.items()]


def _all_samples(cells: list[tuple[_Cells, _Cells]], picture: int) -> tuple[np.ndarray, ...] | None:
    """`_samples` of all places that two tiles share."""
    found = [shared for pair in cells if (shared := _samples(*pair, picture)) is not None]
    if len(found) < 2:
        return found[0] if found else None
    return tuple(np.concatenate(side) for side in zip(*found, strict=True))


class _Solved(NamedTuple):
    """Of one picture of the batch: gains, offsets [tiles, C], which tiles were compared, the largest change, and what was and is left."""

    gains: np.ndarray
    offsets: np.ndarray
    used: np.ndarray
    largest: float
    before: float
    after: float
    worst: float


def _solve(found: _Measured, neighbours: list[tuple[int, int]]) -> Gains:
    """Put the equations of each picture of the batch together, and solve them."""
    solved = [_solve_picture(found, neighbours, picture) for picture in range(len(found.own[0].mean))]
    gains, offsets = (torch.from_numpy(np.stack([getattr(s, name) for s in solved], axis=1)) for name in ("gains", "offsets"))
    shown = max(solved, key=lambda s: s.before)
    left = int((~np.any([s.used for s in solved], axis=0)).sum())
    largest = max(s.largest for s in solved)
    return Gains(gains, offsets, largest, shown.before, shown.after, bool(neighbours), shown.worst, left, len(found.outside))


def _solve_picture(found: _Measured, neighbours: list[tuple[int, int]], picture: int) -> _Solved:
    count, channels = max(found.tiles) + 1, found.own[0].mean.shape[-1]
    against = _by_tiles((found.tiles[i], REFERENCE, *cells) for i, cells in enumerate(zip(found.faced, found.aims, strict=True)))
    wanted = _by_tiles((found.tiles[i], found.tiles[j], found.own[i], found.own[j]) for i, j in neighbours) + against
    compared = [(i, j, shared) for i, j, cells in wanted if (shared := _all_samples(cells, picture)) is not None]
    if wanted and not compared:
        raise NothingToMeasureError(
            "mask, alpha or unchanged_only leave no place where tiles could be compared: "
            "paint the mask over some overlaps, or use a larger unchanged_only"
        )
    gains, offsets, used = np.ones((count, channels)), np.zeros((count, channels)), np.zeros(count, dtype=bool)
    if not compared and count == 1:
        return _Solved(gains, offsets, used | True, 0.0, 0.0, 0.0, 0.0)
    # Tiles that nothing is known of are left out: the mean that the others are held at is none of theirs.
    tiles = sorted({i for pair in compared for i in pair[:2] if i != REFERENCE})
    place = {tile: k for k, tile in enumerate(tiles)} | {REFERENCE: REFERENCE}
    tones = solve_tones([(place[i], place[j]) for i, j, _ in compared], [s for *_, s in compared], len(tiles))
    gains[tiles], offsets[tiles], used[tiles] = tones.gains, tones.offsets, True
    largest = float(np.abs(tones.gains * tones.levels + tones.offsets - tones.levels).max())
    pairs = _by_tiles((found.tiles[i], found.tiles[j], found.shown[i], found.shown[j]) for i, j in neighbours) or against
    return _Solved(gains, offsets, used, largest, *_disagreement(pairs, gains, offsets, picture))


def _disagreement(pairs: list[tuple], gains: np.ndarray, offsets: np.ndarray, picture: int) -> tuple[float, float, float]:
    """Mean over pairs, by size, of their median difference before and after correction, and the worst pair's after."""
    # The reference is the last row, and does not change.
    gains = np.concatenate((gains, np.ones_like(gains[:1])))
    offsets = np.concatenate((offsets, np.zeros_like(offsets[:1])))
    before, after, sizes = [], [], []
    for i, j, cells in pairs:
        shared = _all_samples(cells, picture)
        if shared is not None:
            a, b = (np.asarray(side, dtype=np.float64) for side in shared[:2])
            before.append(np.median(np.abs(a - b), axis=0).mean())
            after.append(np.median(np.abs(gains[i] * a + offsets[i] - gains[j] * b - offsets[j]), axis=0).mean())
            sizes.append(len(a))
    if not sizes:
        return 0.0, 0.0, 0.0
    return float(np.average(before, weights=sizes)), float(np.average(after, weights=sizes)), float(max(after))
