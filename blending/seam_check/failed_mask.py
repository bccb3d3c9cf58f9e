"""Where a finished picture is to be worked on again: strips along the boundaries that failed."""

from __future__ import annotations

import torch

from ..layout.grid_layout import GridLayout
from .boundaries import boundaries
from .report import SeamReport

LEAST_STRIP = 32  # pixels of the picture: narrower overlaps, and none, leave a repair no room


def failed_mask(report: SeamReport, layout: GridLayout, device: torch.device | str = "cpu") -> torch.Tensor:
    """The strips of the boundaries that failed, as a mask for a refine pass.

        >>> clean = SeamReport((), threshold=5.0, size=(256, 384), pictures=1)
        >>> mask = failed_mask(clean, TileLayout.grid(256, 384, 256, 224, overlap=64))
        >>> tuple(mask.shape), bool(mask.any())
        ((1, 256, 384), False)

    Args:
        report: what was found.
        layout: the same that the pictures were checked with.
        device: where to make it.

    Returns:
        float32 [B, H, W] of the checked pictures' size. 1 over all that the two tiles of a failed boundary share, corners
        included, for a blend spreads their difference over that; and at least LEAST_STRIP pixels across where the picture
        has them. 0 elsewhere, and everywhere where nothing failed (nothing judged is nothing failed).
        Memory: this one plane for each picture.
    """
    height, width = report.size
    mask = torch.zeros(report.pictures, height, width, device=device)
    if not report.failing:
        return mask
    plan = layout.in_pixels()
    bands = {(one.tiles, one.vertical): one.band for one in boundaries(plan, height, width)}
    for row in report.failing:
        plane, sizes = (mask[row.picture], (width, height)) if row.vertical else (mask[row.picture].T, (height, width))
        first, last = _across(bands[row.tiles, row.vertical], sizes[0])
        start, stop = _along(plan, row.tiles, row.vertical, sizes[1])
        plane[min(start, row.along[0]) : max(stop, row.along[1]), first:last] = 1
    return mask


def _across(band: tuple[int, int], size: int) -> tuple[int, int]:
    """A strip over the overlap, widened from its middle to LEAST_STRIP, within the picture."""
    first, last = min(band), max(band)
    lacking = max(LEAST_STRIP - (last - first), 0)
    first, last = first - (lacking + 1) // 2, last + lacking // 2
    return max(first, 0), min(last, size)


def _along(plan: GridLayout, pair: tuple[int, int], vertical: bool, size: int) -> tuple[int, int]:
    """From where to where both tiles are, in pixels of the picture."""
    one, other = (plan.tiles[index] for index in pair)
    at, length, scale = (0, 2, size / plan.canvas[0]) if vertical else (1, 3, size / plan.canvas[1])
    stop = min(one[at] + one[length], other[at] + other[length])
    return round(max(one[at], other[at]) * scale), min(round(stop * scale), size)
