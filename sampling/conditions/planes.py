"""Cutting out of a tensor the part that belongs to a tile.

The last two dimensions of a *plane* are y and x, and it stands for the canvas or for a rectangle of it (its *frame*),
cell by cell or at another scale. Whatever lies outside of it is the plane mirrored, on all four sides: a tile may run
over the canvas at the right and the bottom (`blending.layout.cutting.crop`), and over an area prompt's frame anywhere.
"""

from __future__ import annotations

import torch

from ...blending.layout.grid import Rect
from ...blending.pixels.taps import continued

Wrap = tuple[bool, bool]
ENDS: Wrap = (False, False)


def whole(canvas: tuple[int, ...]) -> Rect:
    """The frame of a plane that stands for all of `canvas` (..., h, w)."""
    return Rect(0, 0, canvas[-2], canvas[-1])


def within(view: Rect, frame: Rect) -> Rect:
    """`view` as seen from the top left corner of `frame`."""
    return Rect(view.y - frame.y, view.x - frame.x, view.height, view.width)


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def _along(start: int, length: int, cells: int, size: int) -> tuple[int, int]:
    """Cells start..start+length of `cells` as (start, length) in a line of `size` that stands for them."""
    if cells == size:
        return start, length
    at, count = _rounded(start * size, cells), max(1, _rounded(length * size, cells))
    # Rounding alone must not reach over an end that the tile does not reach over.
    if start >= 0 and start + length <= cells:
        at = min(at, size - count)
    return at, count


def scaled(rect: Rect, cells: tuple[int, int], size: tuple[int, int]) -> Rect:
    """`rect` in cells of a frame of `cells` (h, w), in pixels of a plane of `size` (h, w) that stands for it.

    Exact where the scale brings it onto whole pixels, else rounded to them; equal tiles stay equal in size.
    """
    y, height = _along(rect.y, rect.height, cells[0], size[0])
    x, width = _along(rect.x, rect.width, cells[1], size[1])
    return Rect(y, x, height, width)


def pick(plane: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """`plane` [..., h, w] at `rows` and `columns` (int64, in any order); a view where both are runs."""
    scattered = []
    # Narrowed both ways before anything is copied, so that a tile costs a tile and not a strip of the plane.
    for dim, at in ((-2, rows), (-1, columns)):
        first, last = int(at.min()), int(at.max())
        plane = plane.narrow(dim, first, last - first + 1)
        at = at - first
        if not torch.equal(at, torch.arange(last - first + 1)):
            scattered.append((dim, at.to(plane.device)))
    for dim, at in scattered:
        # Along the last dimension a gather is many times faster than index_select.
        plane = plane.index_select(dim, at) if dim == -2 else plane.gather(dim, at.expand(*plane.shape[:-1], len(at)))
    return plane


def cut_plane(plane: torch.Tensor, rect: Rect, wrap: Wrap = ENDS) -> torch.Tensor:
    """`plane` [..., h, w] inside `rect` (its own pixels); a view where nothing is outside.

    What is outside is the plane mirrored, or its other side along the directions (y, x) that `wrap`.
    """
    height, width = plane.shape[-2:]
    if rect.y >= 0 and rect.x >= 0 and rect.y + rect.height <= height and rect.x + rect.width <= width:
        return plane.narrow(-2, rect.y, rect.height).narrow(-1, rect.x, rect.width)
    rows, columns = torch.arange(rect.y, rect.y + rect.height), torch.arange(rect.x, rect.x + rect.width)
    return pick(plane, continued(rows, height, wrap[0]), continued(columns, width, wrap[1]))


def cut_scaled(plane: torch.Tensor, view: Rect, canvas: tuple[int, ...], wrap: Wrap = ENDS) -> torch.Tensor:
    """The part of `plane` that belongs to `view`, where the plane stands for `canvas` at any scale."""
    return cut_plane(plane, scaled(view, tuple(canvas[-2:]), tuple(plane.shape[-2:])), wrap)


def is_canvas(plane: torch.Tensor, canvas: tuple[int, ...]) -> bool:
    """Whether the last two dimensions are those of the canvas."""
    return plane.ndim >= 2 and tuple(plane.shape[-2:]) == tuple(canvas[-2:])


def same_proportions(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether `size` (h, w) is `other` at some scale: either side is within a pixel of what the other calls for."""
    (height, width), (rows, columns) = size, other
    return abs(height - width * rows / columns) < 1 or abs(width - height * columns / rows) < 1


def has_proportions(plane: torch.Tensor, canvas: tuple[int, ...]) -> bool:
    """Whether the plane is the canvas at some scale, see `same_proportions`."""
    return plane.ndim >= 2 and same_proportions(tuple(plane.shape[-2:]), tuple(canvas[-2:]))
