"""Tilework's patches stand in one order on a model, whatever order the nodes were applied in.

The host runs the wrappers of a kind in the order their keys were added: the first is the outermost. Two nodes in either
order are to give one picture, so ours are put in the order below; the wrappers of other packs keep their places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# From the outermost to the innermost. What looks at the whole canvas stands outside of the tiles, what changes how the model
# sees one tile inside.
RECORD, STATE, HELD_BANDS, BANDS, PYRAMID, DILATED, SYNC, GLOBAL_TOKENS = (
    f"tilework.{name}" for name in ("record", "state", "held_bands", "bands", "pyramid", "dilated", "sync", "global_tokens")
)
TILES = "tilework"
CONTEXT, EDIT, PATCH_SHIFT, ATTENTION, MEMORY = (f"tilework.{name}" for name in ("context", "edit", "patch_shift", "attention", "memory"))
SYNC_GRADIENT = "tilework.sync_gradient"
ORDER = (
    *(MEMORY, RECORD, STATE, HELD_BANDS, BANDS, PYRAMID, DILATED, SYNC, GLOBAL_TOKENS),
    *(CONTEXT, TILES, SYNC_GRADIENT, EDIT, PATCH_SHIFT, ATTENTION),
)
AFTER_GUIDANCE = "sampler_post_cfg_function"
_KEY = "tilework_key"


def put_wrapper(patched: Any, kind: str, key: str, wrapper: Callable) -> None:
    """Set our wrapper of a kind on a MODEL's clone, in place of an earlier one of that key.

    Args:
        patched: the clone; it is changed.
        kind: of comfy.patcher_extension.WrappersMP.
        key: one of ORDER.
        wrapper: as the host calls it.
    """
    patched.remove_wrappers_with_key(kind, key)
    patched.add_wrapper_with_key(kind, key, wrapper)
    wrappers = patched.wrappers[kind]
    ours = iter(sorted((name for name in wrappers if name in ORDER), key=ORDER.index))
    ordered = {name: wrappers[name] for name in ((next(ours) if one in ORDER else one) for one in list(wrappers))}
    wrappers.clear()
    wrappers.update(ordered)


def put_after_guidance(patched: Any, key: str, function: Callable) -> None:
    """Add our function of a key to those that a MODEL's clone calls after guidance, once; ours are called in the order above.

    Args:
        patched: the clone; it is changed.
        key: one of ORDER.
        function: as the host calls it, of that key alone.
    """
    take_from_guidance(patched, function)
    setattr(function, _KEY, key)
    patched.set_model_sampler_post_cfg_function(function)
    functions = patched.model_options[AFTER_GUIDANCE]
    ours = iter(sorted((one for one in functions if hasattr(one, _KEY)), key=lambda one: ORDER.index(getattr(one, _KEY))))
    patched.model_options[AFTER_GUIDANCE] = [next(ours) if hasattr(one, _KEY) else one for one in functions]


def take_from_guidance(patched: Any, function: Callable) -> None:
    """Take one of our functions out of those that a MODEL's clone calls after guidance."""
    if AFTER_GUIDANCE in patched.model_options:
        patched.model_options[AFTER_GUIDANCE] = [one for one in patched.model_options[AFTER_GUIDANCE] if one is not function]


def has(model: Any, key: str) -> bool:
    """Whether a MODEL has our wrappers of one key."""
    return any(key in wrappers for wrappers in model.wrappers.values())


def take_off(patched: Any, key: str) -> None:
    """Take our wrappers of one key off a MODEL's clone, of whatever kind they are.

    Args:
        patched: the clone; it is changed.
        key: one of ORDER.
    """
    for kind in list(patched.wrappers):
        patched.remove_wrappers_with_key(kind, key)
