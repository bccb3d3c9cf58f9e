"""Percentiles of very many values, exact, with next to no memory: by counting their bits instead of sorting them.

The bits of two floats of one sign stand in the order of the numbers (IEEE 754), so the upper half of the bits is a histogram's
bin. The bin in which a rank lies is then counted by the lower half, and a bin of that is one number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

HALF = 16
BINS = 1 << HALF
_AT_ONCE = 1 << 20


def percentiles(values: torch.Tensor, shares: Sequence[float]) -> list[float]:
    """The numbers under which so many per cent of `values` lie, between two of them in proportion (as numpy's "linear").

        >>> percentiles(torch.tensor([4.0, 1.0, 3.0, 2.0]), [0, 50, 100])
        [1.0, 2.5, 4.0]

    Memory: a million values at a time, some 30 MB, whatever their number.

    Args:
        values: float32 of any shape, finite.
        shares: 0 to 100 each.

    Raises:
        ValueError: for a share outside of 0 to 100, no values, or another kind of number.
    """
    if values.dtype != torch.float32 or not values.numel():
        raise ValueError(f"percentiles of {values.dtype} of shape {tuple(values.shape)}: expected one float32 value or more")
    for share in shares:
        if not 0 <= share <= 100:
            raise ValueError(f"{share} is no percentile: use 0 (the smallest value) to 100 (the largest)")
    places = [share / 100 * (values.numel() - 1) for share in shares]
    ranks = sorted({rank for place in places for rank in (int(place), min(int(place) + 1, values.numel() - 1))})
    at = _ranked(values, ranks)
    return [at[int(place)] + (place % 1) * (at[min(int(place) + 1, values.numel() - 1)] - at[int(place)]) for place in places]


def _ranked(values: torch.Tensor, ranks: list[int]) -> dict[int, float]:
    """The values of these ranks, 0 the smallest."""
    upper = torch.zeros(BINS, dtype=torch.int64, device=values.device)
    for keys in _keys(values):
        upper += torch.bincount((keys >> HALF) + BINS // 2, minlength=BINS)
    below = upper.cumsum(0).cpu()
    bins = {rank: int(torch.searchsorted(below, rank, right=True)) for rank in ranks}
    lower = {place: torch.zeros(BINS, dtype=torch.int64, device=values.device) for place in set(bins.values())}
    for keys in _keys(values):
        for place, counts in lower.items():
            inside = keys[(keys >> HALF) == place - BINS // 2]
            counts += torch.bincount(inside & (BINS - 1), minlength=BINS)
    found = {}
    for rank, place in bins.items():
        within = rank - (int(below[place - 1]) if place else 0)
        last = int(torch.searchsorted(lower[place].cumsum(0).cpu(), within, right=True))
        found[rank] = _value(((place - BINS // 2) << HALF) | last)
    return found


def _keys(values: torch.Tensor) -> Iterator[torch.Tensor]:
    """The bits as whole numbers in the order of the values, a part at a time; of a negative float all bits but the sign are turned."""
    for row in values.reshape(-1, values.shape[-1]) if values.ndim > 1 and not values.is_contiguous() else (values.reshape(-1),):
        for part in row.split(_AT_ONCE):
            bits = part.contiguous().view(torch.int32)
            yield torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


def _value(key: int) -> float:
    bits = key ^ 0x7FFFFFFF if key < 0 else key
    return float(torch.tensor(bits, dtype=torch.int32).view(torch.float32))
