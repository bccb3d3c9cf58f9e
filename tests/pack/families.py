"""A tiny random model of every family that artists use, in ComfyUI's own class: what a patch does to each can be tried.

Weights are drawn from a seed. What they make is noise; that a run ends, with the right shape and finite values, and keeps
the laws that hold for any model, is what they are for.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import torch

from .models import CONTEXT_DIM, CPU, POOLED_DIM, seed_parameters

HEADS, WIDTH = 2, 64


class Family(NamedTuple):
    """How one of them is built.

    Attributes:
        config: the class in comfy.supported_models.
        shape: of the network, as ComfyUI finds it in a checkpoint.
        base: the class in comfy.model_base.
        channels: of its latents.
        pixels: image pixels per cell.
        frames: whether its latents have frames [B, C, T, h, w].
        pooled: width of the pooled prompt, 0 for none.
    """

    config: str
    shape: dict[str, Any]
    base: str
    channels: int
    pixels: int = 8
    frames: bool = False
    pooled: int = 0


def _unet(**changes: Any) -> dict[str, Any]:
    return {
        "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32, "num_res_blocks": [1, 1, 1],
        "channel_mult": [1, 1, 2], "transformer_depth": [0, 1, 1], "transformer_depth_output": [0, 0, 1, 1, 1, 1],
        "transformer_depth_middle": 1, "context_dim": CONTEXT_DIM, "num_heads": 2, "num_head_channels": -1,
        "use_spatial_transformer": True, "use_linear_in_transformer": False, "use_temporal_attention": False,
        "use_checkpoint": False, "legacy": False, "adm_in_channels": None, "num_classes": None, **changes,
    }  # fmt: skip


def _flux(**changes: Any) -> dict[str, Any]:
    return {
        "image_model": "flux", "in_channels": 16, "out_channels": 16, "vec_in_dim": POOLED_DIM, "context_in_dim": CONTEXT_DIM,
        "hidden_size": WIDTH, "mlp_ratio": 2.0, "num_heads": HEADS, "depth": 1, "depth_single_blocks": 1,
        "axes_dim": [8, 12, 12], "theta": 10000, "patch_size": 2, "qkv_bias": True, "guidance_embed": True,
        "txt_ids_dims": [], **changes,
    }  # fmt: skip


# SDXL's pooled prompt stands beside six sizes of 256 numbers each.
SDXL_POOLED = 1280
FAMILIES = {
    "SD 1.5": Family("SD15", _unet(), "BaseModel", 4),
    "SDXL": Family(
        "SDXL",
        _unet(use_linear_in_transformer=True, adm_in_channels=SDXL_POOLED + 6 * 256, num_classes="sequential"),
        "SDXL",
        4,
        pooled=SDXL_POOLED,
    ),
    "SD3": Family(
        "SD3",
        {
            "in_channels": 16, "out_channels": 16, "patch_size": 2, "depth": 1, "input_size": None, "adm_in_channels": POOLED_DIM,
            "context_embedder_config": {"target": "torch.nn.Linear", "params": {"in_features": CONTEXT_DIM, "out_features": 64}},
            "context_size": CONTEXT_DIM, "num_patches": 192**2, "pos_embed_max_size": 192, "pos_embed_scaling_factor": None,
        },
        "SD3",
        16,
        pooled=POOLED_DIM,
    ),
    "Flux": Family("Flux", _flux(), "Flux", 16, pooled=POOLED_DIM),
    "Flux.2": Family(
        "Flux2",
        _flux(
            image_model="flux2", in_channels=128, out_channels=128, vec_in_dim=None, axes_dim=[8, 8, 8, 8], theta=2000, patch_size=1,
            qkv_bias=False, guidance_embed=True, txt_ids_dims=[3], global_modulation=True, mlp_silu_act=True, ops_bias=False,
        ),
        "Flux2",
        128,
        pixels=16,
    ),
    "Qwen-Image": Family(
        "QwenImage",
        {
            "image_model": "qwen_image", "in_channels": 64, "out_channels": 16, "num_layers": 2, "attention_head_dim": 32,
            "num_attention_heads": HEADS, "joint_attention_dim": CONTEXT_DIM, "axes_dims_rope": [8, 12, 12],
        },
        "QwenImage",
        16,
        frames=True,
    ),
    "Z-Image": Family(
        "ZImage",
        {
            "image_model": "lumina2", "patch_size": 2, "in_channels": 16, "dim": 256, "n_layers": 1, "n_refiner_layers": 1,
            "n_heads": 8, "n_kv_heads": 8, "multiple_of": 32, "ffn_dim_multiplier": 0.5, "qk_norm": True,
            "cap_feat_dim": CONTEXT_DIM, "axes_dims": [8, 12, 12], "axes_lens": [64, 512, 512], "rope_theta": 256.0,
            "z_image_modulation": True, "time_scale": 1000.0, "pad_tokens_multiple": 32,
        },
        "Lumina2",
        16,
    ),
    "Wan": Family(
        "WAN21_T2V",
        {
            "image_model": "wan2.1", "model_type": "t2v", "patch_size": (1, 2, 2), "in_dim": 16, "out_dim": 16, "dim": 96,
            "ffn_dim": 96, "freq_dim": 32, "text_dim": CONTEXT_DIM, "num_heads": HEADS, "num_layers": 2,
        },
        "WAN21",
        16,
        frames=True,
    ),
}  # fmt: skip
# There is no class for it in ComfyUI: its packs bring their own samplers, which no patch of a MODEL reaches.
NOT_IN_COMFYUI = ("SANA",)


def tiny_of(family: str, seed: int = 0) -> Any:
    """A MODEL of one of FAMILIES."""
    base, patcher, management, supported = (
        importlib.import_module(f"comfy.{name}") for name in ("model_base", "model_patcher", "model_management", "supported_models")
    )
    known = FAMILIES[family]
    shape = {**known.shape, "dtype": torch.float32}
    config = getattr(supported, known.config)(dict(shape))
    # Some configs add what belongs to the real size.
    config.unet_config = dict(shape)
    config.set_inference_dtype(torch.float32, None)
    kind = getattr(base, known.base)
    model = kind(config, device=CPU)
    seed_parameters(model.diffusion_model, seed)
    return patcher.ModelPatcher(model, load_device=management.get_torch_device(), offload_device=CPU)


def latent_of(family: str, height: int, width: int, batch: int = 1) -> torch.Tensor:
    """An empty latent of a family, of a picture of height x width image pixels."""
    known = FAMILIES[family]
    cells = (height // known.pixels, width // known.pixels)
    return torch.zeros((batch, known.channels, *((1,) if known.frames else ()), *cells))


def prompt_of(family: str, seed: int, tokens: int = 7) -> list:
    """CONDITIONING that fits a family."""
    known, drawn = FAMILIES[family], torch.Generator().manual_seed(seed)
    said: dict[str, Any] = {"pooled_output": torch.randn(1, known.pooled, generator=drawn)} if known.pooled else {}
    return [[torch.randn(1, tokens, CONTEXT_DIM, generator=drawn), said]]
