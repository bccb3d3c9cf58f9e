"""How far one place stands out from places of like content in the same result.

A network that repaints leaves more over where there is more detail, and does so everywhere. So what is left over at a place is
compared with what the same result leaves over at places that are alike: a robust regression on the content says how much is
to be expected, a running median and median deviation over places of like expectation say how much that scatters.
"""

from __future__ import annotations

import torch

LEAST_PLACES = 24
_WINDOWS = 32
_LEAST_SCATTER = 0.35  # of a natural logarithm: no two places are more alike than this
_AT_MOST = 1 << 16  # places that the regression looks at


def stands_out(value: torch.Tensor, content: torch.Tensor) -> torch.Tensor:
    """How many deviations each value lies above what is usual for its content.

    Args:
        value: [n], logarithms.
        content: [n, k], what describes the content, logarithms.

    Returns:
        float64 [n]; all zero for fewer than `LEAST_PLACES` places.
    """
    value, content = value.double(), content.double()
    if len(value) < LEAST_PLACES:
        return torch.zeros_like(value)
    expected = robust_fit(value, content, above_only=True)
    middle, scatter = _running(value, expected)
    return (value - middle) / scatter.clamp_min(_LEAST_SCATTER)


def robust_fit(value: torch.Tensor, content: torch.Tensor, above_only: bool = False, rounds: int = 6) -> torch.Tensor:
    """What a linear function of the content, with a constant, says of each value: iteratively reweighted least squares.

    Args:
        value: [n].
        content: [n, k].
        above_only: whether only values above the fit can be outliers.
        rounds: of reweighting.
    """
    value = value.double()
    columns = torch.cat((torch.ones(len(value), 1, dtype=torch.float64, device=value.device), content.double()), 1)
    every = -(-len(value) // _AT_MOST)
    of, by = value[::every], columns[::every]
    ridge = 1e-9 * len(of) * torch.eye(by.shape[1], dtype=torch.float64, device=value.device)
    weight = torch.ones_like(of)
    for _ in range(rounds):
        weighted = by * weight[:, None]
        found = torch.linalg.solve(by.mT @ weighted + ridge, weighted.mT @ of)
        left = of - by @ found
        scatter = 1.4826 * (left - left.median()).abs().median() + 1e-9
        far = left / (2 * scatter)
        weight = 1 / (1 + (far.clamp_min(0) if above_only else far).square())
    return columns @ found


def _running(value: torch.Tensor, expected: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Median and median deviation of the values whose expectation is like that of each, [n] and [n]."""
    order = expected.argsort()
    count = len(order)
    window = min(count, max(48, count // 8))
    points = min(_WINDOWS, max(2, 2 * count // window))
    starts = [round(i * (count - window) / (points - 1)) for i in range(points)]
    every = max(1, window // 4096)
    parts = torch.stack([value[order[start : start + window : every]][: -(-window // every)] for start in starts])
    middles = parts.median(1).values
    scatters = 1.4826 * (parts - middles[:, None]).abs().median(1).values
    places = torch.stack([expected[order[start + window // 2]] for start in starts])
    return _between(expected, places, middles), _between(expected, places, scatters)


def _between(at: torch.Tensor, places: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Linear between the points, constant beyond the ends."""
    after = torch.bucketize(at, places).clamp(1, len(places) - 1)
    low, high = places[after - 1], places[after]
    share = ((at - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
    return values[after - 1] + share * (values[after] - values[after - 1])
