"""How much memory there is, and whether it has run out, as the host sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

# What the processor's allocator says.
_NO_MEMORY = "can't allocate memory"


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device has no memory left, by the host's own answer, or the main memory has run out."""
    import comfy.model_management as management

    return isinstance(error, MemoryError) or _NO_MEMORY in str(error) or bool(management.is_oom(error))


def run_device() -> torch.device:
    """Where the host runs models."""
    import comfy.model_management as management

    return torch.device(management.get_torch_device())


def free_memory(device: torch.device | None = None) -> int:
    """Bytes that are free now on the host's torch device, less what the host keeps for others (`--reserve-vram`)."""
    import comfy.model_management as management

    free = management.get_free_memory(run_device() if device is None else device)
    return max(0, int(free - management.extra_reserved_memory()))


def free_after_loading(patchers: Sequence[Any], device: torch.device | None = None) -> int:
    """Bytes that are free once the host has loaded one of these models, and has unloaded others to make room.

    The host unloads whatever is in the way of a model that it is asked for, so what happens to be loaded does not count;
    a plan made with this does not change with it. Weights that are larger than the memory stay partly in main memory, and
    the least that the host leaves for inference is there anyhow.

    Args:
        patchers: ModelPatchers, of models that take turns.
    """
    import comfy.model_management as management

    device = run_device() if device is None else torch.device(device)
    free = free_memory(device)
    if device.type in ("cpu", "mps"):
        return free  # weights lie in the same memory, loaded or not
    loaded = sum(one.model_loaded_memory() for one in management.current_loaded_models if one.model is not None and one.device == device)
    weights = max((patcher.model_size() for patcher in patchers), default=0)
    least = min(management.minimum_inference_memory(), free + loaded)
    return int(max(free + loaded - weights, least))
