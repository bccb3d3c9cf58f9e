"""Tiny models for ComfyUI, every number of them drawn from a seed and none downloaded.

ComfyUI is imported inside the builders: it must be set up (command line and device) before it is
imported, and who only wants `conv_image` needs no ComfyUI at all.

ComfyUI leaves the weights of a new model as it finds them in memory, so each builder seeds every one.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from .convolution import ConvDenoiser, conv_image, seeded

__all__ = ["CONTEXT_DIM", "conditioning", "conv_denoiser", "conv_image", "tiny_dit", "tiny_unet", "tiny_vae"]

CPU = torch.device("cpu")
# An autoencoder as small as it can be: the group norms have 32 groups, so 32 wide is the least.
KL_SHAPE = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 64,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 32,
    "ch_mult": [1, 1, 1, 1],
    "num_res_blocks": 1,
    "attn_resolutions": [],
    "dropout": 0.0,
}
CONTEXT_DIM = 16
POOLED_DIM = 8
DIT_CHANNELS = 16


def seed_parameters(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Give `module` weights that keep a signal about as large as it came: drawn from `seed`, in the parameters' order."""
    generator = seeded(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(drawn / math.sqrt(parameter[0].numel()))
            else:
                # Weights of one dimension are gains of norms.
                parameter.copy_(0.05 * drawn + (0.0 if name.endswith("bias") else 1.0))
    return module.requires_grad_(False).eval()


def _patcher(model: torch.nn.Module) -> Any:
    import comfy.model_management
    import comfy.model_patcher

    return comfy.model_patcher.ModelPatcher(model, load_device=comfy.model_management.get_torch_device(), offload_device=CPU)


def conv_denoiser(radius: int, seed: int = 0, channels: int = 4, kind: type = ConvDenoiser, **options: Any) -> Any:
    """A convolutional denoiser as a MODEL, for the exactness law of tiled sampling.

    Latents [B, channels, h, w] or [B, channels, T, h, w]; prompts [B, tokens, 16]. One call sees exactly `radius`
    latent cells to each side and pads with zeros. It predicts the clean latent itself (its output does not pass
    through a subtraction of noise), so what it returns is what the sampler sees.

    Args:
        radius: receptive radius in latent cells, 0 or more.
        seed: of the weights.
        channels: of the latent; the latent format is that of SD 1.5 whatever their number.
        kind: of the network, a ConvDenoiser; `options` are for it.
    """
    import comfy.model_base
    import comfy.model_sampling
    import comfy.supported_models

    class CleanPrediction(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.X0):
        """The noise levels of SD 1.5, for a model that answers with the clean latent."""

    config = comfy.supported_models.SD15({"disable_unet_model_creation": True})
    config.set_inference_dtype(torch.float32, None)
    model = comfy.model_base.BaseModel(config, device=CPU)
    model.diffusion_model = kind(radius, channels, CONTEXT_DIM, seed, **options)
    model.model_sampling = CleanPrediction(config)
    return _patcher(model)


def tiny_unet(seed: int = 0, inpaint: bool = False) -> Any:
    """An SD 1.5 UNet as a MODEL, 32 channels wide, 1.1 million numbers.

    Latents [B, 4, h, w], sides a multiple of 4; prompts [B, tokens, 16]. Its group norms and its attention (at a
    quarter of the size) see the whole latent: there is no receptive radius.

    Args:
        seed: of the weights.
        inpaint: whether it also sees the mask and the masked picture, as the inpainting checkpoints do.
    """
    import comfy.model_base
    import comfy.supported_models

    # Attention at the lowest level only: at full size it takes minutes on a CPU.
    unet = {
        "image_size": 32,
        "in_channels": 9 if inpaint else 4,
        "out_channels": 4,
        "model_channels": 32,
        "num_res_blocks": [1, 1, 1],
        "channel_mult": [1, 1, 2],
        "transformer_depth": [0, 0, 1],
        "transformer_depth_output": [0, 0, 0, 0, 1, 1],
        "transformer_depth_middle": 1,
        "context_dim": CONTEXT_DIM,
        "num_heads": 2,
        "num_head_channels": -1,
        "use_spatial_transformer": True,
        "use_linear_in_transformer": False,
        "use_temporal_attention": False,
        "use_checkpoint": False,
        "legacy": False,
        "adm_in_channels": None,
        "num_classes": None,
        "dtype": torch.float32,
    }
    config = comfy.supported_models.SD15(unet)
    # The config's own extras ask for eight heads.
    config.unet_config = unet
    config.set_inference_dtype(torch.float32, None)
    model = comfy.model_base.BaseModel(config, device=CPU)
    if inpaint:
        model.set_inpaint()
    seed_parameters(model.diffusion_model, seed)
    return _patcher(model)


def tiny_dit(seed: int = 0) -> Any:
    """A Flux transformer with rotary positions as a MODEL, 64 wide, one double and one single block.

    Latents [B, 16, h, w] (an all-zero latent of 4 channels is made to fit by the host), any size; prompts
    [B, tokens, 16] with a pooled_output [B, 8]. Attention sees the whole latent: there is no receptive radius.

    Args:
        seed: of the weights.
    """
    import comfy.model_base
    import comfy.supported_models

    flux = {
        "image_model": "flux",
        "in_channels": DIT_CHANNELS,
        "out_channels": DIT_CHANNELS,
        "vec_in_dim": POOLED_DIM,
        "context_in_dim": CONTEXT_DIM,
        "hidden_size": 64,
        "mlp_ratio": 2.0,
        "num_heads": 2,
        "depth": 1,
        "depth_single_blocks": 1,
        "axes_dim": [8, 12, 12],
        "theta": 10000,
        "patch_size": 2,
        "qkv_bias": True,
        "guidance_embed": True,
        "txt_ids_dims": [],
        "dtype": torch.float32,
    }
    config = comfy.supported_models.Flux(flux)
    config.set_inference_dtype(torch.float32, None)
    model = comfy.model_base.Flux(config, device=CPU)
    seed_parameters(model.diffusion_model, seed)
    return _patcher(model)


def tiny_vae(seed: int = 0, channels: int = 4) -> Any:
    """An AutoencoderKL of four levels as a VAE: 8 image pixels per latent cell, 0.4 million numbers.

    Images [B, H, W, 3] <-> latents [B, channels, H / 8, W / 8]. Its group norms and its attention in the middle see
    the whole picture: there is no receptive radius.

    Args:
        seed: of the weights.
        channels: of the latent: 4 for the UNet and the conv denoiser, 16 for the DiT.
    """
    import comfy.sd
    from comfy.ldm.models.autoencoder import AutoencoderKL

    shape = {**KL_SHAPE, "z_channels": channels}
    autoencoder = seed_parameters(AutoencoderKL(ddconfig=shape, embed_dim=channels), seed)
    with torch.no_grad():
        # Small enough that a decoded picture stays inside 0..1, where clamping would hide differences.
        autoencoder.decoder.conv_out.weight.mul_(0.3)
    config = {"params": {"ddconfig": shape, "embed_dim": channels}}
    vae = comfy.sd.VAE(sd=autoencoder.state_dict(), config=config, dtype=torch.float32)
    vae.latent_channels = channels
    return vae


def conditioning(seed: int, tokens: int = 7) -> list:
    """A prompt that fits all models here: context [1, tokens, 16] and pooled_output [1, 8].

    Args:
        seed: of both tensors.
        tokens: how many.
    """
    generator = seeded(seed)
    context = torch.randn(1, tokens, CONTEXT_DIM, generator=generator)
    return [[context, {"pooled_output": torch.randn(1, POOLED_DIM, generator=generator)}]]
