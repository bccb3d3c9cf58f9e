"""Where a chain of steps is cut into passes, and what is held between them.

A pass goes over the picture tile by tile; what it makes is held whole (a canvas) until the next one has read it. Cutting
right before every normalisation is what makes tiled equal untiled: the statistics of the whole are known when the first
tile is normalised, and every tile reads real neighbours, two convolutions deep at most. It costs memory: at full
resolution a canvas holds a hundred values and more for each pixel. So passes can also be told to hold nothing finer than
a given resolution; the normalisations in between then need statistics from somewhere else.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch

from .steps import Add, Attention, Keep, Local, Norm, Region, Step, factors

# Resolutions up to this share of the finest are cheap to hold: a canvas there is smaller than the picture's tile costs.
COARSE = 4

T = TypeVar("T")


class Pass(NamedTuple):
    """The steps start..stop, the end not included, that are worked through tile by tile without holding anything between."""

    start: int
    stop: int


@dataclass(frozen=True)
class StagePlan:
    """A chain of steps and its passes.

    Attributes:
        steps: the chain.
        scale: the resolution before each step and after the last, in units of the coarsest.
        passes: which steps go together.
    """

    steps: tuple[Step, ...]
    scale: tuple[int, ...]
    passes: tuple[Pass, ...]

    @classmethod
    def exact(cls, steps: Sequence[Step]) -> StagePlan:
        """Cut before every normalisation."""
        return cls._cut(steps, None)

    @classmethod
    def lean(cls, steps: Sequence[Step]) -> StagePlan:
        """Hold nothing finer than a quarter of the finest resolution."""
        return cls._cut(steps, COARSE)

    @classmethod
    def _cut(cls, steps: Sequence[Step], coarse: int | None) -> StagePlan:
        scale = factors(steps)
        if next((isinstance(step, Norm) for step in steps if not isinstance(step, Keep)), True):
            raise ValueError("the chain must begin with a Local step: a normalisation needs a canvas whose statistics were gathered")
        finest = max(scale)
        may_hold = [coarse is None or one * coarse <= finest for one in scale]
        cuts = {0, len(steps)}
        for index, step in enumerate(steps):
            if isinstance(step, Norm) and may_hold[index]:
                cuts.add(index)
            elif isinstance(step, Attention):
                cuts |= {index - 1, index + 1 + isinstance(steps[index + 1], Add)}
            elif isinstance(step, Local) and step.up > 1 and scale[index] * COARSE <= finest:
                cuts.add(index)
            elif isinstance(step, Local) and step.down > 1 and scale[index + 1] * COARSE <= finest:
                cuts.add(index + 1)
        ends = sorted(cuts)
        return cls(tuple(steps), tuple(scale), tuple(Pass(*pair) for pair in itertools.pairwise(ends)))

    def sweeps(self, one: Pass, corrections: int) -> int:
        """How often the pass goes over the picture."""
        return 1 + (1 if self.attends(one) else corrections if self.guesses(one) else 0)

    def sums_in_place(self, one: Pass) -> bool:
        """Whether the pass ends with adding what was kept before it, itself unchanged, and adds nothing else."""
        steps = self.steps[one.start : one.stop]
        adds = [index for index, step in enumerate(steps) if isinstance(step, Add)]
        if len(adds) != 1 or steps[adds[0]].shortcut is not None:
            return False
        before, after = steps[: adds[0]], steps[adds[0] + 1 :]
        return not any(isinstance(step, Keep) for step in before) and all(isinstance(step, Keep) for step in after)

    def stack(self, one: Pass, before: Sequence[T]) -> list[T | int]:
        """What is kept when the pass is over: of what was kept `before`, and the points at which its own Keeps can be read."""
        kept: list[T | int] = list(before)
        for index in range(one.start, one.stop):
            if isinstance(self.steps[index], Keep):
                kept.append(settled(self.steps, index, one.stop))
            elif isinstance(self.steps[index], Add):
                kept.pop()
        return kept

    def norm_after(self, one: Pass) -> int | None:
        """The normalisation that reads what the pass leaves, if any."""
        for index in range(one.stop, len(self.steps)):
            if isinstance(self.steps[index], Norm):
                return index
            if not isinstance(self.steps[index], Keep):
                break
        return None

    def finest(self, one: Pass) -> int:
        """The finest resolution within a pass."""
        return max(self.scale[one.start : one.stop + 1])

    def guesses(self, one: Pass) -> list[int]:
        """The normalisations of a pass whose statistics are not known when it begins."""
        return [index for index in range(one.start + 1, one.stop) if isinstance(self.steps[index], Norm)]

    def attends(self, one: Pass) -> bool:
        """Whether the pass begins with a normalisation and an attention."""
        return one.stop - one.start > 1 and isinstance(self.steps[one.start + 1], Attention)

    def tile(self, one: Pass, tile: tuple[int, int]) -> tuple[int, int]:
        """The tile of a pass, (height, width) in coarsest cells, where `tile` is the one of the finest resolution.

        A coarse pass takes more of the picture at a time. Half of what the resolution would allow, because coarse stages have
        about four times the channels.
        """
        more = max(1, max(self.scale) // self.finest(one) // 2)
        return tile[0] * more, tile[1] * more

    def halo(self, one: Pass) -> int:
        """How far a tile of the pass reads into its neighbours, in finest cells."""
        whole = Region(-(1 << 30), 1 << 30, -(1 << 30), 1 << 30)
        region = Region(0, 0, 0, 0)
        for index in range(one.stop - 1, one.start - 1, -1):
            step = self.steps[index]
            if isinstance(step, Local):
                region = step.needs(region, whole)
        return max(-region.top, region.bottom) * max(self.scale) // self.scale[one.start]

    def held(self, channels: Sequence[int], cells: tuple[int, int]) -> int:
        """The most values that lie in canvases at one time, input and output of the whole chain not counted.

        Args:
            channels: before each step and after the last (`trace`).
            cells: (height, width) of the picture, in coarsest cells.
        """

        def size(point: int) -> int:
            return channels[point] * cells[0] * cells[1] * self.scale[point] ** 2

        most = 0
        kept: list[int] = []
        for one in self.passes:
            before = {one.start, *kept}
            kept = self.stack(one, kept)
            after = {one.stop, *kept} - ({one.stop} if self.sums_in_place(one) else set())
            most = max(most, sum(size(point) for point in (before | after) - {0, len(self.steps)}))
        return most


def settled(steps: Sequence[Step], index: int, stop: int) -> int:
    """The point that a Keep at `index` shares with the end of its pass, where only Keeps come between."""
    return stop if all(isinstance(step, Keep) for step in steps[index:stop]) else index


def trace(steps: Sequence[Step], sample: torch.Tensor) -> list[int]:
    """How many channels there are before each step and after the last.

    Args:
        steps: the chain.
        sample: [1, C, h, w] as the first step takes it, as small as its strides allow.
    """
    channels = [sample.shape[1]]
    x = sample
    for step in steps:
        if isinstance(step, Local):
            x = step.run(x)
        channels.append(x.shape[1])
    return channels


def stage_cores(whole: Region, tile: tuple[int, int]) -> list[Region]:
    """`whole` cut into evenly spread parts of at most `tile` (height, width), row by row."""
    rows = _even(whole.top, whole.bottom, tile[0])
    columns = _even(whole.left, whole.right, tile[1])
    return [Region(*row, *column) for row in rows for column in columns]


def _even(first: int, last: int, tile: int) -> list[tuple[int, int]]:
    count = -(-(last - first) // max(1, tile))
    ends = [first + i * (last - first) // count for i in range(count + 1)]
    return list(itertools.pairwise(ends))
