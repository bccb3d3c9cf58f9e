"""The wavelet libraries: PyWavelets (filters and names) and ptwt (the transform in torch). They are loaded where they are used.

Nothing else of Tilework needs them: where they are missing, what was there goes on working, and what needs them says what to do.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from types import ModuleType

WAVELETS = ("haar", "db4", "sym4", "bior4.4")
PACKAGES = {"pywt": "PyWavelets", "ptwt": "ptwt"}


def wavelet_library(module: str) -> ModuleType:
    """One of the two libraries: "pywt" or "ptwt".

    Raises:
        RuntimeError: where it is not installed, or fails to load, with what to do.
    """
    try:
        return importlib.import_module(module)
    except Exception as reason:  # A half installed package fails in any way.
        raise RuntimeError(
            f"wavelets need the package {PACKAGES[module]}, which cannot be loaded ({type(reason).__name__}: {reason}). Install it in the "
            "Python that runs ComfyUI: python -m pip install -r requirements.txt in the folder of Tilework, or in ComfyUI Manager: "
            "Tilework, Try fix. Then start ComfyUI again."
        ) from reason


@lru_cache
def filter_bank(wavelet: str) -> tuple[tuple[float, ...], ...]:
    """The four filters of a wavelet: analysis low and high, synthesis low and high, each of one even length.

    Args:
        wavelet: one of WAVELETS, or any other discrete wavelet that PyWavelets knows by name.

    Raises:
        ValueError: for a name that is not known.
        RuntimeError: where PyWavelets is missing.
    """
    pywt = wavelet_library("pywt")
    if wavelet not in pywt.wavelist(kind="discrete"):
        raise ValueError(f"wavelet {wavelet!r} is not known: use one of {', '.join(WAVELETS)}")
    return tuple(tuple(float(tap) for tap in taps) for taps in pywt.Wavelet(wavelet).filter_bank)


def check_levels(levels: int) -> None:
    """Raises ValueError for a count of levels that is no whole number of 1 to 12."""
    if levels != int(levels) or not 1 <= levels <= 12:
        raise ValueError(
            f"levels {levels}: use a whole number of 1 to 12 (each level's waves are twice as long as those of the one before)"
        )
