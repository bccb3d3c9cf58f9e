"""A model that samples in tiles, whatever sampler and guider drive it.

Wrappers on the host's own hooks, none of them a slot that another pack could take: OUTER_SAMPLE
makes and ends the run's state, PREPARE_SAMPLING reserves memory for tiles instead of the canvas,
and CALC_COND_BATCH runs the tiles and fuses what the model says. With order sequential,
SAMPLER_SAMPLE runs the whole sampler once per tile instead (`sequential.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from ..blending.fusion.fuse import fuse
from ..blending.fusion.views import RectView
from ..host.progress import check_cancelled
from .conditions.patch_contents import search
from .conditions.patches import tile_patches
from .conditions.tile_prompts import with_frames
from .device_groups import TILE_DEVICE, DeviceGroups, TileDevice, check_stopped, device_groups, without_clones
from .one_device import keeps_samplers_together, keeps_tiles_together
from .patch_order import TILES, put_wrapper
from .positions import at_place
from .run_state import CanvasTiles, SamplingRun, step_of
from .sequential import sample_tiles
from .settings import TileSettings
from .step_caches import check_caches
from .tile_batches import TileBatches, join
from .tile_identities import told_apart
from .tile_place import PLACE, RUN, WHOLE, TilePlace
from .wrap_around import across_the_border, check_wrapping, without_seamless


def tiled(model: Any, settings: TileSettings) -> Any:
    """A clone of a MODEL that samples in tiles. Applied to one that does already, it replaces the settings."""
    from comfy.patcher_extension import WrappersMP

    patched = model.clone()
    for kind, wrapper in (
        (WrappersMP.OUTER_SAMPLE, _outer_sample),
        (WrappersMP.PREPARE_SAMPLING, _prepare_sampling),
        (WrappersMP.SAMPLER_SAMPLE, _sampler_sample),
        (WrappersMP.CALC_COND_BATCH, _calc_cond_batch),
    ):
        put_wrapper(patched, kind, TILES, partial(wrapper, settings))
    return patched


def _outer_sample(
    settings, executor, noise, latent_image, sampler, sigmas, denoise_mask=None, callback=None, disable_pbar=False, seed=None, **more
):
    """One run of a sampler: the state is born here and ends here."""
    _check_latent(noise, more.get("latent_shapes"))
    guider = executor.class_obj
    if noise.ndim == 5:
        with_frames(guider.conds)
    run = SamplingRun(settings, seed, noise)
    # Before the model is loaded, so that what cannot be tiled is refused at once.
    tiles = run.canvas(guider.model_patcher.model, noise.shape)
    if not tiles.covered_by_one:
        _check_patches(settings, guider)
        tiles.cropper.check_options(guider.model_options)
    # The host gives every run its own copy of the model's options.
    guider.model_options[RUN] = run
    try:
        return executor(noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed, **more)
    finally:
        guider.model_options.pop(RUN, None)
        run.end()


def _check_latent(noise: torch.Tensor, shapes: Sequence | None) -> None:
    packed = getattr(noise, "is_nested", False) or (shapes is not None and len(shapes) > 1)
    if packed or noise.ndim not in (4, 5):
        what = "is packed from several latents (picture and sound, for instance)" if packed else f"has {noise.ndim} dimensions"
        raise ValueError(
            f"the latent {what} and has no plane to cut into tiles: sample it without Tilework, "
            "or give it a latent of pictures [batch, channels, height, width] or of video, with frames before height"
        )


def _check_patches(settings: TileSettings, guider: Any) -> None:
    options, sequential = guider.model_options, settings.order == "sequential"
    patches = search(tile_patches(options))
    has_references = any("reference_latents" in cond for conds in guider.conds.values() for cond in conds)
    check_caches(options, patches, sequential, has_references and settings.reference_latents == "crop")
    check_wrapping(guider.model_patcher.model, options, patches, sequential)


def _prepare_sampling(settings, executor, model, noise_shape, conds, *args, **kwargs):
    """The host reserves memory by the shape it is told."""
    run = (kwargs.get("model_options") or {}).get(RUN)
    if run is not None and len(noise_shape) in (4, 5):
        tiles = run.canvas(model.model, noise_shape)
        if not tiles.covered_by_one:
            at_once = 1 if settings.order == "sequential" else min(settings.tile_batch or 1, len(tiles.layout))
            noise_shape = [noise_shape[0] * at_once, *noise_shape[1:-2], *tiles.tile]
    return executor(model, noise_shape, conds, *args, **kwargs)


def _sampler_sample(
    settings, executor, guider, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
):
    """The sampler itself, with all conditions made."""
    run = extra_args["model_options"].get(RUN)
    alone = settings.order == "sequential" and run is not None and latent_image is not None
    tiles = run.canvas(guider.model_patcher.model, noise.shape) if alone else None
    if tiles is None or tiles.covered_by_one:
        return executor(guider, sigmas, extra_args, callback, noise, latent_image, denoise_mask, disable_pbar)

    groups = _groups_of_samplers(run, guider, extra_args["model_options"])

    def sample(view, device, args, told, part_noise, part_latent, mask):
        options = {**tiles.cropper.patches.cut(args["model_options"], view.rect, sampler=True), RUN: run.for_tile(view)}
        if groups is not None:
            options = {**without_clones(options), TILE_DEVICE: TileDevice(groups, device)}
        return executor(guider, sigmas, {**args, "model_options": options}, told, part_noise, part_latent, mask, disable_pbar)

    return sample_tiles(run, tiles, sample, extra_args, callback, noise, latent_image, denoise_mask, len(sigmas) - 1, groups)


def _groups_of_samplers(run: SamplingRun, guider: Any, options: dict[str, Any]) -> DeviceGroups | None:
    """The devices whose tiles are sampled at the same time; None where one tile is sampled after the other."""
    groups = device_groups(guider.inner_model, options)
    return groups if groups is None or not _stays(run, keeps_samplers_together(groups, guider, options)) else None


def _stays(run: SamplingRun, why: str) -> bool:
    """Whether the tiles stay on one device; says why in the log, once in a run."""
    if why:
        run.say(f"the tiles stay on one device, and ComfyUI spreads the conditions of each as without tiles: {why}")
    return bool(why)


def _calc_cond_batch(settings, executor, model, conds, x_in, timestep, model_options):
    """One prediction of the whole canvas, tile by tile."""
    if model_options.get(WHOLE):
        return executor(model, conds, x_in, timestep, model_options)
    run = model_options.get(RUN)
    if run is None:
        # Somebody predicts outside of a sampler.
        run = SamplingRun(settings)
    if run.alone is not None:
        tiles = run.canvas(model, (*x_in.shape[:-2], *run.cells))
        prediction = Step(run, tiles, executor, model, conds, timestep, model_options).predict_alone(x_in, run.alone)
        return [torch.zeros_like(x_in) if part is None else part for part in prediction]
    tiles = run.canvas(model, x_in.shape)
    if tiles.covered_by_one:
        return executor(model, conds, x_in, timestep, model_options)
    seamless, options = without_seamless(model_options)

    def predict(canvas: torch.Tensor, turn: tuple[int, int] = (0, 0)) -> list[torch.Tensor | None]:
        return Step(run, tiles, executor, model, tiles.cropper.roll(conds, turn), timestep, options, turn).predict_canvas(canvas)

    fused = predict(x_in) if seamless is None else across_the_border(seamless, predict, x_in, timestep, [c is not None for c in conds])
    # A prompt that is not asked for is zeros to the host.
    return [torch.zeros_like(x_in) if total is None else total for total in fused]


class Step:
    """One prediction: what all its tiles have in common.

    Args:
        run: the run's state.
        tiles: the canvas'.
        executor: the host's next call, (model, conds, x, timestep, model_options) -> list of predictions.
        model, conds, timestep, model_options: as CALC_COND_BATCH got them.
        turn: how far the canvas was rolled (y, x), in cells.
    """

    def __init__(
        self, run: SamplingRun, tiles: CanvasTiles, executor, model, conds, timestep: torch.Tensor, model_options: dict, turn=(0, 0)
    ) -> None:
        self.run, self.tiles, self.executor = run, tiles, executor
        self.model, self.conds, self.timestep, self.model_options, self.turn = model, conds, timestep, model_options, turn
        self.moves = run.moves_positions(model)
        self.patches = tiles.cropper.patches
        # Where tiles are sampled by themselves, this one's device; else the devices that the tiles of this step are spread over.
        self.device: TileDevice | None = model_options.get(TILE_DEVICE)
        self.groups: DeviceGroups | None = None
        self.given: dict[torch.device, int] = {}
        # A batch has one shift of positions and one set of patches for all that is in it.
        self.apart = self.moves or self.patches.cuts(model_options)
        # Pictures per tile.
        self.rows = tiles.layout.batch

    def predict_canvas(self, x: torch.Tensor) -> list[torch.Tensor | None]:
        """What the model says of the whole canvas [B, C, ..., h, w], one answer per list of conditions."""
        self.last_call = self.run.last_call(self.model_options)
        self.groups = self._spread_over()
        views = self.start(x)
        self.last_call.begin()
        fused = fuse(self.predict, x, views, self._at_once)
        self.last_call.end(x, views)
        return fused

    def _spread_over(self) -> DeviceGroups | None:
        """The devices that share this step's tiles; None where they stay on one."""
        groups = device_groups(self.model, self.model_options)
        if groups is None or _stays(self.run, keeps_tiles_together(groups, self.model_options, self.conds, self.last_call)):
            return None
        self.run.say(f"the tiles are spread over {len(groups.models)} devices: {', '.join(map(str, groups.models))}")
        groups.prepare(self.conds, self.timestep, self.model_options)
        return groups

    def _batches(self, device: torch.device | None = None) -> TileBatches:
        return self.run.batches if self.groups is None or device == self.groups.home else self.run.batches_elsewhere(device)

    def _at_once(self, left: int) -> int:
        """How many of the tiles that are left go next, over all devices: as many as may, spread evenly over the calls."""
        if self.groups is None:
            return self.run.batches.even(left)
        together = sum(self._batches(device).limit or 1 for device in self.groups.models)
        return -(-left // -(-left // together))

    def start(self, x: torch.Tensor) -> list[RectView]:
        """This step's tiles, and how many of them run together."""
        views = self.tiles.views(step_of(self.timestep, self.model_options), x.device)
        for device, model in [(x.device, self.model)] if self.groups is None else self.groups.models.items():
            self._batches(device).estimate(model, lambda: self._cropped(views[0]), (*x.shape[:-2], *views[0].shape), len(views), device)
        return views

    def _cropped(self, view: RectView) -> list:
        with self.tiles.cropping:
            return self.tiles.cropper.crop(self.conds, view.rect)

    def predict_alone(self, picture: torch.Tensor, view: RectView) -> list[torch.Tensor | None]:
        """What the model says of a tile that is sampled by itself; `picture` is the tile already."""
        # The sampler has been given the tile's own patches already.
        return self._ask(picture, self._cropped(view), [view], self.model_options)

    def predict(self, pictures: torch.Tensor, views: Sequence[RectView]) -> list[torch.Tensor | None]:
        """What the model says of several tiles."""
        if self.groups is None:
            return self.run.batches.run(self._predict, pictures, views)
        jobs, first = {}, 0
        for device, count in self.groups.deal(len(views), self.given).items():
            if count:
                part = pictures[first * self.rows : (first + count) * self.rows]
                predict = partial(self._predict, on=TileDevice(self.groups, device))
                jobs[device] = partial(self._batches(device).run, predict, part, views[first : first + count])
                first += count
        return join(list(self.groups.run(jobs, self.run.stop).values()))

    def _predict(self, pictures: torch.Tensor, views: Sequence[RectView], on: TileDevice | None = None) -> list[torch.Tensor | None]:
        with self.tiles.cropping:
            per_tile = [self.tiles.cropper.crop(self.conds, view.rect) for view in views]
            joined = per_tile[0] if len(views) == 1 else None if self.apart else self.tiles.cropper.stack(per_tile, self.rows)
        if joined is not None:
            return self._ask_noted(pictures, joined, views, on)
        alone = pictures.split(self.rows)
        return join([self._ask_noted(picture, conds, [view], on) for picture, conds, view in zip(alone, per_tile, views, strict=True)])

    def _ask_noted(
        self, pictures: torch.Tensor, conds: list, views: Sequence[RectView], on: TileDevice | None
    ) -> list[torch.Tensor | None]:
        prediction = self._ask(pictures, conds, views, self.patches.cut(self.model_options, views[0].rect), on)
        self.last_call.note(views, self.rows)
        return prediction

    def _ask(
        self, pictures: torch.Tensor, conds: list, views: Sequence[RectView], options: dict, on: TileDevice | None = None
    ) -> list[torch.Tensor | None]:
        on = on or self.device
        check_cancelled()
        if on is not None:
            check_stopped(self.run.stop)
        rects = [view.rect for view in views]
        conds = told_apart(conds, rects, self.turn)
        place = TilePlace(tuple(rects), tuple(self.tiles.cropper.canvas[-2:]), tuple(view.index for view in views), len(self.tiles.layout))
        options = {**options, PLACE: place}
        if self.moves:
            options = at_place(options, views[0].rect, self.tiles.patch, self.run.settings.reference_latents == "whole")
        times = self.timestep
        if times.ndim and times.shape[0] != pictures.shape[0]:
            times = times.repeat(pictures.shape[0] // times.shape[0], *[1] * (times.ndim - 1))
        if on is None:
            prediction = self.executor(self.model, conds, pictures, times, options)
        else:
            prediction = on.groups.ask(on.device, self.executor, conds, pictures, times, options)
        return [None if cond is None else part for cond, part in zip(conds, prediction, strict=True)]
