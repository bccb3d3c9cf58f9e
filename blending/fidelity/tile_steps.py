"""Whether one tile came back in another tone than its neighbours: the step over each of its sides, and the median of them.

The difference between result and source is looked at, so that the scene has no part in it. A network moves tones by what it
sees: what its change depends on (brightness, colour, detail) is taken out, and what is left is read as the sum of the tiles'
windows, each times the tone of its tile. All tones are solved for together, over all of every tile and not beside its sides
alone: a network's own tone wanders from place to place by as much as a tile's does, and more of it evens out in more places.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import torch

from ..layout.grid import Axis
from ..layout.grid_layout import GridLayout
from ..layout.unrolled import unroll
from ..layout.windows import axis_windows
from ..seam_check.boundaries import check_size
from .cell_sums import CellSums
from .comparable import robust_fit

_LEAST_CELLS = 4.0  # that a tile must have for itself
_NOTHING = 0.05
_PRIOR = 1.0  # of what the content may explain, against what tiles do
_ROUNDS = 10
_TRUSTED = 2.0  # deviations from where a place counts half or less
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
    check_size(*size, layout)
    content = _content(sums)
    change = (sums.colour_result - sums.colour_source).double().mean(0)
    left = change - robust_fit(change.flatten(), content.flatten(0, 1)).view_as(change)
    # Where the result's change scatters, little can be known: flat places say more than detail.
    scatter = robust_fit((left.abs() + _NOTHING).log().flatten(), content.flatten(0, 1)).exp().view_as(left)
    usual = 1.4826 * left.abs().median()
    weight = 1 / (scatter.square() + usual.square() + _NOTHING)
    shares = tuple(_shares(axis, cells).to(left.device) for axis, cells in zip(layout.axes, left.shape, strict=True))
    tones = _tones(left, weight, content, shares)
    known = (shares[0].sum(1)[:, None] * shares[1].sum(1)).flatten() >= _LEAST_CELLS
    sides: dict[int, list[float]] = {}
    for first, second in _neighbours(layout):
        if known[first] and known[second]:
            step = float(tones[second] - tones[first])
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


def _shares(axis: Axis, cells: int) -> torch.Tensor:
    """How much each tile has of each cell along an axis, as hann blends them, float64 [tiles, cells]; other blends are near it."""
    line, count = unroll(axis), len(axis.origins)
    centres = (torch.arange(cells, dtype=torch.float64) + 0.5) * (axis.size / cells)
    out = torch.zeros(count, cells, dtype=torch.float64)
    for place, window in enumerate(axis_windows(line.line(), centres, "hann"), line.first):
        out[place % count, window.start : window.stop] += window.weight
    return out


def _neighbours(layout: GridLayout) -> list[tuple[int, int]]:
    """Tiles that lie side by side, the left or upper one first; of a layout that wraps around the last and the first too."""
    rows, columns = layout.counts
    pairs = []
    for row, column in product(range(rows), range(columns)):
        for dim, (y, x) in enumerate(((row + 1, column), (row, column + 1))):
            ring = layout.axes[dim].wraps and layout.counts[dim] > 2
            if ring or (y < rows and x < columns):
                pairs.append((row * columns + column, y % rows * columns + x % columns))
    return pairs


def _tones(left: torch.Tensor, weight: torch.Tensor, content: torch.Tensor, shares: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """The tone of every tile, levels, float64 [tiles]: least squares over all cells, those far off trusted less.

    Args:
        left: float64 [n, m], what is left of the result's change.
        weight: float64 [n, m], how much each cell is known.
        content: float64 [n, m, k], what the change may depend on besides.
        shares: [rows, n] and [columns, m], of the tiles.
    """
    down, across = shares
    flat = content.flatten(0, 1)
    content = (content - flat.mean(0)) / flat.std(0).clamp_min(_NOTHING)
    trust = torch.ones_like(left)
    for _ in range(_ROUNDS):
        tones, by_content = _solved(left, weight * trust, content, down, across)
        rest = (left - down.T @ tones @ across - content @ by_content) * weight.sqrt()
        trust = 1 / (1 + (rest / (_TRUSTED * (1.4826 * rest.abs().median() + 1e-9))).square())
    return tones.flatten()


def _solved(
    left: torch.Tensor, weight: torch.Tensor, content: torch.Tensor, down: torch.Tensor, across: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted least squares: tones [rows, columns] of the tiles, and what each view of the content explains [k]."""
    rows, columns, views = len(down), len(across), content.shape[-1]
    tiles = rows * columns
    normal = left.new_zeros(tiles + views, tiles + views)
    between = normal[:tiles, :tiles].view(rows, columns, rows, columns)
    for first, second in product(range(rows), repeat=2):
        both = down[first] * down[second]
        if second >= first and bool(both.any()):
            between[first, :, second] = (across * (both @ weight)) @ across.T
            between[second, :, first] = between[first, :, second].T
    weighted = content * weight[..., None]
    with_content = torch.einsum("rn,nmk,cm->rck", down, weighted, across).reshape(tiles, views)
    normal[:tiles, tiles:], normal[tiles:, :tiles] = with_content, with_content.T
    normal[tiles:, tiles:] = torch.einsum("nmk,nml->kl", weighted, content)
    aim = torch.cat(((down @ (weight * left) @ across.T).flatten(), torch.einsum("nmk,nm->k", weighted, left)))
    ridge = torch.cat((left.new_full((tiles,), 1e-6), left.new_full((views,), _PRIOR)))
    found = torch.cholesky_solve(aim[:, None], torch.linalg.cholesky(normal + torch.diag(ridge)))[:, 0]
    return found[:tiles].view(rows, columns), found[tiles:]


def _median(steps: list[float]) -> float:
    ordered = sorted(steps)
    middle = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return 0.0 if middle[0] * middle[1] < 0 else min(middle, key=abs)
