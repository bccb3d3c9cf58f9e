"""VAEs that tile by themselves, as SeedVR2's and MiniMax H3's do: the host asks them for tiles, and finishes what they give.

Which tiles they take is their own affair: SeedVR2's takes those that it is asked for, MiniMax H3's its own whatever it is
asked for. So no grid is shown that nobody has seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ...blending.layout.grid import Rect
from ...blending.layout.grid_layout import GridLayout
from ...blending.pixels.counted import counted
from ...blending.pixels.picture import check_finite
from .tiles import Outcome, Shrinking, VAETiles, class_name

# What the host's own tiled nodes ask for, and the share of a tile that neighbours have in common when it falls back to tiles.
TILE = 512
OVERLAP_SHARE = 4


def decode_by_itself(vae: Any, samples: torch.Tensor, asked: VAETiles, ratio: int) -> tuple[torch.Tensor, Outcome]:
    """`tiling.decode` for a VAE that tiles by itself; samples [B, C, T, h, w], or folded [B, C * T, h, w] (`takes_folded`)."""
    size = samples.shape[-2] * ratio, samples.shape[-1] * ratio
    made, outcome = _asked_for(vae, samples, "samples", asked, ratio, size, vae.decode_tiled, ratio)
    return made.reshape(-1, *made.shape[-3:]), outcome


def encode_by_itself(vae: Any, pixels: torch.Tensor, asked: VAETiles, ratio: int) -> tuple[torch.Tensor, Outcome]:
    """`tiling.encode` for a VAE that tiles by itself; the latent in its own format, for the host has seen to that."""
    return _asked_for(vae, pixels, "pixels", asked, ratio, (pixels.shape[1], pixels.shape[2]), vae.encode_tiled, 1)


def takes_folded(vae: Any, samples: torch.Tensor) -> bool:
    """Whether `samples` are [B, C * T, h, w], frames folded into the channels, and `vae` is one that unfolds them.

    Its own estimate of memory tells, which the host asks before anything else: where the VAE knows frames of their own only,
    the estimate looks for a fifth dimension.
    """
    if not vae.handles_tiling or vae.latent_dim != 3 or samples.ndim != 4 or samples.shape[1] % vae.latent_channels:
        return False
    try:
        vae.memory_used_decode(samples.shape, vae.vae_dtype)
    except IndexError:
        return False
    return True


def _asked_for(
    vae: Any,
    source: torch.Tensor,
    name: str,
    asked: VAETiles,
    ratio: int,
    size: tuple[int, int],
    call: Callable[..., torch.Tensor],
    unit: int,
) -> tuple[torch.Tensor, Outcome]:
    """What the host's `call` makes of `source`, asked for smaller tiles when the memory runs out.

    Args:
        size: (height, width) of the picture.
        unit: image pixels to one of what `call` counts in.
    """
    import comfy.model_management as management

    check_finite(source, name)
    tile, overlap = _sizes(asked, ratio, size)
    shrinking, made = Shrinking(tile, ratio, overlap), None
    while made is None:
        height, width = shrinking.tile
        try:
            made = call(source, tile_x=width // unit, tile_y=height // unit, overlap=overlap // unit)
        except Exception as error:
            if shrinking(error) is None:
                raise
        if made is None:
            # Out here, because the error holds on to what it was raised over.
            management.soft_empty_cache()
    lines = [
        f"{class_name(vae)} tiles by itself: which tiles it takes is its own",
        f"asked for {width} x {height}, overlap {overlap} px; mode {asked.mode} makes no difference",
    ]
    if shrinking.back_off.count:
        lines.append(f"memory ran out {counted(shrinking.back_off.count, 'time')}: tiles made smaller")
    return made, Outcome(shrinking.tile, GridLayout(size, (Rect(0, 0, *size),)), lines)


def _sizes(asked: VAETiles, ratio: int, size: tuple[int, int]) -> tuple[tuple[int, int], int]:
    """The tile (height, width) and the overlap to ask for, in image pixels, all whole cells."""
    asked.check_overlap()
    overlap = min(asked.typed, default=TILE) // OVERLAP_SHARE if asked.overlap < 0 else asked.overlap
    overlap = overlap // ratio * ratio
    # What is not typed has room for the overlap; no side is larger than the picture and the overlap ask for.
    wide = max(TILE, 2 * overlap) // ratio * ratio
    tile = (asked.tile_height or wide, asked.tile_width or wide)
    whole = (max(-(-side // ratio) * ratio, overlap + ratio) for side in size)
    return tuple(min(one, side) for one, side in zip(tile, whole, strict=True)), overlap
