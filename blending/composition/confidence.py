"""Tiles weighed by how far they are from the others that show the same place.

Where three or more tiles cover a pixel, each window is multiplied by exp(-BETA * u): u is how far the tile is from the median
of all of them there, in units of the median of these distances (median absolute deviation; Hampel 1974), looked at over a few
pixels. One tile that went wrong is outvoted. Equal tiles have equal factors, which leaves the windows as they are.

Where two tiles differ nobody can say which of them is wrong. There a tile counts by what was found at its corners, where three
or four meet: its verdict, which is 1 unless it is far off at most of them. Where neither has a corner, windows stand.

The windowed blend comes first, and is written over where anything differs. Held beside it are the pixels of all tiles at one
place where the same ones meet (an overlap's width squared, times the tiles and three planes more), and where tiles have to be
resampled, the tiles of the rows that meet there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch

from ..layout.landing import on_grid
from ..layout.mosaic import Mosaic
from ..pixels.alpha import LEAST_ALPHA
from ..pixels.counted import counted

BETA = 2.0
# Half a level of 255 is no disagreement: rounding alone is as much.
_NOISE_FLOOR = 0.5 / 255
_REACH = 4  # px to each side over which a distance is the mean, so that grain does not vote
_ROWS_AT_ONCE = 256
_ORDINARY = 2.0  # up to so many deviations at its corners a tile is as good as any
_LEAST_VERDICT = 1e-4
_ENOUGH = 4096  # pixels of a corner that its median is taken of


class _Place(NamedTuple):
    """Where the same tiles meet: rows `top`..`bottom`, columns `left`..`right` of the output, and the tiles as (row, column)."""

    top: int
    bottom: int
    left: int
    right: int
    tiles: tuple[tuple[int, int], ...]


class Trust(NamedTuple):
    """What was found.

    Attributes:
        verdicts: float64 [tiles, P], how much a tile counts where only two meet; NaN where it has no corner.
        shares: of the picture, covered by three tiles or more, by two with verdicts, and by two without.
    """

    verdicts: torch.Tensor
    shares: tuple[float, float, float]

    def report(self) -> list[str]:
        """What was done, in lines."""
        many, judged, free = (100 * share for share in self.shares)
        lines = [f"confidence: {many:.3g} % of the picture covered by three tiles or more, each weighed by how far it is from the median"]
        if judged:
            lines.append(f"{judged:.3g} % covered by two, which count by what was found at their corners")
        if free:
            lines.append(
                f"{free:.3g} % covered by two without corners: when two differ nobody can say which is wrong, so there it is hann; "
                "an overlap of more than half a tile lets three meet"
            )
        odd = (self.verdicts < 1).nonzero().tolist()
        for tile, picture in odd:
            whose = f"tile {tile}" + (f", picture {picture}" if self.verdicts.shape[1] > 1 else "")
            lines.append(f"{whose} differs from the others at its corners: it counts {self.verdicts[tile, picture]:.2g} where two meet")
        if not odd and judged:
            lines.append(f"none of {counted(len(self.verdicts), 'tile')} stands out at its corners")
        return lines


def weigh(out: torch.Tensor, tiles: Sequence[torch.Tensor], mosaic: Mosaic) -> Trust:
    """Weigh tiles by their disagreement, in place.

    Args:
        out: float32 [P, H, W, C], blended by the windows of `mosaic`; C = 4 is RGBA, whose colour is weighted by alpha.
        tiles: all tiles [P, h, w, C], in the layout's order; gone over twice.
        mosaic: the geometry.
    """
    corners: list[list[torch.Tensor]] = [[] for _ in tiles]
    covered = [0, 0, 0]
    reader = _Reader(tiles, mosaic)
    for place in _places(mosaic):
        if len(place.tiles) > 2:
            covered[0] += (place.bottom - place.top) * (place.right - place.left)
            for tile, seen in zip(place.tiles, _weigh_many(out, reader, place), strict=True):
                corners[mosaic.number(*tile)].append(seen)
    verdicts = torch.stack([_verdict(seen, out.shape[0]) for seen in corners])
    for place in _places(mosaic):
        if len(place.tiles) == 2:
            pair = verdicts[[mosaic.number(row, column) for row, column in place.tiles]]
            judged = not bool(pair.isnan().any())
            covered[1 if judged else 2] += (place.bottom - place.top) * (place.right - place.left)
            if judged and bool((pair[0] != pair[1]).any()):
                _weigh_two(out, reader, place, pair)
    size = mosaic.size[0] * mosaic.size[1]
    return Trust(verdicts, tuple(count / size for count in covered))


def _places(mosaic: Mosaic) -> Iterator[_Place]:
    """Every part of the output that one set of tiles covers, row by row."""
    lines = []
    for windows in mosaic.windows:
        ends = sorted({end for window in windows for end in (window.start, window.stop)})
        spans = [(a, b, [i for i, w in enumerate(windows) if w.start <= a and b <= w.stop]) for a, b in pairwise(ends)]
        lines.append([span for span in spans if span[2]])
    for top, bottom, rows in lines[0]:
        for left, right, columns in lines[1]:
            yield _Place(top, bottom, left, right, tuple((row, column) for row in rows for column in columns))


class _Reader:
    """Tiles on the output's grid; those that had to be resampled are kept while the rows they lie in are asked for."""

    def __init__(self, tiles: Sequence[torch.Tensor], mosaic: Mosaic) -> None:
        self.tiles, self.mosaic = tiles, mosaic
        self.kept: dict[tuple[int, int], torch.Tensor] = {}

    def stack(self, place: _Place, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """The tiles' pixels float32 [K, P, h, w, C] at a place, and their windows float32 [K, h, w]."""
        rows = {row for row, _ in place.tiles}
        self.kept = {at: pixels for at, pixels in self.kept.items() if at[0] in rows}
        ys, xs = self.mosaic.windows
        pixels, weights = [], []
        for row, column in place.tiles:
            y, x = (slice(a - w.start, b - w.start) for a, b, w in zip(place[0:3:2], place[1:4:2], (ys[row], xs[column]), strict=True))
            pixels.append(self._tile(row, column)[:, y, x].to(device, torch.float32))
            weights.append(ys[row].weight[y, None] * xs[column].weight[x])
        return torch.stack(pixels), torch.stack(weights).to(device, torch.float32)

    def _tile(self, row: int, column: int) -> torch.Tensor:
        if (row, column) in self.kept:
            return self.kept[row, column]
        pixels = on_grid(self.mosaic, self.tiles[self.mosaic.number(row, column)].detach(), row, column)
        if not self.mosaic.exact:
            self.kept[row, column] = pixels
        return pixels


def _weigh_many(out: torch.Tensor, reader: _Reader, place: _Place) -> torch.Tensor:
    """Blend a place of three tiles or more, in place; returns how far each is off, in deviations, some pixels of it [K, P, n]."""
    pixels, windows = reader.stack(place, out.device)
    distance = _distances(pixels)
    scale = _middle(distance).clamp_min(_NOISE_FLOOR)
    off = distance / scale
    if float(distance.max()) > _NOISE_FLOOR / 8:
        # The least is taken off so that something counts also where all are far apart.
        weights = windows[:, None] * torch.exp(-BETA * (off - off.amin(0)))
        _write(out[:, place.top : place.bottom, place.left : place.right], pixels, weights)
    some = off.flatten(2)
    return some[..., :: max(1, some.shape[2] // _ENOUGH)].cpu()


def _distances(pixels: torch.Tensor) -> torch.Tensor:
    """How far each tile [K, P, h, w, C] is from the median of all, mean over channels and a few pixels around; [K, P, h, w]."""
    if pixels.shape[-1] == 4:
        pixels = torch.cat((pixels[..., :3] * pixels[..., 3:], pixels[..., 3:]), -1)
    apart = (pixels - _middle(pixels)).abs().mean(-1)
    for kernel in ((2 * _REACH + 1, 1), (1, 2 * _REACH + 1)):
        padding = tuple(side // 2 for side in kernel)
        apart = torch.nn.functional.avg_pool2d(apart, kernel, 1, padding, count_include_pad=False)
    return apart


def _middle(values: torch.Tensor) -> torch.Tensor:
    """The median along the first dimension; of an even number the mean of the two in the middle."""
    ordered = values.sort(0).values
    count = len(values)
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2


def _verdict(seen: list[torch.Tensor], pictures: int) -> torch.Tensor:
    """How much a tile counts by its corners, float64 [P]; NaN without any."""
    if not seen:
        return torch.full((pictures,), math.nan, dtype=torch.float64)
    off = torch.cat(seen, 1).median(1).values.double()
    return torch.exp(-BETA * (off - _ORDINARY).clamp_min(0)).clamp_min(_LEAST_VERDICT)


def _weigh_two(out: torch.Tensor, reader: _Reader, place: _Place, verdicts: torch.Tensor) -> None:
    """Blend a place of two tiles by their verdicts [2, P], in place."""
    for top in range(place.top, place.bottom, _ROWS_AT_ONCE):
        part = place._replace(top=top, bottom=min(top + _ROWS_AT_ONCE, place.bottom))
        pixels, windows = reader.stack(part, out.device)
        weights = windows[:, None] * verdicts.to(windows)[..., None, None]
        _write(out[:, part.top : part.bottom, part.left : part.right], pixels, weights)


def _write(target: torch.Tensor, pixels: torch.Tensor, weights: torch.Tensor) -> None:
    """The weighted mean of [K, P, h, w, C] into `target`; of RGBA colour by its alpha, straight where there is next to none."""
    shares = (weights / weights.sum(0))[..., None]
    straight = (pixels * shares).sum(0)
    if pixels.shape[-1] == 4:
        alpha = straight[..., 3:]
        weighted = (pixels[..., :3] * pixels[..., 3:] * shares).sum(0)
        colour = torch.where(alpha >= LEAST_ALPHA, weighted / alpha.clamp_min(LEAST_ALPHA), straight[..., :3])
        straight = torch.cat((colour, alpha), -1)
    target.copy_(straight)
