"""Which calls of torch reduce a whole feature map, and what they give when its statistics are known.

A feature map belongs to the tile that the network was given: [N, C, h, w] with h : w as the tile's sides (any scale),
[N, h, w, C], or with both directions flattened into one. Reducing all channels with it, or the whole batch, counts too.
Reducing part of the directions, or windows, which have a batch of their own, is no business of the whole picture.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from .layout import Rect
from .one_at_a_time import OneAtATimeError

Size = tuple[int, int]


class Reduction:
    """One call that reduces a map over the whole of it.

    Args:
        name: what it is called in messages.
        maps: [N, ..., h, w, ...], the map with its directions apart.
        at: the dimension of h; w is the next.
        finish: (mean, variance, correction from biased to unbiased), or the extreme, one row per sample -> the call's result.
        local: the call's result from the tile alone.
        extreme: "max" or "min" where that is what is reduced to; "" for mean and variance.
        over: dimensions besides h and w that are reduced.
    """

    def __init__(
        self,
        name: str,
        maps: torch.Tensor,
        at: int,
        finish: Callable[..., Any],
        local: Callable[[], Any],
        extreme: str = "",
        over: tuple[int, ...] = (),
    ) -> None:
        self.name, self.maps, self.at, self.finish, self.local = name, maps, at, finish, local
        self.extreme, self.dims = extreme, (*over, at, at + 1)

    @property
    def device(self) -> torch.device:
        """Where the map lies."""
        return self.maps.device

    def core_values(self, number: int, size: Size, core: Rect) -> Any:
        """(count, mean, biased variance), or the extreme, of the core of sample `number`, on the CPU; None where it is empty."""
        part = self.maps[number : number + 1]
        count = math.prod(self.maps.shape[dim] for dim in self.dims[:-2])
        for dim, start, length, side in ((self.at, core.y, core.height, size[0]), (self.at + 1, core.x, core.width, size[1])):
            # Both neighbours round the line between them to the same place, so that every cell counts once.
            low, high = (round(place * part.shape[dim] / side) for place in (start, start + length))
            if high <= low:
                return None
            part = part.narrow(dim, low, high - low)
            count *= high - low
        part = part.float()
        if self.extreme:
            found = part.amax(self.dims) if self.extreme == "max" else part.amin(self.dims)
            return found[0].cpu()
        variance, mean = torch.var_mean(part, self.dims, correction=0)
        return count, mean[0].cpu(), variance[0].cpu()

    def with_values(self, values: Any) -> Any:
        """The call's result where the whole picture has these values."""
        return self.finish(*values) if isinstance(values, tuple) else self.finish(values)


def reduction_of(func: Any, args: tuple, kwargs: dict, samples: int, size: Size, memory: Any) -> Reduction | None:
    """What the call reduces, or None where it is no reduction of a whole map.

    Args:
        func, args, kwargs: as torch's function modes are given them.
        samples: batch that the network was given.
        size: (height, width) that the network was given.
        memory: remembers in `partial` the last reduction along one direction.
    """
    make = _KINDS.get(func)
    return None if make is None else make(func, args, kwargs, samples, size, memory)


def sides_fit(height: int, width: int, size: Size) -> bool:
    """Whether a map of these sides belongs to a tile of `size`."""
    return height > 1 and width > 1 and height * size[1] == width * size[0]


def unflattened(length: int, size: Size) -> Size | None:
    """The sides of a map of a tile of `size` that has `length` cells, or None where there is none."""
    height = round(math.sqrt(length * size[0] / size[1]))
    if height and length % height == 0 and sides_fit(height, length // height, size):
        return height, length // height
    return None


def _fits(x: Any, samples: int) -> bool:
    """Whether `x` may be a map of every sample; a weight, which is alike in every tile, is none."""
    return isinstance(x, torch.Tensor) and x.is_floating_point() and x.shape[:1] == (samples,) and not isinstance(x, torch.nn.Parameter)


def _everything(x: Any, dims: tuple[int, ...], samples: int, size: Size) -> tuple[torch.Tensor, int, tuple[int, ...]] | None:
    """The map, the dimension of its height and that of its channels, where `dims` are all three, with the batch or without."""
    if not _fits(x, samples) or x.ndim != 4 or {dim % 4 for dim in dims} | {0} != {0, 1, 2, 3}:
        return None
    at = next((at for at in (2, 1) if sides_fit(x.shape[at], x.shape[at + 1], size)), None)
    return None if at is None else (x, at, (1,) if at == 2 else (3,))


def _map(x: Any, dims: tuple[int, ...], samples: int, size: Size) -> tuple[torch.Tensor, int] | None:
    """The map with its directions apart and the dimension of its height, where `dims` are all of them and no more."""
    if not _fits(x, samples) or x.ndim < 3 or not dims:
        return None
    dims = tuple(sorted(dim % x.ndim for dim in dims))
    if x.ndim == 4 and dims in ((2, 3), (1, 2)) and sides_fit(x.shape[dims[0]], x.shape[dims[1]], size):
        return x, dims[0]
    if x.ndim in (3, 4) and len(dims) == 1 and dims[0] in (x.ndim - 1, x.ndim - 2):
        other = x.shape[2 * x.ndim - 3 - dims[0]]
        sides = unflattened(x.shape[dims[0]], size)
        # A width of features may happen to look like a small map; a map that is worth flattening is the longer one.
        if sides and x.shape[dims[0]] > other and (x.ndim == 3 or dims[0] == 3) and not (x.ndim == 4 and sides_fit(*x.shape[2:], size)):
            return x.unflatten(dims[0], sides), dims[0]
    return None


def argument(args: tuple, kwargs: dict, place: int, *names: str, default: Any = None) -> Any:
    for name in names:
        if name in kwargs:
            return kwargs[name]
    return args[place] if len(args) > place else default


def _dims(value: Any) -> tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    if isinstance(value, (tuple, list, torch.Size)) and all(isinstance(one, int) for one in value):
        return tuple(value)
    return ()


def _reduced(x: Any, args: tuple, kwargs: dict, place: int) -> tuple[int, ...]:
    """The dimensions that a call reduces; none where it is another call of the same name, such as the larger of two tensors."""
    if not isinstance(x, torch.Tensor) or "other" in kwargs:
        return ()
    given = argument(args, kwargs, place, "dim", "axis")
    # x.var(False) is all of it, too: `unbiased` comes first there.
    if given is None or isinstance(given, bool) or (isinstance(given, tuple | list) and not given):
        return tuple(range(x.ndim))
    if place == 1 and len(args) > 2 and all(isinstance(one, int) and not isinstance(one, bool) for one in args[1:]):
        return tuple(args[1:])  # x.mean(2, 3)
    return _dims(given)


def _as_result(rows: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """`rows`, one per sample, in the shape of what the call gives for the tile."""
    if like.numel() < len(rows):
        if not bool((rows == rows[:1]).all()):
            raise OneAtATimeError("the model reduces its whole batch, and the tiles in it have different statistics")
        rows = rows[:1]
    return rows.reshape(like.shape).to(like)


def _plain(name: str, extreme: str = "", place: int = 1) -> Callable[..., Reduction | None]:
    """Tensor.mean and its like, over both directions at once or in two steps, or over everything; `dim` is argument `place`."""

    def make(func: Any, args: tuple, kwargs: dict, samples: int, size: Size, memory: Any) -> Reduction | None:
        x = argument(args, kwargs, 0, "input", "self")
        dims = _reduced(x, args, kwargs, place)
        found = _map(x, dims, samples, size) or _everything(x, dims, samples, size)
        local = lambda: func(*args, **kwargs)  # noqa: E731
        if found is None:
            found = _second_step(name, x, dims, memory)
            if found is None:
                _first_step(name, x, dims, samples, size, memory)
                return None
        maps, at, over = (*found, ())[:3]
        cells = math.prod(maps.shape[dim] for dim in (*over, at, at + 1)) * (samples if over and len(dims) == 4 else 1)

        def finish(mean: torch.Tensor, variance: torch.Tensor | None = None, unbiased: float = 1.0) -> Any:
            like = local()
            if variance is None:
                # With places they are the tile's own: where the extreme of the whole picture lies is in no tile's terms.
                return type(like)((_as_result(mean, like[0]), like[1])) if isinstance(like, tuple) else _as_result(mean, like)
            biased = False in (argument(args, kwargs, 2, "unbiased"), *args[1:2]) or kwargs.get("correction", 1) == 0
            spread = variance if biased else variance * unbiased
            deviation = spread.clamp_min(0).sqrt()
            # A sum is divided by the tile's own number of cells afterwards; so is a norm, or by that of another channel.
            values = {
                "mean": (mean,), "sum": (mean * cells,), "var": (spread,), "std": (deviation,),
                "var_mean": (spread, mean), "std_mean": (deviation, mean), "norm": (((mean.square() + variance) * cells).sqrt(),),
            }[name]  # fmt: skip
            if isinstance(like, tuple):
                return tuple(_as_result(value, one) for value, one in zip(values, like, strict=True))
            return _as_result(values[0], like)

        return Reduction(name, maps, at, finish, local, extreme, over)

    return make


def _euclidean(func: Any, args: tuple, kwargs: dict, samples: int, size: Size, memory: Any) -> Reduction | None:
    """The 2-norm of a map."""
    order = argument(args, kwargs, 1, "p", "ord", default=2 if func is not torch.linalg.norm else None)
    # To linalg.norm 2 over two dimensions is the norm of a matrix, which is another.
    plain = order in ((None, "fro") if func is torch.linalg.norm else (None, 2, "fro"))
    return _ROOT_OF_SQUARES(func, args, kwargs, samples, size, memory) if plain else None


_ROOT_OF_SQUARES = _plain("norm", place=2)


class _Step:
    """The map `x` reduced along `dim`, the other direction being still there; `result` is what came of it."""

    def __init__(self, name: str, x: torch.Tensor, dim: int) -> None:
        self.name, self.x, self.dim = name, x, dim
        self.result: torch.Tensor | None = None


def _first_step(name: str, x: Any, dims: tuple[int, ...], samples: int, size: Size, memory: Any) -> None:
    """Remember x.mean(3), in case x.mean(3).mean(2) comes of it."""
    memory.partial = None
    if isinstance(x, torch.Tensor) and x.ndim == 4 and len(dims) == 1 and dims[0] % 4 in (2, 3) and _map(x, (2, 3), samples, size):
        memory.partial = _Step(name, x, dims[0] % 4)


def _second_step(name: str, x: Any, dims: tuple[int, ...], memory: Any) -> tuple[torch.Tensor, int] | None:
    """The map that x = map.mean(3) came of, where this reduces the other direction of it."""
    step = memory.partial
    if step is None or name != step.name:
        return None
    came = step.result[0] if isinstance(step.result, tuple) else step.result
    if x is not came or name not in ("mean", "sum", "max", "min") or len(dims) != 1:
        return None
    # The direction that is left keeps its place unless the other one, dropped, was before it.
    left = 2 if step.dim == 3 or x.ndim == 3 else 3
    if dims[0] % x.ndim != left:
        return None
    memory.partial = None
    return step.x, 2


def _pool(name: str, extreme: str = "") -> Callable[..., Reduction | None]:
    """Adaptive pooling to one cell."""

    def make(func: Any, args: tuple, kwargs: dict, samples: int, size: Size, memory: Any) -> Reduction | None:
        x, wanted = argument(args, kwargs, 0, "input", "self"), argument(args, kwargs, 1, "output_size")
        found = _map(x, (2, 3), samples, size) if isinstance(x, torch.Tensor) and x.ndim == 4 else None
        if found is None or (wanted if isinstance(wanted, int) else tuple(wanted)) not in (1, (1, 1)):
            return None
        if kwargs.get("return_indices") or (len(args) > 2 and args[2]):
            return None
        return Reduction(name, *found, lambda mean, *_: mean[..., None, None].to(x), lambda: func(*args, **kwargs), extreme)

    return make


def _average_pool(func: Any, args: tuple, kwargs: dict, samples: int, size: Size, memory: Any) -> Reduction | None:
    """functional.avg_pool2d with a window as large as the map."""
    x, window = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "kernel_size")
    if not isinstance(x, torch.Tensor) or x.ndim != 4 or (window if isinstance(window, int) else tuple(window)) not in (
        tuple(x.shape[2:]), x.shape[2] if x.shape[2] == x.shape[3] else None,
    ):  # fmt: skip
        return None
    found = _map(x, (2, 3), samples, size)
    if found is None:
        return None
    return Reduction("avg_pool2d", *found, lambda mean, *_: mean[..., None, None].to(x), lambda: func(*args, **kwargs))


def _group_arguments(input, num_groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=True): ...


def _instance_arguments(
    input, weight=None, bias=None, running_mean=None, running_var=None, use_input_stats=True, momentum=0.1, eps=1e-5, cudnn_enabled=True
): ...


def _batch_arguments(
    input, weight=None, bias=None, running_mean=None, running_var=None, training=False, momentum=0.1, eps=1e-5, cudnn_enabled=True
): ...


# Those of torch itself do not tell their arguments.
_SIGNATURES = {func: inspect.signature(func) for func in (functional.instance_norm, functional.group_norm, functional.batch_norm)}
_SIGNATURES |= {
    torch.group_norm: inspect.signature(_group_arguments),
    torch.instance_norm: inspect.signature(_instance_arguments),
    torch.batch_norm: inspect.signature(_batch_arguments),
}


def _norm(name: str) -> Callable[..., Reduction | None]:
    """Instance norm, group norm, and batch norm that looks at its batch."""

    def make(func: Any, args: tuple, kwargs: dict, samples: int, size: Size, memory: Any) -> Reduction | None:
        bound = _SIGNATURES[func].bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        x = given["input"]
        stored = given.get("running_mean") is not None
        if name == "instance_norm" and stored and not given["use_input_stats"]:
            return None
        if name == "batch_norm" and stored and not given["training"]:
            return None
        if not isinstance(x, torch.Tensor) or x.ndim != 4 or _map(x, (2, 3), samples, size) is None:
            return None
        groups = given["num_groups"] if name == "group_norm" else x.shape[1]
        maps = x.unflatten(1, (groups, -1))

        def finish(mean: torch.Tensor, variance: torch.Tensor, *_: Any) -> torch.Tensor:
            grouped = (maps.float() - mean[..., None, None, None]) * (variance + given["eps"]).rsqrt()[..., None, None, None]
            out = grouped.flatten(1, 2)
            if given["weight"] is not None:
                out = out * given["weight"].float().view(1, -1, 1, 1)
            if given["bias"] is not None:
                out = out + given["bias"].float().view(1, -1, 1, 1)
            return out.to(x.dtype)

        def local() -> torch.Tensor:
            if not stored:
                return func(*args, **kwargs)
            # Without the stored statistics, which the call would otherwise update: the model stays as it was.
            return func(**{**given, "running_mean": None, "running_var": None})

        return Reduction(name, maps, 3, finish, local, over=(2,))

    return make


def _layer_norm(func: Any, args: tuple, kwargs: dict, samples: int, size: Size, memory: Any) -> Reduction | None:
    """Layer norm over channels and both directions, or over both directions."""
    x, shape = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "normalized_shape")
    weight, bias = argument(args, kwargs, 2, "weight"), argument(args, kwargs, 3, "bias")
    eps = argument(args, kwargs, 4, "eps", default=1e-5)
    dims = tuple(range(-len(shape), 0)) if isinstance(shape, tuple | list) else ()
    found = (_map(x, dims, samples, size) if len(dims) == 2 else _everything(x, dims, samples, size)) if _fits(x, samples) else None
    if found is None or x.ndim != 4:
        return None
    maps, at, over = (*found, ())[:3]

    def finish(mean: torch.Tensor, variance: torch.Tensor, *_: Any) -> torch.Tensor:
        each = (*mean.shape, *(1,) * (4 - mean.ndim))
        out = (x.float() - mean.reshape(each)) * (variance.reshape(each) + eps).rsqrt()
        out = out if weight is None else out * weight.float()
        return (out if bias is None else out + bias.float()).to(x.dtype)

    return Reduction("layer_norm", maps, at, finish, lambda: func(*args, **kwargs), over=over)


def _both(name: str) -> tuple[Any, ...]:
    return getattr(torch, name), getattr(torch.Tensor, name)


_KINDS: dict[Any, Callable[..., Reduction | None]] = {
    functional.instance_norm: _norm("instance_norm"),
    functional.group_norm: _norm("group_norm"),
    functional.batch_norm: _norm("batch_norm"),
    torch.instance_norm: _norm("instance_norm"),
    torch.group_norm: _norm("group_norm"),
    torch.batch_norm: _norm("batch_norm"),
    functional.layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    functional.adaptive_avg_pool2d: _pool("adaptive_avg_pool2d"),
    functional.adaptive_max_pool2d: _pool("adaptive_max_pool2d", "max"),
    functional.avg_pool2d: _average_pool,
    **{func: _plain(name) for name in ("mean", "sum", "var", "std") for func in _both(name)},
    torch.var_mean: _plain("var_mean"),
    torch.std_mean: _plain("std_mean"),
    **{func: _plain("max", "max") for func in (*_both("amax"), *_both("max"))},
    **{func: _plain("min", "min") for func in (*_both("amin"), *_both("min"))},
    **{func: _euclidean for func in (*_both("norm"), torch.linalg.norm, torch.linalg.vector_norm)},
}
