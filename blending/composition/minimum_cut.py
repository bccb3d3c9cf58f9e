"""The cut through an overlap along which two tiles differ least.

A path crosses the overlap row by row, moving at most one pixel sideways each row, and is
found exactly by dynamic programming (Efros and Freeman, "Image quilting for texture
synthesis and transfer", SIGGRAPH 2001, section 2.1).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

_DEAREST = 1e30
_HARD = 1e-3  # pixels; a ramp narrower than this is a step


def minimum_cut(cost: torch.Tensor) -> torch.Tensor:
    """The cheapest path from the first to the last row.

    Where nothing is cheaper than anything else the path keeps to the middle and straight on,
    so that a flat overlap is cut where a feather has most room.

    Args:
        cost: [B, n, L]: what it costs to cut through each pixel. NaN and Inf are as dear as can be.

    Returns:
        int64 [B, n]: the column of the path in each row; neighbours differ by at most one.
    """
    cost = cost.detach().double().cpu().nan_to_num(nan=_DEAREST, posinf=_DEAREST, neginf=_DEAREST)
    batch, rows, width = cost.shape
    from_middle = (torch.arange(width) - (width - 1) / 2).abs()
    best = cost[:, 0]
    steps = torch.empty(batch, rows, width, dtype=torch.int8)
    for row in range(1, rows):
        beside = F.pad(best, (1, 1), value=torch.inf)
        left, right = beside[:, :-2], beside[:, 2:]
        step = torch.where(left < right, -1, 1)
        nearest = torch.minimum(left, right)
        straight = best <= nearest
        steps[:, row] = torch.where(straight, 0, step)
        best = torch.where(straight, best, nearest) + cost[:, row]
    ends = torch.where(best <= best.amin(1, keepdim=True), from_middle, torch.inf)
    path = torch.empty(batch, rows, dtype=torch.int64)
    at = ends.argmin(1, keepdim=True)
    for row in range(rows - 1, -1, -1):
        path[:, row] = at[:, 0]
        at = at + steps[:, row].gather(1, at)
    return path


def cut_ramp(path: torch.Tensor, width: int, feather: float) -> torch.Tensor:
    """A narrow raised-cosine ramp from 0 to 1 across the cut.

    Args:
        path: int64 [B, n], from `minimum_cut`.
        width: pixels of the overlap.
        feather: pixels that the ramp takes; 0 is a hard step.

    Returns:
        float32 [B, n, width]: how much what lies right of the cut counts.
    """
    distance = torch.arange(width) - path[..., None]
    if feather < _HARD:
        return (distance >= 0).float()
    return torch.sin((distance / feather + 0.5).clamp(0, 1) * (torch.pi / 2)).square().float()
