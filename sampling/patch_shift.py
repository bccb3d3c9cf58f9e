"""Hide Patch Grid: on every second step the picture is moved by half a patch under the model's patches.

Models that cut their latent into patches can leave faint lines where the patches meet. Padded by half a patch on alternate steps
the patches' borders lie in the middle of what they were, and no line is drawn twice at one place (the cure of I-Max,
arXiv 2410.07536, and of HiFlow). Inside of the tiles, and without them.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import torch

from ..blending.layout.grid import Rect
from ..host.latents import cells_per_patch, pixels_per_cell
from .conditions.cropping import ConditionCropper
from .conditions.planes import cut_plane
from .patch_order import PATCH_SHIFT, put_wrapper, take_off
from .positions import at_place, heeds_positions, model_name
from .run_memory import memory_of, with_memory
from .run_state import step_of
from .sampling_range import SamplingRange
from .tile_identities import told_apart
from .tile_place import PLACE, WHOLE
from .whole_canvas import check_parts


def with_patch_shift(model: Any, end: float) -> Any:
    """A clone of a MODEL that sees its pictures moved by half a patch on every second step. Applied again, the last `end` counts.

    Args:
        model: the MODEL.
        end: share of the sampling range.

    Raises:
        ValueError: in words for the user.
    """
    from comfy.patcher_extension import WrappersMP

    at_work = SamplingRange(0.0, end)
    patched = model.clone()
    take_off(patched, PATCH_SHIFT)
    if not at_work.empty:
        with_memory(patched)
        put_wrapper(patched, WrappersMP.OUTER_SAMPLE, PATCH_SHIFT, _outer_sample)
        put_wrapper(patched, WrappersMP.CALC_COND_BATCH, PATCH_SHIFT, partial(_calc_cond_batch, at_work))
    return patched


def _outer_sample(executor, *args, **more):
    guider = executor.class_obj
    model = guider.model_patcher.model
    if cells_per_patch(model) == 1:
        logging.info("Tilework: Hide Patch Grid does nothing for %s, which cuts its latent into no patches", model_name(model))
    else:
        check_parts(guider.model_options, "a picture and the same one moved by half a patch")
    return executor(*args, **more)


def _calc_cond_batch(at_work: SamplingRange, executor, model, conds, x_in, timestep, model_options):
    """One prediction, of the picture as it is or of the picture moved."""
    patch = cells_per_patch(model)
    moves = patch > 1 and at_work.holds(model.model_sampling, timestep) and step_of(timestep, model_options) % 2 == 1
    if not moves:
        return executor(model, conds, x_in, timestep, model_options)
    height, width, before = *x_in.shape[-2:], patch // 2
    view = Rect(-before, -before, height + patch, width + patch)
    padded = _cropper(model, x_in, model_options).pad(conds, view)
    options = _moved(model_options, model, before, patch)
    said = executor(model, told_apart(padded, [view]), cut_plane(x_in, view).contiguous(), timestep, options)
    return [part.narrow(-2, before, height).narrow(-1, before, width) for part in said]


def _cropper(model: Any, x: torch.Tensor, options: dict[str, Any]) -> ConditionCropper:
    memory = memory_of(options)
    kept = {} if memory is None else memory.kept.setdefault(PATCH_SHIFT, {})
    size = tuple(x.shape[2:])
    if size not in kept:
        kept[size] = ConditionCropper(size, pixels_per_cell(model), device=x.device)
    return kept[size]


def _moved(options: dict[str, Any], model: Any, before: int, patch: int) -> dict[str, Any]:
    """Options that tell patches inside of this one, and positions that somebody set, where the padded picture lies."""
    place = options.get(PLACE)
    if place is not None and not options.get(WHOLE):
        rects = tuple(Rect(rect.y - before, rect.x - before, rect.height + patch, rect.width + patch) for rect in place.rects)
        options = {**options, PLACE: place._replace(rects=rects)}
    if (options.get("transformer_options") or {}).get("rope_options") and heeds_positions(model):
        options = at_place(options, Rect(-before, -before, 0, 0), patch)
    return options
