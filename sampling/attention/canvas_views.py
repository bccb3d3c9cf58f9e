"""The canvas is shown to the model as a whole, at its native size, before its tiles are."""

from __future__ import annotations

import logging
from typing import Any

import torch

from ...blending.fusion.dilated import StridedView, stride_for, view_shape
from ...host.latents import cells_per_patch, pixels_per_cell
from ...host.progress import check_cancelled
from ..conditions.whole_views import WholeViews
from ..patch_order import GLOBAL_TOKENS
from ..run_memory import memory_of
from ..tile_place import WHOLE, as_whole
from ..tiled_model import RUN
from .canvas_memory import CanvasMemory
from .settings import GLOBAL_TOKENS as WITH_CANVAS
from .settings import AttentionSettings

CANVAS = "tilework_canvas_tokens"


def show_canvas_first(settings: AttentionSettings, executor, model, conds, x_in, timestep, model_options):
    """CALC_COND_BATCH, outside of the tiles: one more call of the model, with a view of the canvas at native size.

    Raises:
        ValueError: with order sequential, which knows no whole canvas.
    """
    idle = settings.idle or settings.method != WITH_CANVAS or not settings.span.holds(model.model_sampling, timestep)
    if idle or model_options.get(WHOLE):
        return executor(model, conds, x_in, timestep, model_options)
    run = model_options.get(RUN)
    if run is not None and run.alone is not None:
        raise ValueError(
            "Tiled Attention with global tokens shows the whole picture to every tile at every step, and order sequential paints tile "
            "after tile: use order fused, or another method"
        )
    memory = memory_of(model_options)
    kept = {} if memory is None else memory.kept.setdefault(GLOBAL_TOKENS, {})
    view = _native_view(model, x_in.shape, native_cells(model, settings))
    one_tile = run is not None and run.canvas(model, x_in.shape).covered_by_one
    if run is None or view is None or one_tile:
        if "told" not in kept:
            reason = "there are no tiles that could see it (add Tiled Sampling)" if run is None else "it is not larger than the native size"
            reason = "one tile covers it" if one_tile else reason
            logging.info("Tilework: Tiled Attention: no tokens of the whole picture are used: %s", reason)
        kept["told"] = True
        return executor(model, conds, x_in, timestep, model_options)
    if x_in.shape not in kept:
        # What a ControlNet has made of its hint is kept for the next step.
        kept[x_in.shape] = WholeViews(x_in.shape[2:], pixels_per_cell(model), x_in.device)
    check_cancelled()
    canvas = CanvasMemory()
    options = {**model_options, CANVAS: canvas}
    executor(model, kept[x_in.shape].conds(conds, view), view.gather(x_in).contiguous(), timestep, as_whole(options))
    canvas.recording = False
    return executor(model, conds, x_in, timestep, options)


def native_cells(model: Any, settings: AttentionSettings) -> tuple[int, int]:
    """(height, width) of the native size of a BaseModel, in cells; at least one."""
    return tuple(max(side // pixels_per_cell(model), 1) for side in settings.native)


def _native_view(model: Any, shape: torch.Size, native: tuple[int, int]) -> StridedView | None:
    """The middle one of the views of the canvas whose size comes nearest to the native one; None where that is the canvas."""
    canvas = tuple(shape[-2:])
    stride = stride_for(canvas, native)
    if stride == 1:
        return None
    return StridedView(0, (stride // 2, stride // 2), stride, canvas, view_shape(canvas, stride, cells_per_patch(model)))
