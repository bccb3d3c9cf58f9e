"""Which keys each query of a large grid attends to: a window of the size that the model was trained on.

ScaleDiff's neighbourhood patch attention (Koh et al., "ScaleDiff", NeurIPS 2025): queries in patches of half a window that do
not overlap, each with a window around it that is pushed back into the grid at its borders. Sliding tile attention (Zhang et
al., ICML 2025) is the same with another window: an odd number of query patches, the middle one being the patch itself.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple


class Windows(NamedTuple):
    """How a grid is cut.

    Attributes:
        size: (rows, columns) of a window of keys.
        patch: (rows, columns) of a patch of queries.
        offset: (rows, columns) by which the grid of patches is shifted towards the start, 0 to patch - 1.
    """

    size: tuple[int, int]
    patch: tuple[int, int]
    offset: tuple[int, int] = (0, 0)


class Patch(NamedTuple):
    """Queries and the window of keys they attend to; pairs are (from, to), the latter excluded.

    Attributes:
        rows, columns: of the queries.
        key_rows, key_columns: of the window.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    key_rows: tuple[int, int]
    key_columns: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the queries."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    def halves(self) -> tuple[Patch, ...]:
        """The upper and the lower half of the queries, with the same window; itself where there is one row."""
        middle = (self.rows[0] + self.rows[1]) // 2
        if middle == self.rows[0]:
            return (self,)
        return self._replace(rows=(self.rows[0], middle)), self._replace(rows=(middle, self.rows[1]))


def half_windows(size: tuple[int, int], offset: tuple[int, int] = (0, 0)) -> Windows:
    """ScaleDiff's: patches of half a window."""
    return Windows(size, tuple(max(side // 2, 1) for side in size), offset)


def plan_patches(grid: tuple[int, int], windows: Windows) -> list[Patch]:
    """Patches that hold every query of a grid exactly once.

    An axis on which the window reaches over the whole grid is not cut.

    Args:
        grid: (rows, columns).
        windows: how it is cut.

    Raises:
        ValueError: for a window smaller than a patch, or an offset outside of a patch.
    """
    axes = [
        _spans(length, size, patch, offset)
        for length, size, patch, offset in zip(grid, windows.size, windows.patch, windows.offset, strict=True)
    ]
    return [Patch(rows, columns, key_rows, key_columns) for (rows, key_rows), (columns, key_columns) in product(*axes)]


def _spans(length: int, size: int, patch: int, offset: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    if not 1 <= patch <= size:
        raise ValueError(f"a window of {size} tokens does not hold a patch of {patch}: use a patch of 1 to {size}")
    if not 0 <= offset < patch:
        raise ValueError(f"an offset of {offset} tokens is outside of a patch of {patch}: use 0 to {patch - 1}")
    if size >= length:
        return [((0, length), (0, length))]
    found = []
    for start in range(-offset, length, patch):
        begin = min(max(start - (size - patch) // 2, 0), length - size)
        found.append(((max(start, 0), min(start + patch, length)), (begin, begin + size)))
    return found


def plan_views(grid: tuple[int, int], size: tuple[int, int], offset: tuple[int, int] = (0, 0)) -> list[Patch]:
    """Windows at a stride of half a window, every one attending to itself (MultiDiffusion); they cover the grid and overlap.

    Args:
        grid: (rows, columns).
        size: of a window.
        offset: by which they are shifted towards the start, 0 to half a window.
    """
    axes = []
    for length, side, shift in zip(grid, size, offset, strict=True):
        last = max(length - side, 0)
        stride = max(side // 2, 1)
        starts = sorted({min(max(start, 0), last) for start in range(-shift, last + stride, stride)})
        axes.append([(start, min(start + side, length)) for start in starts])
    return [Patch(rows, columns, rows, columns) for rows, columns in product(*axes)]
