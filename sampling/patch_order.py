"""Tilework's patches stand in one order on a model, whatever order the nodes were applied in.

The host runs the wrappers of a kind in the order their keys were added: the first is the outermost. Two nodes in either
order are to give one picture, so ours are put in the order below; the wrappers of other packs keep their places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# From the outermost to the innermost. What looks at the whole canvas stands outside of the tiles, what changes how the model
# sees one tile inside.
RECORD, STATE, BANDS, PYRAMID, DILATED, SYNC, GLOBAL_TOKENS = (
    f"tilework.{name}" for name in ("record", "state", "bands", "pyramid", "dilated", "sync", "global_tokens")
)
TILES = "tilework"
CONTEXT, EDIT, PATCH_SHIFT, ATTENTION, MEMORY = (f"tilework.{name}" for name in ("context", "edit", "patch_shift", "attention", "memory"))
SYNC_GRADIENT = "tilework.sync_gradient"
ORDER = (
    *(MEMORY, RECORD, STATE, BANDS, PYRAMID, DILATED, SYNC, GLOBAL_TOKENS),
    *(CONTEXT, TILES, SYNC_GRADIENT, EDIT, PATCH_SHIFT, ATTENTION),
)


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


def take_off(patched: Any, key: str) -> None:
    """Take our wrappers of one key off a MODEL's clone, of whatever kind they are.

    Args:
        patched: the clone; it is changed.
        key: one of ORDER.
    """
    for kind in list(patched.wrappers):
        patched.remove_wrappers_with_key(kind, key)
