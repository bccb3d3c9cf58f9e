"""Is detail broken off on a line, though its tone goes on?

Sides that do not belong together (a tile that is shifted, or painted anew) need not differ in tone. There the roughness
across the line, of what changes along it, stands out; and it does so on that one line: two columns further it is the
texture's own again. Texture by itself is rough in one place and smooth in another, and the more so after an upscaling
network, which makes detail in patches. So what is judged is no height but a contrast: the roughness on a line over that
of the rougher of its two sides, beside the same contrast of the lines around.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .controls import z_score
from .steps import EVERYWHERE, Response, strongest
from .surroundings import Strip

FLOOR = 0.25
LOG_FLOOR = 0.05
VISIBLE = 0.5
ROUGHER = 1.35
SIDE = 4  # columns of a side that the line is compared with
CLEAR = 2  # columns between the line and its sides
PEAKED = 0.6  # of the peak that a break of that contrast has over the columns beside it (as logarithms)


def detail_test(strip: Strip, lines: tuple[int, ...], columns: torch.Tensor) -> Response:
    """Whether texture breaks off at a line: how much rougher the line is than its sides, against the controls'.

    Args:
        strip: the surroundings of the boundary.
        lines: candidate lines, indices into the strip's core.
        columns: controls, indices into the core.
    """
    rough = (strip.rough + FLOOR).log()
    results = []
    for line in lines:
        contrasts, sides = _contrasts(rough, _clear(line, lines))
        overall = contrasts.mean(1)
        z = z_score(overall, line, columns, LOG_FLOOR, signed=False)
        here = overall[..., line]
        size = (here.exp() - 1) * sides[..., line].mean(1).exp()
        each = contrasts[..., line]
        everywhere = (each > torch.tensor(1 + (ROUGHER - 1) / 2).log()).float().mean(1) >= EVERYWHERE
        counts = everywhere & (here.exp() > ROUGHER) & (size > VISIBLE) & _peaked(rough.mean(1), line, here)
        results.append(tuple(part[:, None] for part in (z, size, counts, each)))
    return strongest("broken detail", results)


def _clear(line: int, lines: Sequence[int]) -> int:
    """Columns between a line and its sides, such that no other line of a narrow overlap lies in them."""
    near = [abs(other - line) for other in lines if abs(other - line) <= CLEAR + SIDE + 1]
    return CLEAR + max(near)


def _contrasts(rough: torch.Tensor, clear: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of log roughness [N, S, columns]: each column's less its rougher side's, and that side's; no contrast within reach of the ends."""
    reach = clear + SIDE
    columns = rough.shape[-1]
    contrasts, sides = torch.zeros_like(rough), rough.clone()
    if columns > 2 * reach + 3:
        means = torch.nn.functional.avg_pool1d(rough, SIDE, 1)  # by where they begin
        inner = slice(reach + 2, columns - reach - 1)  # the outermost columns have no roughness
        count = inner.stop - inner.start
        left, right = (means[..., start : start + count] for start in (2, reach + 2 + clear + 1))
        sides[..., inner] = torch.maximum(left, right)
        contrasts[..., inner] = rough[..., inner] - sides[..., inner]
    return contrasts, sides


def _peaked(heights: torch.Tensor, line: int, contrast: torch.Tensor) -> torch.Tensor:
    """Whether the columns beside the line are as much smoother as a break of that contrast, in texture, leaves them.

    The break itself is half as high there, and adds to the texture by squares.
    """
    beside = torch.maximum(heights[..., line - 1], heights[..., line + 1])
    expected = contrast - ((contrast.exp().square() - 1).clamp_min(0) / 4 + 1).log() / 2
    return heights[..., line] - beside > PEAKED * expected
