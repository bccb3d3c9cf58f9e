"""Record Run: a model that writes down what it predicts of the finished picture at every noise level.

ComfyUI keeps what nodes gave, and runs only those again whose inputs changed. So the large run may be repeated while the small
one is not, or the small one may come out of the memory of an earlier evening. A recording is therefore found by the picture it
ended with: whoever reads it also takes that run's LATENT.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from functools import partial
from typing import Any

import torch

from ..blending.coherence.trajectory import Trajectory
from .patch_order import RECORD, put_wrapper
from .run_memory import memory_of, with_memory

# Runs of the last time, by the picture each ended with; each is bounded by itself.
MOST_RUNS = 4
_finished: OrderedDict[bytes, Trajectory] = OrderedDict()


def recorded(model: Any, trajectory: Trajectory) -> Any:
    """A clone of a MODEL that records its runs in `trajectory`; applied to one that does already, it replaces it."""
    from comfy.patcher_extension import WrappersMP

    patched = model.clone()
    with_memory(patched)
    put_wrapper(patched, WrappersMP.OUTER_SAMPLE, RECORD, partial(_outer_sample, trajectory))
    put_wrapper(patched, WrappersMP.SAMPLER_SAMPLE, RECORD, _sampler_sample)
    put_wrapper(patched, WrappersMP.PREDICT_NOISE, RECORD, partial(_predict_noise, trajectory))
    return patched


def recorded_run(trajectory: Trajectory, samples: torch.Tensor) -> Trajectory:
    """The recording of the run that ended with `samples` (of a LATENT); else what `trajectory` holds.

    Raises:
        ValueError: in words, where neither is there, or it cannot be known which of several runs is meant.
    """
    if not isinstance(trajectory, Trajectory):
        raise ValueError(f"trajectory is a {type(trajectory).__name__}: connect the trajectory output of Record Run or Picture to Noise")
    if trajectory.inverted and trajectory.done:
        return trajectory.snapshot()
    digest = _digest(samples)
    if digest in _finished:
        _finished.move_to_end(digest)
        return _finished[digest]
    if not len(trajectory) or not trajectory.done:
        state = "did not come to its end" if len(trajectory) else "is empty"
        raise ValueError(
            f"the recorded run {state}: sample the small picture with the model that comes out of Record Run, and connect the LATENT of "
            "that very sampler to reference; if it was sampled long ago, change its seed, so that it runs again"
        )
    if trajectory.runs > 1:
        raise ValueError(
            f"the reference is not the picture that the recorded run ended with, and of {trajectory.runs} runs of this Record Run the last "
            f"{MOST_RUNS} are kept: connect the LATENT of that very sampler to reference, and give pictures one by one"
        )
    logging.warning(
        "Tilework: the reference is not the picture that the recorded run ended with: connect the LATENT of that very sampler to "
        "reference; of several runs of one Record Run the last %d are kept",
        MOST_RUNS,
    )
    return trajectory.snapshot()


def _outer_sample(trajectory, executor, noise, latent_image, *args, **more):
    if getattr(noise, "is_nested", False) or noise.ndim not in (4, 5):
        raise ValueError("Record Run can keep pictures only: what is sampled is packed from several latents; take Record Run out")
    trajectory.begin()
    made = executor(noise, latent_image, *args, **more)
    trajectory.done = len(trajectory) > 0
    if trajectory.done:
        digest = _digest(made)
        _finished[digest] = trajectory.snapshot()
        _finished.move_to_end(digest)
        if len(_finished) > MOST_RUNS:
            _finished.popitem(last=False)
    return made


def _sampler_sample(executor, guider, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False):
    memory = memory_of(extra_args["model_options"])
    if memory is not None:
        memory.kept[RECORD] = noise.shape, latent_image, denoise_mask
    return executor(guider, sigmas, extra_args, callback, noise, latent_image, denoise_mask, disable_pbar)


def _predict_noise(trajectory, executor, x, timestep, model_options=None, seed=None):
    x0 = executor(x, timestep, model_options or {}, seed)
    memory = memory_of(model_options or {})
    shape, latent, mask = (None, None, None) if memory is None else memory.kept.get(RECORD, (None, None, None))
    if shape is None:
        return x0
    if x0.shape != shape:
        raise ValueError(
            "Record Run needs predictions of the whole picture, and order sequential makes them tile by tile: use order fused, or take "
            "Record Run out"
        )
    # Outside of a noise mask the picture is what it was, whatever the model said.
    trajectory.record(float(timestep.flatten()[0]), x0 if mask is None else x0 * mask + latent * (1 - mask))
    return x0


def _digest(samples: torch.Tensor) -> bytes:
    """Of a picture's values, as half precision tells them apart: the host may keep it in that."""
    half = samples.detach().to("cpu", torch.float16).contiguous()
    return hashlib.blake2b(half.numpy().tobytes() + repr(tuple(half.shape)).encode(), digest_size=16).digest()
