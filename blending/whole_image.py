"""Statistics of the whole picture in a network that is run tile by tile.

Instance and group norms, squeeze-and-excite and global pooling look at all of the picture at once; in a tile they see
the tile, and every tile comes out in a tone of its own. Here each of them is given what it would have seen in the
whole picture: mean and variance put together from the cores of all tiles (`pooled_moments.py`).

Such a layer's input depends on the statistics before it. So the tiles are gone over several times: in each pass every
layer collects its statistics while it uses those of the pass before (its own tile's in the first). After n passes the
first n layers in order of execution are exact, whatever the later ones are; after as many passes as there are layers
all of them are. Most networks are done much sooner, because the statistics stop changing, and a pass in which none
changed by more than TOLERANCE is the last. Nothing is kept but the statistics, and the network beyond its last such
layer runs only when the result is made.

Layers are found by what they call (`whole_map_calls.py`), not by their type, so that `x.mean((2, 3))` in a forward counts
like a module. Nothing of the network is touched: the calls are watched from outside, for as long as a `with` lasts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from .pieces import Core
from .pooled_moments import PooledMoments
from .reductions import Reduction
from .unpooled import unpooled_of
from .whole_map_calls import WholeMapCalls

TOLERANCE = 1e-5
_LEAST = 1e-12


class Sample(NamedTuple):
    """One item of the batch that the network is given.

    Attributes:
        plane: which picture it belongs to; each has statistics of its own.
        tile: its number, for messages.
        size: (height, width) as the network is given it.
        core: the part of it that no other sample counts; the cores of a plane fill the picture once. Where the picture ends and
            the network was given it as far as it is of the whole picture, the core goes to the end of what it was given.
    """

    plane: int
    tile: int
    size: tuple[int, int]
    core: Core


@dataclass
class _Site:
    """One call of the network that reduces the whole map, in order of execution."""

    name: str
    extreme: str  # "max", "min", or "" for moments
    planes: dict[int, Any] = field(default_factory=dict)

    def add(self, plane: int, came: Any) -> None:
        if not self.extreme:
            self.planes.setdefault(plane, PooledMoments()).merge(*came)
            return
        known = self.planes.get(plane)
        pick = torch.maximum if self.extreme == "max" else torch.minimum
        self.planes[plane] = came if known is None else pick(known, came)

    def change(self, other: _Site) -> float:
        """By how much this differs from `other` at most, relative to how much the values vary."""
        worst = 0.0
        for plane, value in self.planes.items():
            before = other.planes[plane]
            if self.extreme:
                parts = ((value - before) / (value.abs() + _LEAST),)
            else:
                std, std_before = value.variance.sqrt(), before.variance.sqrt()
                # A flat map has next to no spread: a hundredth of its level stands in, so that rounding is not taken for change.
                scale = std + 0.01 * value.mean.abs() + _LEAST
                parts = ((value.mean - before.mean) / scale, (std - std_before) / scale)
            worst = max(worst, *(float(part.abs().max()) for part in parts))
        return worst


class WholeImageStatistics:
    """What every whole-image layer of a network would have seen in the whole picture.

        while not statistics.settled:
            with statistics.pass_over():
                for batch, samples in batches:
                    with statistics.collecting(samples):
                        network(batch)
                    statistics.commit()
        with statistics.applied(samples):
            tiles = network(batch)

    Args:
        tolerance: change of the statistics, relative to their spread, at which they count as settled.

    Attributes:
        settled: whether `applied` may be used.
        passes: over all tiles, so far.
        change: of the statistics in the last pass; infinite after the first.
    """

    def __init__(self, tolerance: float = TOLERANCE) -> None:
        self.tolerance = tolerance
        self.settled = False
        self.passes = 0
        self.change = float("inf")
        self._known: list[_Site] | None = None
        self._now: list[_Site] = []
        self._pending: list[tuple[int, int, Reduction, Any]] = []
        self._unpooled: dict[str, None] = {}
        self._added: dict[int, dict[int, Any]] = {}  # of each call, as `Reduction.core_values` keeps it

    @property
    def layers(self) -> tuple[str, ...]:
        """What was pooled, in order of execution; empty for a network that has nothing of the kind."""
        return tuple(site.name for site in self._known or ())

    @property
    def unpooled(self) -> tuple[str, ...]:
        """What looks at the whole tile and cannot be pooled, such as attention; tiles still differ by it."""
        return tuple(self._unpooled)

    @contextmanager
    def pass_over(self) -> Iterator[None]:
        """One pass over all tiles. Afterwards `settled` says whether it was the last one."""
        self._now, self._pending = [], []
        yield
        self.passes += 1
        if self._known is not None:
            self.change = max((now.change(before) for now, before in zip(self._now, self._known, strict=True)), default=0.0)
        self._known = self._now
        self.settled = self.passes >= len(self._known) or self.change <= self.tolerance

    @contextmanager
    def collecting(self, samples: Sequence[Sample]) -> Iterator[None]:
        """Run the network once on the batch of `samples` within; nothing counts before `commit`.

        The run is ended as soon as the last statistics are in, so its result cannot be used.
        """
        try:
            with _Watch(self, samples, collect=True) as watch:
                yield
        except _AllSeenError:
            pass
        self._check_calls(watch, len(self._known) if self._known is not None else None)

    def commit(self) -> None:
        """What was collected since the last time counts."""
        for index, plane, reduction, came in self._pending:
            if index == len(self._now):
                self._now.append(_Site(reduction.name, reduction.extreme))
            self._now[index].add(plane, came)
        self._pending = []

    def drop(self) -> None:
        """What was collected since the last `commit` does not count: that tile is done again."""
        self._pending = []

    @contextmanager
    def applied(self, samples: Sequence[Sample]) -> Iterator[None]:
        """Run the network on the batch of `samples` within, with the statistics of the whole picture."""
        with _Watch(self, samples, collect=False) as watch:
            yield
        self._check_calls(watch, len(self._known or ()))

    def _check_calls(self, watch: _Watch, expected: int | None) -> None:
        expected = (len(self._now) or None) if expected is None else expected
        if expected is not None and watch.calls != expected:
            raise ValueError(
                f"the network made {watch.calls} whole-image calls for tile {watch.samples[0].tile} and {expected} before: it takes "
                "different ways for different tiles, and their statistics cannot be pooled; use statistics = tile"
            )


class _AllSeenError(BaseException):
    """Ends a run whose result nobody wants. No Exception, so that no network catches it."""


class _Watch(WholeMapCalls):
    """Answers the calls that reduce the whole map."""

    def __init__(self, owner: WholeImageStatistics, samples: Sequence[Sample], collect: bool) -> None:
        super().__init__(len(samples), samples[0].size, placed=True)
        self.owner, self.samples, self.collect = owner, samples, collect
        self.calls = 0

    def pass_by(self, func: Any, args: tuple, kwargs: dict) -> None:
        """Note what cannot be pooled."""
        name = unpooled_of(func, args, kwargs, self.maps.scales)
        if name:
            self.owner._unpooled[name] = None

    def answer(self, reduction: Reduction) -> Any:
        """With what is known of the whole picture; it is collected, too, where that is wanted."""
        index = self.calls
        self.calls += 1
        known = self.owner._known
        if known is not None and (index >= len(known) or known[index].name != reduction.name):
            found = known[index].name if index < len(known) else "nothing"
            raise ValueError(
                f"the network calls {reduction.name} for tile {self.samples[0].tile} where it called {found} before: its "
                "statistics cannot be pooled; use statistics = tile"
            )
        if self.collect:
            self._collect(index, reduction)
            if known is not None and index + 1 == len(known):
                raise _AllSeenError
        if known is None:
            return reduction.local()
        return reduction.with_values(self._values(known[index], reduction))

    def _collect(self, index: int, reduction: Reduction) -> None:
        for number, sample in enumerate(self.samples):
            came = reduction.core_values(number, sample.size, sample.core, self.owner._added.setdefault(index, {}))
            if came is None:
                continue
            if not bool(torch.isfinite(came[1] if isinstance(came, tuple) else came).all()):
                raise ValueError(
                    f"tile {sample.tile} has NaN or Inf in it at {reduction.name}: a model in fp16 that overflows is the usual cause, "
                    "try it in fp32 or bf16"
                )
            self.owner._pending.append((index, sample.plane, reduction, came))

    def _values(self, site: _Site, reduction: Reduction) -> Any:
        """The pooled values, one row per sample, on the map's device; a mean and a variance, or an extreme."""
        rows = [site.planes[sample.plane] for sample in self.samples]
        if site.extreme:
            return torch.stack(rows).to(reduction.device, torch.float32)
        mean, variance = torch.stack([row.mean for row in rows]), torch.stack([row.variance for row in rows])
        unbiased = rows[0].count / max(rows[0].count - 1, 1)
        return mean.to(reduction.device, torch.float32), variance.to(reduction.device, torch.float32), unbiased
