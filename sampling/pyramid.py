"""Canvas Guide's method pyramid: the canvas, pooled to the model's size, guides itself. It needs no small picture.

`x0 <- x0 + strength (LP(up(D(pool(x), sigma / s))) - LP(x0))`, on the fused canvas: the coarse of every prediction is what the
model says of the whole scene at its own size. Costs one prediction of a small picture at each step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ..blending.coherence.pyramid import pooled_level
from ..blending.coherence.structure import guide_structure
from ..blending.frequency.low_pass import FILTERS, factor_of, low_pass
from ..blending.fusion.dilated import stride_for
from ..blending.fusion.pooled import pooled_view
from ..host.latents import cells_per_patch, pixels_per_cell
from ..models.native_size import native_size
from .guide_reference import enlarged
from .patch_order import PYRAMID, put_wrapper, take_off
from .run_memory import with_memory
from .sampling_range import SamplingRange, check_strength, is_flow
from .tile_place import WHOLE, is_alone, wrap_of
from .whole_canvas import WholeCanvas, check_views, whole_canvas


@dataclass(frozen=True)
class PyramidSettings:
    """Immutable, for clones of a model share it.

    Attributes:
        strength: 0 to 1.
        at_work: when.
        filter_kind: of the low pass.
        cutoff: the small picture's side as a share of the canvas'; 0 for the side that the model was made for.
        native: side in image pixels that the model was made for.
    """

    strength: float
    at_work: SamplingRange
    filter_kind: str
    cutoff: float
    native: int


def put_pyramid(patched: Any, strength: float, sampling_range: SamplingRange, filter_kind: str, cutoff: float) -> None:
    """Let a MODEL's clone be guided by its own pooled canvas. Put on again, the last settings count.

    Args:
        patched: the clone; it is changed.
        strength: 0 (off) to 1.
        sampling_range: when it is at work.
        filter_kind: one of `blending.frequency.low_pass.FILTERS`.
        cutoff: the small picture's side as a share of the canvas', 0 for the size that the model was made for.

    Raises:
        ValueError: in words for the user.
    """
    from comfy.patcher_extension import WrappersMP

    check_strength(strength)
    if filter_kind not in FILTERS:
        raise ValueError(f"filter {filter_kind!r} is not known: use one of {', '.join(FILTERS)}")
    factor_of(cutoff, 1, 1)
    take_off(patched, PYRAMID)
    if strength == 0 or sampling_range.empty:
        return
    settings = PyramidSettings(strength, sampling_range, filter_kind, cutoff, native_size(patched).side)
    with_memory(patched)
    put_wrapper(patched, WrappersMP.OUTER_SAMPLE, PYRAMID, _outer_sample)
    put_wrapper(patched, WrappersMP.CALC_COND_BATCH, PYRAMID, partial(_calc_cond_batch, settings))


def _outer_sample(executor, *args, **more):
    check_views(executor.class_obj.model_options)
    return executor(*args, **more)


def _calc_cond_batch(settings: PyramidSettings, executor, model, conds, x_in, timestep, model_options):
    """One prediction of the whole canvas, its coarse led by that of the pooled canvas."""
    passed_by = model_options.get(WHOLE) or is_alone(model_options) or not settings.at_work.holds(model.model_sampling, timestep)
    stride = 1 if passed_by else _stride(settings, model, x_in, model_options)
    if stride == 1:
        return executor(model, conds, x_in, timestep, model_options)
    # Before the tiles: what patches remember of the model's last call is to be the canvas'.
    small = _predicted(stride, executor, model, conds, x_in, timestep, model_options)
    said = executor(model, conds, x_in, timestep, model_options)
    wrap = wrap_of(model_options)
    return [
        part if one is None else _led(part, enlarged(one.to(part), tuple(x_in.shape), wrap), settings, stride, wrap)
        for part, one in zip(said, small, strict=True)
    ]


def _led(x0: torch.Tensor, guide: torch.Tensor, settings: PyramidSettings, stride: int, wrap: tuple[bool, bool]) -> torch.Tensor:
    low = low_pass(guide, settings.filter_kind, stride, wrap)
    return guide_structure(x0, low, settings.strength, settings.filter_kind, stride, wrap)


def _stride(settings: PyramidSettings, model: Any, x: torch.Tensor, options: dict) -> int:
    """Cells of the canvas to one of the small picture, along a side; 1 where the canvas is as small."""
    unit, cells = pixels_per_cell(model), (x.shape[-2], x.shape[-1])
    side = max(settings.native // unit, 1)
    stride = max(round(1 / settings.cutoff), 1) if settings.cutoff else stride_for(cells, (side, side))
    if stride == 1 and settings.cutoff:
        whole_canvas(PYRAMID, model, x, options).notices.warn(
            "large cutoff",
            f"Keep Composition's pyramid does nothing with a cutoff of {settings.cutoff}: it looks at the picture at 1/2, 1/3, "
            "1/4 ... of its size; use 0.5 or less",
        )
    elif stride == 1:
        whole_canvas(PYRAMID, model, x, options).notices.warn(
            "small",
            f"Keep Composition's pyramid does nothing here: the picture of {cells[1] * unit} x {cells[0] * unit} px is about as "
            f"large as the {settings.native} px that the model was made for; a cutoff of 0.5 makes it look at half the size",
        )
    return stride


def _predicted(stride: int, executor, model, conds, x: torch.Tensor, timestep: torch.Tensor, options: dict) -> list[torch.Tensor | None]:
    """What the model says of the pooled canvas, [B, C, ..., h, w] per list of conditions; None where nothing was asked."""
    canvas: WholeCanvas = whole_canvas(PYRAMID, model, x, options)
    view = pooled_view(canvas.cells, stride, cells_per_patch(model))
    sampling, sigma = model.model_sampling, float(timestep.flatten()[0])
    small, level = pooled_level(view.gather(x.float()), sigma, stride, is_flow(sampling), float(sampling.sigma_min))
    times = torch.full_like(timestep, level)
    transformer = {**(options.get("transformer_options") or {}), "sigmas": times}
    ask = canvas.asking(executor, model, conds, times, {**options, "transformer_options": transformer}, sigma=sigma)
    return ask(small.to(x.dtype), [view])
