"""The methods of colour matching by name, and what their settings may be."""

from __future__ import annotations

import math

GAIN = "gain compensation"
LOW_FREQUENCY = "low frequency"
MATCH_METHODS = ("mean-std", "lab", "mkl", "histogram", LOW_FREQUENCY, GAIN)


class NothingToMeasureError(ValueError):
    """The mask, or the rule of unchanged pixels, leaves no pixel that colours could be measured on."""


def check_settings(method: str, strength: float, unchanged_only: float) -> None:
    """Raise ValueError for a method that is not one of METHODS, and for numbers out of range."""
    if method not in MATCH_METHODS:
        raise ValueError(f"color match method {method!r} is not known: use one of {', '.join(MATCH_METHODS)}")
    if not math.isfinite(strength) or strength < 0:
        raise ValueError(f"strength {strength} is not a strength: use 0 (unchanged) to 1 (fully matched)")
    if not math.isfinite(unchanged_only) or unchanged_only < 0:
        raise ValueError(f"unchanged_only {unchanged_only} is not a difference of colours: use 0 to turn it off, or about 0.07")
