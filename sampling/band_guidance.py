"""Guidance by bands: the host's guidance is replaced by one that has a weight for the coarse and one for the fine.

It stands behind the host's own guidance, first of the functions there, so that what else changes a prediction after guidance
changes ours, whichever node came first. By then the tiles of a step are one canvas. At cfg 1 the host leaves out the
prediction without the prompt; the steps that need it ask for it, and no others, which are the host's own to the bit.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch

from ..blending.frequency.band_guidance import guide_bands
from ..blending.frequency.wavelet_packages import WAVELETS, check_levels, filter_bank, wavelet_library
from .patch_order import AFTER_GUIDANCE, BANDS, put_wrapper, take_from_guidance, take_off
from .run_memory import memory_of, with_memory
from .sampling_range import SamplingRange
from .tile_place import is_alone, wrap_of

GUIDANCE, ASKED = "tilework_band_guidance", "tilework_band_guidance_asked"
MOST = 100.0
EVER = SamplingRange()
NO_NEGATIVE = (
    "Guidance by Bands weighs what the prompt changes, and there is no prediction without the prompt here: give the sampler a negative "
    "prompt too, an empty one will do (CFGGuider in place of BasicGuider). Models that were distilled for guidance and take no negative "
    "prompt cannot be guided by bands: take the node out"
)


@dataclass(frozen=True)
class BandWeights:
    """What was asked for. Immutable, for clones of a model share it.

    Attributes:
        wavelet: one of `blending.frequency.wavelet_packages.WAVELETS`.
        levels: 1 to 12.
        low, high: weights of the coarse and of the fine, 0 to 100, in place of cfg.
        where: in the sampling range; outside the sampler's cfg counts.

    Raises:
        ValueError: in words for the user.
    """

    wavelet: str = "sym4"
    levels: int = 1
    low: float = 1.0
    high: float = 7.5
    where: SamplingRange = EVER

    def __post_init__(self) -> None:
        if self.wavelet not in WAVELETS:
            raise ValueError(f"wavelet {self.wavelet!r} is not known: use one of {', '.join(WAVELETS)}")
        check_levels(self.levels)
        for name, weight in (("low", self.low), ("high", self.high)):
            if not 0 <= weight <= MOST:
                raise ValueError(f"{name} {weight} is no weight: use 0 to {MOST:.0f}, 1 for what the prompt alone gives")


def guided_by_bands(model: Any, guidance: BandWeights) -> Any:
    """A clone of a MODEL that is guided so; applied to one that is already, the last settings count.

    Raises:
        RuntimeError: where the wavelet libraries are missing.
    """
    from comfy.patcher_extension import WrappersMP

    patched = model.clone()
    take_from_guidance(patched, _after_guidance)
    if guidance.where.empty:
        patched.model_options.pop(GUIDANCE, None)
        take_off(patched, BANDS)
        return patched
    filter_bank(guidance.wavelet)
    wavelet_library("ptwt")
    with_memory(patched)
    patched.model_options[GUIDANCE] = guidance
    # First of all, other packs' too.
    patched.model_options[AFTER_GUIDANCE] = [_after_guidance, *patched.model_options.get(AFTER_GUIDANCE, [])]
    put_wrapper(patched, WrappersMP.PREDICT_NOISE, BANDS, _predict_noise)
    return patched


def _predict_noise(executor, x, timestep, model_options=None, seed=None):
    """One prediction of a guider: asks for both sides of the guidance, and sees to it that it was guided by bands."""
    options, guider = model_options or {}, executor.class_obj
    guidance = options.get(GUIDANCE)
    if guidance is None:
        return executor(x, timestep, options, seed)
    _check(guider, x, options)
    if not guidance.where.holds(guider.inner_model.model_sampling, timestep):
        return executor(x, timestep, options, seed)
    asked: list[bool] = []
    made = executor(x, timestep, {**options, "disable_cfg1_optimization": True, ASKED: asked}, seed)
    if not asked:
        raise ValueError(
            f"Guidance by Bands found no guidance to weigh: {type(guider).__name__} asks for one prediction alone. Give it a negative "
            "prompt and a cfg other than 1, or take the node out"
        )
    return made


def _check(guider: Any, x: torch.Tensor, options: dict[str, Any]) -> None:
    """Refuse at the first call what cannot be done at any, and say what would surprise."""
    if is_alone(options):
        raise ValueError(
            "Guidance by Bands needs predictions of the whole picture, and order sequential makes them tile by tile: use order fused, or "
            "take Guidance by Bands out"
        )
    if x.ndim not in (4, 5):
        raise ValueError(
            f"what is sampled has {x.ndim} dimensions, as latents of several kinds packed into one have, and no plane with bands: take "
            "Guidance by Bands out"
        )
    conds = getattr(guider, "conds", None)
    # Guiders of other packs may name their prompts as they like: what those give is looked at when it is there.
    if isinstance(conds, dict) and not conds.get("negative", len(conds) > 1):
        raise ValueError(NO_NEGATIVE)
    memory = memory_of(options)
    if memory is None or memory.kept.setdefault(BANDS, False):
        return
    memory.kept[BANDS] = True
    params = getattr(getattr(guider.inner_model, "diffusion_model", None), "params", None)
    if getattr(params, "guidance_embed", False):
        logging.warning(
            "Tilework: this model was distilled for guidance and has that of its own prompt node already; Guidance by Bands adds a second "
            "one and doubles the time of its steps. A high over about 2 overdoes it"
        )
    if "sampler_cfg_function" in options:
        logging.warning("Tilework: Guidance by Bands takes the place of the guidance that another node put on this model")


def _after_guidance(args: dict[str, Any]) -> torch.Tensor:
    options = args["model_options"]
    guidance, asked = options.get(GUIDANCE), options.get(ASKED)
    if guidance is None or asked is None:
        return args["denoised"]
    if not args["uncond"]:
        raise ValueError(NO_NEGATIVE)
    asked.append(True)
    weights = guidance.wavelet, guidance.levels, guidance.low, guidance.high
    return guide_bands(args["cond_denoised"], args["uncond_denoised"], *weights, wrap_of(options))
