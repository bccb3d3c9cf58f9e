"""Which calls of torch look at a whole feature map: the one list, for pooling over tiles and for measuring alike.

Whatever is listed here is pooled by `whole_image.py` and held still by `frozen.py`; whatever is not is left to
itself by both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from .map_scale import MapScales, Size, argument
from .norm_calls import NORMS
from .reductions import Found, Maps, Partial, Reduction, as_result, reduced_dims

Make = Callable[[Any, tuple, dict, Maps], Reduction | None]


class WholeMapCalls(TorchFunctionMode):
    """Sees every call of torch that a network makes, and has those that reduce a whole map answered by `answer`.

    Args:
        samples: batch that the network is given.
        size: (height, width) that it is given.
        placed: as `Maps` has it.
    """

    def __init__(self, samples: int, size: Size, placed: bool) -> None:
        super().__init__()
        self.maps = Maps(MapScales(samples, size), placed)

    def answer(self, reduction: Reduction) -> Any:
        """The result of a call that reduces a whole map."""
        raise NotImplementedError

    def pass_by(self, func: Any, args: tuple, kwargs: dict) -> None:
        """Told of every other call."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Called by torch for every function that the network calls."""
        kwargs = kwargs or {}
        make = _KINDS.get(func)
        reduction = None if make is None else make(func, args, kwargs, self.maps)
        if reduction is not None:
            result = self.answer(reduction)
        else:
            self.pass_by(func, args, kwargs)
            result = func(*args, **kwargs)
            if self.maps.partial is not None and self.maps.partial.result is None:
                self.maps.partial.result = result
        self.maps.scales.follow(func, args, kwargs, result)
        return result


def _plain(name: str, extreme: str = "", place: int = 1) -> Make:
    """Tensor.mean and its like, over both directions at once or in two steps, or over everything; `dim` is argument `place`."""

    def make(func: Any, args: tuple, kwargs: dict, maps: Maps) -> Reduction | None:
        x = argument(args, kwargs, 0, "input", "self", "x", "A")
        found = _reduced_map(name, x, reduced_dims(x, args, kwargs, place), maps)
        if found is None:
            return None
        local = lambda: func(*args, **kwargs)  # noqa: E731

        def finish(mean: torch.Tensor, variance: torch.Tensor | None = None, unbiased: float = 1.0) -> Any:
            like = local()
            if variance is None:
                # With places they are the tile's own: where the extreme of the whole picture lies is in no tile's terms.
                return type(like)((as_result(mean, like[0]), like[1])) if isinstance(like, tuple) else as_result(mean, like)
            rows = _statistic(name, mean, variance, 1.0 if _is_biased(args, kwargs) else unbiased, _cells(found, mean, like))
            if isinstance(like, tuple):
                return tuple(as_result(value, one) for value, one in zip(rows, like, strict=True))
            return as_result(rows[0], like)

        return Reduction(name, found, finish, local, extreme)

    return make


def _reduced_map(name: str, x: Any, dims: tuple[int, ...], maps: Maps) -> Found | None:
    """The map that reducing `dims` of `x` reduces, or reduces the rest of after a first step; the first step is remembered."""
    before, maps.partial = maps.partial, None
    found = maps.find(x, dims)
    if found is None and before is not None and isinstance(x, torch.Tensor):
        found = before.rest(name, x, dims)
    if found is None and name in ("mean", "sum", "max", "min", "norm"):
        first = maps.one_direction(x, dims)
        maps.partial = None if first is None else Partial(name, *first)
    return found


def _cells(found: Found, rows: torch.Tensor, like: Any) -> int:
    """How many values of the tile the call puts into one of its results."""
    one = like[0] if isinstance(like, tuple) else like
    samples = found.maps.shape[0] if one.numel() < rows.numel() else 1
    return math.prod(found.maps.shape[dim] for dim in (*found.over, found.at, found.at + 1)) * samples


def _is_biased(args: tuple, kwargs: dict) -> bool:
    # Beside x.var(dim, False) there is x.var(False).
    return any(one is False for one in (argument(args, kwargs, 2, "unbiased"), *args[1:2])) or kwargs.get("correction", 1) == 0


def _statistic(name: str, mean: torch.Tensor, variance: torch.Tensor, unbiased: float, cells: int) -> tuple[torch.Tensor, ...]:
    spread = variance * unbiased
    # A sum is divided by the tile's own number of cells afterwards; so is a norm, or by that of another channel.
    return {
        "mean": lambda: (mean,),
        "sum": lambda: (mean * cells,),
        "var": lambda: (spread,),
        "std": lambda: (spread.clamp_min(0).sqrt(),),
        "var_mean": lambda: (spread, mean),
        "std_mean": lambda: (spread.clamp_min(0).sqrt(), mean),
        "norm": lambda: (((mean.square() + variance) * cells).sqrt(),),
    }[name]()


_ROOT_OF_SQUARES = _plain("norm", place=2)


def _euclidean(func: Any, args: tuple, kwargs: dict, maps: Maps) -> Reduction | None:
    """The 2-norm of a map."""
    order = argument(args, kwargs, 1, "p", "ord", default=2 if func is not torch.linalg.norm else None)
    # To linalg.norm 2 over two dimensions is the norm of a matrix, which is another.
    plain = order in ((None, "fro") if func is torch.linalg.norm else (None, 2, "fro"))
    return _ROOT_OF_SQUARES(func, args, kwargs, maps) if plain else None


def _frobenius(func: Any, args: tuple, kwargs: dict, maps: Maps) -> Reduction | None:
    """linalg.matrix_norm, which takes the last two dimensions unless it is told otherwise."""
    if argument(args, kwargs, 1, "ord", default="fro") != "fro":
        return None
    dims = argument(args, kwargs, 2, "dim", default=(-2, -1))
    return _ROOT_OF_SQUARES(func, args[:1], {**{name: kwargs[name] for name in kwargs if name != "ord"}, "dim": dims}, maps)


def _pool(name: str, extreme: str = "") -> Make:
    """Adaptive pooling to one cell."""

    def make(func: Any, args: tuple, kwargs: dict, maps: Maps) -> Reduction | None:
        wanted = argument(args, kwargs, 1, "output_size")
        if any(side != 1 for side in (wanted if isinstance(wanted, tuple | list) else (wanted,))):
            return None
        return None if argument(args, kwargs, 2, "return_indices") else _to_one_cell(name, extreme, func, args, kwargs, maps)

    return make


def _window_pool(name: str, directions: int, extreme: str = "") -> Make:
    """Pooling with a window as large as the map."""

    def make(func: Any, args: tuple, kwargs: dict, maps: Maps) -> Reduction | None:
        x, window = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "kernel_size")
        if not isinstance(x, torch.Tensor) or x.ndim != directions + 2:
            return None
        window = (window,) * directions if isinstance(window, int) else tuple(window)
        padded = argument(args, kwargs, 3, "padding", default=0) not in (0, (0,) * directions, [0] * directions)
        otherwise = argument(args, kwargs, 6, "divisor_override", "return_indices")
        return None if window != tuple(x.shape[2:]) or padded or otherwise else _to_one_cell(name, extreme, func, args, kwargs, maps)

    return make


def _area(func: Any, args: tuple, kwargs: dict, maps: Maps) -> Reduction | None:
    """functional.interpolate to one cell by area."""
    wanted = argument(args, kwargs, 1, "size")
    if argument(args, kwargs, 3, "mode", default="nearest") != "area" or wanted not in (1, (1, 1), [1, 1]):
        return None
    return _to_one_cell("area", "", func, args, kwargs, maps)


def _to_one_cell(name: str, extreme: str, func: Any, args: tuple, kwargs: dict, maps: Maps) -> Reduction | None:
    x = argument(args, kwargs, 0, "input", "self")
    found = maps.whole(x)
    if found is None:
        return None
    ones = (1,) * (x.ndim - 2)
    return Reduction(name, found, lambda value, *_: value.reshape(*x.shape[:2], *ones).to(x), lambda: func(*args, **kwargs), extreme)


def _both(name: str) -> tuple[Any, ...]:
    return getattr(torch, name), getattr(torch.Tensor, name)


_KINDS: dict[Any, Make] = {
    **NORMS,
    **{getattr(functional, name): _pool(name) for name in (f"adaptive_avg_pool{n}d" for n in (1, 2, 3))},
    **{getattr(functional, name): _pool(name, "max") for name in (f"adaptive_max_pool{n}d" for n in (1, 2, 3))},
    **{getattr(functional, f"avg_pool{n}d"): _window_pool(f"avg_pool{n}d", n) for n in (1, 2, 3)},
    **{getattr(functional, f"max_pool{n}d"): _window_pool(f"max_pool{n}d", n, "max") for n in (1, 2, 3)},
    functional.interpolate: _area,
    **{func: _plain(name) for name in ("mean", "sum", "var", "std") for func in _both(name)},
    torch.var_mean: _plain("var_mean"),
    torch.std_mean: _plain("std_mean"),
    **{func: _plain("max", "max") for func in (*_both("amax"), *_both("max"))},
    **{func: _plain("min", "min") for func in (*_both("amin"), *_both("min"))},
    **{func: _euclidean for func in (*_both("norm"), torch.linalg.norm, torch.linalg.vector_norm)},
    torch.linalg.matrix_norm: _frobenius,
}  # fmt: skip
