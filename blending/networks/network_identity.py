"""What a network is, in a few letters: the same for the same network on another device, in another process, from another file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import torch

# What hosts note in modules about where weights are and how they are cast: ComfyUI's patcher writes them when it loads a model.
_NOTES = (
    *("comfy", "prev_comfy", "model_loaded_", "model_lowvram", "model_offload_"),
    *("lowvram_", "current_weight_", "dynamic_", "skip_injection"),
)


def identity(network: torch.nn.Module) -> str | None:
    """A hash of a network's classes, settings and numbers, or None where its numbers cannot be read.

    All numbers are read: about a second for each gigabyte.
    """
    found = hashlib.blake2b(digest_size=32)
    for name, module in network.named_modules():
        found.update(f"{name}\0{type(module).__module__}.{type(module).__qualname__}\0{module.extra_repr()}\0".encode())
        for setting in _settings(module):
            found.update(f"{setting}\0".encode())
    try:
        for name, tensor in _tensors(network):
            found.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
            for part in _bytes(tensor):
                found.update(part)
    except (RuntimeError, TypeError, ValueError, NotImplementedError, AttributeError):
        return None  # numbers of a kind that is not known here, or weights that are nowhere
    return found.hexdigest()


def _settings(module: torch.nn.Module) -> Iterator[str]:
    """What a module keeps as plain values, such as the factor it scales by."""
    for name, value in sorted(vars(module).items()):
        plain = isinstance(value, bool | int | float | str) or (
            isinstance(value, tuple) and all(isinstance(one, bool | int | float | str) for one in value)
        )
        if plain and not name.startswith(("_", *_NOTES)):
            yield f"{name}={value!r}"


def _tensors(network: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for kind in (network.named_parameters, network.named_buffers):
        yield from sorted(kind(remove_duplicate=False), key=lambda item: item[0])


def _bytes(tensor: torch.Tensor) -> Iterator[Any]:
    """The numbers of a tensor of any type, as they are stored."""
    tensor = tensor.detach()
    if tensor.is_quantized:
        steps = (tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()) if "channel" in str(tensor.qscheme()) else ()
        yield repr([str(tensor.qscheme()), *((tensor.q_scale(), tensor.q_zero_point()) if not steps else ())]).encode()
        for part in (*steps, tensor.int_repr()):
            yield from _bytes(part)
        return
    if tensor.layout != torch.strided or type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        raise TypeError(f"{type(tensor).__name__}, {tensor.layout}")
    yield memoryview(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
