"""A network as a chain of steps that can be worked through tile by tile.

A convolution needs a few neighbours and nothing else, so it can be run on any part of a picture that brings those
neighbours along. A normalisation over the picture needs two numbers per group that nobody knows before the whole picture
has come so far. An attention over the picture needs all of it. Told apart like this, a network is a chain of steps, and
`run.py` runs it.

A step knows no picture and no tile; it says what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import torch


class Region(NamedTuple):
    """Rows top..bottom and columns left..right of a plane, the ends not included."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    def times(self, factor: int) -> Region:
        """The same place where the plane is `factor` times finer."""
        return Region(*(side * factor for side in self))

    def join(self, other: Region) -> Region:
        """The smallest region that holds both."""
        return Region(min(self.top, other.top), max(self.bottom, other.bottom), min(self.left, other.left), max(self.right, other.right))

    def meet(self, other: Region) -> Region:
        """What both have."""
        return Region(max(self.top, other.top), min(self.bottom, other.bottom), max(self.left, other.left), min(self.right, other.right))

    def of(self, plane: torch.Tensor, origin: Region | None = None) -> torch.Tensor:
        """This part of `plane` [..., h, w], which is the whole plane or the part of it that lies at `origin`; a view."""
        top, left = (0, 0) if origin is None else (origin.top, origin.left)
        return plane[..., self.top - top : self.bottom - top, self.left - left : self.right - left]


@dataclass(frozen=True, eq=False)
class Local:
    """Anything an output cell of which depends on the cells around its place only.

    Where `run` pads its input (with zeros or otherwise) it does so right at the border of the picture, which is where the
    network does; at sides inside the picture the `reach` brings real neighbours and what the padding spoils is cut off.

    Attributes:
        run: [1, C, h, w] -> [1, C', h * up / down, w * up / down]; leaves its input as it is.
        reach: how many input cells beyond its own place an output cell sees, to each side.
        up, down: how much finer or coarser the output is; one of them is 1.
    """

    run: Callable[[torch.Tensor], torch.Tensor]
    reach: int = 0
    up: int = 1
    down: int = 1

    def needs(self, wanted: Region, whole: Region) -> Region:
        """What of the input, which is `whole`, it takes to get the output region `wanted` right."""
        top, bottom = self._along(wanted.top, wanted.bottom)
        left, right = self._along(wanted.left, wanted.right)
        return Region(top, bottom, left, right).meet(whole)

    def _along(self, first: int, last: int) -> tuple[int, int]:
        low = first * self.down // self.up - self.reach
        high = -(-last * self.down // self.up) + self.reach
        # A strided step counts its strides from where its input begins, so that must be a multiple of them.
        return low // self.down * self.down, -(-high // self.down) * self.down

    def gives(self, region: Region) -> Region:
        """Where the output lies that input of this region makes."""
        return Region(*(side * self.up // self.down for side in region))


@dataclass(frozen=True, eq=False)
class Norm:
    """Group normalisation over the whole picture (instance normalisation: as many groups as channels).

    Attributes:
        groups: of channels.
        eps: added to the variance.
        affine: given a tensor, the gain and bias for it, float32 [C] on its device, each None where there is none.
    """

    groups: int
    eps: float
    affine: Callable[[torch.Tensor], tuple[torch.Tensor | None, torch.Tensor | None]]


@dataclass(frozen=True, eq=False)
class Attention:
    """Attention of one head in which every cell sees every cell of the picture.

    Attributes:
        query, key, value: [1, C, h, w] -> [1, C', h, w], cell by cell.
        project: what is done to the result, cell by cell.
    """

    query: Callable[[torch.Tensor], torch.Tensor]
    key: Callable[[torch.Tensor], torch.Tensor]
    value: Callable[[torch.Tensor], torch.Tensor]
    project: Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Keep:
    """Remember what came, for the next Add that has none yet."""


@dataclass(frozen=True, eq=False)
class Add:
    """Add what the latest Keep remembered.

    Attributes:
        shortcut: what it goes through first, of the same resolution; None for nothing.
    """

    shortcut: Local | None = None


Step = Local | Norm | Attention | Keep | Add


def factors(steps: Sequence[Step]) -> list[int]:
    """How many cells a side has before each step and after the last, in units of the coarsest of them.

    Raises:
        ValueError: where a resolution is no multiple of the coarsest, or a Keep and its Add differ in resolution.
    """
    scale = [Fraction(1)]
    open_keeps: list[Fraction] = []
    for step in steps:
        if isinstance(step, Keep):
            open_keeps.append(scale[-1])
        elif isinstance(step, Add) and (not open_keeps or open_keeps.pop() != scale[-1]):
            raise ValueError("an Add has no Keep before it, or one of another resolution")
        scale.append(scale[-1] * Fraction(step.up, step.down) if isinstance(step, Local) else scale[-1])
    least = min(scale)
    if any((one / least).denominator != 1 for one in scale):
        raise ValueError("the resolutions of the steps are not whole multiples of the coarsest")
    return [int(one / least) for one in scale]
