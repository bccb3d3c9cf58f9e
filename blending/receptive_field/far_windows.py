"""Borders followed far into the picture, at a low price: in long, low pictures cut in two.

A square window that is deep enough for a network with hundreds of layers costs more than the picture that is to be made.
Here one border at a time is looked at, in the middle of a picture that is long at a right angle to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .border_distance import axis_distance, profile, reach
from .endless_influence import quiet_depth
from .probed_model import ProbedModel
from .tile_lattice import SHIFTS, USUAL, find_lattice

# What replaces one half of a strip is made so dark, because traces are looked for.
DARKENED = 0.25
STRIP_HEIGHT = 64
# Length of a far window by its height; half of it is the depth.
FAR = 3


class FarWindows(NamedTuple):
    """What is seen of a border far away from it.

    Attributes:
        cut: largest change [depth] at each distance from the left, right, top and bottom border of a tile that is cut out.
        other: the same from a border beyond which there is another picture.
        lattice: that was found out, or was known.
    """

    cut: tuple[Tensor, ...]
    other: Tensor
    lattice: int

    @property
    def worst(self) -> Tensor:
        """Largest change at each distance in a tile that is cut out."""
        return torch.stack(self.cut).amax(0)


def far_cost(high: int) -> int:
    """Pixels that `far_windows` gives to the model at most, where the lattice is found at once."""
    return 7 * high * FAR * high


def far_windows(model: ProbedModel, high: int, rounding: float, lattice: int | None) -> FarWindows:
    """Follow all four borders of a tile.

    Args:
        model: to be measured.
        high: height of the windows, in pixels; a multiple of 8 steps of the model.
        rounding: a change that rounding alone may make.
        lattice: where it is known; else it is found out.
    """
    length, half = FAR * high, FAR * high // 2
    model.expect(10)
    cut: list[Tensor] = []
    for transposed in (False, True):
        base, other = (model.content(high, length, seed) for seed in (0, 1))
        turn = _turn if transposed else _as_it_is
        before = turn(model.begin(turn(base)))
        cut += [_cut(model, turn, base, before, side) for side in (0, 1)]
        if transposed:
            continue
        changed = base.clone()
        changed[..., :half] = other[..., :half]
        far = profile((model.run(changed) - before).abs().amax((0, 1)), _distance(model, before, 0, length), half)
        if lattice is None:
            lattice = _lattice(model, base, before, rounding)
    return FarWindows(tuple(cut), far, lattice)


def _turn(picture: Tensor) -> Tensor:
    return picture.transpose(-1, -2)


def _as_it_is(picture: Tensor) -> Tensor:
    return picture


def _distance(model: ProbedModel, answer: Tensor, side: int, length: int) -> Tensor:
    """How far each column lies from the border in the middle; negative in the other half than the right (0) or left (1) one."""
    kept = (length // 2, length) if side == 0 else (0, length // 2)
    return axis_distance(answer.shape[-1], *kept, length, model.scale)


def _cut(model: ProbedModel, turn: Callable[[Tensor], Tensor], base: Tensor, before: Tensor, side: int) -> Tensor:
    """Largest change by distance in one half that is given to the model by itself."""
    length, half = base.shape[-1], base.shape[-1] // 2
    middle = before.shape[-1] // 2
    part, columns = (slice(half, length), slice(middle, None)) if side == 0 else (slice(0, half), slice(0, middle))
    after = turn(model.run(turn(base[..., part])))
    change = (after - before[..., columns]).abs().amax((0, 1))
    return profile(change, _distance(model, before, side, length)[columns], half)


def _lattice(model: ProbedModel, base: Tensor, before: Tensor, rounding: float) -> int:
    """Found in the middle of a tile of one length that is cut out farther and farther to the right."""
    length, longest = base.shape[-1], SHIFTS[-1]
    tile = length - longest
    if tile < 2 * longest:
        return math.lcm(USUAL, model.step)
    centre = (longest + tile) // 2 // model.step * model.step

    def shifted(by: int) -> float:
        there, here = (
            slice(int((centre - start - model.step) * model.scale), int((centre - start + model.step) * model.scale)) for start in (0, by)
        )
        after = model.run(base[..., by : by + tile])
        return float((after[..., here] - before[..., there]).abs().max())

    return find_lattice(shifted, longest, model.step, rounding, lambda: model.affords(base.shape[-2] * tile))


def strip_length(model: ProbedModel, high: int, longest: int, known_to: int) -> int:
    """How long strips may be: at most `longest`, within the budget; 0 where they would show no more than is known."""
    length = longest if model.affords(6 * high * longest) else int(model.budget - model.spent) // (6 * high)
    return length if length // 2 > known_to else 0


def far_strips(model: ProbedModel, high: int, length: int, known_to: int, rounding: float) -> tuple[int, bool, bool]:
    """(full radius, whether an end was seen, whether there is none) from one long strip for each side."""
    length = length // (2 * model.step) * 2 * model.step
    model.expect(6)
    farthest, deepest, quiet = known_to, 0.0, quiet_depth(length // 2, model.scale)
    for transposed in (False, True):
        base, other = (model.content(high, length, seed) for seed in (0, 1))
        turn = _turn if transposed else _as_it_is
        before = turn(model.begin(turn(base)))
        for side in (0, 1):
            changed = base.clone()
            half = slice(0, length // 2) if side == 0 else slice(length // 2, None)
            changed[..., half] = DARKENED * other[..., half]
            change = (turn(model.run(turn(changed))) - before).abs().amax((0, 1))
            values = profile(change, _distance(model, before, side, length), length // 2)
            farthest = max(farthest, reach(values, rounding))
            deepest = max(deepest, float(values[:: model.step][-2 * quiet // model.step :].median()))
    ended = farthest <= length // 2 - quiet
    return farthest, ended, not ended and deepest > rounding
