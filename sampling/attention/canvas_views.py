"""The canvas is shown to the model as a whole, at its native size, before its tiles are."""

from __future__ import annotations

import logging
from typing import Any

import torch

from ...host.latents import cells_per_patch, pixels_per_cell
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
    view = _native_view(settings, model, x_in)
    run = model_options.get(RUN)
    if run is None or view is None:
        reason = "there are no tiles that could see it (add Tiled Sampling)" if run is None else "it is not larger than the native size"
        _tell(model_options, f"no tokens of the whole canvas are used: {reason}")
        return executor(model, conds, x_in, timestep, model_options)
    if run.alone is not None:
        raise ValueError(
            "Tiled Attention with global tokens shows the whole picture to every tile at every step, and order sequential paints tile "
            "after tile: use order fused, or another method"
        )
    canvas = CanvasMemory()
    options = {**model_options, CANVAS: canvas}
    executor(model, _without_places(conds), view, timestep, as_whole(options))
    canvas.recording = False
    return executor(model, conds, x_in, timestep, options)


def _native_view(settings: AttentionSettings, model: Any, canvas: torch.Tensor) -> torch.Tensor | None:
    unit, patch = pixels_per_cell(model), cells_per_patch(model)
    steps = [-(-cells // max(side // unit, 1)) for cells, side in zip(canvas.shape[-2:], settings.native, strict=True)]
    if max(steps) == 1:
        return None
    down, across = steps
    view = canvas[..., down // 2 :: down, across // 2 :: across]
    height, width = (max(side // patch * patch, min(side, patch)) for side in view.shape[-2:])
    return view[..., :height, :width].contiguous()


def _without_places(conds):
    return [
        None if entry is None else [{k: v for k, v in c.items() if k not in ("area", "mask", "control")} for c in entry] for entry in conds
    ]


def _tell(model_options: dict[str, Any], message: str) -> None:
    memory = memory_of(model_options)
    told = set() if memory is None else memory.kept.setdefault(GLOBAL_TOKENS, set())
    if message not in told:
        told.add(message)
        logging.info("Tilework: Tiled Attention: %s", message)
