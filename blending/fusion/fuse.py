"""Fusing per-tile predictions inside a sampler step.

At every step the noisy canvas is cut into views, a model predicts each of them, and the
predictions are averaged where they overlap: one canvas, one sampler, so that the tiles
grow into one picture. The average is linear in noise, velocity or clean latent, and may
be taken in any of them (Bar-Tal et al., "MultiDiffusion", ICML 2023; Jimenez, "Mixture
of Diffusers", 2023, whose bell is the rule "gaussian").

Knows no host: a view is gather + window + scatter, and the model is a callable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from ..layout.grid import Axis
from ..layout.unrolled import Unrolled
from ..layout.windows import axis_windows

RULES = ("hann", "gaussian", "average")

# Mixture of Diffusers: the bell over a tile of length 1 has this variance. Its edge is 3.7e-6 of its centre and its corner
# 1.4e-11, which only float32 and better can tell from nothing.
BELL_VARIANCE = 0.01


class View(Protocol):
    """Something a model can look at: part of a canvas, and how what it says of it counts."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of what `gather` gives; views of one shape may go through the model together."""

    def gather(self, canvas: torch.Tensor) -> torch.Tensor:
        """What the model sees of `canvas` [B, ..., H, W]: [B, ..., *shape]."""

    def scatter(self, prediction: torch.Tensor, total: torch.Tensor) -> None:
        """Blend what the model said [B, ..., *shape] into `total` float32 [B, ..., H, W], after all views before this one.

        By weight / (weights so far), so that the end is the weighted mean. Where views agree, nothing is rounded: the
        prediction comes through to the bit, which a sum of products would not give.
        """


# (views' pictures [n B, ..., h, w], tile-major; the n views) -> one answer of that shape per output, None for "nothing".
Predict = Callable[[torch.Tensor, Sequence[View]], Sequence[torch.Tensor | None]]


def check_rule(rule: str) -> None:
    """Raise ValueError unless `rule` is one of RULES."""
    if rule not in RULES:
        raise ValueError(f"fusion {rule!r} is not known: use one of {', '.join(RULES)}")


def fusion_windows(axis: Axis, rule: str, trim: int = 0) -> list[tuple[int, torch.Tensor]]:
    """How much every tile counts along one axis.

    Args:
        axis: the tiles, in canvas cells. Tiles may begin before the canvas and reach over its end.
        rule: "hann" ramps where neighbours overlap; "gaussian" is the bell over the whole tile; "average" weighs all alike.
        trim: cells to disregard at each side that faces a neighbour.

    Returns:
        per tile, in order, (first cell it counts at, float32 weights from there on). They sum to one at every cell, to
        float32's precision; the product of two axes then does so over the canvas. Where the axis wraps they may go on behind
        the end, where cell `size` is cell 0.

    Raises:
        ValueError: for a rule that is not known.
    """
    check_rule(rule)
    if axis.wraps:
        count = len(axis.origins)
        line = Unrolled(axis, -2 * count - 2, 2 * count + 2).line()
        found = fusion_windows(line._replace(size=axis.size + axis.tile), rule, trim)
        return found[2 * count + 2 : 3 * count + 2]
    centres = torch.arange(axis.size, dtype=torch.float64) + 0.5
    if rule == "gaussian":
        return _bells(axis, centres, trim)
    return [(window.start, window.weight.float()) for window in axis_windows(axis, centres, rule, trim)]


def _bells(axis: Axis, centres: torch.Tensor, trim: int) -> list[tuple[int, torch.Tensor]]:
    raw = []
    total = torch.zeros_like(centres)
    for index, origin in enumerate(axis.origins):
        # Sides that face no neighbour keep everything: the canvas ends there.
        low = 0 if index == 0 else origin + trim
        high = axis.size if index == len(axis.origins) - 1 else origin + axis.tile - trim
        first = max(low, 0)
        last = max(first, min(high, axis.size))
        # The distance from the tile's middle, halfway between its two middle cells where their number is even.
        away = (centres[first:last] - (origin + axis.tile / 2)) / axis.tile
        bell = torch.exp(-away.square() / (2 * BELL_VARIANCE))
        total[first:last] += bell
        raw.append((first, bell))
    return [(first, (bell / total[first : first + len(bell)]).float()) for first, bell in raw]


def fuse(
    predict: Predict,
    canvas: torch.Tensor,
    views: Sequence[View],
    at_once: int | Callable[[int], int] = 1,
) -> list[torch.Tensor | None]:
    """Predict every view of a canvas and average the predictions by the views' weights.

        >>> views = grid_views(TileLayout.grid(64, 64, 32, 32, overlap=8), "hann")
        >>> canvas = torch.rand(1, 4, 64, 64)
        >>> torch.allclose(fuse(lambda tiles, chunk: [2 * tiles], canvas, views)[0], 2 * canvas)
        True

    Holds one chunk of views at a time, beside one float32 canvas per output, whatever the model's type.

    Args:
        predict: the model.
        canvas: [B, ..., H, W].
        views: in the order they are run.
        at_once: how many views go through the model together at most, or how many of this many that are left.

    Returns:
        one canvas per output of the model, in the canvas' type; None where the model said nothing.

    Raises:
        ValueError: where the model returns something of another size than it got.
    """
    totals: list[torch.Tensor | None] | None = None
    left = list(views)
    while left:
        chunk = _chunk(left, at_once(len(left)) if callable(at_once) else at_once)
        left = left[len(chunk) :]
        pictures = torch.cat([view.gather(canvas) for view in chunk]) if len(chunk) > 1 else chunk[0].gather(canvas)
        answers = predict(pictures, chunk)
        if totals is None:
            totals = [None if answer is None else _empty_total(answer, canvas) for answer in answers]
        for answer, total in zip(answers, totals, strict=True):
            if answer is None:
                continue
            _check_answer(answer, pictures)
            for part, view in zip(answer.split(canvas.shape[0]), chunk, strict=True):
                view.scatter(part, total)
        # Before the next chunk is gathered, not after: memory is for one of them.
        del pictures, answers
    return [None if total is None else total.to(canvas.dtype) for total in totals or []]


def _chunk(views: Sequence[View], count: int) -> list[View]:
    """The next views that go through the model together: at most `count`, all of one shape."""
    chunk = [views[0]]
    for view in views[1 : max(count, 1)]:
        if view.shape != chunk[0].shape:
            break
        chunk.append(view)
    return chunk


def _empty_total(answer: torch.Tensor, canvas: torch.Tensor) -> torch.Tensor:
    return torch.zeros((canvas.shape[0], *answer.shape[1:-2], *canvas.shape[-2:]), dtype=torch.float32, device=answer.device)


def _check_answer(answer: torch.Tensor, pictures: torch.Tensor) -> None:
    if answer.shape[0] != pictures.shape[0] or answer.shape[-2:] != pictures.shape[-2:]:
        raise ValueError(
            f"the model was given tiles of shape {tuple(pictures.shape)} and answered with {tuple(answer.shape)}: "
            "its predictions must be as large as what it sees"
        )
