"""The cheapest cut that ends where it began, for an overlap that runs once around a picture that is joined to itself.

A path of one lap that may end anywhere costs no more than one that must be closed. So laps are looked for that begin
and end in an interval of columns, which is cut in two between both ends of the cheapest lap found, the most promising
interval first, until the cheapest lap is closed (after Appleton and Sun, "Circular shortest paths by branch and
bound", Pattern Recognition 36, 2003).
"""

from __future__ import annotations

import heapq

import numpy as np
import torch

_MOST_LAPS = 48
_DEAREST = 1e30


def closed_cut(cost: torch.Tensor) -> torch.Tensor:
    """The cheapest closed path around.

    It is the best of all but where more than `_MOST_LAPS` intervals are as good; then it is the best that was found.

    Args:
        cost: [B, n, L]: what it costs to cut through each pixel; row n - 1 lies beside row 0. NaN and Inf are as dear as can be.

    Returns:
        int64 [B, n]: the column of the path in each row; neighbours differ by at most one, the last row and the first one too.
    """
    cost = cost.detach().double().cpu().nan_to_num(nan=_DEAREST, posinf=_DEAREST, neginf=_DEAREST)
    return torch.stack([torch.from_numpy(_around(picture.numpy())) for picture in cost])


def _around(cost: np.ndarray) -> np.ndarray:
    best, path = np.inf, None
    waiting = [(-np.inf, 0, cost.shape[1] - 1)]
    for _ in range(_MOST_LAPS):
        if not waiting or waiting[0][0] >= best:
            break
        _, low, high = heapq.heappop(waiting)
        lap = _Lap(cost, low, high)
        value, end = lap.closed()
        if value < best:
            best, path = value, lap.path(end)
        bound, end = lap.cheapest()
        if bound < best and lap.starts[end] != end:
            middle = (int(lap.starts[end]) + end) // 2
            for part in ((bound, low, middle), (bound, middle + 1, high)):
                heapq.heappush(waiting, part)
    if path is None:
        middle = cost.shape[1] // 2
        path = _Lap(cost, middle, middle).path(middle)
    return path


class _Lap:
    """The cheapest paths of one lap from columns low..high of row 0 to every one of these columns of row 0 again."""

    def __init__(self, cost: np.ndarray, low: int, high: int) -> None:
        rows, width = cost.shape
        columns = np.arange(width)
        allowed = (columns >= low) & (columns <= high)
        best = np.where(allowed, cost[0], np.inf)
        self.starts = columns
        self.steps = np.zeros((rows + 1, width), dtype=np.int8)
        beside = np.full(width + 2, np.inf)
        for row in range(1, rows + 1):
            beside[1:-1] = best
            left, right = beside[:-2], beside[2:]
            nearest = np.minimum(left, right)
            step = np.where(best <= nearest, 0, np.where(left < right, -1, 1))
            self.steps[row] = step
            self.starts = self.starts[np.clip(columns + step, 0, width - 1)]
            best = np.minimum(best, nearest)
            if row < rows:
                best = best + cost[row]
        self.best = np.where(allowed, best, np.inf)
        self.from_middle = np.abs(columns - (width - 1) / 2)

    def closed(self) -> tuple[float, int]:
        """What the cheapest of them costs that end where they began, and that column."""
        return self._least(np.where(self.starts == np.arange(len(self.best)), self.best, np.inf))

    def cheapest(self) -> tuple[float, int]:
        """What the cheapest of them all costs, and where it ends."""
        return self._least(self.best)

    def _least(self, costs: np.ndarray) -> tuple[float, int]:
        least = costs.min()
        return float(least), int(np.where(costs <= least, self.from_middle, np.inf).argmin())

    def path(self, end: int) -> np.ndarray:
        """The one that ends in a column: int64 [rows]."""
        found = np.empty(len(self.steps) - 1, dtype=np.int64)
        at = end
        for row in range(len(found), 0, -1):
            at += int(self.steps[row, at])
            found[row - 1] = at
        return found
