"""Which modules of a network take in the whole picture, by their type.

A name is a suspicion: attention may be confined to windows, pooling may be unused. Whether the picture as a whole
matters is for `receptive_field.measure` to find out, which asks here only for names.
"""

from __future__ import annotations

import re
from collections import Counter

from torch import nn

SQUEEZE_EXCITE = "squeeze-and-excitation"
GLOBAL_POOLING = "global pooling"
ATTENTION = "attention"

# Squeeze-and-excitation is written anew in every code base; these are the names it goes by.
_SQUEEZE = re.compile(r"^(SE|ECA|CA)(_?(Block|Layer|Module|Unit|Net))?$|Squeeze|Channel_?Att", re.IGNORECASE)
_ATTENTION = re.compile(r"Attn|Attention")
_GATES = (nn.Sigmoid, nn.Hardsigmoid, nn.Tanh, nn.Softmax)


def statistics_modules(network: nn.Module) -> dict[str, int]:
    """What in `network` may depend on the whole picture: name -> number of modules, the most frequent first.

    BatchNorm with stored statistics, as in every model that is run and not trained, does not. LayerNorm over channels
    does not either.
    """
    found: Counter[str] = Counter()
    _search(network, found, gated=False)
    return dict(found.most_common())


def safe_modules(network: nn.Module) -> dict[str, int]:
    """Norms that are suspected in vain, for they have stored statistics: name -> number of modules."""
    found: Counter[str] = Counter()
    for module in network.modules():
        norm = isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.instancenorm._InstanceNorm)
        if norm and _norm(module) is None:
            found[f"{'BatchNorm' if isinstance(module, nn.modules.batchnorm._BatchNorm) else 'InstanceNorm'} with stored statistics"] += 1
    return dict(found.most_common())


def attention_modules(network: nn.Module) -> list[nn.Module]:
    """Every module of attention that lies in no other."""
    if _name(network, False) == ATTENTION:
        return [network]
    return [found for child in network.children() for found in attention_modules(child)]


def _search(module: nn.Module, found: Counter[str], gated: bool) -> None:
    name = _name(module, gated)
    if name:
        found[name] += 1
    if name in (SQUEEZE_EXCITE, ATTENTION):
        # Its parts are not counted a second time, except for norms, which attention often has before it.
        for part in module.modules():
            inner = _norm(part) if part is not module else None
            if inner:
                found[inner] += 1
        return
    children = list(module.children())
    # A gate beside the pooling, wherever it is inside the same small block, makes it a squeeze-and-excitation.
    gates = any(isinstance(child, _GATES) for child in children)
    for child in children:
        _search(child, found, gates)


def _name(module: nn.Module, gated: bool) -> str | None:
    kind = type(module).__name__
    if _SQUEEZE.search(kind):
        return SQUEEZE_EXCITE
    if isinstance(module, nn.MultiheadAttention) or _ATTENTION.search(kind):
        return ATTENTION
    if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d | nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool3d):
        size = module.output_size
        return (SQUEEZE_EXCITE if gated else GLOBAL_POOLING) if _few(size) else None
    return _norm(module)


def _few(size: object) -> bool:
    sides = size if isinstance(size, tuple | list) else (size,)
    return all(side is not None and side < 16 for side in sides)


def _norm(module: nn.Module) -> str | None:
    stored = getattr(module, "running_mean", None) is not None and not module.training
    if isinstance(module, nn.modules.instancenorm._InstanceNorm):
        return None if stored else "InstanceNorm"
    if isinstance(module, nn.GroupNorm):
        return "GroupNorm"
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return None if stored else "BatchNorm without stored statistics"
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) > 1:
        return "LayerNorm over the picture"
    return None
