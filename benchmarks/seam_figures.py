"""What a seam is, in numbers. Pictures are float [1, H, W, 3] in 0..1, figures are 8-bit levels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.ndimage import uniform_filter, uniform_filter1d

GUARD = 12  # pixels between a tile's side and the lines its surroundings are judged by
REACH = 128  # how far away those lines may be
BESIDE = 2  # lines looked at beyond both ends of an overlap
FINE = 33  # what is wider than this many pixels is tone, not texture
NEAR = 4  # pixels on both sides of a local step
ALONG = 8  # pixels along a local step that are averaged
Z_FLAGGED, VISIBLE = 5.0, 0.5


class Boundary(NamedTuple):
    """Where two neighbours overlap, in a picture turned so that the boundary runs down the rows.

    Attributes:
        turned: whether the picture has to be transposed first.
        rows: the rows that these two tiles have to themselves.
        columns: their overlap.
        before, after: the columns between this overlap and the next ones, which only one of the two covers.
        tiles: the two tiles' numbers.
    """

    turned: bool
    rows: slice
    columns: slice
    before: slice
    after: slice
    tiles: tuple[int, int]


def _alone(axis: Any) -> list[slice]:
    """Along an axis, what each tile covers alone."""
    ends = [0, *(origin + axis.tile for origin in axis.origins[:-1])]
    starts = [*axis.origins[1:], axis.size]
    return [slice(a, b) for a, b in zip(ends, starts, strict=True)]


def boundaries(layout: Any) -> Iterator[Boundary]:
    """Every pair of neighbours, left and right ones first."""
    columns = len(layout.axes[1].origins)
    for turned in (False, True):
        down, across = layout.axes[::-1] if turned else layout.axes
        alone = _alone(across)
        for r, rows in enumerate(_alone(down)):
            for c in range(len(across.origins) - 1):
                pair = (c * columns + r, (c + 1) * columns + r) if turned else (r * columns + c, r * columns + c + 1)
                overlap = slice(across.origins[c + 1], across.origins[c] + across.tile)
                yield Boundary(turned, rows, overlap, alone[c], alone[c + 1], pair)


def _planes(picture: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The picture in levels, [H, W, C], as it is and transposed."""
    plane = picture[0].double().numpy() * 255
    return plane, plane.swapaxes(0, 1)


def line_step(came: torch.Tensor, truth: torch.Tensor, layout: Any) -> float:
    """The largest step of a whole boundary: the mean difference of neighbouring lines less the truth's.

    Looked for at every line of an overlap and at both its ends. Signed means along the
    boundary, so that grain cancels and a step does not.
    """
    planes = _planes(came - truth)
    worst = 0.0
    for edge in boundaries(layout):
        plane = planes[edge.turned]
        band = plane[edge.rows, edge.columns.start - BESIDE - 1 : edge.columns.stop + BESIDE].mean(axis=0)
        worst = max(worst, float(np.abs(np.diff(band, axis=0)).max()))
    return worst


def local_step(came: torch.Tensor, truth: torch.Tensor) -> float:
    """The largest step anywhere and of any shape, for mosaics with smooth faults only.

    What is left of the faults, as a difference of means 4 px wide on both sides of a point and 8 px
    along: a hard cut shows in full, also one that winds, and a soft ramp by 4 px of its slope.
    """
    left = (came - truth)[0].double().numpy() * 255
    worst = 0.0
    for axis in (0, 1):
        means = uniform_filter1d(uniform_filter1d(left, ALONG, axis=1 - axis), NEAR, axis=axis)
        first, second = (np.take(means, np.arange(*span), axis=axis) for span in ((0, left.shape[axis] - NEAR), (NEAR, left.shape[axis])))
        worst = max(worst, float(np.abs(second - first).max()))
    return worst


def signed_test(came: torch.Tensor, layout: Any) -> tuple[float, int, int]:
    """A seam test that knows no truth: the signed second difference along a boundary against lines nearby.

    At both ends and in the middle of each overlap, e(c) = D(c) - (D(c-1) + D(c+1)) / 2 with D the difference of
    neighbouring lines; its mean along the boundary is compared with the same means of up to 2 x 128 lines beside it,
    in deviations from their median (1.4826 times the median absolute one).

    Returns:
        (largest z, boundaries with z > 5 and more than half a level, boundaries).
    """
    planes = [plane.mean(axis=2) for plane in _planes(came)]
    worst, flagged, count = 0.0, 0, 0
    for edge in boundaries(layout):
        profile = planes[edge.turned][edge.rows].mean(axis=0)
        difference = np.diff(profile)  # difference[c - 1] lies between c - 1 and c
        second = np.zeros_like(profile)
        second[2:-1] = difference[1:-1] - (difference[:-2] + difference[2:]) / 2
        overlap = edge.columns
        beside = [
            second[max(edge.before.start + GUARD, overlap.start - GUARD - REACH, 2) : overlap.start - GUARD],
            second[overlap.stop + GUARD : min(edge.after.stop - GUARD, overlap.stop + GUARD + REACH, len(profile) - 2)],
        ]
        control = np.concatenate(beside)
        middle = np.median(control)
        spread = 1.4826 * np.median(np.abs(control - middle)) + 1e-9
        lines = second[[overlap.start, (overlap.start + overlap.stop) // 2, overlap.stop]] - middle
        z = np.abs(lines) / spread
        worst = max(worst, float(z.max()))
        flagged += bool(((z > Z_FLAGGED) & (np.abs(lines) > VISIBLE)).any())
        count += 1
    return worst, flagged, count


class Sharpness(NamedTuple):
    """Texture inside the overlaps over texture outside; 1 is right, 0.71 is two textures averaged in halves."""

    inside: float
    worst_line: float


def _fine_power(picture: torch.Tensor) -> np.ndarray:
    grey = picture[0].double().numpy().mean(axis=2)
    return (grey - uniform_filter(grey, FINE)) ** 2


def _sharpness(picture: torch.Tensor, layout: Any, edges: list[Boundary]) -> tuple[float, np.ndarray]:
    power = _fine_power(picture)
    ys, xs = (_alone(axis) for axis in layout.axes)
    outside = np.concatenate([power[y, x].ravel() for y in ys for x in xs]).mean()
    turns = (power, power.T)
    lines = np.mean([turns[e.turned][e.rows, e.columns].mean(axis=0) for e in edges], axis=0)
    return math.sqrt(lines.mean() / outside), np.sqrt(lines / outside)


def ghosting(came: torch.Tensor, seamless: torch.Tensor, layout: Any, disagree: list[Any]) -> Sharpness:
    """Standard deviation of the fine texture inside the overlaps over outside, over the same of a seamless picture.

    Over boundaries whose tiles disagree. The worst line is the one parallel to the boundary, at the same distance for all,
    that lost (or gained) most.
    """
    edges = [e for e in boundaries(layout) if disagree[e.tiles[0]] != disagree[e.tiles[1]]]
    (mean, lines), (mean_right, lines_right) = (_sharpness(picture, layout, edges) for picture in (came, seamless))
    relative = lines / lines_right
    return Sharpness(mean / mean_right, float(relative[np.abs(np.log(relative.clip(1e-6))).argmax()]))


def error_without_mean(came: torch.Tensor, truth: torch.Tensor) -> float:
    """Root mean square error, the mean of each channel taken off: no blend can know the picture's overall tone."""
    left = (came - truth)[0].double()
    left = left - left.mean(dim=(0, 1))
    return float(left.square().mean().sqrt()) * 255


def tile_spread(came: torch.Tensor, truth: torch.Tensor, layout: Any) -> float:
    """Standard deviation of the mean error from tile to tile, the largest of the channels."""
    left = (came - truth)[0].double()
    ys, xs = (_alone(axis) for axis in layout.axes)
    means = torch.stack([left[y, x].mean(dim=(0, 1)) for y in ys for x in xs])
    return float(means.std(dim=0, correction=0).max()) * 255
