"""The logarithmic scale that an influence is shown on, and its colours: from a thousandth of a level to the whole range."""

from __future__ import annotations

import math

import numpy as np

LOW, HIGH = 1e-3, 255.0
# Levels that a scale is lettered with.
MARKS = (0.001, 0.01, 0.1, 1, 10, 100)
_RAMP = ((13, 15, 24), (58, 30, 104), (160, 45, 110), (236, 104, 62), (252, 200, 90), (255, 252, 224))


def share(levels: np.ndarray | float) -> np.ndarray | float:
    """Where levels of 255 lie on the scale, 0..1; what is beyond its ends lies at them."""
    return (np.log10(np.clip(levels, LOW, HIGH)) - math.log10(LOW)) / (math.log10(HIGH) - math.log10(LOW))


def colored(shares: np.ndarray) -> np.ndarray:
    """The colours of shares 0..1, of any shape: uint8 [..., 3]."""
    stops = np.linspace(0, 1, len(_RAMP))
    return np.stack([np.interp(shares, stops, [color[i] for color in _RAMP]) for i in range(3)], -1).round().astype(np.uint8)
