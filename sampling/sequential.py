"""One sampler run after another, tile by tile, each seeing its finished neighbours.

All conditions are made for the whole canvas, as for any run; only the sampler itself runs once per
tile. What neighbours have finished is known content to it, in the host's own way of inpainting: at
every step it is noised to that step's level with the canvas' own noise.

Where copies of the model lie on several devices, tiles that do not overlap are sampled at the same time, each by a sampler of its
own: those for which all overlapping tiles before them are finished (`tile_waves.py`), so that the picture is the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from ..blending.fusion.views import RectView
from ..blending.layout.cutting import crop
from ..blending.layout.taking_over import taking_over
from ..host.progress import check_cancelled
from .device_groups import DeviceGroups
from .run_state import CanvasTiles, SamplingRun
from .tile_waves import waves

PLANE = (-2, -1)


def sample_tiles(
    run: SamplingRun,
    tiles: CanvasTiles,
    sample: Callable[..., torch.Tensor],
    extra_args: dict[str, Any],
    callback: Callable[..., None] | None,
    noise: torch.Tensor,
    latent: torch.Tensor,
    denoise_mask: torch.Tensor | None,
    steps: int,
    groups: DeviceGroups | None = None,
) -> torch.Tensor:
    """Sample every tile of the canvas in turn.

    Args:
        run, tiles: the run's state and its canvas.
        sample: (view, device, extra_args, callback, noise, latent, denoise_mask) of one tile -> its samples; the device is None where
            there are no `groups`.
        extra_args: the sampler's; every tile gets a copy with a seed of its own, so that no two are given the same random noise.
        callback: the host's, (step, x0, x, total steps); called with the whole canvas, steps counted over all tiles.
        noise, latent: [B, C, ..., H, W]; denoise_mask the same or None.
        steps: of the sampler.
        groups: the devices that hold a copy of the model, where there are several.

    Returns:
        the finished canvas. Tiles that the noise mask leaves nothing of are not sampled at all.
    """
    done = latent.clone()
    views = tiles.views(0, latent.device)
    # The others have nothing that is painted: the latent stays.
    painted = [view for view in views if _paints(_mask(_share(tiles, view).to(latent.device), denoise_mask, view, noise))]
    canvas = _Canvas(done, callback, steps, len(views), len(views) - len(painted))
    given: dict[torch.device, int] = {}
    for wave in waves([view.rect for view in painted], tuple(latent.shape[-2:]), 1 if groups is None else len(groups.models)):
        check_cancelled()
        together = [painted[one] for one in wave]
        devices = [None] if groups is None else [device for device, count in groups.deal(len(wave), given, 1).items() if count]
        canvas.begin(together)
        jobs, shares = {}, []
        for view, device in zip(together, devices, strict=True):
            share = _share(tiles, view).to(latent.device)
            seed = extra_args.get("seed")
            mine = {**extra_args, "seed": seed if seed is None else (seed + view.index) % (2**64 - 1)}
            # Where it paints, a tile begins with the source, as the whole canvas would, and not with what a neighbour made of it.
            start = torch.where(share > 0, crop(latent, view.rect, PLANE), crop(done, view.rect, PLANE))
            mask = _mask(share, denoise_mask, view, noise)
            jobs[device] = partial(sample, view, device, mine, canvas.told(view, share), crop(noise, view.rect, PLANE), start, mask)
            shares.append(share)
        results = [job() for job in jobs.values()] if groups is None else groups.run(jobs, run.stop).values()
        for view, share, result in zip(together, shares, results, strict=True):
            _put(done, result, view, share)
    return done


class _Canvas:
    """What is finished of the canvas, for the host's callback.

    Args:
        done: the canvas; whoever finishes a tile puts it there.
        callback: the host's.
        steps: of a tile.
        tiles: there are.
        left_out: of them are not sampled, and count as finished.
    """

    def __init__(self, done: torch.Tensor, callback: Callable[..., None] | None, steps: int, tiles: int, left_out: int) -> None:
        self.done, self.callback, self.steps, self.total = done, callback, steps, tiles * steps
        self._lock = threading.Lock()
        self._finished = left_out
        self._running: dict[int, int] = {}

    def begin(self, together: list[RectView]) -> None:
        """These tiles are sampled next."""
        self._finished += len(self._running)
        self._running = {view.index: 0 for view in together}

    def told(self, view: RectView, share: torch.Tensor) -> Callable[..., None] | None:
        """The host's callback for one tile's sampler, told of the whole canvas and of all steps of all tiles."""
        if self.callback is None:
            return None

        def tell(step: int, x0: torch.Tensor, x: torch.Tensor, _: int) -> None:
            canvas = self.done.to(x0.device, copy=True)
            _put(canvas, x0, view, share.to(x0.device))
            with self._lock:
                # Samplers that choose their own steps may take more than they were asked for.
                self._running[view.index] = min(step + 1, self.steps)
                self.callback(self._finished * self.steps + sum(self._running.values()) - 1, canvas, x, self.total)

        return tell


def _paints(mask: torch.Tensor | None) -> bool:
    """Whether a sampler has something to paint in a mask; None is everything."""
    return mask is None or bool(mask.any())


def _share(tiles: CanvasTiles, view: RectView) -> torch.Tensor:
    """How much the tile counts against what is finished, float32 [h, w]."""
    ys, xs = tiles.layout.axes_in_cells
    row, column = divmod(view.index, len(xs.origins))
    return taking_over(ys, row, tiles.trim)[:, None] * taking_over(xs, column, tiles.trim)


def _mask(share: torch.Tensor, given: torch.Tensor | None, view: RectView, noise: torch.Tensor) -> torch.Tensor | None:
    """What the sampler may paint: 1 where the tile counts at all, within the user's own mask; None where that is everything."""
    free = (share > 0).to(noise.dtype)
    if given is not None:
        return crop(given, view.rect, PLANE) * free
    return None if bool(free.all()) else free.expand(*noise.shape[:-2], -1, -1).contiguous()


def _put(canvas: torch.Tensor, painted: torch.Tensor, view: RectView, share: torch.Tensor) -> None:
    """Blend a tile into the canvas; what reaches over its end is dropped."""
    rect = view.rect
    there = canvas[..., rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]
    height, width = there.shape[-2:]
    there.lerp_(painted[..., :height, :width].to(there.device, there.dtype), share[:height, :width].to(there.dtype))
