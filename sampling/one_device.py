"""Why the tiles of a run stay on one device although there are several: what is at work there knows one call at a time.

The host then spreads the conditions of each tile, as it does without tiles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from .conditions.patch_contents import name_of
from .conditions.patches import sampler_functions
from .device_groups import DeviceGroups
from .last_call import LastCall
from .patch_order import ATTENTION, CONTEXT, EDIT, MEMORY, PATCH_SHIFT, TILES
from .style_gradients import REQUEST

# Patches of ours that remember what the first tile was, or one tile's conditions.
ONE_AT_A_TIME = {EDIT: "Wavelet Edit", PATCH_SHIFT: "Hide Patch Grid"}
# Wrappers around a whole sampler that do nothing where a tile is sampled by itself, or are made for it.
OF_SEVERAL_RUNS = frozenset({TILES, MEMORY, ATTENTION, CONTEXT})
# The host's guiders that remember nothing from step to step and ask one model.
GUIDERS = frozenset(
    {
        ("samplers", "CFGGuider"),
        ("nodes_custom_sampler", "Guider_Basic"),
        ("nodes_custom_sampler", "Guider_DualCFG"),
        ("nodes_perpneg", "Guider_PerpNeg"),
    }
)


def keeps_tiles_together(groups: DeviceGroups, options: dict[str, Any], conds: Sequence[list[dict] | None], shared: LastCall) -> str:
    """What keeps the tiles of a prediction on one device, in words; nothing where nothing does.

    Args:
        groups: the devices there are.
        options: the model's.
        conds: as the host's CALC_COND_BATCH takes them.
        shared: what the model's patches write down.
    """
    if REQUEST in options:
        return "method gradient of Unify Tile Style makes copies of one device's weights"
    wrappers = (options.get("transformer_options") or {}).get("wrappers") or {}
    for key, name in ONE_AT_A_TIME.items():
        if any(kind.get(key) for kind in wrappers.values()):
            return f"{name} remembers the first tile"
    if shared.writing:
        return f"the patch {shared.writing[0]} writes down one call of the model for the next"
    kept = next((patch for patch in _patches(options) if hasattr(patch, "to")), None)
    if kept is not None:
        return f"the patch {name_of(kept)} holds what ComfyUI moves to one device, and there is no copy of it"
    for cond in (cond for entry in conds if entry for cond in entry):
        words = _of_condition(cond, groups)
        if words:
            return words
    return ""


def keeps_samplers_together(groups: DeviceGroups, guider: Any, options: dict[str, Any]) -> str:
    """What keeps the samplers of tiles that are sampled by themselves from running at the same time, in words; or nothing.

    Args:
        groups: the devices there are.
        guider: the host's, with its conditions made.
        options: the model's.
    """
    # The host names the modules of nodes by their paths.
    if (re.split(r"[\\/.]", type(guider).__module__)[-1], type(guider).__name__) not in GUIDERS:
        return f"the guider {type(guider).__name__} may remember steps"
    functions = sampler_functions(options)
    if functions:
        return f"{next(iter(functions))} of another node may remember the steps of one run"
    wrappers = (options.get("transformer_options") or {}).get("wrappers") or {}
    for kind in ("sampler_sample", "predict_noise"):
        others = [key for key, found in wrappers.get(kind, {}).items() if found and key not in OF_SEVERAL_RUNS]
        if others:
            return f"the patch {others[0] or 'without a name'} may remember the steps of one run"
    if any(cond.get("hooks") is not None for entry in guider.conds.values() for cond in entry):
        return "hooks on a prompt change the model's weights with the steps of one run"
    return keeps_tiles_together(groups, options, list(guider.conds.values()), LastCall(options))


def _of_condition(cond: dict[str, Any], groups: DeviceGroups) -> str:
    if cond.get("gligen") is not None:
        return "GLIGEN has no copy on other devices"
    control = cond.get("control")
    while control is not None:
        name = type(control).__name__
        if getattr(control, "vae", None) is not None:
            return f"the {name} makes its hint with a VAE, of which there is no copy"
        clones = getattr(control, "multigpu_clones", None) or {}
        if any(device not in clones for device in groups.models if device != groups.home):
            return f"the {name} has no copy on other devices"
        control = getattr(control, "previous_controlnet", None)
    return ""


def _patches(options: dict[str, Any]) -> Iterator[Any]:
    transformer = options.get("transformer_options") or {}
    left = [transformer.get(name) for name in ("patches", "patches_replace", "wrappers", "callbacks")]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
        elif one is not None:
            yield one
