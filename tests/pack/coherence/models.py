"""Two small diffusion models in ComfyUI's own classes, trained on `scenes`: a UNet (v-prediction) and a Flux DiT (flow).

Latents [B, 4, h, w] of 32 x 32 cells, 8 image pixels each; prompts of `scenes.prompts`. Their weights lie beside this
file, in 8 bits with a scale for each row: `train.py` makes them. ComfyUI is imported inside the functions, because it must
be set up before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from . import scenes

KINDS = ("unet", "dit")
HERE = Path(__file__).parent
CPU = torch.device("cpu")
SCALES = ".scales"

UNET = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32, "num_res_blocks": [1, 1, 1],
    "channel_mult": [1, 2, 2], "transformer_depth": [0, 1, 1], "transformer_depth_output": [0, 0, 1, 1, 1, 1],
    "transformer_depth_middle": 1, "context_dim": scenes.CONTEXT_DIM, "num_heads": -1, "num_head_channels": 32,
    "use_spatial_transformer": True, "use_linear_in_transformer": False, "use_temporal_attention": False,
    "use_checkpoint": False, "legacy": False, "adm_in_channels": None, "num_classes": None, "dtype": torch.float32,
}  # fmt: skip
FLUX = {
    "image_model": "flux", "in_channels": 4, "out_channels": 4, "vec_in_dim": scenes.POOLED_DIM,
    "context_in_dim": scenes.CONTEXT_DIM, "hidden_size": 128, "mlp_ratio": 2.0, "num_heads": 4, "depth": 1,
    "depth_single_blocks": 5, "axes_dim": [8, 12, 12], "theta": 100, "patch_size": 4, "qkv_bias": True,
    "guidance_embed": False, "txt_ids_dims": [], "dtype": torch.float32,
}  # fmt: skip


class _NoShift:
    """A flow model's schedule as it is trained: noise level and time are one."""

    sampling_settings = {"shift": 1.0, "multiplier": 1.0}


def untrained(kind: str) -> Any:
    """A BaseModel of one of KINDS; its weights are whatever was in memory."""
    import comfy.latent_formats
    import comfy.model_base
    import comfy.supported_models

    shape = UNET if kind == "unet" else FLUX
    config = (comfy.supported_models.SD15 if kind == "unet" else comfy.supported_models.Flux)(dict(shape))
    # The config's own extras ask for eight heads.
    config.unet_config = dict(shape)
    config.set_inference_dtype(torch.float32, None)
    if kind == "unet":
        model = comfy.model_base.BaseModel(config, comfy.model_base.ModelType.V_PREDICTION, device=CPU)
    else:
        model = comfy.model_base.Flux(config, device=CPU)
        model.model_sampling = comfy.model_base.model_sampling(_NoShift(), comfy.model_base.ModelType.FLOW)
    form = comfy.latent_formats.LatentFormat()
    form.scale_factor, form.latent_channels = 1.0, scenes.CHANNELS
    model.latent_format = form
    return model


def scene_model(kind: str, weights: Path | None = None) -> Any:
    """A MODEL of one of KINDS with its trained weights."""
    import comfy.model_management
    import comfy.model_patcher

    model = untrained(kind)
    model.diffusion_model.load_state_dict(read_weights(weights or HERE / f"{kind}.safetensors"))
    model.diffusion_model.requires_grad_(False).eval()
    return comfy.model_patcher.ModelPatcher(model, load_device=comfy.model_management.get_torch_device(), offload_device=CPU)


def write_weights(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Save weights in 8 bits, a scale for each row of what has rows; what has one dimension in half precision."""
    import safetensors.torch

    kept = {}
    for name, value in weights.items():
        value = value.detach().float()
        if value.ndim < 2:
            kept[name] = value.half().contiguous()
            continue
        scales = value.flatten(1).abs().amax(1).clamp_min(1e-12) / 127
        kept[name] = (value / scales.view(-1, *[1] * (value.ndim - 1))).round().to(torch.int8).contiguous()
        kept[name + SCALES] = scales.contiguous()
    safetensors.torch.save_file(kept, str(path))


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """What `write_weights` saved, as float32."""
    import safetensors.torch

    kept = safetensors.torch.load_file(str(path))
    weights = {}
    for name, value in kept.items():
        if name.endswith(SCALES):
            continue
        scales = kept.get(name + SCALES)
        weights[name] = value.float() if scales is None else value.float() * scales.view(-1, *[1] * (value.ndim - 1))
    return weights


def scene_prompt(*said: str) -> list:
    """CONDITIONING of (kind, scope); of nothing where nothing is said."""
    context, pooled = scenes.prompts()[said]
    return [[context, {"pooled_output": pooled}]]
