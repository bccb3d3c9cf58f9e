"""Whole-Canvas Views: at every step the model is also shown the whole canvas, in small, and what it says of that counts.

DemoFusion's dilated sampling, with AccDiffusion's exchange of cells between the views, on predictions of the clean latent:
`x0 <- (1 - w) x0 + w (views' x0)`, w falling from `strength` to nothing. The views are taken from a blurred canvas; what the
blur took off stands in the canvas' x0 unchanged, which says the same as DemoFusion's step of the unblurred view.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ..blending.coherence.schedules import cosine
from ..blending.fusion.dilated import StridedView, exchanged, restated, stride_for, strided_views
from ..blending.fusion.fuse import fuse
from ..host.latents import cells_per_patch, pixels_per_cell
from ..models.native_size import native_size
from .patch_order import DILATED, put_wrapper, take_off
from .run_memory import memory_of, with_memory
from .run_state import step_of
from .sampling_range import SamplingRange, time_of
from .tile_place import WHOLE, is_alone
from .whole_canvas import check_views, whole_canvas

# Below this the views are not asked any more: they cost as much as ever.
LEAST_WEIGHT = 0.01
# A step that leaves less than this of its level's noise.
LONG_STEP = 0.1
# Cells, the standard deviation of the blur at the beginning; a hundredth of it at the end. DemoFusion has 1, AccDiffusion 0.8:
# on the test bed a half is as coherent, and the UNet's pictures are sharper by a third.
BLUR = 0.5


@dataclass(frozen=True)
class ViewSettings:
    """The inputs of the node. Immutable, for clones of a model share it.

    Attributes:
        native: (height, width) in image pixels that the model was made for.
        strength: of the views where they count most.
        at_work: when.
        interaction: whether the views exchange their cells.
    """

    native: tuple[int, int]
    strength: float
    at_work: SamplingRange
    interaction: bool


def with_dilated_views(model: Any, native_width: int, native_height: int, strength: float, end: float, interaction: bool) -> Any:
    """A clone of a MODEL that is shown its whole canvas as well. Applied to one that is already, it replaces the settings.

    Args:
        model: the MODEL.
        native_width, native_height: image pixels that it was made for; 0 for what it is recognised as.
        strength: 0 (nothing) to 1.
        end: share of the sampling range.
        interaction: whether the views exchange their cells, at every step in another way.

    Raises:
        ValueError: in words for the user.
    """
    from comfy.patcher_extension import WrappersMP

    for name, value in (("native_width", native_width), ("native_height", native_height)):
        if value < 0:
            raise ValueError(f"{name} {value} is no size: use 0 for the model's own, or for example 1024")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength {strength} is not between 0 and 1: use 1 for the views as DemoFusion has them, 0 for none")
    side = native_size(model).side
    settings = ViewSettings((native_height or side, native_width or side), strength, SamplingRange(0.0, end), interaction)
    patched = model.clone()
    take_off(patched, DILATED)
    if strength > 0 and not settings.at_work.empty:
        with_memory(patched)
        put_wrapper(patched, WrappersMP.OUTER_SAMPLE, DILATED, _outer_sample)
        put_wrapper(patched, WrappersMP.CALC_COND_BATCH, DILATED, partial(_calc_cond_batch, settings))
    return patched


def _outer_sample(executor, *args, **more):
    check_views(executor.class_obj.model_options)
    return executor(*args, **more)


def _calc_cond_batch(settings: ViewSettings, executor, model, conds, x_in, timestep, model_options):
    """One prediction of the whole canvas, with that of its views mixed in."""
    views = [] if model_options.get(WHOLE) or is_alone(model_options) else _views(settings, model, x_in, model_options)
    weight = settings.strength * cosine(time_of(model.model_sampling, timestep))
    if not views or weight < LEAST_WEIGHT or not settings.at_work.holds(model.model_sampling, timestep):
        return executor(model, conds, x_in, timestep, model_options)
    # Before the tiles: what patches remember of the model's last call is to be the canvas'.
    seen = _predicted(settings, views, executor, model, conds, x_in, timestep, model_options)
    said = executor(model, conds, x_in, timestep, model_options)
    return [part if whole is None else torch.lerp(part, whole.to(part), weight) for part, whole in zip(said, seen, strict=True)]


def _views(settings: ViewSettings, model: Any, x: torch.Tensor, options: dict) -> list[StridedView]:
    """The views of a canvas; none where it is as large as one."""
    unit, cells = pixels_per_cell(model), (x.shape[-2], x.shape[-1])
    stride = stride_for(cells, tuple(max(side // unit, 1) for side in settings.native))
    if stride > 1:
        return strided_views(cells, stride, cells_per_patch(model))
    whole_canvas(DILATED, model, x, options).notices.warn(
        "small",
        f"Whole-Canvas Views does nothing here: the picture of {cells[1] * unit} x {cells[0] * unit} px is about as large as the "
        f"{settings.native[1]} x {settings.native[0]} px that the model was made for",
    )
    return []


def _predicted(
    settings: ViewSettings, views: list[StridedView], executor, model, conds, x: torch.Tensor, timestep: torch.Tensor, options: dict
) -> list[torch.Tensor | None]:
    """What the model says of all views, put together to a canvas; None where nothing was asked."""
    canvas = whole_canvas(DILATED, model, x, options)
    stride, shape = views[0].stride, x.shape
    soft = restated(x, stride, BLUR * (0.99 * cosine(time_of(model.model_sampling, timestep)) + 0.01))
    seen, taken = soft, None
    if settings.interaction:
        memory = memory_of(options)
        seed = 0 if memory is None else memory.seed or 0
        taken = exchanged(canvas.cells, stride, seed * 100_003 + step_of(timestep, options)).to(x.device)
        seen = soft.flatten(-2)[..., taken].view(shape)
    said = fuse(canvas.asking(executor, model, conds, timestep, options, len(views)), seen, views, canvas.batches.even)
    if taken is not None:
        back = taken.argsort()
        said = [None if part is None else part.flatten(-2)[..., back].view(part.shape) for part in said]
    kept = (x - soft) * _kept_in(timestep, options)
    return [None if part is None else part + kept for part in said]


def _kept_in(timestep: torch.Tensor, options: dict) -> float:
    """How much of the noise that the blur took off stays in the canvas: all of it, to be seen by the next step.

    Where a step takes nearly all noise at once (the first one of a schedule without signal at its end), no more than twice what the
    next level has: later steps would take the rest for content.
    """
    schedule, level = options.get("transformer_options", {}).get("sample_sigmas"), float(timestep.flatten()[0])
    at = step_of(timestep, options) + 1
    if schedule is None or at >= len(schedule) or not 0 < float(schedule[at]) < LONG_STEP * level:
        return 1.0
    ratio = float(schedule[at]) / level
    return ratio / (1 - ratio)
