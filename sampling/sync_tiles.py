"""Unify Tile Style: before a step, every tile's noisy latent is moved so that its picture comes nearer to one tile's style.

The published method changes each window's own latent, predicts from it, takes the sampler's step with it and only then
averages the windows. Here one sampler works on one canvas, so the changes of all tiles are averaged by the tiles' own windows
first, and the sum is added to the sampler's own state, in place, before the sampler asks for its prediction: prediction and
step both begin from what was changed, with any sampler and with a noise mask. Where tiles overlap, the published method
averages predictions of two latents and this one predicts from the average of the two. Samplers that hand the model a copy of
their state (uni_pc) take the changed prediction, and the change of the state itself ends with that call.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import torch

from ..blending.coherence.tile_style import DECAY, TileStyle, style_change, style_gradient, style_of
from ..blending.fusion.fuse import fuse
from ..blending.fusion.views import RectView
from ..host.progress import check_cancelled
from .patch_order import SYNC, SYNC_GRADIENT, put_wrapper
from .run_state import step_of
from .sampler_states import AskedModel, sample_with
from .sampling_range import SamplingRange, is_flow
from .style_gradients import GradientRequest, asked_for, check_differentiable, normal_weights
from .tiled_model import RUN
from .wrap_around import without_seamless

SYNC_METHODS = ("statistics", "gradient")
NAME = "Unify Tile Style"


@dataclass(frozen=True)
class SyncSettings:
    """The inputs of the node.

    Attributes:
        strength: share of the whole step towards the anchor's style.
        end: until where in the sampling range.
        method: one of SYNC_METHODS.
        anchor: number of the tile that the others are pulled towards, -1 for the one in the middle.

    Raises:
        ValueError: in words for the user.
    """

    strength: float = 1.0
    end: float = 0.2
    method: str = SYNC_METHODS[0]
    anchor: int = -1

    def __post_init__(self) -> None:
        SamplingRange(0.0, self.end)
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength {self.strength} is no share of the step: use 0 (nothing) to 1 (as far as one step can go)")
        if self.method not in SYNC_METHODS:
            raise ValueError(f"method {self.method!r} is not known: use one of {', '.join(SYNC_METHODS)}")
        if self.anchor < -1:
            raise ValueError(f"anchor {self.anchor} is no tile: use -1 for the one in the middle, or a number from 0 on")


def synchronised(model: Any, settings: SyncSettings) -> Any:
    """A clone of a MODEL whose tiles are pulled towards one style; applied twice, the last settings count.

    Raises:
        ValueError: where method gradient is asked of weights that no gradient goes through.
    """
    from comfy.patcher_extension import WrappersMP

    patched = model.clone()
    patched.remove_wrappers_with_key(WrappersMP.SAMPLER_SAMPLE, SYNC)
    patched.remove_wrappers_with_key(WrappersMP.CALC_COND_BATCH, SYNC_GRADIENT)
    if settings.strength == 0 or settings.end == 0:
        return patched
    put_wrapper(patched, WrappersMP.SAMPLER_SAMPLE, SYNC, partial(_sampler_sample, settings))
    if settings.method == "gradient":
        check_differentiable(patched.get_model_object("diffusion_model"))
        put_wrapper(patched, WrappersMP.CALC_COND_BATCH, SYNC_GRADIENT, asked_for)
    return patched


def _sampler_sample(settings, executor, guider, *args, **more):
    """The sampler itself: its function gets a model that changes the state before it is asked."""
    import comfy.samplers

    sampler = executor.class_obj
    if not isinstance(sampler, comfy.samplers.KSAMPLER):
        logging.warning("Tilework: %s does nothing with this sampler (%s): its state cannot be reached", NAME, type(sampler).__name__)
        return executor(guider, *args, **more)
    run = _SyncedRun(settings, guider)

    def synced(one: Any) -> Any:
        changed, inner = copy.copy(one), one.sampler_function

        @wraps(inner)
        def function(model, x, sigmas, **how):
            return inner(AskedModel(model, partial(run.before, model)), x, sigmas, **how)

        changed.sampler_function = function
        return changed

    onward = type(executor).new_class_executor(sample_with(executor, synced), sampler, executor.wrappers, executor.idx + 1)
    return onward.execute(guider, *args, **more)


class _SyncedRun:
    """One run of a sampler: which steps were changed already.

    Args:
        settings: of the node.
        guider: the host's.
    """

    def __init__(self, settings: SyncSettings, guider: Any) -> None:
        self.settings, self.guider = settings, guider
        self.range = SamplingRange(0.0, settings.end)
        self.steps: set[int] = set()
        self.said = False

    def before(self, model: Callable, x: torch.Tensor, sigma: torch.Tensor, extra: dict[str, Any]) -> None:
        """Change the sampler's state in place, once a step."""
        sampling, options = self.guider.inner_model.model_sampling, extra.get("model_options") or {}
        step = step_of(sigma, options)
        if step in self.steps or not self.range.holds(sampling, sigma):
            return
        views = self._views(x, options, step)
        if not views:
            return
        share = self.settings.strength * DECAY ** len(self.steps)
        self.steps.add(step)
        anchor = self._anchor(views, x.shape[-2:])
        clean = model(x, sigma, **extra)
        style = style_of(views[anchor].gather(clean).float())
        size = x.float().flatten(1).std(1)
        if self.settings.method == "gradient":
            found = self._gradients(model, x, sigma, extra, style)
            response = 1.0
        else:
            found = None
            # By how much a clean latent changes with the noisy one whose noise stays: 1 / sqrt(abar), in the host's coordinates.
            response = 1 / max(1 - float(sigma.flatten()[0]), 1e-6) if is_flow(sampling) else 1.0

        def change(pictures: torch.Tensor, chunk: Sequence[RectView]) -> list[torch.Tensor]:
            check_cancelled()
            (view,) = chunk
            if view.index == anchor:
                return [torch.zeros_like(pictures, dtype=torch.float32)]
            distance, gradient = style_gradient(pictures, style) if found is None else found[view.index]
            return [style_change(distance, gradient, share, size, response)]

        (moved,) = fuse(change, clean.float(), views, 1)
        x += moved.to(x)

    def _views(self, x: torch.Tensor, options: dict[str, Any], step: int) -> list[RectView]:
        run = options.get(RUN)
        why = "the model does not sample in tiles: put Tiled Sampling on it"
        if run is not None:
            tiles = None if run.alone is not None else run.canvas(self.guider.inner_model, x.shape)
            if tiles is not None and not tiles.covered_by_one:
                return tiles.views(step, x.device)
            why = "order sequential paints one tile at a time" if tiles is None else "one tile covers the picture"
        if not self.said:
            logging.warning("Tilework: %s has nothing to do: %s", NAME, why)
            self.said = True
        return []

    def _anchor(self, views: Sequence[RectView], canvas: Sequence[int]) -> int:
        """The number of the tile that stays."""
        if self.settings.anchor >= len(views):
            raise ValueError(f"anchor {self.settings.anchor} is no tile: there are {len(views)}, use -1 (the middle) to {len(views) - 1}")
        if self.settings.anchor >= 0:
            return self.settings.anchor
        middle = [
            (view.rect.y + view.rect.height / 2 - canvas[0] / 2) ** 2 + (view.rect.x + view.rect.width / 2 - canvas[1] / 2) ** 2
            for view in views
        ]
        return middle.index(min(middle))

    def _gradients(
        self, model: Callable, x: torch.Tensor, sigma: torch.Tensor, extra: dict[str, Any], style: TileStyle
    ) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
        if without_seamless(extra["model_options"])[0] is not None:
            raise ValueError(
                "Seamless Tiling asks the model about a rolled canvas, and method gradient asks about its tiles: use method statistics, or "
                "in place of Seamless Tiling a Tile Split that wraps"
            )
        request = GradientRequest(style, getattr(self.guider, "cfg", 1.0))
        asked = {**extra, "model_options": request.in_options(extra["model_options"])}
        with normal_weights(self.guider.inner_model.diffusion_model):
            model(x, sigma, **asked)
        return request.found
