"""The norms of torch that look at a whole feature map: instance, group, batch, layer and root-mean-square norm."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from .reductions import Maps, Reduction, wide


def _group_arguments(input, num_groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=True): ...


def _instance_arguments(
    input, weight=None, bias=None, running_mean=None, running_var=None, use_input_stats=True, momentum=0.1, eps=1e-5, cudnn_enabled=True
): ...


def _batch_arguments(
    input, weight=None, bias=None, running_mean=None, running_var=None, training=False, momentum=0.1, eps=1e-5, cudnn_enabled=True
): ...


def _layer_arguments(input, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True): ...


def _square_arguments(input, normalized_shape, weight=None, eps=None): ...


def _norm(name: str, arguments: Callable[..., Any]) -> Callable[..., Reduction | None]:
    """Instance norm, group norm, and batch norm that looks at its batch. Those of torch itself do not tell their arguments."""
    signature = inspect.signature(arguments)

    def make(func: Any, args: tuple, kwargs: dict, maps: Maps) -> Reduction | None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        x = given["input"]
        stored = given.get("running_mean") is not None
        if stored and not given.get("use_input_stats", given.get("training")):
            return None
        found = maps.whole(x)
        if found is None:
            return None
        groups = given["num_groups"] if name == "group_norm" else x.shape[1]
        # [N, groups, channels of a group, ..., h, w]
        found = found._replace(maps=found.maps.unflatten(1, (groups, -1)), at=found.at + 1, over=(2, *(dim + 1 for dim in found.over)))
        affine = (1, -1, *(1,) * (x.ndim - 2))

        def finish(mean: torch.Tensor, variance: torch.Tensor, *_: Any) -> torch.Tensor:
            each = (*mean.shape, *(1,) * (found.maps.ndim - 2))
            out = (wide(found.maps) - mean.reshape(each)) * (variance.reshape(each) + given["eps"]).rsqrt()
            out = out.reshape(x.shape)
            if given["weight"] is not None:
                out = out * given["weight"].to(out).view(affine)
            if given["bias"] is not None:
                out = out + given["bias"].to(out).view(affine)
            return out.to(x.dtype)

        def local() -> torch.Tensor:
            if not stored:
                return func(*args, **kwargs)
            # Without the stored statistics, which the call would otherwise update: the model stays as it was.
            return func(**{**given, "running_mean": None, "running_var": None})

        return Reduction(name, found, finish, local)

    return make


def _shaped(name: str, arguments: Callable[..., Any]) -> Callable[..., Reduction | None]:
    """Layer norm and root-mean-square norm whose shape has both directions in it."""
    signature = inspect.signature(arguments)

    def make(func: Any, args: tuple, kwargs: dict, maps: Maps) -> Reduction | None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        x, shape = given["input"], given["normalized_shape"]
        found = maps.find(x, tuple(range(-len(shape), 0))) if isinstance(shape, tuple | list) else None
        if found is None:
            return None
        each = (*x.shape[: x.ndim - len(shape)], *(1,) * len(shape))

        def finish(mean: torch.Tensor, variance: torch.Tensor, *_: Any) -> torch.Tensor:
            eps = torch.finfo(x.dtype).eps if given["eps"] is None else given["eps"]
            if name == "rms_norm":
                out = wide(x) * (mean.square() + variance + eps).rsqrt().reshape(each)
            else:
                out = (wide(x) - mean.reshape(each)) * (variance.reshape(each) + eps).rsqrt()
            if given["weight"] is not None:
                out = out * given["weight"].to(out)
            if given.get("bias") is not None:
                out = out + given["bias"].to(out)
            return out.to(x.dtype)

        return Reduction(name, found, finish, lambda: func(*args, **kwargs))

    return make


NORMS: dict[Any, Callable[..., Reduction | None]] = {
    functional.instance_norm: _norm("instance_norm", functional.instance_norm),
    functional.group_norm: _norm("group_norm", functional.group_norm),
    functional.batch_norm: _norm("batch_norm", functional.batch_norm),
    torch.instance_norm: _norm("instance_norm", _instance_arguments),
    torch.group_norm: _norm("group_norm", _group_arguments),
    torch.batch_norm: _norm("batch_norm", _batch_arguments),
    functional.layer_norm: _shaped("layer_norm", functional.layer_norm),
    torch.layer_norm: _shaped("layer_norm", _layer_arguments),
    **{
        owner.rms_norm: _shaped("rms_norm", _square_arguments)
        for owner in (functional, torch)
        if hasattr(owner, "rms_norm")
    },
}  # fmt: skip
