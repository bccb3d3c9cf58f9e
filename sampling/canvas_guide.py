"""Canvas Guide: a large run keeps the composition of a small picture.

Structure and flow change what the model predicts, after guidance and on the whole canvas, when its tiles are fused. Skip
residual changes what the sampler holds. All settings of a model lie in its options, one for each method, and one function and
two wrappers serve them all: the order in which the nodes were applied makes no difference.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import torch

from ..blending.coherence.flow import ACCELERATION, FlowStep, guide_acceleration
from ..blending.coherence.schedules import linear
from ..blending.coherence.skip_residual import StateFollower, draw_to, skip_weight
from ..blending.coherence.structure import guide_structure
from ..blending.coherence.trajectory import Trajectory
from ..blending.frequency.low_pass import FILTERS, factor_of, low_pass
from ..blending.layout.cutting import crop
from ..host.latents import pixels_per_cell
from .guide_reference import enlarged, fitting_shape, prepared
from .patch_order import STATE, put_after_guidance, put_wrapper
from .recording import recorded_run
from .run_memory import memory_of, own_noise, with_memory
from .run_state import step_of
from .sampler_states import ChangedSample, calls_once, check_sampler, with_changed_state
from .sampling_range import SamplingRange, check_strength, is_flow, time_of
from .tile_place import RUN, wrap_of

STRUCTURE, SKIP_RESIDUAL, FLOW, PYRAMID = "structure", "skip residual", "flow", "pyramid"
METHODS = (STRUCTURE, SKIP_RESIDUAL, FLOW, PYRAMID)
GUIDES = "tilework_guides"
PLANE = (-2, -1)


@dataclass(frozen=True, eq=False)
class Guide:
    """What one method was asked for. Immutable, for clones of a model share it.

    Attributes:
        method: one of METHODS but pyramid, which has a file of its own.
        reference: `samples` of a LATENT [B, C, ..., h, w], of the canvas' size or smaller.
        native: side of the picture that the model was made for, in image pixels.
        where: in the sampling range.
        strength: 0 to 1.
        kind, cutoff: of the low pass, see `blending.frequency.low_pass`.
        trajectory: of the run that made the reference: flow needs one, skip residual may follow one.

    Raises:
        ValueError: in words for the user.
    """

    method: str
    reference: torch.Tensor
    native: int
    where: SamplingRange
    strength: float = 1.0
    kind: str = FILTERS[0]
    cutoff: float = 0.0
    trajectory: Trajectory | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS or self.method == PYRAMID:
            raise ValueError(f"method {self.method!r} is not known: use one of {', '.join(METHODS)}")
        check_strength(self.strength)
        if self.kind not in FILTERS:
            raise ValueError(f"filter {self.kind!r} is not known: use one of {', '.join(FILTERS)}")
        factor_of(self.cutoff, 1, 1)
        if self.method == FLOW and self.trajectory is None:
            raise ValueError("method flow follows the way of a small run: connect the trajectory of Record Run, or use method structure")


def guided(model: Any, guide: Guide) -> Any:
    """A clone of a MODEL that keeps to a guide. One method given twice: the last counts; several are all at work."""
    from comfy.patcher_extension import WrappersMP

    patched = model.clone()
    others = {method: one for method, one in patched.model_options.get(GUIDES, {}).items() if method != guide.method}
    nothing = guide.strength == 0 or guide.where.empty
    patched.model_options[GUIDES] = others if nothing else {**others, guide.method: guide}
    if nothing:
        return patched
    with_memory(patched)
    put_wrapper(patched, WrappersMP.OUTER_SAMPLE, STATE, _outer_sample)
    put_wrapper(patched, WrappersMP.SAMPLER_SAMPLE, STATE, _sampler_sample)
    put_after_guidance(patched, STATE, _after_guidance)
    return patched


class GuidedRun:
    """One run of a sampler under guides: the references as the run needs them, and what flow remembers of the last step.

    Args:
        guides: by their methods.
        model: the BaseModel.
        canvas: shape of what is sampled, [B, C, ..., H, W].
        sampler: the SAMPLER.

    Raises:
        ValueError: in words, before anything runs, where it cannot be done.
    """

    def __init__(self, guides: dict[str, Guide], model: Any, canvas: tuple[int, ...], sampler: Any) -> None:
        if len(canvas) not in (4, 5):
            raise ValueError(
                f"the latent has {len(canvas)} dimensions and no plane to guide: sample it without Keep Composition, or give "
                "it a latent of pictures"
            )
        self.guides, self.model, self.canvas = guides, model, canvas
        self.one_call = calls_once(sampler)
        self._large: dict[str, torch.Tensor] = {}
        self._low: dict[tuple, torch.Tensor] = {}
        # Of the step before and of this one, about which the model may be asked more than once.
        self._before: FlowStep | None = None
        self._now: FlowStep | None = None
        if SKIP_RESIDUAL in guides:
            check_sampler(sampler)
        for guide in guides.values():
            fitting_shape(tuple(guide.reference.shape), canvas)
            if not guide.reference.any():
                raise ValueError("reference is an empty latent: connect the small picture's, from a sampler or a VAE Encode")
        self.ways = {name: recorded_run(one.trajectory, one.reference) for name, one in guides.items() if one.trajectory is not None}
        for way in self.ways.values():
            fitting_shape(way.shape, canvas, "the recorded run")
        if FLOW in guides and not self.one_call:
            logging.info("Tilework: flow leads the direction alone, for this sampler calls the model several times in a step")

    def factor(self, guide: Guide) -> float:
        """Of a guide's low pass."""
        side = math.sqrt(self.canvas[-2] * self.canvas[-1]) * pixels_per_cell(self.model)
        return factor_of(guide.cutoff, side, guide.native)

    def reference(self, guide: Guide, like: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
        """A guide's, for the canvas, or for the tile that is sampled by itself; on the device of `like`."""
        if guide.method not in self._large:
            self._large[guide.method] = prepared(guide.reference, self.canvas, self.model, wrap_of(options)).to(like.device)
        return _part(self._large[guide.method], options)

    def guide(self, x0: torch.Tensor, args: dict[str, Any]) -> torch.Tensor:
        """A prediction of the whole canvas (or of a tile that is sampled by itself) after guidance, as the host's `args` tell of it."""
        options, sigma, sampling = args["model_options"], args["sigma"], args["model"].model_sampling
        if tuple(x0.shape[-2:]) != _cells(self.canvas, options):
            return x0  # somebody asks about something else
        at_work = {method: one for method, one in self.guides.items() if one.where.holds(sampling, sigma)}
        if FLOW in at_work:
            x0 = self._follow(at_work[FLOW], x0, args["input"], float(sigma.flatten()[0]), options)
        if STRUCTURE in at_work:
            one = at_work[STRUCTURE]
            x0 = guide_structure(x0, self._low_of(one, x0, options), one.strength, one.kind, self.factor(one), wrap_of(options))
        return x0

    def predicted(self, method: str, sigma: float, like: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
        """What the run that a guide follows predicted at a noise level, as `reference` gives it."""
        return _part(enlarged(self.ways[method].at(sigma).to(like.device), self.canvas, wrap_of(options)), options)

    def _low_of(self, guide: Guide, x0: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
        alone = _alone(options)
        key = (guide.method, None if alone is None else alone.index)
        if key not in self._low:
            self._low.clear()
            self._low[key] = low_pass(self.reference(guide, x0, options), guide.kind, self.factor(guide), wrap_of(options))
            if alone is None:
                del self._large[guide.method]
        return self._low[key]

    def _follow(self, guide: Guide, x0: torch.Tensor, x: torch.Tensor, sigma: float, options: dict[str, Any]) -> torch.Tensor:
        wrap = wrap_of(options)
        reference = self.predicted(FLOW, sigma, x0, options)
        step, steps = step_of(torch.tensor(sigma), options), len(options["transformer_options"]["sample_sigmas"]) - 1
        strength = guide.strength * linear(step, steps)
        low = low_pass(reference, guide.kind, self.factor(guide), wrap)
        x0 = guide_structure(x0, low, strength, guide.kind, self.factor(guide), wrap)
        if self.one_call:
            if self._now is not None and self._now.step < step:
                self._before = self._now
            x0, self._now = guide_acceleration(x, x0, reference, sigma, step, self._before, strength * ACCELERATION)
        return x0

    def end(self) -> None:
        """Let go of everything."""
        self._large.clear()
        self._low.clear()
        self.ways.clear()
        self._before = self._now = None


def _outer_sample(executor, noise, latent_image, sampler, *args, **more):
    """One run: it is looked through before the model is loaded."""
    guider = executor.class_obj
    guides, memory = guider.model_options.get(GUIDES), memory_of(guider.model_options)
    if not guides or memory is None:
        return executor(noise, latent_image, sampler, *args, **more)
    run = memory.kept[STATE] = GuidedRun(guides, guider.model_patcher.model, tuple(noise.shape), sampler)
    try:
        return executor(noise, latent_image, sampler, *args, **more)
    finally:
        run.end()


def _sampler_sample(executor, guider, sigmas, extra_args, *args, **more):
    """The sampler itself: with skip residual, a copy of it whose state is drawn to the reference."""
    run = _run_of(extra_args["model_options"])
    guide = None if run is None else run.guides.get(SKIP_RESIDUAL)
    if guide is not None:
        # This run's own executor: whatever wrapper stands between here and the sampler is called as ever.
        executor.original = _drawn(executor.class_obj, run, guide)
    return executor(guider, sigmas, extra_args, *args, **more)


def _drawn(sampler: Any, run: GuidedRun, guide: Guide) -> ChangedSample:
    """A sampler's `sample`, called with the whole canvas, or tile by tile."""

    def prepare(guider, extra_args, noise):
        sampling, options = guider.inner_model.model_sampling, extra_args["model_options"]
        noised = _followed(run, options) if SKIP_RESIDUAL in run.ways else _noised(run, guide, sampling, extra_args, noise)

        def draw(held: torch.Tensor, sigma: torch.Tensor) -> None:
            # The way is followed from the first step on, wherever the range begins.
            weight = skip_weight(time_of(sampling, sigma), guide.strength) if guide.where.holds(sampling, sigma) else 0.0
            target = noised(held, sigma) if weight > 0 or SKIP_RESIDUAL in run.ways else None
            if weight > 0:
                draw_to(held, target, weight)

        return with_changed_state(sampler, draw, is_flow(sampling))

    return ChangedSample(prepare)


def _noised(run: GuidedRun, guide: Guide, sampling: Any, extra_args: dict[str, Any], noise: torch.Tensor):
    """(held, noise level) -> the reference, noised to that level with the run's own noise."""
    reference, own = run.reference(guide, noise, extra_args["model_options"]), own_noise(noise, extra_args.get("seed"))
    return lambda held, sigma: sampling.noise_scaling(sigma, own, reference)


def _followed(run: GuidedRun, options: dict[str, Any]):
    """The same for a recorded run: the state it had at that level, had it begun with what the sampler begins with."""
    way = run.ways[SKIP_RESIDUAL]
    follower = StateFollower(way.levels, lambda level, like: run.predicted(SKIP_RESIDUAL, level, like, options))
    return lambda held, sigma: follower.at(held, float(sigma.flatten()[0]))


def _after_guidance(args: dict[str, Any]) -> torch.Tensor:
    run = _run_of(args["model_options"])
    return args["denoised"] if run is None else run.guide(args["denoised"], args)


def _run_of(options: dict[str, Any]) -> GuidedRun | None:
    memory = memory_of(options)
    return None if memory is None else memory.kept.get(STATE)


def _alone(options: dict[str, Any]):
    """The tile that is sampled by itself just now, or None."""
    return getattr(options.get(RUN), "alone", None)


def _part(large: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
    alone = _alone(options)
    return large if alone is None else crop(large, alone.rect, PLANE)


def _cells(canvas: tuple[int, ...], options: dict[str, Any]) -> tuple[int, int]:
    alone = _alone(options)
    return tuple(canvas[-2:]) if alone is None else alone.shape
