"""Tiny VAEs of every family that ComfyUI has modules for, every number of them drawn from a seed and none downloaded."""

from __future__ import annotations

import math
from typing import Any

import torch

from .models import CPU, KL_SHAPE, seed_parameters, tiny_vae
from .self_tiling import minimax_h3, seedvr2

GROUPS = 8
LDM = "comfy.ldm.modules.diffusionmodules.model."
HUNYUAN = "comfy.ldm.hunyuan_video.vae."


def _engine(modules: str, shape: dict[str, Any]) -> torch.nn.Module:
    """Encoder and decoder without the convolutions between them and the latent."""
    from comfy.ldm.models.autoencoder import AutoencodingEngine

    return AutoencodingEngine(
        regularizer_config={"target": "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"},
        encoder_config={"target": modules + "Encoder", "params": shape},
        decoder_config={"target": modules + "Decoder", "params": shape},
    )


def _kl() -> torch.nn.Module:
    from comfy.ldm.models.autoencoder import AutoencoderKL

    return AutoencoderKL(ddconfig=KL_SHAPE, embed_dim=4)


def _packed() -> torch.nn.Module:
    from comfy.ldm.models.autoencoder import AutoencoderKL

    model = AutoencoderKL(ddconfig={**KL_SHAPE, "batch_norm_latent": True}, embed_dim=4)
    generator = torch.Generator().manual_seed(5)
    model.bn.running_mean.normal_(generator=generator)
    model.bn.running_var.uniform_(0.5, 2.0, generator=generator)
    return model


def _taesd(channels: int) -> torch.nn.Module:
    from comfy.taesd.taesd import TAESD

    return TAESD(latent_channels=channels)


def _svd() -> torch.nn.Module:
    """Stable Video Diffusion's: latents of pictures, whose batch is the frames of a film that the decoder mixes."""
    from comfy.ldm.models.autoencoder import AutoencodingEngine

    return AutoencodingEngine(
        regularizer_config={"target": "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"},
        encoder_config={"target": LDM + "Encoder", "params": KL_SHAPE},
        decoder_config={
            "target": "comfy.ldm.modules.temporal_ae.VideoDecoder",
            "params": {**KL_SHAPE, "video_kernel_size": [3, 1, 1], "alpha": 0.0},
        },
    )


def _stranger() -> torch.nn.Module:
    """A KL VAE of a class that nobody knows, and that sees three cells far."""
    from comfy.taesd.taesd import TAESD

    class Stranger(TAESD):
        """May do anything."""

    return Stranger()


def _wan() -> torch.nn.Module:
    from comfy.ldm.wan.vae import WanVAE

    return WanVAE(
        dim=8,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        attn_scales=[],
        temperal_downsample=[False, True, True],
        image_channels=3,
        conv_out_channels=3,
        dropout=0.0,
    )


HUNYUAN_SHAPE = {
    "block_out_channels": [32, 64, 64],
    "in_channels": 3,
    "out_channels": 3,
    "num_res_blocks": 1,
    "ffactor_spatial": 4,
    "downsample_match_channel": True,
    "upsample_match_channel": True,
    "z_channels": 16,
}

# Kind -> (module, channels of its latent, image pixels per cell).
KINDS: dict[str, tuple[Any, int, int]] = {
    "kl": (_kl, 4, 8),
    "flux2": (_packed, 16, 16),
    "x4": (lambda: _engine(LDM, {**KL_SHAPE, "ch_mult": [1, 2, 2], "num_res_blocks": 2}), 4, 4),
    "hunyuan image": (lambda: _engine(HUNYUAN, HUNYUAN_SHAPE), 16, 4),
    "taesd": (lambda: _taesd(4), 4, 8),
    "taesd flux2": (lambda: _taesd(128), 128, 16),
    "wan": (_wan, 16, 8),
    "stranger": (_stranger, 4, 8),
    "svd": (_svd, 4, 8),
}

# Those that tile by themselves, as the host's loader makes them.
SELF_TILING = {"seedvr2": seedvr2, "minimax h3": minimax_h3}


def tiny(kind: str, seed: int = 0, groups: int = GROUPS) -> Any:
    """A VAE of one of KINDS or SELF_TILING.

    Args:
        kind: which.
        seed: of the weights.
        groups: of all group norms that have 32 by default; those of SELF_TILING keep theirs.
    """
    import comfy.model_patcher

    if kind in SELF_TILING:
        return SELF_TILING[kind](seed)
    build, channels, ratio = KINDS[kind]
    model = seed_parameters(build(), seed)
    for module in model.modules():
        if isinstance(module, torch.nn.GroupNorm) and module.num_groups == 32:
            module.num_groups = groups
    _quiet(model)
    vae = tiny_vae(seed)
    vae.first_stage_model, vae.size = model, None
    vae.patcher = comfy.model_patcher.ModelPatcher(model, load_device=vae.device, offload_device=CPU)
    vae.latent_channels = channels
    vae.upscale_ratio = vae.downscale_ratio = ratio
    if kind == "wan":
        _as_video(vae, ratio)
    return vae


def _quiet(model: torch.nn.Module) -> None:
    """Small enough that a decoded picture stays inside 0..1, where clamping would hide differences."""
    last = [one for name, one in model.named_modules() if isinstance(one, torch.nn.Conv2d | torch.nn.Conv3d) and "encoder" not in name]
    outputs = [one for one in last if one.out_channels == 3]
    with torch.no_grad():
        for one in outputs:
            one.weight.mul_(0.3)


def _as_video(vae: Any, ratio: int) -> None:
    """What the host's loader sets for Wan 2.1."""
    vae.latent_dim = 3
    vae.upscale_ratio = (lambda a: max(0, a * 4 - 3), ratio, ratio)
    vae.upscale_index_formula = vae.downscale_index_formula = (4, ratio, ratio)
    vae.downscale_ratio = (lambda a: max(0, math.floor((a + 3) / 4)), ratio, ratio)
    vae.memory_used_encode = lambda shape, dtype: 1500 * shape[3] * shape[4] * dtype.itemsize
    vae.memory_used_decode = lambda shape, dtype: 2200 * shape[3] * shape[4] * ratio * ratio * dtype.itemsize
