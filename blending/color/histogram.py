"""Giving one picture's values the distribution of another's, channel by channel.

A histogram of 65,536 nodes over the data's own range, into which every value is shared
out between the two nodes beside it. Its cumulative sum, taken to the middle of each
node, is then exact for a picture of few levels (8 bit) and smooth for one of many, and
nothing of millions of values is sorted. The map is source value -> its share of the
pixels below -> the reference's value with that share, as a table that is read between
its entries: an input of more than 256 levels keeps them, also against an 8-bit reference
(Gonzalez and Woods, Digital Image Processing, histogram specification).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from ..pixels.chunks import row_chunks

NODES = 65_536
_PIXELS_AT_ONCE = 1 << 17  # what is made of them on the way stays in the cache

# A stretch of empty values wider than this share of the range is a gap in the picture (black type on white), and
# nothing may be put there. A narrower one is only the distance of two levels, which values may fall between.
_WIDEST_STEP = 1 / 64

# A range below this is one value: it cannot be divided into nodes in float32, and nothing can be seen of it.
_LEAST_RANGE = 1e-30

# One value is _ONE, and its way to the next node up to _PARTS; so many of them stay below 2^63, and their ways below _ONE.
_PARTS = 1 << 20
_ONE = 1 << 41
_MOST_SUMMED = 1 << 20


class Histogram(NamedTuple):
    """The values of one channel.

    Attributes:
        low, high: the range.
        mass: float64 [NODES], from low to high at equal distances.
    """

    low: float
    high: float
    mass: np.ndarray

    def same_as(self, other: Histogram) -> bool:
        """Whether this is the histogram of the same values."""
        return (self.low, self.high) == (other.low, other.high) and np.allclose(self.mass, other.mass, rtol=1e-12, atol=1e-9)

    @property
    def flat(self) -> bool:
        """Whether all of it is one value, but for what float32 cannot divide."""
        return _flat(self.low, self.high)

    @property
    def places(self) -> np.ndarray:
        """The nodes' values."""
        return np.linspace(self.low, self.high, NODES)

    @property
    def cumulative(self) -> np.ndarray:
        """For each node the share of the pixels below it, half of its own included."""
        below = np.cumsum(self.mass)
        return (below - self.mass / 2) / below[-1]


def _flat(low: float, high: float) -> bool:
    return high - low < _LEAST_RANGE


def _range(colour: torch.Tensor, weight: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Smallest and largest value of each channel [C] among the pixels that have weight."""

    def ends(part: torch.Tensor, w: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor] | None:
        values = part if w is None else part[w > 0]
        if values.numel() == 0:
            return None
        values = values.reshape(-1, part.shape[-1])
        # Many pixels side by side are compared with as many others: three by three takes ten times as long.
        side = values.shape[0] // 8
        if side:
            rest, values = values[8 * side :], values[: 8 * side].reshape(8, -1)
            values = [torch.cat((f(0).view(side, -1), rest)) for f in (values.amin, values.amax)]
        else:
            values = [values, values]
        return values[0].amin(0), values[1].amax(0)

    found = [pair for parts in row_chunks(colour, weight) if (pair := ends(*parts)) is not None]
    lows, highs = zip(*found, strict=True)
    return torch.stack(lows).amin(0).float(), torch.stack(highs).amax(0).float()


def _positions(values: torch.Tensor, low: float, high: float) -> tuple[torch.Tensor, torch.Tensor]:
    """For values [n] the node below each (int32) and the way to the next one (0..1)."""
    at = (values - low).mul_((NODES - 1) / (high - low)).clamp_(0, NODES - 1)
    below = at.int().clamp_(max=NODES - 2)
    return below, at.sub_(below)


class _Counts:
    """Unweighted values of one channel, shared out between nodes in whole numbers.

    A value adds one to the node below it and its way to the next node, in parts of _PARTS, to the same number: one sum
    where two would be needed, exact in any order.
    """

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(NODES, dtype=torch.int64, device=device)
        self.mass = torch.zeros(NODES, dtype=torch.float64, device=device)
        self.room = _MOST_SUMMED

    def add(self, below: torch.Tensor, beyond: torch.Tensor) -> None:
        """Add values by their `_positions`."""
        for node, way in zip(below.split(_MOST_SUMMED), beyond.split(_MOST_SUMMED), strict=True):
            if len(node) > self.room:
                self.flush()
            self.room -= len(node)
            self.sums.index_add_(0, node, way.mul(_PARTS).to(torch.int64).add_(_ONE))

    def flush(self) -> None:
        """Take the sums apart."""
        ways = (self.sums & (_ONE - 1)).double() / _PARTS
        self.mass += (self.sums // _ONE) - ways
        self.mass[1:] += ways[:-1]
        self.sums.zero_()
        self.room = _MOST_SUMMED


def histograms(colour: torch.Tensor, weight: torch.Tensor | None) -> list[Histogram]:
    """One histogram per channel.

    Args:
        colour: [h, w, C], finite.
        weight: [h, w], zero or more, not all zero; None where all count alike.
    """
    lows, highs = (bound.tolist() for bound in _range(colour, weight))
    mass = _counted(colour, lows, highs) if weight is None else _weighed(colour, weight, lows, highs)
    mass = mass.cpu().numpy()
    return [Histogram(low, high, np.maximum(own, 0)) for low, high, own in zip(lows, highs, mass, strict=True)]


def _counted(colour: torch.Tensor, lows: list[float], highs: list[float]) -> torch.Tensor:
    """Mass per channel and node where all pixels count alike: float64 [C, NODES]."""
    counts = [_Counts(colour.device) for _ in lows]
    for (part,) in row_chunks(colour, pixels=_PIXELS_AT_ONCE):
        for own, channel, low, high in zip(counts, part.unbind(-1), lows, highs, strict=True):
            if _flat(low, high):
                own.mass[0] += channel.numel()
            else:
                own.add(*_positions(channel.reshape(-1).float(), low, high))
    for own in counts:
        own.flush()
    return torch.stack([own.mass for own in counts])


def _weighed(colour: torch.Tensor, weight: torch.Tensor, lows: list[float], highs: list[float]) -> torch.Tensor:
    """Mass per channel and node where pixels have weights: float64 [C, NODES]."""
    mass = torch.zeros(len(lows), NODES, dtype=torch.float64, device=colour.device)
    for part, w in row_chunks(colour, weight):
        share = w.reshape(-1).double()
        for own, channel, low, high in zip(mass, part.unbind(-1), lows, highs, strict=True):
            if _flat(low, high):
                own[0] += share.sum()
                continue
            below, beyond = _positions(channel.reshape(-1).float(), low, high)
            upper = share * beyond
            own.index_add_(0, below, share - upper)
            own[1:].index_add_(0, below, upper)
    return mass


def _quantiles(target: Histogram, shares: np.ndarray) -> np.ndarray:
    """The values of `target` that have these shares of its pixels below them."""
    kept = target.mass > 0
    filled = np.flatnonzero(kept)
    wide = np.flatnonzero(np.diff(filled) > NODES * _WIDEST_STEP)
    # The empty nodes at both ends of a real gap stay, so that the curve jumps over it.
    kept[filled[wide] + 1] = kept[filled[wide + 1] - 1] = True
    return np.interp(shares, target.cumulative[kept], target.places[kept])


def tables(source: list[Histogram], target: list[Histogram]) -> list[torch.Tensor]:
    """Per channel, what each node of the source becomes; float32 [NODES]."""
    return [torch.from_numpy(_quantiles(b, a.cumulative)).float() for a, b in zip(source, target, strict=True)]


def read_table(values: torch.Tensor, source: Histogram, table: torch.Tensor, inside: bool = False) -> torch.Tensor:
    """Values [n] through a table, float32; those outside the source's range are moved as far as its end is.

    Args:
        inside: whether all values are known to lie in the source's range.
    """
    if source.flat:
        return values + (float(table[0]) - source.low)
    below, beyond = _positions(values, source.low, source.high)
    start = table.index_select(0, below)
    out = torch.lerp(start, table.index_select(0, below.add_(1)), beyond)
    return out if inside else out.add_(values - values.clamp(source.low, source.high))
