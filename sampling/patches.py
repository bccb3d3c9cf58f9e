"""Model patches that hold a picture of their own.

Some controls are no conditions but patches of the model (Qwen DiffSynth and Z-Image controls, Uni3C, Anima LLLite,
SUPIR). They resize their picture to whatever latent they are called with, so a tile would be given all of it. They
cannot be cut from outside; the user is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from .notices import Notices

# Their tensors are features of a reference or of sound, without a place on the picture.
PLACELESS = frozenset({"UsoStyleProjectorPatch", "MultiTalkCrossAttnPatch", "MultiTalkGetAttnMapPatch"})


def _patches(options: dict[str, Any]) -> Iterator[Any]:
    for found in options.get("transformer_options", {}).get("patches", {}).values():
        for patch in found if isinstance(found, list) else [found]:
            # A patch may be a method of the object that holds the picture, or a pair of a layer's class and a function.
            for part in patch if isinstance(patch, tuple) else (patch,):
                yield getattr(part, "__self__", part)


def _pictures(patch: Any) -> Iterator[str]:
    if isinstance(patch, type):
        return
    for name, value in getattr(patch, "__dict__", {}).items():
        if isinstance(value, torch.Tensor) and value.ndim >= 4:
            yield name


def name_whole_pictures(options: dict[str, Any], notices: Notices) -> None:
    """Warn of every patch in the host's `model_options` that holds a picture: each tile will be given all of it."""
    for patch in _patches(options):
        kind = type(patch).__name__
        names = ", ".join(_pictures(patch))
        if names and kind not in PLACELESS:
            notices.warn(
                f"patch {kind}",
                f"the model carries {kind}, which holds a picture of its own ({names}): it is no condition and cannot be cut, so "
                "every tile is given all of it; apply it as a ControlNet, or sample without tiles",
            )
