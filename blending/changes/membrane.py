"""A harmonic surface over a region of any shape that meets given values at its border.

Pasting an edit in the gradient domain (Perez, Gangnet, Blake, "Poisson Image Editing", SIGGRAPH 2003) comes down to it: the
pasted pixels keep their gradients exactly, and what is added to them is the surface that is `original - edit` at the border
and as flat as possible inside, Laplace c = 0. Solved by multigrid: Gauss-Seidel in two colours, means of 2 x 2 down,
bilinear up (Trottenberg, Oosterlee, Schueller, "Multigrid", 2001). The time grows with the pixels, whatever the shape.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

_ROWS_PIXELS = 1 << 18  # worked on at once
_SWEEPS = 2
_MOST_CYCLES = 40
_COARSEST = 4
_TOLERANCE = 1e-5  # of the largest value, by which a cycle still changes the surface


class _Level(NamedTuple):
    """One grid: `surface` [C, h + 2, w + 2], framed by copies of its border; `source` [C, h, w], None for 0; `inside` [h, w]."""

    surface: torch.Tensor
    source: torch.Tensor | None
    inside: torch.Tensor


def harmonic(values: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Fill a region so that every pixel of it is the mean of its four neighbours.

        >>> values = torch.arange(9.0).expand(1, 9, 9)
        >>> inside = torch.zeros(9, 9, dtype=torch.bool)
        >>> inside[2:7, 2:7] = True
        >>> bool((harmonic(values, inside) - values).abs().max() < 1e-4)
        True

    Args:
        values: float32 [C, h, w]; what lies inside the region does not count, and of the rest only what touches it.
        inside: bool [h, w], the region. Nothing flows over the border of the picture, so that a region may touch it.

    Returns:
        float32 [C, h, w]: `values` outside, the surface inside; 0 where a region has no border in the picture. It takes
        `values` twice and two thirds of it once more.
    """
    finest = _Level(_framed(_filled(values, inside)), None, inside)
    levels = [finest]
    while min(levels[-1].inside.shape) > _COARSEST and bool(levels[-1].inside.any()):
        levels.append(_coarser(levels[-1]))
    span = float(finest.surface.abs().max())
    for _ in range(_MOST_CYCLES):
        if _cycle(levels, 0) <= _TOLERANCE * span:
            break
    return finest.surface[:, 1:-1, 1:-1]


def _filled(values: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """A first guess: the border's values, spread inwards from coarse grids to fine ones."""
    outside = (~inside).float()
    near = F.max_pool2d(inside.float()[None], 3, 1, 1)[0]
    known = outside.mul_(near)
    sums = values * known
    weights = [known[None]]
    means = [sums]
    while min(means[-1].shape[1:]) > 1:
        means.append(F.avg_pool2d(means[-1], 2, ceil_mode=True))
        weights.append(F.avg_pool2d(weights[-1], 2, ceil_mode=True))
    guess = means[-1] / weights[-1].clamp_min(1e-12)
    for mean, weight in zip(means[-2::-1], weights[-2::-1], strict=True):
        spread = F.interpolate(guess[None], scale_factor=2, mode="nearest")[0, :, : mean.shape[1], : mean.shape[2]]
        guess = torch.where(weight > 0, mean / weight.clamp_min(1e-12), spread)
    return torch.where(inside, guess, values)


def _framed(values: torch.Tensor) -> torch.Tensor:
    return F.pad(values[None], (1, 1, 1, 1), mode="replicate")[0]


def _frame(surface: torch.Tensor) -> None:
    """Copy the picture's border into the frame around it: nothing flows over it."""
    surface[:, 0], surface[:, -1] = surface[:, 1], surface[:, -2]
    surface[:, :, 0], surface[:, :, -1] = surface[:, :, 1], surface[:, :, -2]


def _coarser(level: _Level) -> _Level:
    """The grid of half the size; a cell of it is inside where all of its pixels are."""
    height, width = level.inside.shape
    padded = F.pad(level.inside.float()[None, None], (0, width % 2, 0, height % 2), mode="replicate")
    inside = -F.max_pool2d(-padded, 2)[0, 0] > 0
    size = (level.surface.shape[0], *inside.shape)
    surface = level.surface.new_zeros(size[0], size[1] + 2, size[2] + 2)
    return _Level(surface, level.surface.new_zeros(size), inside)


def _strips(level: _Level) -> list[tuple[int, int]]:
    """First and last row of strips of the grid, each of an even number of rows but for the last."""
    height, width = level.inside.shape
    rows = max(2, _ROWS_PIXELS // (width * level.surface.shape[0]) // 2 * 2)
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


def _neighbours(level: _Level, top: int, end: int) -> torch.Tensor:
    """The sum of the four neighbours and the source, [C, end - top, w]."""
    grid = level.surface
    total = grid[:, top:end, 1:-1] + grid[:, top + 2 : end + 2, 1:-1]
    total += grid[:, top + 1 : end + 1, :-2]
    total += grid[:, top + 1 : end + 1, 2:]
    return total if level.source is None else total.add_(level.source[:, top:end])


def _relax(level: _Level, sweeps: int) -> None:
    """Gauss-Seidel, first one colour of the chessboard and then the other."""
    width = level.inside.shape[1]
    odd = (torch.arange(2, device=level.inside.device)[:, None] + torch.arange(width, device=level.inside.device)) % 2 == 1
    for colour in (odd, ~odd) * sweeps:
        _frame(level.surface)
        for top, end in _strips(level):
            chosen = colour.repeat(-(-(end - top) // 2), 1)[: end - top] & level.inside[top:end]
            centre = level.surface[:, top + 1 : end + 1, 1:-1]
            centre.copy_(torch.where(chosen, _neighbours(level, top, end).mul_(0.25), centre))
    _frame(level.surface)


def _restrict(level: _Level, coarse: _Level) -> None:
    """What is left over, summed over 2 x 2, as the source of the next grid."""
    width = level.inside.shape[1]
    for top, end in _strips(level):
        rest = _neighbours(level, top, end)
        rest -= 4 * level.surface[:, top + 1 : end + 1, 1:-1]
        rest *= level.inside[top:end]
        rest = F.pad(rest[None], (0, width % 2, 0, (end - top) % 2))[0]
        coarse.source[:, top // 2 : -(-end // 2)] = 4 * F.avg_pool2d(rest, 2)


def _correct(level: _Level, coarse: _Level) -> float:
    """Add the coarse grid's surface, read between its pixels; returns the largest change."""
    width, largest = level.inside.shape[1], 0.0
    for top, end in _strips(level):
        # One row of the coarse grid more on either side; the frame's corners have none to be read.
        part = coarse.surface[:, top // 2 : -(-end // 2) + 2]
        fine = F.interpolate(part[None], scale_factor=2, mode="bilinear", align_corners=False)[0]
        change = fine[:, 2 : 2 + end - top, 2 : 2 + width] * level.inside[top:end]
        level.surface[:, top + 1 : end + 1, 1:-1] += change
        largest = max(largest, float(change.abs().max()))
    return largest


def _cycle(levels: list[_Level], depth: int) -> float:
    """One V-cycle from this grid down; returns the largest change that the coarser grids made."""
    level = levels[depth]
    if depth == len(levels) - 1:
        _relax(level, 8 * _SWEEPS)
        return 0.0 if depth else float("inf")
    coarse = levels[depth + 1]
    _relax(level, _SWEEPS)
    _restrict(level, coarse)
    coarse.surface.zero_()
    _cycle(levels, depth + 1)
    _frame(coarse.surface)
    change = _correct(level, coarse)
    _relax(level, _SWEEPS)
    return change
