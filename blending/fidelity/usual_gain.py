"""How much of the source's detail the result keeps everywhere, by how much detail there is: faint texture, detail, edges.

A faithful enlargement keeps all about alike; a network keeps edges, or sharpens them, and flattens faint texture.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from .cell_sums import STRUCTURE, CellSums

_MOST_CLASSES = 6
_CELLS_PER_CLASS = 100
_STILL = 0.05  # squared gradient, levels per pixel: what both pictures may differ in where there is nothing


class Gain(NamedTuple):
    """The usual gain of one view of detail.

    Attributes:
        table: float64 [classes], the result's gradient over the source's, classes from the faintest detail to the strongest.
        likeness: float64 [classes], correlation of both gradients, in the middle of the cells.
        added: float64 [classes], what the result has beside that, over the source's: detail of its own.
        cells: float64 [n, m], the gain at each cell.
    """

    table: torch.Tensor
    likeness: torch.Tensor
    added: torch.Tensor
    cells: torch.Tensor


def usual_gain(sums: CellSums, view: int) -> Gain:
    """Fit the gain of a view class by class; cells that do not follow the others count little.

    Args:
        sums: of both pictures.
        view: FINE or STRUCTURE.
    """
    source, result, common = (plane[view].double() for plane in (sums.source, sums.result, sums.common))
    detail = (sums.source[STRUCTURE].double() + _STILL).log()
    classes = min(max(detail.numel() // _CELLS_PER_CLASS, 2), _MOST_CLASSES)
    ordered = detail.flatten().sort().values
    ends = ordered[torch.linspace(0, len(ordered) - 1, classes + 1).long()]
    middles, table, likeness, added = [], [], [], []
    for index in range(classes):
        inside = (detail >= ends[index]) & (detail <= ends[index + 1])
        parts = [plane[inside] for plane in (source, result, common)]
        table.append(_fitted(*parts))
        likeness.append(((parts[2] + _STILL) / ((parts[0] + _STILL) * (parts[1] + _STILL)).sqrt()).median())
        left = (parts[1] - 2 * table[-1] * parts[2] + table[-1].square() * parts[0]).clamp_min(0)
        added.append((left.median() / (parts[0].median() + _STILL)).sqrt())
        middles.append(detail[inside].median())
    return Gain(torch.stack(table), torch.stack(likeness), torch.stack(added), _at(detail, torch.stack(middles), torch.stack(table)))


def left_over(sums: CellSums, view: int, gain: torch.Tensor) -> torch.Tensor:
    """Mean squared gradient of what the result has beside the source times `gain` [n, m]; float64 [n, m]."""
    source, result, common = (plane[view].double() for plane in (sums.source, sums.result, sums.common))
    return (result - 2 * gain * common + gain.square() * source).clamp_min(0)


def _fitted(source: torch.Tensor, result: torch.Tensor, common: torch.Tensor) -> torch.Tensor:
    weight = torch.ones_like(source)
    for _ in range(5):
        gain = ((weight * common).sum() + _STILL) / ((weight * source).sum() + _STILL)
        left = (result - 2 * gain * common + gain.square() * source).clamp_min(0)
        share = (left + _STILL) / (source + 4 * _STILL)
        weight = 1 / (1 + (share / (3 * share.median())).square())
    return gain


def _at(detail: torch.Tensor, middles: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    after = torch.bucketize(detail, middles).clamp(1, len(middles) - 1)
    low, high = middles[after - 1], middles[after]
    share = ((detail - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
    return table[after - 1] + share * (table[after] - table[after - 1])
