"""Which pieces of masks are one object: by their agreement where two tiles see the same, or by a prior of the whole picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from .planes import MaskPiece, TileMasks

# Two objects that touch share the uncertain pixels between them. In a strip that both barely reach those may be most of the
# smaller piece, but then they are next to nothing of the larger one.
LEAST_IOU = 0.1


def joined_by_overlap(masks: TileMasks, join: float, tell: Callable[[int], None] = lambda _: None) -> list[list[MaskPiece]]:
    """Objects as lists of pieces: those that agree inside the strip that their two tiles see are one.

    Agreement is the common area as a share of the smaller piece's area in the strip (IoS), at least `join`. Of the pieces that
    agree with one, only the best counts, unless it is the best for the other. Held at a time: the pieces of the tile rows that
    can still overlap, in one byte a pixel.

    Args:
        masks: of all tiles.
        join: 0..1.
        tell: is called with 1 after each tile.
    """
    pieces: list[MaskPiece] = []
    near: list[int] = []
    pairs: list[tuple[int, int]] = []
    for tile, item in enumerate(masks.items):
        top = masks.span(tile)[0]
        for i in [i for i in near if masks.span(pieces[i].tile)[2] <= top]:
            near.remove(i)
            pieces[i] = replace(pieces[i], there=None)
        new = [piece for piece in (masks.piece(tile, plane) for plane in range(len(item))) if piece is not None]
        for other in sorted({pieces[i].tile for i in near}):
            before = [i for i in near if pieces[i].tile == other]
            shares = _shares([pieces[i] for i in before], new, _common(masks.span(other), masks.span(tile)))
            pairs += [(before[a], len(pieces) + b) for a, b in _best(shares, join)]
        near += range(len(pieces), len(pieces) + len(new))
        pieces += new
        tell(1)
    return largest_first(_components([replace(piece, there=None) for piece in pieces], pairs))


def _components(pieces: Sequence[MaskPiece], pairs: Sequence[tuple[int, int]]) -> list[list[MaskPiece]]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    graph = coo_array((np.ones(len(pairs)), (np.array(rows, int), np.array(columns, int))), shape=(len(pieces), len(pieces)))
    names = connected_components(graph, directed=False)[1] if pieces else []
    objects: dict[int, list[MaskPiece]] = {}
    for piece, name in zip(pieces, names, strict=True):
        objects.setdefault(int(name), []).append(piece)
    return list(objects.values())


def largest_first(objects: Sequence[list[MaskPiece]]) -> list[list[MaskPiece]]:
    """The largest first; equal ones from top to bottom."""
    return sorted(objects, key=lambda parts: (-sum(part.area for part in parts), min((part.ends, part.plane) for part in parts)))


def _common(a: Sequence[int], b: Sequence[int]) -> tuple[int, int, int, int]:
    """The rectangle (top, left, bottom, right) that two have in common; empty where they have none."""
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def _shares(before: Sequence[MaskPiece], new: Sequence[MaskPiece], strip: tuple[int, int, int, int]) -> np.ndarray:
    """[2, before, new]: intersection over the smaller piece, and over the union, inside the strip."""
    out = np.zeros((2, len(before), len(new)))
    sizes = [[_count(piece, _common(piece.ends, strip)) for piece in side] for side in (before, new)]
    for a, one in enumerate(before):
        for b, other in enumerate(new):
            place = _common(_common(one.ends, other.ends), strip)
            if place[0] >= place[2] or place[1] >= place[3]:
                continue
            both = int(np.count_nonzero(one.within(place) & other.within(place)))
            if both:
                out[:, a, b] = both / min(sizes[0][a], sizes[1][b]), both / (sizes[0][a] + sizes[1][b] - both)
    return out


def _count(piece: MaskPiece, place: tuple[int, int, int, int]) -> int:
    return int(np.count_nonzero(piece.within(place))) if place[0] < place[2] and place[1] < place[3] else 0


def _best(shares: np.ndarray, join: float) -> Iterator[tuple[int, int]]:
    """The pairs that agree, where one is the best that the other has."""
    smaller, union = shares
    agree = (smaller >= join) & (union >= LEAST_IOU)
    union = np.where(agree, union, 0)
    for a, b in np.argwhere(agree):
        if union[a, b] >= union[a].max() or union[a, b] >= union[:, b].max():
            yield int(a), int(b)
