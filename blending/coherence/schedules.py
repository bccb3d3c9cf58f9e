"""How the strength of a guidance falls over a run: from 1 at time 1, where sampling begins with noise, to 0 at time 0."""

from __future__ import annotations

import math


def cosine(time: float, power: float = 1.0) -> float:
    """DemoFusion's c(t)^power = ((1 + cos(pi (1 - t))) / 2)^power (PRIS-CV/DemoFusion, CVPR 2024).

    >>> cosine(1.0), round(cosine(0.5), 7), cosine(0.0)
    (1.0, 0.5, 0.0)
    """
    return ((1 + math.cos(math.pi * (1 - time))) / 2) ** power


def linear(step: int, steps: int) -> float:
    """HiFlow's (n - i) / n: the share of a run's steps that is left before step `step`, counted from 0."""
    return max(steps - step, 0) / max(steps, 1)
