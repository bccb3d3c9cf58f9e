"""Wavelet Edit: an edit that keeps the structure of its source, by the strongest bands of the source's keys and values.

At every step in range the model is asked twice: about the source with this run's noise, whose keys and values are written down,
and about what is sampled, into which their bands are put (W-Edit's modulation). It is done inside of the tiles, so the source of
a tile is the same part of the source picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ...blending.coherence.trajectory import Trajectory
from ...blending.frequency.band_swap import check_share
from ...blending.frequency.wavelet_packages import check_levels, filter_bank
from ...blending.layout.cutting import crop
from ...host.progress import check_cancelled
from ..guide_reference import enlarged, fitting_shape, prepared
from ..patch_order import EDIT, put_wrapper, take_off
from ..recording import recorded_run
from ..run_memory import memory_of, own_noise, with_memory
from ..sampling_range import SamplingRange
from ..tile_place import RUN, WHOLE, place_of, wrap_of
from .source_features import SourceFeatures, check_shown, extreme_blocks

STEP = "tilework_source"
BLOCKS = ("auto", "all")
PLANE = (-2, -1)


@dataclass(frozen=True)
class WaveletEditSettings:
    """The inputs of the node.

    Attributes:
        source: samples of the source's LATENT, of the canvas' size or smaller.
        energy: of the source's keys and values, 0..1.
        wavelet, levels: of the transform.
        blocks: one of BLOCKS.
        where: in the sampling range.
        trajectory: of the source's own run or inversion, or None.

    Raises:
        ValueError: in words for the user.
        RuntimeError: where PyWavelets is missing.
    """

    source: torch.Tensor
    energy: float
    wavelet: str
    levels: int
    blocks: str
    where: SamplingRange
    trajectory: Trajectory | None = None

    def __post_init__(self) -> None:
        check_share(self.energy)
        check_levels(self.levels)
        filter_bank(self.wavelet)
        if self.blocks not in BLOCKS:
            raise ValueError(f"blocks {self.blocks!r} is not known: use one of {', '.join(BLOCKS)}")


def with_wavelet_edit(model: Any, settings: WaveletEditSettings) -> Any:
    """A clone of a MODEL that keeps to a source; applied twice, the last settings count.

    Raises:
        ValueError: in words, for a model whose keys and values are not shown.
    """
    from comfy.patcher_extension import WrappersMP

    patched = model.clone()
    take_off(patched, EDIT)
    if settings.energy == 0 or settings.where.empty:
        return patched
    check_shown(patched.model)
    with_memory(patched)
    put_wrapper(patched, WrappersMP.CALC_COND_BATCH, EDIT, partial(_calc_cond_batch, settings))
    put_wrapper(patched, WrappersMP.APPLY_MODEL, EDIT, _apply_model)
    return patched


class EditRun:
    """What is remembered during one run: the source and the noise on the canvas, and the blocks that were chosen."""

    def __init__(self, settings: WaveletEditSettings, model: Any, noise: torch.Tensor, seed: int | None, wrap: tuple[bool, bool]) -> None:
        self.settings, self.wrap = settings, wrap
        if not settings.source.any():
            raise ValueError("source is an empty latent: connect the source picture's, out of VAE Encode")
        self.noise = own_noise(noise, seed)
        self.source = prepared(settings.source, tuple(noise.shape), model, wrap, "source")
        self.way = None if settings.trajectory is None else recorded_run(settings.trajectory, settings.source)
        if self.way is not None:
            fitting_shape(self.way.shape, tuple(noise.shape), "the recorded run")
        self.blocks: frozenset[int] | None = None

    def at(self, sigma: float) -> torch.Tensor:
        """The clean source on the canvas, as it is followed at a noise level."""
        return self.source if self.way is None else enlarged(self.way.at(sigma), tuple(self.noise.shape), self.wrap)


def _calc_cond_batch(settings, executor, model, conds, x_in, timestep, model_options):
    memory = memory_of(model_options)
    if memory is None or model_options.get(WHOLE) or not settings.where.holds(model.model_sampling, timestep):
        return executor(model, conds, x_in, timestep, model_options)
    run = memory.kept.get(EDIT)
    if run is None:
        run = memory.kept[EDIT] = EditRun(settings, model, memory.noise, memory.seed, wrap_of(model_options))
    noisy = _noisy_source(run, model, x_in, timestep, model_options)
    if noisy is None:
        return executor(model, conds, x_in, timestep, model_options)
    features = SourceFeatures(model, run.blocks, settings.energy, settings.wavelet, settings.levels)
    transformer = {**(model_options.get("transformer_options") or {}), STEP: features}
    options = {**model_options, "transformer_options": transformer}
    if settings.blocks == BLOCKS[0] and run.blocks is None:
        features.measuring = True
        executor(model, conds, noisy, timestep, options)
        features.measuring, run.blocks = False, extreme_blocks(features.fine)
        features.blocks = run.blocks
    check_cancelled()
    executor(model, conds, noisy, timestep, options)
    features.recording = False
    try:
        return executor(model, conds, x_in, timestep, options)
    finally:
        features.clear()


def _noisy_source(run: EditRun, model: Any, x_in: torch.Tensor, timestep: torch.Tensor, options: dict[str, Any]) -> torch.Tensor | None:
    """The source as noisy as what is sampled, in the places of `x_in`; None where that is neither the canvas nor its tiles."""
    sigma = timestep.flatten()[:1]
    large = run.at(float(sigma))
    place, alone = place_of(options), getattr(options.get(RUN), "alone", None)
    if place is not None:
        rects = place.rects
    elif alone is not None:
        rects = (alone.rect,)
    elif x_in.shape[-2:] == run.noise.shape[-2:]:
        rects = None
    else:
        return None
    batch = x_in.shape[0] // (1 if rects is None else len(rects))

    def here(canvas: torch.Tensor) -> torch.Tensor:
        parts = [canvas] if rects is None else [crop(canvas, rect, PLANE, run.wrap) for rect in rects]
        return torch.cat([part.expand(batch, *part.shape[1:]) for part in parts]).to(x_in.device)

    noise, clean = here(run.noise.to(torch.float32)), here(large)
    if noise.shape != x_in.shape:
        return None
    return model.model_sampling.noise_scaling(sigma.to(x_in.device), noise, clean).to(x_in.dtype)


def _apply_model(executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **more):
    options = transformer_options or {}
    features: SourceFeatures | None = options.get(STEP)
    if features is not None:
        text = c_crossattn.shape[1] if c_crossattn is not None and c_crossattn.ndim > 1 else 0
        options = features.patched(tuple(x.shape), text, options)
    return executor(x, t, c_concat, c_crossattn, control, options, **more)
