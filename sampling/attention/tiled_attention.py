"""A model whose attention over a large picture goes over parts of the size that it was trained on.

Two wrappers on the host's own hooks: CALC_COND_BATCH says that this step is in the range, and with which seed; APPLY_MODEL, which
knows the size of the latent that the network really gets, sets the attention function in the options of that one call. Nothing
is kept on the model, and a function that another pack has set there is asked instead of the host's.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..patch_order import ATTENTION, GLOBAL_TOKENS, put_wrapper
from ..run_memory import memory_of, with_memory
from ..run_state import step_of
from ..tile_place import WHOLE, place_of
from .canvas_memory import CanvasMemory
from .canvas_views import CANVAS, native_cells, show_canvas_first
from .picture_attention import OVERRIDE, PictureAttention, StepAttention
from .settings import GLOBAL_TOKENS as WITH_CANVAS
from .settings import AttentionSettings

STEP = "tilework_attention"


def with_tiled_attention(model: Any, settings: AttentionSettings) -> Any:
    """A clone of a MODEL with Tiled Attention. Applied to one that has it already, it replaces the settings."""
    from comfy.patcher_extension import WrappersMP

    patched = model.clone()
    with_memory(patched)
    put_wrapper(patched, WrappersMP.CALC_COND_BATCH, GLOBAL_TOKENS, partial(show_canvas_first, settings))
    put_wrapper(patched, WrappersMP.CALC_COND_BATCH, ATTENTION, partial(_calc_cond_batch, settings))
    put_wrapper(patched, WrappersMP.APPLY_MODEL, ATTENTION, _apply_model)
    return patched


def _calc_cond_batch(settings: AttentionSettings, executor, model, conds, x_in, timestep, model_options):
    canvas: CanvasMemory | None = model_options.get(CANVAS)
    # A small view of the whole canvas has nothing to attend to beside itself; but the canvas' tokens are got from one.
    beside = canvas is not None and canvas.recording == bool(model_options.get(WHOLE)) and _in_tiles_or_view(model_options)
    idle = settings.idle or not settings.span.holds(model.model_sampling, timestep) or (settings.method == WITH_CANVAS and not beside)
    if idle:
        return executor(model, conds, x_in, timestep, model_options)
    memory = memory_of(model_options)
    told = set() if memory is None else memory.kept.setdefault(ATTENTION, set())
    seed = 0 if memory is None else memory.seed or 0
    step = StepAttention(settings, native_cells(model, settings), seed, step_of(timestep, model_options), told, canvas)
    whole = model_options.get(WHOLE) or settings.method == WITH_CANVAS
    if not whole and all(side <= most for side, most in zip(x_in.shape[-2:], step.native, strict=True)):
        what = "tiles are" if place_of(model_options) is not None else "latent is"
        step.tell(f"the {what} not larger than the native size of {settings.native[1]} x {settings.native[0]} px: nothing to do")
    transformer = {**(model_options.get("transformer_options") or {}), STEP: step}
    return executor(model, conds, x_in, timestep, {**model_options, "transformer_options": transformer})


def _in_tiles_or_view(model_options: dict[str, Any]) -> bool:
    return bool(model_options.get(WHOLE)) or place_of(model_options) is not None


def _apply_model(executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **more):
    options = transformer_options or {}
    step: StepAttention | None = options.get(STEP)
    if step is not None:
        text = c_crossattn.shape[1] if c_crossattn is not None and c_crossattn.ndim > 1 else 0
        options = {**options, OVERRIDE: PictureAttention(step, executor.class_obj, tuple(x.shape), text, options)}
    return executor(x, t, c_concat, c_crossattn, control, options, **more)
