"""One sampler run after another, tile by tile, each seeing its finished neighbours.

All conditions are made for the whole canvas, as for any run; only the sampler itself runs once per
tile. What neighbours have finished is known content to it, in the host's own way of inpainting: at
every step it is noised to that step's level with the canvas' own noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..blending.fusion.views import RectView
from ..blending.layout.cutting import crop
from ..blending.layout.taking_over import taking_over
from ..host.progress import check_cancelled
from .run_state import CanvasTiles, SamplingRun

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
) -> torch.Tensor:
    """Sample every tile of the canvas in turn.

    Args:
        run, tiles: the run's state and its canvas.
        sample: (view, extra_args, callback, noise, latent, denoise_mask) of one tile -> its samples.
        extra_args: the sampler's; every tile gets a copy with a seed of its own, so that no two are given the same random noise.
        callback: the host's, (step, x0, x, total steps); called with the whole canvas, steps counted over all tiles.
        noise, latent: [B, C, ..., H, W]; denoise_mask the same or None.
        steps: of the sampler.

    Returns:
        the finished canvas. Tiles that the noise mask leaves nothing of are not sampled at all.
    """
    done = latent.clone()
    views = tiles.views(0, latent.device)
    for index, view in enumerate(views):
        check_cancelled()
        share = _share(tiles, view).to(latent.device)
        mask = _mask(share, denoise_mask, view, noise)
        if mask is not None and not mask.any():
            continue  # nothing is painted here, and the latent stays
        seed = extra_args.get("seed")
        mine = {**extra_args, "seed": seed if seed is None else (seed + index) % (2**64 - 1)}
        told = None if callback is None else _told(callback, done, view, share, index * steps, steps, len(views) * steps)
        run.alone = view
        try:
            # Where it paints, a tile begins with the source, as the whole canvas would, and not with what a neighbour made of it.
            start = torch.where(share > 0, crop(latent, view.rect, PLANE), crop(done, view.rect, PLANE))
            painted = sample(view, mine, told, crop(noise, view.rect, PLANE), start, mask)
        finally:
            run.alone = None
        _put(done, painted, view, share)
    return done


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


def _told(
    callback: Callable[..., None], done: torch.Tensor, view: RectView, share: torch.Tensor, first: int, steps: int, total: int
) -> Callable[..., None]:
    """The host's callback, told of the whole canvas."""

    # Samplers that choose their own steps may take more than they were asked for.
    last = first + steps - 1

    def tell(step: int, x0: torch.Tensor, x: torch.Tensor, _: int) -> None:
        canvas = done.to(x0.device, copy=True)
        _put(canvas, x0, view, share.to(x0.device))
        callback(min(first + step, last), canvas, x, total)

    return tell
