"""A model while it is measured: its answers are checked, its statistics can be held still, and its pixels are counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from fractions import Fraction

import torch
from torch import Tensor

from ..whole_picture.frozen import FrozenStatistics

Run = Callable[[Tensor], Tensor]
Content = Callable[[int, int, int], Tensor]

# Of float32 numbers, changes up to so many times their precision are rounding.
ROUNDINGS = 32


class ProbedModel:
    """A model as `measure` is given it.

    Args:
        call: [1, C, h, w] -> [1, any, h * scale, w * scale].
        scale: output pixels per pixel given.
        content: (height, width, seed) -> [1, C, height, width] for it to work on.
        device, dtype: of what `call` is given.
        network: where to look for what takes in the whole picture, or None.
        watch: told how many runs are done, and of how many.
        budget: pixels that may be given to it.

    Attributes:
        step: windows must begin and end on multiples of it, so that they do on whole output pixels.
        frozen: statistics that are held still from `begin` on, or None.
        spent: pixels that it was given.
        done, planned: runs.
    """

    def __init__(
        self,
        call: Run,
        scale: Fraction,
        content: Content,
        device: torch.device,
        dtype: torch.dtype,
        network: torch.nn.Module | None = None,
        watch: Callable[[int, int], None] | None = None,
        budget: float = math.inf,
    ) -> None:
        self.call, self.scale, self.content, self.device, self.dtype = call, scale, content, device, dtype
        self.network, self.watch, self.budget = network, watch, budget
        self.step = scale.denominator
        self.frozen: FrozenStatistics | None = None
        self.done = self.planned = self.spent = 0

    def affords(self, pixels: float) -> bool:
        """Whether so many more pixels are within the budget."""
        return self.spent + pixels <= self.budget

    def expect(self, runs: int) -> None:
        """So many runs are to come."""
        self.planned = self.done + runs

    def hold(self) -> None:
        """Hold statistics of the whole picture still from the next `begin` on."""
        self.frozen = FrozenStatistics(self.network)

    @property
    def holds_attention(self) -> bool:
        """Whether what is held still is told by its place, so that only pictures of the same size can be compared."""
        return self.frozen is not None and bool(self.frozen.attended)

    def begin(self, picture: Tensor) -> Tensor:
        """The answer that others are to be compared with."""
        if self.frozen is not None:
            self.hold()
        return self.run(picture)

    def run(self, picture: Tensor) -> Tensor:
        """The model's answer as [C, h, w] on the CPU.

        Raises:
            ValueError: where it answers in another size, or with NaN or Inf.
        """
        self.spent += picture.shape[-2] * picture.shape[-1]
        with nullcontext() if self.frozen is None else self.frozen.run(picture):
            answer = self.call(picture.to(self.device, self.dtype).clone())
        if not isinstance(answer, Tensor) or answer.ndim != 4:
            got = f"a tensor of shape {tuple(answer.shape)}" if isinstance(answer, Tensor) else f"a {type(answer).__name__}"
            raise ValueError(
                f"the model made {got} out of a picture of shape {tuple(picture.shape)}, and pictures [batch, channels, height, width] "
                "were expected: it is not a model that can be tiled"
            )
        answer = answer.detach()[0].cpu()
        answer = answer if answer.dtype == torch.float64 else answer.float()
        wanted = tuple(int(side * self.scale) for side in picture.shape[-2:])
        if tuple(answer.shape[-2:]) != wanted:
            got, given = ("{1} x {0}".format(*tensor.shape[-2:]) for tensor in (answer, picture))
            raise ValueError(
                f"the model made {got} px out of {given} px, and its scale is said to be {float(self.scale):g}: "
                "a model whose scale varies cannot be tiled"
            )
        if not torch.isfinite(answer).all():
            raise ValueError("the model answered the probe with NaN or Inf: in fp16 it probably overflows, load it in fp32 or bf16")
        self.done += 1
        if self.watch is not None:
            self.planned = max(self.planned, self.done)
            self.watch(self.done, self.planned)
        return answer

    def rounding(self, answer: Tensor) -> float:
        """A change that rounding alone may make in such an answer.

        Where nothing changed, the same kernels give the same bits; others, for a tile of another size, do not.
        """
        eps = torch.finfo(answer.dtype if self.dtype == torch.float64 else torch.float32).eps
        return ROUNDINGS * eps * max(1.0, float(answer.abs().max()))
