"""Where one tile lies on an output of any size, whatever size the tile came back at."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import torch

from ..pixels.alpha import weighted_by_alpha
from ..pixels.taps import weighted_taps
from .grid import Rect
from .placement import KERNEL_RADIUS, cubic_convolution


def centres_of(length: int, size: int) -> torch.Tensor:
    """The centres of the `size` output pixels of an axis of `length` source pixels: float64 [size], in source pixels."""
    return (torch.arange(size, dtype=torch.float64) + 0.5) * (length / size)


@dataclass(frozen=True)
class Line:
    """A tile's place along one axis of the output.

    Attributes:
        start, stop: the output pixels that the tile counts at.
        first: the tile's pixel that lies on `start`, where its pixels fall on the output's; else None.
        places, weights: else int64 and float32 [taps, stop - start], which of the tile's pixels make each of the output's.
    """

    start: int
    stop: int
    first: int | None
    places: torch.Tensor | None = None
    weights: torch.Tensor | None = None

    def along(self, pixels: torch.Tensor, dim: int) -> torch.Tensor:
        """The tile's `pixels` on the output's, along `dim`; a view where nothing is resampled."""
        if self.first is not None:
            return pixels.narrow(dim, self.first, self.stop - self.start)
        if self.start == self.stop:
            return pixels.narrow(dim, 0, 0)
        out = weighted_taps(pixels, self.places, self.weights, dim)
        return out.clamp_(*pixels.aminmax())  # the kernel overshoots at hard edges


def line_of(begin: int, length: int, tile: int, canvas: int, size: int, start: int, stop: int) -> Line:
    """Where the tile that covers source pixels `begin` to `begin + length`, `tile` pixels long, lies on output pixels `start` to `stop`.

    Where the tile has more pixels than the output there, each of the output's is the mean of those around it, by the kernel
    stretched to that width, so that fine detail does not alias.

    Args:
        begin, length: the tile's place, in source pixels.
        tile: pixels of the tile as it came back.
        canvas, size: source pixels and output pixels of the whole axis.
        start, stop: output pixels.
    """
    factor = Fraction(size, canvas)
    offset = begin * factor
    if offset.denominator == 1 and length * factor == tile:
        return Line(start, stop, start - int(offset))
    per_source = tile / length
    at = (centres_of(canvas, size)[start:stop] - begin) * per_source - 0.5
    wide = max(1.0, per_source / float(factor))
    reach = int(KERNEL_RADIUS * wide) + 1
    base = torch.floor(at)
    steps = torch.arange(1 - reach, reach + 1, dtype=at.dtype)[:, None]
    weights = cubic_convolution((at - base - steps) / wide)
    return Line(start, stop, None, (base + steps).long().clamp(0, tile - 1), (weights / weights.sum(0)).float())


def landed(tile: torch.Tensor, rect: Rect, canvas: tuple[int, int], size: tuple[int, int], rows: slice, columns: slice) -> torch.Tensor:
    """The part of a tile [P, h, w, C] that lies on `rows` and `columns` of an output of `size` (height, width); RGBA weighted by alpha.

    Args:
        tile: as it came back, at any size.
        rect: its place, in source pixels.
        canvas: (height, width) of the source.
    """
    lines = [
        line_of(begin, length, pixels, whole, out, span.start, span.stop)
        for begin, length, pixels, whole, out, span in (
            (rect.y, rect.height, tile.shape[1], canvas[0], size[0], rows),
            (rect.x, rect.width, tile.shape[2], canvas[1], size[1], columns),
        )
    ]

    def along(pixels: torch.Tensor) -> torch.Tensor:
        return lines[1].along(lines[0].along(pixels, 1), 2)

    if all(line.first is not None for line in lines):
        return along(tile)
    tile = tile.float()
    return along(tile) if tile.shape[-1] != 4 else weighted_by_alpha(tile, along)
