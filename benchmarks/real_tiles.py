"""Tiles that went through a network one by one, beside the picture that went through it whole: what their borders did, and what a
blend leaves of it.

Pictures are float [1, H, W, C] in 0..1, figures are 8-bit levels. Distances are source pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import torch

from ..blending.layout.grid import Axis
from ..blending.layout.tile_layout import TileLayout
from ..blending.receptive_field.border_distance import axis_distance
from .seam_figures import Boundary, boundaries, line_step, local_step

LEVELS = 255
# Distances from a tile's border at which one column of the table gives way to the next.
DISTANCES = (0, 1, 2, 4, 8, 16, 32, 48, 64, 96)
BESIDE = 8  # lines on both sides of a seam that it is compared with


def whole_grid(canvas: tuple[int, int], counts: tuple[int, int], overlap: int) -> TileLayout:
    """`counts` tiles (down, across) that overlap by exactly `overlap` and end where the canvas ends.

    Raises:
        ValueError: where their sides would be no whole pixels.
    """
    lengths = [size + (count - 1) * overlap for size, count in zip(canvas, counts, strict=True)]
    for size, length, count in zip(canvas, lengths, counts, strict=True):
        if length % count:
            raise ValueError(f"{count} tiles with overlap {overlap} do not cover {size} px exactly: use another number or overlap")
    sides = [length // count for length, count in zip(lengths, counts, strict=True)]
    return TileLayout.grid(*canvas, *sides, overlap)


class Error(NamedTuple):
    """Of a picture beside another: the largest difference and the mean one, all channels."""

    largest: float
    mean: float


def error(came: torch.Tensor, truth: torch.Tensor) -> Error:
    """How far `came` is from `truth`."""
    apart = (came - truth).abs() * LEVELS
    return Error(float(apart.max()), float(apart.double().mean()))


def by_distance(tiles: Sequence[torch.Tensor], untiled: torch.Tensor, layout: TileLayout, scale: int) -> list[Error]:
    """What a border that faces a neighbour does to its tile, for each span of DISTANCES; the last one has no end.

    Args:
        tiles: of the result, in the layout's order.
        untiled: the result without tiles.
        layout: of the source; its tiles lie within the canvas.
        scale: pixels of the result per pixel of the source.
    """
    spans = [*pairwise(DISTANCES), (DISTANCES[-1], torch.iinfo(torch.int64).max)]
    found: list[list[torch.Tensor]] = [[] for _ in spans]
    for tile, rect in zip(tiles, layout.tiles, strict=True):
        down, across = (_distances(axis, start, scale) for axis, start in zip(layout.axes, (rect.y, rect.x), strict=True))
        distance = torch.minimum(down[:, None], across)
        part = untiled[:, rect.y * scale :, rect.x * scale :][:, : tile.shape[1], : tile.shape[2]]
        apart = (tile - part).abs().amax((0, 3)) * LEVELS
        for values, (first, end) in zip(found, spans, strict=True):
            values.append(apart[(distance >= first) & (distance < end)])
    joined = [torch.cat(values) for values in found]
    return [Error(float(values.max()), float(values.double().mean())) if len(values) else Error(0.0, 0.0) for values in joined]


def _distances(axis: Axis, start: int, scale: int) -> torch.Tensor:
    """Of each pixel of the result along one side of a tile."""
    all_of_them = axis_distance(axis.size * scale, start, start + axis.tile, axis.size, Fraction(scale))
    return all_of_them[start * scale : (start + axis.tile) * scale]


class Steps(NamedTuple):
    """Mean absolute difference of two neighbouring lines of the result: at the seams, and elsewhere.

    Attributes:
        seam: where the weights begin to change, or where they change fastest: whichever stands out more.
        beside: at lines beside the overlaps which only one tile covers.
        untiled: at the same place as `seam`, in the result without tiles.
        error_seam, error_beside: the same two of what is left when the result without tiles is taken off.
    """

    seam: float
    beside: float
    untiled: float
    error_seam: float
    error_beside: float


def steps(came: torch.Tensor, untiled: torch.Tensor, layout: TileLayout, scale: int) -> Steps:
    """The seams of a blend.

    A network that makes `scale` lines out of one does not make them alike, and seams lie between two lines of the source; so
    they are compared with others that do.

    Args:
        came: the result of a blend.
        untiled: the result without tiles.
        layout: of the source.
        scale: pixels of the result per pixel of the source.
    """
    planes = [picture[0].double() * LEVELS for picture in (came, untiled, came - untiled)]
    at_ends, in_middle, beside = [], [], []
    for edge in boundaries(layout.scaled(scale)):
        lines = torch.stack([_line_steps(plane, edge) for plane in planes])
        start, stop = edge.columns.start, edge.columns.stop
        at_ends.append(lines[:, [start, stop]].mean(1))
        in_middle.append(lines[:, (start + stop) // (2 * scale) * scale])
        left = range(start - scale, edge.before.start, -scale)[:BESIDE]
        right = range(stop + scale, edge.after.stop, scale)[:BESIDE]
        beside.append(lines[:, [*left, *right]].mean(1))
    ends, middle, around = (torch.stack(values).mean(0) for values in (at_ends, in_middle, beside))
    seam = max(ends, middle, key=lambda values: float(values[2]))
    return Steps(float(seam[0]), float(around[0]), float(seam[1]), float(seam[2]), float(around[2]))


def _line_steps(plane: torch.Tensor, edge: Boundary) -> torch.Tensor:
    """At each column, its mean absolute difference to the one before it; 0 at the first."""
    turned = plane.transpose(0, 1) if edge.turned else plane
    return torch.nn.functional.pad(turned[edge.rows].diff(dim=1).abs().mean((0, 2)), (1, 0))


class Blended(NamedTuple):
    """A blend beside the result without tiles.

    Attributes:
        error: everywhere.
        in_overlaps: mean error where tiles overlap.
        line, local: the largest step along a whole boundary, and of any shape (`seam_figures`).
    """

    error: Error
    in_overlaps: float
    line: float
    local: float


def blended(came: torch.Tensor, untiled: torch.Tensor, layout: TileLayout, scale: int) -> Blended:
    """How near a blend comes to the result without tiles, everywhere and at its seams.

    Args:
        came: the result of the blend.
        untiled: the result without tiles.
        layout: of the source.
        scale: pixels of the result per pixel of the source.
    """
    plan = layout.scaled(scale)
    shared = torch.zeros(plan.canvas, dtype=torch.int64)
    for rect in plan.tiles:
        shared[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width] += 1
    apart = (came - untiled)[0].abs().double() * LEVELS
    return Blended(error(came, untiled), float(apart[shared > 1].mean()), line_step(came, untiled, plan), local_step(came, untiled))
