"""Two pictures of a fidelity report: where what was changed, and the worst places close up, beside their source."""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate, max_pool2d, pad

from ..seam_check.heat_map import STRIP, STRIPS, ZOOM
from ..seam_check.surroundings import BACKGROUND, levels
from .measures import FINE_NAME, SHIFT, STRUCTURE_NAME, TONE
from .one_grid import read_levels
from .report import TILE_TONE, FidelityReport, Place

DIMMED = 0.45
COLOURS = {
    STRUCTURE_NAME: (1.0, 0.16, 0.12),
    FINE_NAME: (1.0, 0.3, 0.9),
    TONE: (1.0, 0.78, 0.0),
    SHIFT: (0.15, 0.7, 1.0),
    TILE_TONE: (1.0, 0.78, 0.0),
}
GAP = 8  # px between source and result
_STRONG = 0.55  # how much the colour of a changed place covers
_FAINT = 0.3  # and that of one just below the tolerance
_ROWS = 256


def fidelity_map(image: torch.Tensor, report: FidelityReport) -> torch.Tensor:
    """The results at the compared size, dimmed, each place in the colour of its measure: float32 [B, h, w, 3].

    Structure is red, fine detail and lettering magenta, tone yellow, shift blue: the stronger, the more was changed; what lies
    below the tolerance is faint. A frame is drawn around each place that fails.

    Args:
        image: [B, H, W, C] that was checked.
        report: what was found.
    """
    height, width = report.sizes[0]
    out = torch.empty((len(image), height, width, 3), dtype=torch.float32, device=image.device)
    for index in range(len(image)):
        _dimmed(image[index : index + 1], out[index])
        for name, severity in report.maps[index].items():
            _tint(out[index], severity / report.tolerance, COLOURS[name])
    for place in reversed(report.failing):
        _frame(out[place.picture], place.box, COLOURS[place.measure], max(1, round(max(height, width) / 500)))
    return out


def _dimmed(picture: torch.Tensor, out: torch.Tensor) -> None:
    height, width = out.shape[:2]
    columns = torch.arange(width, dtype=torch.float64)
    for start in range(0, height, _ROWS):
        rows = torch.arange(start, min(start + _ROWS, height), dtype=torch.float64)
        seen = read_levels(picture, (height, width), rows, columns)[0].movedim(0, -1)
        out[start : start + len(rows)] = (seen / 255).clamp(0, 1) * DIMMED


def _tint(out: torch.Tensor, severity: torch.Tensor, colour: tuple[float, float, float]) -> None:
    """Lay a colour over the places, as strong as their severity (1 is the tolerance)."""
    cells = max_pool2d(pad(severity[None, None], (1, 1, 1, 1)), 2, 1)  # each cell has the worst place that it is part of
    cover = torch.where(cells > 1, _STRONG, _FAINT * cells.square()).to(out)
    height, width = out.shape[:2]
    for row in range(cover.shape[2]):
        if float(cover[0, 0, row].max()) > 0.02:
            rows = slice(row * height // cover.shape[2], (row + 1) * height // cover.shape[2])
            line = interpolate(cover[:, :, row], width, mode="nearest")[0, 0]
            out[rows].lerp_(torch.tensor(colour, device=out.device).expand_as(out[rows]), line[None, :, None])


def _frame(out: torch.Tensor, box: tuple[int, int, int, int], colour: tuple[float, float, float], wide: int) -> None:
    y, x, height, width = box
    ink = torch.tensor(colour, device=out.device)
    low, left = max(y, 0), max(x, 0)
    for rows in (slice(low, low + wide), slice(max(y + height - wide, 0), max(y + height, 0))):
        out[rows, left : max(x + width, 0)] = ink
    for columns in (slice(left, left + wide), slice(max(x + width - wide, 0), max(x + width, 0))):
        out[low : max(y + height, 0), columns] = ink


def worst_places(image: torch.Tensor, reference: torch.Tensor, report: FidelityReport) -> torch.Tensor:
    """The worst places at 400 %, unsmoothed, the source on the left, the result on the right: float32 [n, 512, 1032, 3].

    n = 4, or fewer where there are fewer places; one grey picture where there is none. 400 % of the compared size: a result
    that is twice as large shows its own pixels two by two. A frame marks what was changed.

    Args:
        image: [B, H, W, C] that was checked.
        reference: [1 or B, h, w, C].
        report: what was found.
    """
    side = STRIP * ZOOM
    places = report.places[:STRIPS]
    out = torch.full((max(len(places), 1), side, 2 * side + GAP, 3), BACKGROUND / 255, device=image.device)
    for strip, place in zip(out, places, strict=False):
        pair = reference[place.picture % len(reference)][None], image[place.picture][None]
        for picture, view in zip(pair, (strip[:, :side], strip[:, side + GAP :]), strict=True):
            _close_up(picture, view, place, report.sizes[place.picture])
    return out


def _close_up(picture: torch.Tensor, view: torch.Tensor, place: Place, size: tuple[int, int]) -> None:
    origins = [min(max(at - STRIP // 2, 0), max(length - STRIP, 0)) for at, length in zip(place.peak, size, strict=True)]
    lines = []
    for origin, length, own in zip(origins, size, picture.shape[1:3], strict=True):
        shown = min(STRIP, length)
        at = (torch.arange(shown * ZOOM, dtype=torch.float64) + 0.5) / ZOOM + origin
        lines.append((at * own / length).long().clamp(0, own - 1).to(picture.device))
    cut = levels(picture.index_select(1, lines[0]).index_select(2, lines[1]))
    seen = view[: len(lines[0]), : len(lines[1])]
    seen.copy_((cut / 255).clamp(0, 1)[0].movedim(0, -1).expand_as(seen))
    box = [(start - origin) * ZOOM for start, origin in zip(place.box[:2], origins, strict=True)]
    _frame(seen, (*box, place.box[2] * ZOOM, place.box[3] * ZOOM), COLOURS[place.measure], 2)
