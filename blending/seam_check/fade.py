"""Detail that was lost in the mix: fine texture that is weaker over an overlap than on both sides of it."""

from __future__ import annotations

import torch

from .boundaries import Boundary
from .controls import normal
from .drift import EVEN, LEAST_PLACES, PLAIN_BAND, VISIBLE_DRIFT
from .steps import MOST_Z, Response
from .surroundings import Strip

FINE_FLOOR = 0.1
FINE_LOG_FLOOR = 0.05
FADED = 0.5
PLACED = 16  # the place of a fade is known to this fraction of its width,
PLACED_SEGMENT = 12  # and in a segment to this one


def fade_test(strip: Strip, boundary: Boundary, reference: Strip | None = None) -> Response | None:
    """Fine detail that is weaker in the overlap than on both sides of it; None where there is too little picture beside it."""
    a, b = (edge - strip.left - strip.core[0] for edge in (min(boundary.band), max(boundary.band)))
    middle = (a + b) // 2
    edges = [strip.at(edge) for edge in boundary.edges]
    energy = (strip.fine + FINE_FLOOR**2).log()
    if reference is not None:
        energy = energy - (reference.fine + FINE_FLOOR**2).log()
    found = []
    for width in dict.fromkeys((b - a, PLAIN_BAND, max(b - a, PLAIN_BAND) // 2)):
        if not PLAIN_BAND // 2 <= width <= energy.shape[-1] // 3:
            continue
        finding = _fade(energy, middle, width, max(b - a, width), edges)
        if finding is not None:
            found.append(finding)
    if not found:
        return None
    z = torch.stack([torch.where(f.counts, f.z + 2 * MOST_Z, f.z) for f in found], 1).argmax(1)
    return Response(*(found[0].test, *(_choose([getattr(f, name) for f in found], z) for name in Response._fields[1:])))


def _choose(parts: list[torch.Tensor], index: torch.Tensor) -> torch.Tensor:
    stacked = torch.stack(parts, 1)
    return stacked[torch.arange(len(index), device=index.device), index]


def _fade(energy: torch.Tensor, middle: int, width: int, overlap: int, edges: list[int]) -> Response | None:
    """One width of band: its mean log energy against windows of the same width beside it."""
    count = energy.shape[-1]
    total = torch.nn.functional.pad(energy.double().cumsum(-1), (1, 0))
    windows = ((total[..., width:] - total[..., :-width]) / width).float()  # [N, S, places], by where they begin
    here = middle - width // 2
    clear = overlap // 2 + 2
    left, right = middle - clear - width, middle + clear
    if left < 0 or right + width > count:
        return None
    others = [
        at
        for at in range(count - width + 1)
        if (at + width <= middle - clear or at >= middle + clear) and not any(at < edge < at + width for edge in edges)
    ]
    if len(others) < LEAST_PLACES:
        return None
    values = windows.mean(1)
    usual = normal(values[..., others], FINE_LOG_FLOOR)
    z = ((usual.median - values[:, here]) / usual.scale).clamp(max=MOST_Z)
    flanks = torch.minimum(windows[..., left], windows[..., right])
    fall = windows[..., here] - flanks
    faded = torch.tensor(FADED, device=energy.device).log()
    counts = (values[:, here] - torch.minimum(values[:, left], values[:, right]) < faded) & ((fall < faded / 2).float().mean(1) >= EVEN)
    # In levels: how much of the detail's own height is gone.
    size = (usual.median / 2).exp() - (values[:, here] / 2).exp()
    counts &= (size > VISIBLE_DRIFT / 2) & _in_place(windows, here, width)
    return Response("faded detail", z, size, torch.zeros_like(z, dtype=torch.int64), counts, -fall)


def _in_place(windows: torch.Tensor, here: int, width: int) -> torch.Tensor:
    """Whether the detail is weakest, beside what adjoins it, exactly at `here`: overall, and in most segments by themselves.

    A smooth patch of the scene, or of an upscaling network's making, begins and ends where it will, in each segment
    elsewhere. What a blend does to an overlap is as straight as the overlap.

    Args:
        windows: [N, S, places], mean log energy of windows of `width`, by where they begin.
        here: the place of the overlap's own window, at least width + 2 from both ends.
        width: of a window.
    """
    away = width + 2
    first, last = max(here - width, away), min(here + width, windows.shape[-1] - 1 - away)

    def off(energy: torch.Tensor) -> torch.Tensor:
        """How far from `here` the window is that lies deepest below the lower of its neighbours."""
        middle = energy[..., first : last + 1]
        left, right = energy[..., first - away : last + 1 - away], energy[..., first + away : last + 1 + away]
        return ((torch.minimum(left, right) - middle).argmax(-1) + first - here).abs()

    overall = off(windows.mean(1)) <= max(1, width // PLACED)
    return overall & (off(windows).median(-1).values <= max(2, width // PLACED_SEGMENT))
