"""Two pictures of a seam report: where the seams are, and the worst of them close up."""

from __future__ import annotations

import math

import torch

from .report import CLEAN, EITHER, SEAM, UNJUDGED, SeamReport, SeamRow
from .surroundings import BACKGROUND, levels

DIMMED = 0.45
COLOURS = {SEAM: (1.0, 0.16, 0.12), EITHER: (1.0, 0.72, 0.0), CLEAN: (0.25, 0.78, 0.45), UNJUDGED: (0.55, 0.55, 0.6)}
FAINT = 0.55  # how much a clean boundary's line covers
CLEAN_WIDTH, SEAM_WIDTH, WORST_WIDTH = 0.0015, 0.005, 0.011  # of the longer side
STRIPS = 4
STRIP = 128
ZOOM = 4
_ROWS = 256
_MARK = 10  # pixels of the enlarged strip


def heat_map(image: torch.Tensor, report: SeamReport) -> torch.Tensor:
    """The pictures, dimmed, with every boundary drawn on them: float32 [B, H, W, 3].

    Seams are red and edges that may be seams yellow, the more opaque and wider the further they stand out, widest
    where they are strongest; what is clean is thin and green, what could not be judged grey. Widths follow the
    picture's size, so that they can be seen when it is shown small.

    Args:
        image: [B, H, W, C] that was checked.
        report: what was found.
    """
    batch, height, width = image.shape[:3]
    out = torch.empty((batch, height, width, 3), dtype=torch.float32, device=image.device)
    for start in range(0, height, _ROWS):
        rows = slice(start, min(start + _ROWS, height))
        out[:, rows] = _seen(image[:, rows]).mul_(DIMMED)
    for row in reversed(report.rows):  # the worst are drawn last
        _draw(out[row.picture], row, report.threshold)
    return out


def _seen(image: torch.Tensor) -> torch.Tensor:
    """[N, h, w, C] as RGB [N, h, w, 3], 0..1."""
    rgb = (levels(image) / 255).clamp_(0, 1).movedim(1, -1)
    return rgb.expand(*rgb.shape[:-1], 3).clone() if rgb.shape[-1] == 1 else rgb


def _draw(picture: torch.Tensor, row: SeamRow, threshold: float) -> None:
    longest = max(picture.shape[:2])
    if not row.fails:
        _bar(picture, row, row.middle, row.along, CLEAN_WIDTH * longest, FAINT)
        return
    heat = min(1.0, 0.7 + 0.1 * row.z / threshold)
    _bar(picture, row, row.line, row.along, SEAM_WIDTH * longest, heat)
    _bar(picture, row, row.line, row.worst, WORST_WIDTH * longest, heat)


def _bar(picture: torch.Tensor, row: SeamRow, line: int, along: tuple[int, int], width: float, opacity: float) -> None:
    """One piece of a boundary, the line in its middle."""
    half = max(1, round(width / 2))
    low = max(line - half, 0)
    area = picture if row.vertical else picture.transpose(0, 1)
    patch = area[along[0] : along[1], low : line + half]
    patch.lerp_(torch.tensor(COLOURS[row.verdict], device=picture.device).expand_as(patch), opacity)


def worst_strips(image: torch.Tensor, report: SeamReport) -> torch.Tensor:
    """The worst boundaries at 400 %, unsmoothed: float32 [n, 512, 512, 3].

    n = 4, or fewer where there are fewer boundaries; one grey picture where there is none. Each shows the 128 x 128 pixels
    around the place where its boundary is strongest; marks at the frame point at the line, in its verdict's colour.
    Where nothing failed these are the boundaries with the highest z.
    """
    rows = report.rows[:STRIPS]
    if not rows:
        return torch.full((1, STRIP * ZOOM, STRIP * ZOOM, 3), BACKGROUND / 255, device=image.device)
    return torch.stack([_strip(image[row.picture], row) for row in rows])


def _strip(picture: torch.Tensor, row: SeamRow) -> torch.Tensor:
    middle = sum(row.worst) // 2
    centre = (middle, row.line) if row.vertical else (row.line, middle)
    places = [_around(at, size) for at, size in zip(centre, picture.shape[:2], strict=True)]
    cut = picture[None, places[0][0] : places[0][1], places[1][0] : places[1][1]]
    seen = _seen(cut)[0].repeat_interleave(ZOOM, 0).repeat_interleave(ZOOM, 1)
    out = torch.full((STRIP * ZOOM, STRIP * ZOOM, 3), BACKGROUND / 255, device=picture.device)
    out[: seen.shape[0], : seen.shape[1]] = seen
    first = places[1 if row.vertical else 0][0]
    _mark(out if row.vertical else out.transpose(0, 1), (row.line - first) * ZOOM, row.verdict)
    return out


def _around(at: int, size: int) -> tuple[int, int]:
    start = min(max(at - STRIP // 2, 0), max(size - STRIP, 0))
    return start, min(start + STRIP, size)


def _mark(strip: torch.Tensor, at: int, verdict: str) -> None:
    """Two wedges, at the top and at the bottom, that point at column `at` and leave the seam itself free."""
    colour = torch.tensor(COLOURS[verdict], device=strip.device)
    for depth in range(2 * _MARK):
        half = math.ceil((2 * _MARK - depth) / 2)
        span = slice(max(at - half, 0), at + half)
        for line in (depth, strip.shape[0] - 1 - depth):
            strip[line, span] = colour if depth > 1 and half > 2 else colour * 0.2
