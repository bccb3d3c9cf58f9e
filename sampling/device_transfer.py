"""What a call of the model needs, brought to another device."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch

Cond = dict[str, Any]


def conditions_on(conds: Sequence[list[Cond] | None], device: torch.device) -> list[list[Cond] | None]:
    """Conditions, as CALC_COND_BATCH gets them, on another device; those given are not changed.

    Of each what the model is given is moved (`model_conds`) and its mask; of its control the host's own copy for that device is taken.
    """
    return [None if entry is None else [_condition_on(cond, device) for cond in entry] for entry in conds]


def _condition_on(cond: Cond, device: torch.device) -> Cond:
    made = dict(cond)
    for name in ("model_conds", "mask"):
        if name in made:
            made[name] = on_device(made[name], device)
    if made.get("control") is not None:
        made["control"] = made["control"].get_instance_for_device(device)
    return made


def options_on(model_options: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Model options on another device; those given are not changed.

    Tensors in the transformer options are moved. Patches are handed on as they are: `one_device` keeps tiles on one device where the
    host would move a patch.
    """
    transformer = on_device(model_options.get("transformer_options") or {}, device)
    # As the host says it, for patches that ask.
    transformer["multigpu_thread_device"] = device
    return {**model_options, "transformer_options": transformer}


def on_device(value: Any, device: torch.device) -> Any:
    """The same value with its tensors on another device: a tensor, one of the host's wrappings of a condition, or containers of them."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: on_device(part, device) for key, part in value.items()}
    if isinstance(value, list):
        return [on_device(part, device) for part in value]
    if isinstance(value, tuple):
        parts = [on_device(part, device) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if hasattr(value, "process_cond") and hasattr(value, "cond"):
        made = copy.copy(value)
        made.cond = on_device(value.cond, device)
        return made
    return value
