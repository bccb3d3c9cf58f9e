"""Which calls of torch look at a whole feature map in a way that cannot be put together from its tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from .map_scale import MapScales, argument


def _attention(func: Any, args: tuple, kwargs: dict, scales: MapScales) -> bool:
    key = argument(args, kwargs, 1, "key")
    return isinstance(key, torch.Tensor) and key.shape[0] == scales.samples and key.ndim > 2 and scales.are_places(key, key.ndim - 2)


def _softmax(func: Any, args: tuple, kwargs: dict, scales: MapScales) -> bool:
    x = argument(args, kwargs, 0, "input", "self")
    if not isinstance(x, torch.Tensor) or x.ndim < 3 or x.shape[0] != scales.samples:
        return False
    # Over a map of positions, not over channels or positions in a window.
    trace = scales.of(x)
    sides = trace.sides if trace else [side * x.shape[-1] // scales.size[1] for side in scales.size]
    return x.shape[-1] == x.shape[-2] and scales.are_places(x, x.ndim - 1) and tuple(x.shape[-2:]) != tuple(sides)


def _contraction(func: Any, args: tuple, kwargs: dict, scales: MapScales) -> bool:
    a = args[0] if args else None
    if not isinstance(a, torch.Tensor) or a.ndim < 3 or a.shape[0] != scales.samples or a.shape[-1] <= 4 * a.shape[-2]:
        return False
    return scales.are_places(a, a.ndim - 1)


def _always(func: Any, args: tuple, kwargs: dict, scales: MapScales) -> bool:
    return True


def _coarse_pool(func: Any, args: tuple, kwargs: dict, scales: MapScales) -> bool:
    wanted = argument(args, kwargs, 1, "output_size")
    return isinstance(wanted, int) or any(isinstance(side, int) for side in wanted)


_UNPOOLED: dict[Any, tuple[str, Callable[..., bool]]] = {
    functional.scaled_dot_product_attention: ("attention over the whole tile", _attention),
    **{func: ("attention over the whole tile", _softmax) for func in (functional.softmax, torch.softmax, torch.Tensor.softmax)},
    **{
        func: ("attention between channels", _contraction)
        for func in (torch.matmul, torch.bmm, torch.Tensor.matmul, torch.Tensor.bmm, torch.Tensor.__matmul__)
    },
    **{
        func: ("pooling to a few cells", _coarse_pool)
        for func in (functional.adaptive_avg_pool2d, functional.adaptive_max_pool2d)
    },
    **{func: ("a Fourier transform of the tile", _always) for func in (torch.fft.fft2, torch.fft.rfft2, torch.fft.fftn, torch.fft.rfftn)},
}  # fmt: skip


def unpooled_of(func: Any, args: tuple, kwargs: dict, scales: MapScales) -> str:
    """What looks at the whole tile in a way that cannot be pooled, in words; "" where nothing does."""
    kind = _UNPOOLED.get(func)
    return kind[0] if kind is not None and kind[1](func, args, kwargs, scales) else ""
