"""The places that were changed: blocks that touch are one place, named by what happened where it is worst."""

from __future__ import annotations

import math

import torch

from .cell_sums import CELL
from .measures import BLOCK, FINE_NAME, SHIFT, TONE, Measured
from .one_grid import OneGrid
from .register import shifts_at
from .report import Place

NEAREST = 4  # places that are told of where none was changed
_LOOKED_AT = 32  # places whose shift is looked for
_SHIFT_BLOCK = 32
_MOVED = 0.3  # px of the grid
_WIPED, _INVENTED = 0.6, 1.6  # of the amplitude that was to be expected


def found_places(picture: int, grid: OneGrid, measures: dict[str, Measured], tolerance: float) -> list[Place]:
    """The changed places of one picture, worst first; where there is none, the few that came nearest.

    Args:
        picture: its number in the batch.
        grid: both pictures, registered.
        measures: by their names.
        tolerance: the severity up to which a place passes.
    """
    from scipy.ndimage import find_objects, label

    names = list(measures)
    severity, which = torch.stack([measures[name].severity for name in names]).max(0)
    numbers, count = label((severity > tolerance).cpu().numpy(), structure=[[1] * 3] * 3)
    boxes = [tuple((side.start, side.stop) for side in box) for box in find_objects(numbers)]
    fails = bool(count)
    if not fails:
        boxes = [((y, y + 1), (x, x + 1)) for y, x in _nearest(severity)]
    found = []
    for index, (rows, columns) in enumerate(boxes):
        part = severity[slice(*rows), slice(*columns)].clone()
        if fails:
            part[torch.from_numpy(numbers[slice(*rows), slice(*columns)] != index + 1)] = 0
        at = int(part.argmax())
        y, x = rows[0] + at // part.shape[1], columns[0] + at % part.shape[1]
        found.append((float(severity[y, x]), y, x, rows, columns))
    found.sort(key=lambda one: -one[0])
    shifts = _shifts(grid, [(one[1], one[2]) for one in found[:_LOOKED_AT]]) if fails else []
    places = []
    for index, (worst, y, x, rows, columns) in enumerate(found):
        name = names[int(which[y, x])]
        what = _what(name, measures[name], y, x, shifts[index] if index < len(shifts) else 0.0)
        places.append(Place(picture, _pixels(rows, columns, grid.size), _middle(y, x, grid.size), name, worst, what, fails))
    return places


def _nearest(severity: torch.Tensor) -> list[tuple[int, int]]:
    left, found = severity.clone(), []
    for _ in range(NEAREST):
        at = int(left.argmax())
        y, x = at // left.shape[1], at % left.shape[1]
        if left[y, x] <= 0:
            break
        found.append((y, x))
        left[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5] = 0
    return found


def _pixels(rows: tuple[int, int], columns: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    ends = [(low * CELL, min((high - 1 + BLOCK) * CELL, length)) for (low, high), length in zip((rows, columns), size, strict=True)]
    return ends[0][0], ends[1][0], ends[0][1] - ends[0][0], ends[1][1] - ends[1][0]


def _middle(y: int, x: int, size: tuple[int, int]) -> tuple[int, int]:
    return tuple(min(at * CELL + BLOCK * CELL // 2, length - 1) for at, length in zip((y, x), size, strict=True))


def _shifts(grid: OneGrid, blocks: list[tuple[int, int]]) -> list[float]:
    """By how many pixels the picture is moved around each block, 0 where that cannot be known."""
    if not blocks or min(grid.size) < _SHIFT_BLOCK:
        return [0.0] * len(blocks)
    at = []
    for block in blocks:
        middle = _middle(*block, grid.size)
        at.append(tuple(min(max(m - _SHIFT_BLOCK // 2, 0), length - _SHIFT_BLOCK) for m, length in zip(middle, grid.size, strict=True)))
    found = shifts_at(grid, at, _SHIFT_BLOCK)
    return [
        math.hypot(dy, dx) if sure else 0.0 for dy, dx, sure in zip(found.dy.tolist(), found.dx.tolist(), found.sure.tolist(), strict=True)
    ]


def _what(name: str, measure: Measured, y: int, x: int, moved: float) -> str:
    size, energy = float(measure.size[y, x]), float(measure.energy[y, x])
    if name == TONE:
        return f"tone changed by Delta-E {size:.1f}, {'lighter' if energy > 0 else 'darker'}"
    if name == SHIFT:
        return f"moved by {size:.1f} px"
    detail = "lettering or fine detail" if name == FINE_NAME else "structure"
    if energy < _WIPED:
        return f"{detail} wiped, {energy:.0%} left"
    if energy > _INVENTED:
        return f"{detail} invented, {energy:.1f} times as strong as before"
    return f"moved by {moved:.1f} px" if moved > _MOVED else f"{detail} changed"
