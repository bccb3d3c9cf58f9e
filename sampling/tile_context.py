"""Neighbour Context: the means and deviations of tiles' predictions, pulled towards those of their neighbours.

Done on the canvas once all tiles are predicted, so that neither the order in which tiles ran nor how many ran together nor on
which card changes anything: a tile's statistics are those of the fused prediction inside of it, and the tiles so changed are
fused once more, by the same windows.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ..blending.coherence.tile_moments import CONTEXT_METHODS, moments_of, neighbours, pulled
from ..blending.fusion.fuse import fuse
from ..blending.fusion.views import RectView
from .patch_order import CONTEXT, put_wrapper
from .run_memory import memory_of, with_memory
from .run_state import step_of
from .sampling_range import SamplingRange
from .tile_place import WHOLE
from .tiled_model import RUN

NAME = "Neighbour Context"


@dataclass(frozen=True)
class ContextSettings:
    """The inputs of the node.

    Attributes:
        method: one of CONTEXT_METHODS.
        strength: how far tiles are pulled, 0..1.
        start, end: shares of the sampling range.

    Raises:
        ValueError: in words for the user.
    """

    method: str = CONTEXT_METHODS[0]
    strength: float = 0.3
    start: float = 0.0
    end: float = 0.5

    def __post_init__(self) -> None:
        SamplingRange(self.start, self.end)
        if self.method not in CONTEXT_METHODS:
            raise ValueError(f"method {self.method!r} is not known: use one of {', '.join(CONTEXT_METHODS)}")
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength {self.strength} is not between 0 and 1: use 0 (nothing) to 1 (all that the neighbours have)")


def in_context(model: Any, settings: ContextSettings) -> Any:
    """A clone of a MODEL whose tiles heed their neighbours; applied twice, the last settings count."""
    from comfy.patcher_extension import WrappersMP

    patched = model.clone()
    patched.remove_wrappers_with_key(WrappersMP.CALC_COND_BATCH, CONTEXT)
    if settings.strength > 0 and settings.start < settings.end:
        with_memory(patched)
        put_wrapper(patched, WrappersMP.CALC_COND_BATCH, CONTEXT, partial(_calc_cond_batch, settings))
    return patched


def _calc_cond_batch(settings, executor, model, conds, x_in, timestep, model_options):
    said = executor(model, conds, x_in, timestep, model_options)
    run, span = model_options.get(RUN), SamplingRange(settings.start, settings.end)
    if model_options.get(WHOLE) or not span.holds(model.model_sampling, timestep):
        return said
    tiles = None if run is None or run.alone is not None else run.canvas(model, x_in.shape)
    if tiles is None or tiles.covered_by_one:
        _say_once(model_options)
        return said
    views = tiles.views(step_of(timestep, model_options), x_in.device)
    return [answer if cond is None else _pulled(settings, answer, views) for cond, answer in zip(conds, said, strict=True)]


def _pulled(settings: ContextSettings, canvas: torch.Tensor, views: Sequence[RectView]) -> torch.Tensor:
    rects, wrap = [view.rect for view in views], views[0].wrap
    own = moments_of([view.gather(canvas) for view in views])
    aim = own.mixed(neighbours(settings.method, canvas, own, rects, wrap), settings.strength)

    def changed(pictures: torch.Tensor, chunk: Sequence[RectView]) -> list[torch.Tensor]:
        (view,) = chunk
        at = view.index
        return [pulled(pictures, own.mean[at], own.deviation[at], aim.mean[at], aim.deviation[at])]

    return fuse(changed, canvas, views, 1)[0]


def _say_once(model_options: dict[str, Any]) -> None:
    memory = memory_of(model_options)
    if memory is not None and memory.kept.setdefault(CONTEXT, "") == "":
        logging.warning("Tilework: %s has nothing to do: it needs the tiles of Tiled Sampling, more than one, and order fused", NAME)
        memory.kept[CONTEXT] = "said"
