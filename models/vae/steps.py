"""The host's VAEs as chains of steps that can be run tile by tile.

Known are the image VAEs that the host builds from its own modules: AutoencoderKL and AutoencodingEngine around the
Encoder and Decoder of SD, SDXL, SD3, Flux and Flux.2, the x4 upscaler's, HunyuanImage's, and TAESD in its variants. A
module is recognised by its exact class, because a subclass may do anything; what is not recognised is answered with None.
Every convolution is called as the module that it is, so patched, offloaded and cast weights work as in the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ...blending.stages.steps import Add, Attention, Keep, Local, Norm, Step


def decoder_steps(model: Any) -> list[Step] | None:
    """A VAE's decoder, from the latent to the picture as the module gives it; None where it is not known.

    Args:
        model: `first_stage_model` of the host's VAE.
    """
    return _steps(model, "decode")


def encoder_steps(model: Any) -> list[Step] | None:
    """A VAE's encoder, from what `process_input` gives to the latent (the mean of the posterior); None where it is not known."""
    return _steps(model, "encode")


def _steps(model: Any, way: str) -> list[Step] | None:
    from comfy.ldm.models import autoencoder
    from comfy.taesd import taesd

    if _replaced(model, way):
        return None
    engines = (autoencoder.AutoencodingEngine, autoencoder.AutoencodingEngineLegacy, autoencoder.AutoencoderKL)
    try:
        if type(model) in engines:
            return _kl_decoder(model) if way == "decode" else _kl_encoder(model)
        if type(model) is taesd.TAESD:
            return _taesd_decoder(model) if way == "decode" else _taesd_encoder(model)
    except UnknownModuleError:
        pass
    return None


class UnknownModuleError(Exception):
    """A module that these chains do not describe."""


def _must(fact: bool) -> None:
    if not fact:
        raise UnknownModuleError


def _replaced(module: Any, *names: str) -> bool:
    """Whether somebody put other functions, or hooks, in place of the module's own."""
    return any(name in vars(module) for name in names) or bool(module._forward_hooks or module._forward_pre_hooks)


def _plain(module: Any, kind: type) -> Any:
    _must(type(module) is kind and not _replaced(module, "forward"))
    return module


def _conv(module: Any, reach: int = 1) -> Local:
    """A 3x3 (or with reach 0, 1x1) convolution of stride 1."""
    side = 2 * reach + 1
    _must(isinstance(module, torch.nn.Conv2d) and module.kernel_size == (side, side) and module.stride == (1, 1))
    _must(module.padding == (reach, reach) and module.dilation == (1, 1))
    # SVD's is one with another inside, over the frames.
    _must(next(module.children(), None) is None)
    return Local(module, reach)


def _silu(x: torch.Tensor) -> torch.Tensor:
    # In place: it always follows a normalisation, which makes a new tensor.
    return torch.nn.functional.silu(x, inplace=True)


def _norm(module: Any) -> Norm:
    _must(isinstance(module, torch.nn.GroupNorm) and not _replaced(module, "forward"))
    return Norm(module.num_groups, module.eps, _affine(module))


def _affine(module: Any) -> Callable[[torch.Tensor], tuple[torch.Tensor | None, torch.Tensor | None]]:
    """Gain and bias as the host's operation would use them: patched, and brought to the device."""

    def read(x: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        import comfy.ops

        if module.weight is None and module.bias is None:
            return None, None
        if not hasattr(module, "comfy_cast_weights"):
            return module.weight.to(x.device).float(), module.bias.to(x.device).float()
        weight, bias, stream = comfy.ops.cast_bias_weight(module, x, offloadable=True)
        copies = tuple(None if one is None else one.to(torch.float32, copy=True) for one in (weight, bias))
        comfy.ops.uncast_bias_weight(module, weight, bias, stream)
        return copies

    return read


def _resnet(block: Any) -> list[Step]:
    from comfy.ldm.modules.diffusionmodules.model import ResnetBlock

    _plain(block, ResnetBlock)
    if block.in_channels == block.out_channels:
        shortcut = None
    else:
        shortcut = _conv(block.conv_shortcut) if block.use_conv_shortcut else _conv(block.nin_shortcut, 0)
    first, second = _conv(block.conv1), _conv(block.conv2)
    return [Keep(), _norm(block.norm1), Local(_silu), first, _norm(block.norm2), Local(_silu), second, Add(shortcut)]


def _attention(block: Any) -> list[Step]:
    from comfy.ldm.modules.diffusionmodules.model import AttnBlock

    _plain(block, AttnBlock)
    for part in (block.q, block.k, block.v, block.proj_out):
        _conv(part, 0)
    return [Keep(), _norm(block.norm), Attention(block.q, block.k, block.v, block.proj_out), Add()]


def _middle(middle: Any) -> list[Step]:
    return [*_resnet(middle.block_1), *_attention(middle.attn_1), *_resnet(middle.block_2)]


def _level(level: Any) -> list[Step]:
    attentions = list(getattr(level, "attn", ()))
    steps: list[Step] = []
    for index, block in enumerate(level.block):
        steps += _resnet(block)
        if attentions:
            steps += _attention(attentions[index])
    return steps


def _upsample(module: Any) -> Local:
    from comfy.ldm.hunyuan_video.vae import PixelUnshuffle2D
    from comfy.ldm.modules.diffusionmodules.model import Upsample

    if type(module) is PixelUnshuffle2D:
        _conv(_plain(module, PixelUnshuffle2D).conv)
        return Local(module, 1, up=2)
    _plain(module, Upsample)
    _must(module.scale_factor == 2)
    if module.with_conv:
        _conv(module.conv)
    return Local(module, 1 if module.with_conv else 0, up=2)


def _downsample(module: Any) -> Local:
    from comfy.ldm.hunyuan_video.vae import PixelShuffle2D
    from comfy.ldm.modules.diffusionmodules.model import Downsample

    if type(module) is PixelShuffle2D:
        _conv(_plain(module, PixelShuffle2D).conv)
        return Local(module, 1, down=2)
    _plain(module, Downsample)
    if module.with_conv:
        conv = module.conv
        _must(isinstance(conv, torch.nn.Conv2d) and conv.kernel_size == (3, 3) and conv.stride == (2, 2) and conv.padding == (0, 0))
    return Local(module, 1 if module.with_conv else 0, down=2)


def _ends(module: Any) -> list[Step]:
    return [_norm(module.norm_out), Local(_silu), _conv(module.conv_out)]


def _kl_decoder(model: Any) -> list[Step]:
    from comfy.ldm.hunyuan_video import vae as hunyuan
    from comfy.ldm.modules.diffusionmodules import model as ldm

    _must(getattr(model, "max_batch_size", None) is None)
    steps: list[Step] = _before_decoder(model)
    decoder = model.decoder
    if type(decoder) is hunyuan.Decoder and not _replaced(decoder, "forward"):
        _conv(decoder.conv_in)
        repeats = decoder.block_out_channels[0] // decoder.z_channels
        steps.append(Local(lambda z: decoder.conv_in(z) + z.repeat_interleave(repeats, 1), 1))
        levels = list(decoder.up)
    else:
        _plain(decoder, ldm.Decoder)
        _must(not decoder.carried)
        steps.append(_conv(decoder.conv_in))
        levels = list(reversed(decoder.up))
    steps += _middle(decoder.mid)
    for level in levels:
        steps += _level(level)
        if hasattr(level, "upsample"):
            steps.append(_upsample(level.upsample))
    steps += _ends(decoder)
    if getattr(decoder, "tanh_out", False):
        steps.append(Local(torch.tanh))
    return steps


def _kl_encoder(model: Any) -> list[Step]:
    from comfy.ldm.hunyuan_video import vae as hunyuan
    from comfy.ldm.modules.diffusionmodules import model as ldm

    _must(getattr(model, "max_batch_size", None) is None)
    encoder = model.encoder
    wide = type(encoder) is hunyuan.Encoder and not _replaced(encoder, "forward")
    if not wide:
        _plain(encoder, ldm.Encoder)
        _must(not encoder.carried)
    steps: list[Step] = [_conv(encoder.conv_in)]
    for level in encoder.down:
        steps += _level(level)
        if hasattr(level, "downsample"):
            steps.append(_downsample(level.downsample))
    steps += _middle(encoder.mid)
    if wide:
        out = encoder.z_channels * 2
        skip = Local(lambda x: x.unflatten(1, (out, -1)).mean(2))
        steps += [Keep(), *_ends(encoder), Add(skip)]
    else:
        steps += _ends(encoder)
    return steps + _after_encoder(model)


def _before_decoder(model: Any) -> list[Step]:
    """What is done to the latent before the decoder proper."""
    if getattr(model, "bn", None) is not None:
        side = model.ps[0]
        _must(list(model.ps) == [side, side])
        steps: list[Step] = [Local(lambda z: _unshuffled(model, z), up=side)]
    else:
        steps = []
    if hasattr(model, "post_quant_conv"):
        steps.append(_conv(model.post_quant_conv, 0))
    return steps


def _unshuffled(model: Any, z: torch.Tensor) -> torch.Tensor:
    """Flux.2's latent without its batch norm, its channels spread over the plane."""
    mean, variance = (one.to(z).reshape(1, -1, 1, 1) for one in (model.bn.running_mean, model.bn.running_var))
    return torch.nn.functional.pixel_shuffle(z * torch.sqrt(variance + model.bn_eps) + mean, model.ps[0])


def _after_encoder(model: Any) -> list[Step]:
    """From the encoder's moments to the latent."""
    from comfy.ldm.models.autoencoder import DiagonalGaussianRegularizer

    steps: list[Step] = [_conv(model.quant_conv, 0)] if hasattr(model, "quant_conv") else []
    _plain(model.regularization, DiagonalGaussianRegularizer)
    _must(not model.regularization.sample)
    steps.append(Local(lambda z: model.regularization(z)[0]))
    if getattr(model, "bn", None) is not None:
        steps.append(Local(lambda z: _shuffled(model, z), down=model.ps[0]))
    return steps


def _shuffled(model: Any, z: torch.Tensor) -> torch.Tensor:
    """The reverse of `_unshuffled`."""
    z = torch.nn.functional.pixel_unshuffle(z, model.ps[0])
    mean, variance = (one.to(z) for one in (model.bn.running_mean, model.bn.running_var))
    return torch.nn.functional.batch_norm(z, mean, variance, momentum=model.bn_momentum, eps=model.bn_eps)


def _taesd_decoder(model: Any) -> list[Step]:
    from comfy.taesd import taesd

    decoder = model.taesd_decoder
    scaled = Local(lambda z: (z - model.vae_shift.to(z)) * model.vae_scale.to(z))
    shuffle: list[Step] = []
    if type(decoder) is taesd.DecoderFlux2:
        shuffle = [Local(lambda z: torch.nn.functional.pixel_shuffle(z, 2), up=2)]
    else:
        _must(type(decoder) is taesd.Decoder)
    _must(not _replaced(decoder, "forward"))
    return [scaled, *shuffle, *_taesd_chain(decoder), Local(lambda x: x.sub(0.5).mul(2))]


def _taesd_encoder(model: Any) -> list[Step]:
    from comfy.taesd import taesd

    encoder = model.taesd_encoder
    steps: list[Step] = [Local(lambda x: x * 0.5 + 0.5), *_taesd_chain(encoder)]
    if type(encoder) is taesd.EncoderFlux2:
        steps.append(Local(lambda z: torch.nn.functional.pixel_unshuffle(z, 2), down=2))
    else:
        _must(type(encoder) is taesd.Encoder)
    _must(not _replaced(encoder, "forward"))
    return [*steps, Local(lambda z: z / model.vae_scale.to(z) + model.vae_shift.to(z))]


def _taesd_chain(layers: Any) -> list[Step]:
    from comfy.taesd import taesd

    steps: list[Step] = []
    for layer in layers:
        if type(layer) is taesd.Block:
            steps += _taesd_block(layer)
        elif isinstance(layer, torch.nn.Upsample):
            _must(layer.scale_factor == 2 and layer.mode == "nearest")
            steps.append(Local(layer, up=2))
        elif isinstance(layer, torch.nn.Conv2d) and layer.stride == (2, 2):
            _must(layer.kernel_size == (3, 3) and layer.padding == (1, 1))
            steps.append(Local(layer, 1, down=2))
        elif isinstance(layer, torch.nn.Conv2d):
            steps.append(_conv(layer))
        else:
            _must(type(layer) in (taesd.Clamp, torch.nn.ReLU))
            steps.append(Local(layer))
    return steps


def _taesd_block(block: Any) -> list[Step]:
    _must(not _replaced(block, "forward"))
    steps: list[Step] = []
    if block.pool is not None:
        spread, norm, rectify, gather = block.pool
        steps = [Keep(), _conv(spread, 0), _norm(norm), Local(rectify), _conv(gather, 0), Add()]
    inner = [_conv(layer) if isinstance(layer, torch.nn.Conv2d) else Local(layer) for layer in block.conv]
    skip = None if isinstance(block.skip, torch.nn.Identity) else _conv(block.skip, 0)
    return [*steps, Keep(), *inner, Add(skip), Local(block.fuse)]
