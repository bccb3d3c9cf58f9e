"""A VAE of the host, tile by tile: which way fits it.

Known VAEs (`steps.py`) are run stage by stage (`stages.py`), those that tile by themselves are left to do so
(`own_tiling.py`), the others are run in whole tiles (`whole_tiles.py`).
"""

from __future__ import annotations

from typing import Any

import torch

from ...blending.stages.steps import Step, factors
from ..cells_ratio import cells_ratio
from .own_tiling import decode_by_itself, encode_by_itself, takes_folded
from .stages import decode_by_stages, encode_by_stages
from .steps import decoder_steps, encoder_steps
from .tiles import Outcome, VAETiles
from .whole_tiles import decode_in_tiles, encode_in_tiles


def decode(vae: Any, samples: torch.Tensor, asked: VAETiles) -> tuple[torch.Tensor, Outcome]:
    """Latents to pictures.

    Args:
        vae: the host's VAE.
        samples: [B, C, h, w], or [B, C, T, h, w] for video; for SeedVR2's also [B, C * T, h, w].
        asked: mode and tile.

    Returns:
        [B (times frames), H, W, channels], in the type and on the device that the host's own decoding gives; what was done.

    Raises:
        ValueError: for a VAE of no pictures, sizes that do not fit, latents of another model or with NaN or Inf in them.
        RuntimeError: where the memory ran out at the smallest tile, too.
    """
    vae.throw_exception_if_invalid()
    ratio = cells_ratio(vae)
    asked.check(ratio)
    if vae.latent_dim == 2 and samples.ndim == 5:
        samples = samples[:, :, 0]  # as the host does: image latents that travel with one frame
    if not takes_folded(vae, samples):
        _check_latent(vae, samples)
    if vae.handles_tiling:
        return decode_by_itself(vae, samples, asked, ratio)
    steps = None
    if samples.ndim == 4:
        steps = _of_ratio(decoder_steps(vae.first_stage_model), ratio)
    if steps is None:
        return decode_in_tiles(vae, samples, asked, ratio)
    return decode_by_stages(vae, steps, asked, samples)


def encode(vae: Any, pixels: torch.Tensor, asked: VAETiles) -> tuple[torch.Tensor, Outcome]:
    """Pictures to latents.

    Args:
        vae: the host's VAE.
        pixels: [B, H, W, C] in 0..1; for a video VAE the batch is the frames, as in the host.
        asked: mode and tile.

    Returns:
        [B, C, h, w] or [B, C, T, h, w] as the host's own encoding gives; what was done.

    Raises:
        ValueError, RuntimeError: as in `decode`.
    """
    vae.throw_exception_if_invalid()
    ratio = cells_ratio(vae, decode=False)
    asked.check(ratio)
    if pixels.shape[-1] == 1:
        pixels = pixels.expand(*pixels.shape[:-1], 3)
    height, width = pixels.shape[1:3]
    if min(height, width) < ratio:
        raise ValueError(f"pixels is {width} x {height} and one latent cell of this VAE is {ratio} px: use a larger picture")
    pixels = vae.vae_encode_crop_pixels(pixels)
    if pixels.shape[-1] < vae.output_channels:
        raise ValueError(
            f"pixels has {pixels.shape[-1]} channels and this VAE takes {vae.output_channels}: "
            f"connect a picture of {vae.output_channels} channels, or a grey one of 1"
        )
    if vae.handles_tiling:
        return encode_by_itself(vae, pixels, asked, ratio)
    steps = None
    if vae.latent_dim == 2 and not any(side % ratio for side in pixels.shape[1:3]):
        steps = _of_ratio(encoder_steps(vae.first_stage_model), ratio)
    if steps is None:
        samples, outcome = encode_in_tiles(vae, pixels, asked, ratio)
    else:
        samples, outcome = encode_by_stages(vae, steps, asked, pixels)
    return samples if vae.format_encoded is None else vae.format_encoded(samples), outcome


def _check_latent(vae: Any, samples: torch.Tensor) -> None:
    """Raise ValueError unless `samples` has the dimensions and channels of this VAE's latents."""
    if samples.ndim != vae.latent_dim + 2:
        raise ValueError(
            f"samples has {samples.ndim} dimensions and this VAE takes {vae.latent_dim + 2}: it is the latent of another model"
        )
    if samples.shape[1] != vae.latent_channels:
        raise ValueError(
            f"samples has {samples.shape[1]} channels and this VAE takes {vae.latent_channels}: connect the VAE of the model that made it"
        )


def _of_ratio(steps: list[Step] | None, ratio: int) -> list[Step] | None:
    """The steps, unless they do not make as many pixels of a cell as the host says."""
    return steps if steps is not None and max(factors(steps)) == ratio else None
