"""Whether one tile came back in another tone than its neighbours: the step over each of its sides, and the median of them.

The difference between result and source is looked at, so that the scene has no part in it. A network moves tones by what it
sees: what its change depends on (brightness, colour, detail) is taken out first, over the whole picture and again beside each
side. What is left on one side of an overlap and not on the other is a step.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..layout.grid_layout import GridLayout
from ..seam_check.boundaries import Boundary, boundaries
from .cell_sums import CELL, CellSums
from .comparable import robust_fit

_DEEP = 2  # cells beside an overlap that are looked at
_LEAST_CELLS = 4  # along a side
_NOTHING = 0.05
_PRIOR = 0.1
_SCATTERS = 1.0  # deviations of all sides of a result; a tile whose step is no larger is one of many
LEAST_STEP = 1.0  # levels: from where a tile's tone counts


class TileSteps(NamedTuple):
    """The tones of tiles against their neighbours.

    Attributes:
        steps: tile -> levels; tiles without a side that can be judged are left out.
        least: levels from where a step counts: what can be seen, and more than sides of this result differ by anyway.
    """

    steps: dict[int, float]
    least: float

    def severity(self, tile: int) -> float:
        """1 from where the step of a tile counts; 0 for a tile that cannot be judged."""
        return abs(self.steps.get(tile, 0.0)) / self.least


def tile_steps(sums: CellSums, layout: GridLayout, size: tuple[int, int]) -> TileSteps:
    """The tone of each tile against its neighbours.

    Args:
        sums: of both pictures.
        layout: of which the picture was made, counted in pixels.
        size: (height, width) of the grid.

    Returns:
        of each tile the median of the steps over its sides, of two in the middle the smaller one, so that a step counts for the
        tile that has it on most sides and not for its neighbour.

    Raises:
        ValueError: where the grid is not the layout's canvas at one scale.
    """
    content = _content(sums)
    change = (sums.colour_result - sums.colour_source).double().mean(0)
    left = change - robust_fit(change.flatten(), content.flatten(0, 1)).view_as(change)
    # Where the result's change scatters, little can be known: flat places say more than detail.
    scatter = robust_fit((left.abs() + _NOTHING).log().flatten(), content.flatten(0, 1)).exp().view_as(left)
    planes = torch.cat((left[..., None], (1 / (scatter.square() + _NOTHING))[..., None], content), -1)
    sides: dict[int, list[float]] = {}
    for boundary in boundaries(layout, *size):
        step = _step(planes, boundary)
        if step is not None:
            first, second = boundary.tiles
            sides.setdefault(first, []).append(-step)
            sides.setdefault(second, []).append(step)
    every = torch.tensor([abs(step) for steps in sides.values() for step in steps] or [0.0], dtype=torch.float64)
    least = max(LEAST_STEP, _SCATTERS * 1.4826 * float(every.median()))
    return TileSteps({tile: _median(steps) for tile, steps in sorted(sides.items())}, least)


def _content(sums: CellSums) -> torch.Tensor:
    """[n, m, k]: brightness, colour and detail of the source."""
    colour = (sums.colour_source.double() / 128).movedim(0, -1)
    light = colour.mean(-1, keepdim=True)
    detail = (sums.source.double() + _NOTHING).log().movedim(0, -1)
    return torch.cat((colour, light.square(), light.pow(3), detail), -1)


def _step(planes: torch.Tensor, boundary: Boundary) -> float | None:
    """What is left in the second tile less what is left in the first, beside their overlap; None where there is too little.

    `planes` [n, m, 2 + k] hold what is left, its weight, and the content.
    """
    if not boundary.vertical:
        planes = planes.transpose(0, 1)
    start, stop = boundary.band
    first = slice(max(start // CELL - _DEEP, 0), start // CELL)
    last = slice(-(-stop // CELL), -(-stop // CELL) + _DEEP)
    rows = slice(-(-boundary.along[0] // CELL), boundary.along[1] // CELL)
    parts = [planes[rows, columns].flatten(0, 1) for columns in (first, last)]
    if min(map(len, parts)) < _LEAST_CELLS:
        return None
    second = torch.cat([torch.full_like(part[:, 0], float(k)) for k, part in enumerate(parts)])
    both = torch.cat(parts)
    return _robust_step(both[:, 0], both[:, 1], both[:, 2:], second)


def _robust_step(value: torch.Tensor, weight: torch.Tensor, content: torch.Tensor, second: torch.Tensor) -> float:
    """By how much `value` is higher where `second` is 1, what the content explains apart."""
    mean, spread = content.mean(0), content.std(0).clamp_min(0.05)
    columns = torch.cat((second[:, None], torch.ones_like(second)[:, None], (content - mean) / spread), 1)
    weight = weight / weight.mean()
    # Content that goes along with the side explains the step away where there is little of it: a slight prior against that.
    ridge = torch.diag(torch.cat((value.new_full((2,), 1e-9), value.new_full((columns.shape[1] - 2,), _PRIOR * len(value)))))
    trust = torch.ones_like(value)
    for _ in range(8):
        weighted = columns * (weight * trust)[:, None]
        found = torch.linalg.solve(columns.mT @ weighted + ridge, weighted.mT @ value)
        off = (value - columns @ found) * weight.sqrt()
        trust = 1 / (1 + (off / (1.5 * (1.4826 * off.abs().median() + 0.05))).square())
    return float(found[0])


def _median(steps: list[float]) -> float:
    ordered = sorted(steps)
    middle = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return 0.0 if middle[0] * middle[1] < 0 else min(middle, key=abs)
