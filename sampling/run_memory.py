"""What patches remember during one run of a sampler, and only then.

Wrappers are shared by all clones of a model, so they hold no state. A patch that needs some says so when it is put on; the
memory is born when a sampler starts, travels in that run's own model options, and dies with it.
"""

from __future__ import annotations

from typing import Any

import torch

from .patch_order import MEMORY, put_wrapper

RUN_MEMORY = "tilework_memory"


class RunMemory:
    """Of one run.

    Args:
        noise: of the whole canvas, as the sampler was given it.
        latent: what it starts from, before the host scales it for the model.
        seed: of the run, or None.

    Attributes:
        noise, latent, seed: as given.
        kept: what patches remember, by their own keys of patch_order.
    """

    def __init__(self, noise: torch.Tensor | None, latent: torch.Tensor | None, seed: int | None) -> None:
        self.noise, self.latent, self.seed = noise, latent, seed
        self.kept: dict[str, Any] = {}


def with_memory(patched: Any) -> None:
    """See to it that runs of this MODEL's clone have a memory."""
    from comfy.patcher_extension import WrappersMP

    put_wrapper(patched, WrappersMP.OUTER_SAMPLE, MEMORY, _outer_sample)


def memory_of(model_options: dict[str, Any]) -> RunMemory | None:
    """The memory of the run that these options belong to; None outside of a sampler."""
    return model_options.get(RUN_MEMORY)


def own_noise(noise: torch.Tensor, seed: int | None) -> torch.Tensor:
    """The run's noise. A run that goes on with a noisy latent is given none: then what its seed would have given."""
    if noise.any():
        return noise
    drawn = torch.randn(noise.shape, generator=torch.Generator().manual_seed(seed or 0))
    return drawn.to(noise.device, noise.dtype)


def _outer_sample(executor, noise, latent_image, *args, **more):
    options = executor.class_obj.model_options
    seed = more.get("seed", args[5] if len(args) > 5 else None)
    # The host gives every run its own copy of the options, and copies dictionaries in it again: an object stays one.
    options[RUN_MEMORY] = RunMemory(noise, latent_image, seed)
    try:
        return executor(noise, latent_image, *args, **more)
    finally:
        memory = options.pop(RUN_MEMORY, None)
        if memory is not None:
            memory.kept.clear()
            memory.noise = memory.latent = None
