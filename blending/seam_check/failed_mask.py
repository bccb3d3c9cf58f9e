"""Where a finished picture is to be worked on again: strips along the boundaries that failed."""

from __future__ import annotations

import torch

from ..layout.grid_layout import GridLayout
from .boundaries import boundaries
from .report import SeamReport

LEAST_STRIP = 32  # pixels of the picture: less leaves a repair no room on both sides of the line


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
        included, for a blend spreads their difference over that; and over LEAST_STRIP pixels around the line that failed,
        which may be an end of the overlap. 0 elsewhere, and everywhere where nothing failed (nothing judged is nothing failed).
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
        first, last = _across(bands[row.tiles, row.vertical], row.line, sizes[0])
        start, stop = _along(plan, row.tiles, row.vertical, sizes[1])
        plane[min(start, row.along[0]) : max(stop, row.along[1]), first:last] = 1
    return mask


def _across(band: tuple[int, int], line: int, size: int) -> tuple[int, int]:
    """A strip over the overlap and as far beyond both its ends as the line that failed needs, within the picture."""
    length, twice = abs(band[1] - band[0]), band[0] + band[1]
    # A step at one end, as tiles leave that are averaged, has its like at the other.
    reach = max(length, abs(2 * line - twice) + LEAST_STRIP)
    return max((twice - reach) // 2, 0), min((twice + reach + 1) // 2, size)


def _along(plan: GridLayout, pair: tuple[int, int], vertical: bool, size: int) -> tuple[int, int]:
    """From where to where both tiles are, in pixels of the picture."""
    one, other = (plan.tiles[index] for index in pair)
    at, length, scale = (0, 2, size / plan.canvas[0]) if vertical else (1, 3, size / plan.canvas[1])
    stop = min(one[at] + one[length], other[at] + other[length])
    return round(max(one[at], other[at]) * scale), min(round(stop * scale), size)
