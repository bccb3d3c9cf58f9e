"""How large a network's maps are beside the picture it was given, followed from call to call.

A map has sides a * side + b: a cells for each pixel of the picture, the same a in both directions, and b cells more
where the network pads the picture inside and convolves without padding, as U-Nets of that kind do (b / 2 on each side;
negative where it pads only afterwards). From the sides alone a cannot be told where a tile is square, so it is counted:
every call that strides, pools, shuffles or resizes changes it, and nothing else does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from torch.utils.weak import WeakTensorKeyDictionary

Size = tuple[int, int]

# What networks work at: powers of two, and thrice that in those that enlarge by three.
SCALES = tuple(Fraction(2) ** power * times for times in (1, 3) for power in range(-6, 5))
# A map that lacks more of the tile than this share is of another scale than was thought.
MOST_MISSING = Fraction(1, 3)
# Pixels by which networks fill up one direction more than the other, so that both are multiples of what they like.
MOST_FILLED = 32


class Trace(NamedTuple):
    """What a tensor has of the map that it came of.

    Attributes:
        scale: cells of the map per pixel of the picture; None where there is no such number.
        sides: (height, width) of the map.
    """

    scale: Fraction | None
    sides: Size


def argument(args: tuple, kwargs: dict, place: int, *names: str, default: Any = None) -> Any:
    """The argument of a call that has one of `names`, or stands at `place`."""
    for name in names:
        if name in kwargs:
            return kwargs[name]
    return args[place] if len(args) > place else default


class MapScales:
    """The maps of one run of a network, by the tensors that hold them.

    Args:
        samples: batch that the network is given.
        size: (height, width) that it is given.

    Attributes:
        step: the fewest pixels that stand for whole cells in every map so far: what networks that pad by themselves pad to.
    """

    def __init__(self, samples: int, size: Size) -> None:
        self.samples, self.size, self.step = samples, size, 1
        self._traces = WeakTensorKeyDictionary()

    def of(self, x: torch.Tensor) -> Trace | None:
        """What `x` came of, None where that was not seen."""
        trace = self._traces.get(x)
        if trace is None and x.ndim >= 4 and x.shape[0] == self.samples and tuple(x.shape[-2:]) == self.size:
            return Trace(Fraction(1), self.size)  # the picture itself
        return trace

    def is_map(self, x: torch.Tensor, at: int) -> bool:
        """Whether dimensions `at` and `at` + 1 of `x` are height and width of a map."""
        sides = tuple(x.shape[at : at + 2])
        if min(sides) < 2:
            return False
        trace = self.of(x)
        return (trace is not None and sides == trace.sides) or guessed_scale(sides, self.size) is not None

    def scale(self, x: torch.Tensor, at: int) -> Fraction | None:
        """Cells per pixel of the map in dimensions `at` and `at` + 1; None where there is no such number."""
        sides, trace = tuple(x.shape[at : at + 2]), self.of(x)
        if trace is None or (trace.scale is not None and not _plausible(trace.scale, sides, self.size)):
            return guessed_scale(sides, self.size)
        return trace.scale

    def flattened(self, x: torch.Tensor, dim: int) -> tuple[tuple[int, ...], Fraction | None] | None:
        """The flattened map in dimension `dim` of `x`, or None where it is none.

        Returns:
            (height, width), or (channels, height, width) where they are flattened with it; cells per pixel.
        """
        length, others, trace = x.shape[dim], [*x.shape[1:dim], *x.shape[dim + 1 :]], self.of(x)
        longest, last = length > max(others, default=0), dim == x.ndim - 1
        if trace is not None and min(trace.sides) > 1:
            cells = math.prod(trace.sides)
            if length == cells and length not in others:
                return trace.sides, trace.scale
            if length % cells == 0 and longest and last:
                return (length // cells, *trace.sides), trace.scale
        # A width of features may happen to look like a small map; a map that is worth flattening is the longer one.
        sides = unflattened(length, self.size) if longest and (last or x.ndim == 3) else None
        return None if sides is None else (sides, Fraction(sides[0], self.size[0]))

    def are_places(self, x: torch.Tensor, dim: int) -> bool:
        """Whether dimension `dim` of `x` counts the places of a map."""
        trace = self.of(x)
        return (trace is not None and x.shape[dim] == math.prod(trace.sides) > 1) or unflattened(x.shape[dim], self.size) is not None

    def follow(self, func: Any, args: tuple, kwargs: dict, result: Any) -> None:
        """Note what the results of a call came of."""
        results = [one for one in _tensors((result,)) if one.ndim]
        known = [(x, trace) for x in _tensors((*args, *kwargs.values())) if (trace := self.of(x))] if results else []
        if not known:
            return
        # Of several the largest: a gate is multiplied with a map, and not the other way round.
        source, trace = max(known, key=lambda pair: pair[0].numel())
        for one in results:
            traced = self._after(func, args, kwargs, source, trace, one)
            self._traces[one] = traced
            if traced.scale in SCALES:
                self.step = math.lcm(self.step, traced.scale.denominator)

    def _after(self, func: Any, args: tuple, kwargs: dict, source: torch.Tensor, trace: Trace, result: torch.Tensor) -> Trace:
        if func in _REARRANGING:
            return self._rearranged(trace, result)
        if result.ndim < 4 or tuple(source.shape[-2:]) != trace.sides:
            return trace
        resize = _RESIZING.get(func)
        scale = trace.scale if resize is None or trace.scale is None else resize(trace.scale, args, kwargs, source, result)
        return Trace(scale, tuple(result.shape[-2:]))

    def _rearranged(self, trace: Trace, result: torch.Tensor) -> Trace:
        """Space to channels and back, written as a view of other dimensions."""
        if result.ndim != 4 or result.shape[0] != self.samples or 0 in result.shape or 0 in trace.sides:
            return trace
        ratios = {Fraction(now, before) for now, before in zip(result.shape[2:], trace.sides, strict=True)}
        ratio = ratios.pop()
        if ratios or ratio not in SCALES:
            return trace
        return Trace(trace.scale and trace.scale * ratio, tuple(result.shape[2:]))


def guessed_scale(sides: Size, size: Size) -> Fraction | None:
    """Cells per pixel of a map of `sides` of a picture of `size`, from the sides alone; None where it cannot be its map.

    Of several the one that adds or lacks the fewest cells.
    """
    exact = Fraction(sides[0], size[0])
    if size[0] != size[1]:
        if exact == Fraction(sides[1], size[1]):
            return exact
        scale = Fraction(sides[0] - sides[1], size[0] - size[1])
        return scale if scale in SCALES and _plausible(scale, sides, size) else None
    if sides[0] != sides[1]:
        return None
    fitting = [scale for scale in SCALES if scale == exact or (scale.numerator % 3 and _plausible(scale, sides, size))]
    return min(fitting, key=lambda scale: (abs(sides[0] - scale * size[0]), scale), default=None)


def unflattened(length: int, size: Size) -> Size | None:
    """The sides of a map that has `length` cells and the proportions of `size`, or None where there is none."""
    height = round(math.sqrt(length * size[0] / size[1]))
    if height > 1 and length % height == 0 and length // height > 1 and height * size[1] == length // height * size[0]:
        return height, length // height
    return None


def added_cells(cells: int, side: int, scale: Fraction, step: int) -> Fraction:
    """By how many cells a map is larger than its tile, along one direction.

    Args:
        cells: of the map.
        side: of the tile.
        scale: cells per pixel.
        step: pixels that the network pads tiles to.
    """
    return cells - -(-side // step) * step * scale


def core_cells(
    cells: int, side: int, scale: Fraction, step: int, start: int, stop: int, first: bool, last: bool, added: Fraction
) -> tuple[int, int]:
    """Which cells of a tile's map, along one direction, are the tile's pixels `start` to `stop`.

    Neighbours round the line between them to the same place, so that every cell of the whole picture counts once.

    Args:
        cells, side, scale, step: as `added_cells` has them.
        first, last: whether the picture ends there: then the cells that the network padded with count, too.
        added: `added_cells` of a tile that does not end where the picture does. What a network fills a tile up with that ends
            there, to sides that it likes, may be more than `step` tells, and lies behind it and not half before it.

    Returns:
        The first cell, and the first one that is no more of it.
    """
    low, high = (math.floor(place * scale + added / 2 + Fraction(1, 2)) for place in (start, stop))
    if first:
        low = 0
    if last and stop == side:
        high = cells  # it ends as the map of the whole picture does
    elif last and added:
        high = math.ceil(-(-stop // step) * step * scale + added)
    return max(low, 0), min(max(high, 0), cells)


def _plausible(scale: Fraction, sides: Size, size: Size) -> bool:
    added = [cells - scale * side for cells, side in zip(sides, size, strict=True)]
    return min(added) >= -MOST_MISSING * scale * min(size) and abs(added[0] - added[1]) <= scale * max(MOST_FILLED, min(size) // 8)


def _tensors(values: Sequence[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from (one for one in value if isinstance(one, torch.Tensor))


Resize = Callable[[Fraction, tuple, dict, torch.Tensor, torch.Tensor], Fraction | None]


def _even(stride: Any) -> int | None:
    """The one stride of both directions, or None where they differ."""
    both = {stride} if isinstance(stride, int) else set(stride[-2:])
    return both.pop() if len(both) == 1 else None


def _strided(place: int, name: str = "stride", window: int | None = None, up: bool = False) -> Resize:
    """A call that moves on by the argument `name`, or by the argument at `window` where that is not given."""

    def resize(scale: Fraction, args: tuple, kwargs: dict, source: torch.Tensor, result: torch.Tensor) -> Fraction | None:
        given = argument(args, kwargs, place, name)
        if given is None or given == []:
            given = 1 if window is None else argument(args, kwargs, window, "kernel_size")
        stride = _even(given)
        return None if stride is None else scale * stride if up else scale / stride

    return resize


def _resized(scale: Fraction, args: tuple, kwargs: dict, source: torch.Tensor, result: torch.Tensor) -> Fraction | None:
    """Resized as a whole: by the ratio of the sides."""
    pairs = list(zip(result.shape[-2:], source.shape[-2:], strict=True))
    # The size may be that of another map, which has a cell more or less than the ratio makes.
    near = [min(SCALES, key=lambda ratio, now=now, before=before: abs(now - ratio * before)) for now, before in pairs]
    if near[0] == near[1] and all(abs(now - near[0] * before) <= max(near[0], 1) for now, before in pairs):
        return scale * near[0]
    ratios = {Fraction(now, before) for now, before in pairs}
    return scale * ratios.pop() if len(ratios) == 1 else None


def _to_cells(scale: Fraction, args: tuple, kwargs: dict, source: torch.Tensor, result: torch.Tensor) -> Fraction | None:
    """Adaptive pooling: by the ratio of the sides where that is exact; else it makes so many cells of any picture."""
    ratios = {Fraction(now, before) for now, before in zip(result.shape[-2:], source.shape[-2:], strict=True)}
    ratio = ratios.pop()
    return scale * ratio if not ratios and ratio in SCALES and min(result.shape[-2:]) > 8 else None


def _indexed(scale: Fraction, args: tuple, kwargs: dict, source: torch.Tensor, result: torch.Tensor) -> Fraction | None:
    """x[..., ::2, ::2]."""
    index = args[1] if len(args) > 1 and isinstance(args[1], tuple) else ()
    if len(index) != source.ndim and not any(one is Ellipsis for one in index):
        return scale
    steps = {one.step or 1 if isinstance(one, slice) else 1 for one in index[-2:]}
    return scale / steps.pop() if len(steps) == 1 else None


_RESIZING: dict[Any, Resize] = {
    **{func: _strided(3) for func in (functional.conv2d, functional.conv3d)},
    **{func: _strided(3, up=True) for func in (functional.conv_transpose2d, functional.conv_transpose3d)},
    **{func: _strided(2, window=1) for func in (functional.avg_pool2d, functional.max_pool2d, functional.max_pool2d_with_indices)},
    functional.lp_pool2d: _strided(3, window=2),
    functional.pixel_shuffle: _strided(1, "upscale_factor", up=True),
    functional.pixel_unshuffle: _strided(1, "downscale_factor"),
    functional.interpolate: _resized,
    functional.upsample: _resized,
    functional.adaptive_avg_pool2d: _to_cells,
    functional.adaptive_max_pool2d: _to_cells,
    torch.Tensor.__getitem__: _indexed,
}
_REARRANGING = {
    getattr(owner, name)
    for name in (
        "view", "reshape", "permute", "transpose", "movedim", "moveaxis", "swapaxes", "swapdims",
        "flatten", "unflatten", "squeeze", "unsqueeze",
    )
    for owner in (torch, torch.Tensor)
    if hasattr(owner, name)
}  # fmt: skip
