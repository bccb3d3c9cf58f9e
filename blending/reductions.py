"""What a call of torch reduces of a whole feature map, and what it gives when the map's statistics are known.

A feature map belongs to the picture that the network was given (`map_scale.py`): [N, C, h, w], [N, h, w, C], more
dimensions before h and w, or both directions flattened into one. Reducing all channels with it, some of them, or the
whole batch, counts too. Reducing part of the directions, or windows, which have a batch of their own, is no business of
the whole picture.

Which calls do, is listed in `whole_map_calls.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import torch

from .map_scale import MapScales, added_cells, argument, core_cells
from .one_at_a_time import OneAtATimeError
from .pieces import Core


class Found(NamedTuple):
    """A map in a tensor.

    Attributes:
        maps: [N, ..., h, w, ...], the tensor with the map's directions apart.
        at: the dimension of h; w is the next.
        over: dimensions besides these that are reduced, without the batch.
        scale: cells per pixel; None where there is no such number.
        step: pixels that the network pads to.
    """

    maps: torch.Tensor
    at: int
    over: tuple[int, ...] = ()
    scale: Fraction | None = None
    step: int = 1


class Reduction:
    """One call that reduces a map over the whole of it.

    Args:
        name: what it is called in messages.
        found: what is reduced.
        finish: (mean, variance, correction from biased to unbiased), or the extreme, one row per sample -> the call's result.
        local: the call's result from the tile alone.
        extreme: "max" or "min" where that is what is reduced to; "" for mean and variance.
    """

    def __init__(self, name: str, found: Found, finish: Callable[..., Any], local: Callable[[], Any], extreme: str = "") -> None:
        self.name, self.found, self.finish, self.local, self.extreme = name, found, finish, local, extreme
        self.dims = (*found.over, found.at, found.at + 1)

    @property
    def device(self) -> torch.device:
        """Where the map lies."""
        return self.found.maps.device

    def core_values(self, number: int, size: tuple[int, int], core: Core, added: dict[int, Fraction]) -> Any:
        """(count, mean, biased variance), or the extreme, of the core of sample `number`, on the CPU; None where it is empty.

        Args:
            number: of the sample.
            size: (height, width) of what the network was given.
            core: of it.
            added: direction (0 down, 1 across) -> how many cells this call's maps have more than their tiles, of the first tile
                that does not end with the picture in that direction; kept here.
        """
        maps, at, _, scale, step = self.found
        part = maps[number : number + 1]
        spans = ((core.y, core.height, core.first_row, core.last_row), (core.x, core.width, core.first_column, core.last_column))
        for direction, side, (start, length, first, last) in zip((0, 1), size, spans, strict=True):
            cells = part.shape[at + direction]
            more = added_cells(cells, side, scale, step)
            more = added.get(direction, more) if last else added.setdefault(direction, more)
            if not length:
                return None
            low, high = core_cells(cells, side, scale, step, start, start + length, first, last, more)
            if high <= low:
                return None
            part = part.narrow(at + direction, low, high - low)
        values = self._values(part)
        if self.extreme:
            return values[0].cpu()
        count, mean, variance = values
        return count, mean[0].cpu(), variance[0].cpu()

    def whole_values(self) -> Any:
        """What `with_values` wants, of the map as it is."""
        values = self._values(self.found.maps)
        return values if self.extreme else (*values[1:], values[0] / max(values[0] - 1, 1))

    def with_values(self, values: Any) -> Any:
        """The call's result where the whole picture has these values."""
        return self.finish(*values) if isinstance(values, tuple) else self.finish(values)

    def _values(self, part: torch.Tensor) -> Any:
        part = wide(part)
        if self.extreme:
            return part.amax(self.dims) if self.extreme == "max" else part.amin(self.dims)
        variance, mean = torch.var_mean(part, self.dims, correction=0)
        return math.prod(part.shape[dim] for dim in self.dims), mean, variance


class Partial:
    """A map reduced along one direction, the other being still there, as in x.mean(3).mean(2).

    Attributes:
        result: what came of it, once it is known.
    """

    def __init__(self, name: str, found: Found, dim: int) -> None:
        self.name, self.found, self.dim = name, found, dim
        self.result: torch.Tensor | None = None

    def rest(self, name: str, x: torch.Tensor, dims: tuple[int, ...]) -> Found | None:
        """The map, where reducing `dims` of `x` reduces what is left of it."""
        came = self.result[0] if isinstance(self.result, tuple) else self.result
        if x is not came or name != self.name or len(dims) != 1:
            return None
        # The direction that is left keeps its place unless the other one, dropped, was before it.
        at = self.found.at
        left = at if self.dim == at + 1 or x.ndim == self.found.maps.ndim - 1 else at + 1
        return self.found if dims[0] % x.ndim == left else None


class Maps:
    """Where the maps are in what a network calls.

    Args:
        scales: of the run.
        placed: only maps of which it is known where in the picture each cell lies, each of one sample. Otherwise frames that are
            in the batch and maps of unknown scale count, too.

    Attributes:
        partial: the last reduction along one direction only.
    """

    def __init__(self, scales: MapScales, placed: bool) -> None:
        self.scales, self.placed = scales, placed
        self.partial: Partial | None = None

    def find(self, x: Any, dims: tuple[int, ...]) -> Found | None:
        """The map in `x`, where reducing `dims` reduces all of it."""
        if not self._may_be(x) or not dims:
            return None
        inner = {dim % x.ndim for dim in dims} - {0}
        for at in self._places(x):
            if {at, at + 1} <= inner and self._is_map(x, at):
                return self._found(x, at, inner - {at, at + 1}, self.scales.scale(x, at))
        return self._flattened(x, inner)

    def whole(self, x: Any) -> Found | None:
        """The map in `x` [N, C, ...], where all dimensions behind the channels are it."""
        return self.find(x, tuple(range(2, x.ndim))) if isinstance(x, torch.Tensor) and x.ndim > 2 else None

    def one_direction(self, x: Any, dims: tuple[int, ...]) -> tuple[Found, int] | None:
        """The map in `x`, and the one direction of it that reducing `dims` reduces."""
        if not self._may_be(x) or len(dims) != 1:
            return None
        dim = dims[0] % x.ndim
        at = next((at for at in self._places(x) if dim in (at, at + 1) and self._is_map(x, at)), None)
        found = None if at is None else self._found(x, at, set(), self.scales.scale(x, at))
        return None if found is None else (found, dim)

    def _may_be(self, x: Any) -> bool:
        """Whether `x` may be a map of every sample; a weight, which is alike in every tile, is none."""
        if not isinstance(x, torch.Tensor) or x.ndim < 2 or not x.is_floating_point() or isinstance(x, torch.nn.Parameter) or not x.numel():
            return False
        return x.shape[0] == self.scales.samples or (not self.placed and x.shape[0] % self.scales.samples == 0)

    def _places(self, x: torch.Tensor) -> tuple[int, ...]:
        """Where height may be: with the channels before it, or behind it."""
        return (x.ndim - 2, x.ndim - 3) if x.ndim > 3 else ()

    def _is_map(self, x: torch.Tensor, at: int) -> bool:
        if not self.scales.is_map(x, at):
            return False
        if x.shape[0] == self.scales.samples:
            return True
        trace = self.scales.of(x)  # frames have the map's own sides, and windows have not
        return trace is not None and tuple(x.shape[at : at + 2]) == trace.sides

    def _found(self, maps: torch.Tensor, at: int, over: set[int], scale: Fraction | None) -> Found | None:
        if self.placed and scale is None:
            return None
        return Found(maps, at, tuple(sorted(over)), scale, self.scales.step)

    def _flattened(self, x: torch.Tensor, inner: set[int]) -> Found | None:
        for dim in inner if x.shape[0] == self.scales.samples else ():
            flat = self.scales.flattened(x, dim)
            if flat is None:
                continue
            sides, scale = flat
            more = len(sides) - 1
            at = dim + more - 1
            over = {other + more if other > dim else other for other in inner if other != dim} | set(range(dim, at))
            return self._found(x.unflatten(dim, sides), at, over, scale)
        return None


def wide(x: torch.Tensor) -> torch.Tensor:
    """`x` in float32, or in float64 where it is."""
    return x if x.dtype == torch.float64 else x.float()


def reduced_dims(x: Any, args: tuple, kwargs: dict, place: int) -> tuple[int, ...]:
    """The dimensions that a call reduces; none where it is another call of the same name, such as the larger of two tensors.

    Args:
        place: of the argument `dim`.
    """
    if not isinstance(x, torch.Tensor) or "other" in kwargs:
        return ()
    given = argument(args, kwargs, place, "dim", "axis")
    # x.var(False) is all of it, too: `unbiased` comes first there.
    if given is None or isinstance(given, bool) or (isinstance(given, tuple | list) and not given):
        return tuple(range(x.ndim))
    if place == 1 and len(args) > 2 and all(isinstance(one, int) and not isinstance(one, bool) for one in args[1:]):
        return tuple(args[1:])  # x.mean(2, 3)
    if isinstance(given, int):
        return (given,)
    if isinstance(given, tuple | list) and all(isinstance(one, int) for one in given):
        return tuple(given)
    return ()


def as_result(rows: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """`rows`, one per sample, in the shape of what the call gives for the tile."""
    if like.numel() < rows.numel():
        if not bool((rows == rows[:1]).all()):
            raise OneAtATimeError("the model reduces its whole batch, and the tiles in it have different statistics")
        rows = rows[:1]
    return rows.reshape(like.shape).to(like)
