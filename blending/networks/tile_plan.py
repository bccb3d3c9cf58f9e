"""How large tiles should be: what fits the memory, and of that what computes the fewest pixels.

A tile fits where (1 + margin) * needs(tile) <= free. Among the tiles that fit, those are chosen that compute the fewest
pixels in all (every tile in full: overlaps and what reaches over the picture count); of equals the fewest tiles, then
the squarest. Overlap is what costs, so this is nearly always the largest tile that fits, shrunk until its grid covers
the picture without slack; a picture that fits whole is one tile.

It need not be searched for: n tiles over an axis of S lattice steps with an overlap of O steps cover it from a tile of
ceil((S + (n - 1) O) / n) steps on, and no longer tile with the same n is better.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from ..layout.captions import in_words
from ..layout.grid import MAX_LENGTH, Cover, covers

# What is shown beside the choice: the whole picture, the nearest that do not fit, and the next smaller ones.
SHOWN_ABOVE = 3
SHOWN_BELOW = 3


class Needs(Protocol):
    """What is known of a model's memory, such as a MemoryFit. More pixels never need less."""

    def needs(self, width: int, height: int, batch: int = 1) -> float:
        """Bytes for `batch` tiles of `width` x `height` pixels."""


@dataclass(frozen=True)
class Candidate:
    """A tile size that was looked at.

    Attributes:
        size: (width, height) in pixels.
        batch: tiles at once.
        tiles: how many cover the picture.
        pixels: computed in all, overlaps counted every time.
        bytes: needed, without the margin.
        fits: whether it does, with the margin.
        chosen: whether it was taken.
    """

    size: tuple[int, int]
    batch: int
    tiles: int
    pixels: int
    bytes: float
    fits: bool
    chosen: bool = False


@dataclass(frozen=True)
class TilePlan:
    """The tiles to use.

    Attributes:
        tile_width, tile_height, overlap: pixels.
        tile_batch: tiles that go through the model together.
        candidates: largest first, the chosen one among them; empty after a back-off.
    """

    tile_width: int
    tile_height: int
    overlap: int
    tile_batch: int
    candidates: tuple[Candidate, ...] = ()


def _check(width: int, height: int, margin: float, overlap: int, multiple_of: int, smallest: int, most_batch: int) -> None:
    for name, value in (("width", width), ("height", height)):
        if not 1 <= value <= MAX_LENGTH:
            raise ValueError(f"{name} {value} is no size of a picture: use 1 to {MAX_LENGTH}")
    for name, value, least in (
        ("overlap", overlap, 0),
        ("multiple_of", multiple_of, 1),
        ("smallest", smallest, 1),
        ("most_batch", most_batch, 1),
    ):
        if value < least:
            raise ValueError(f"{name} {value} is too small: use {least} or more")
    if not 0 <= margin < math.inf:
        raise ValueError(f"margin {margin} is not a share of the memory: use 0 or more, for example 0.1 for a tenth")


def plan_tiles(
    width: int,
    height: int,
    fit: Needs,
    free: float,
    *,
    margin: float = 0.1,
    overlap: int = 0,
    multiple_of: int = 8,
    smallest: int = 64,
    largest: int | None = None,
    most_batch: int = 1,
    inputs: Collection[str] = ("overlap", "margin"),
) -> TilePlan:
    """The tiles that fit the memory and compute the fewest pixels; the rule is at the top of this file.

    More tiles go through together (up to `most_batch`) only once the tile is chosen, out of what memory is left.

    Args:
        width, height: of the picture, in the pixels that the model is given.
        fit: the model's memory, per tile.
        free: bytes that may be used.
        margin: share that is kept free on top of what is needed.
        overlap: of neighbouring tiles, at least; pixels.
        multiple_of: sides of tiles, and where they start.
        smallest, largest: sides of a tile, in pixels; `largest` None for no limit but the picture.
        most_batch: tiles at once, at most.
        inputs: what of overlap and margin the user has an input for; errors advise nothing else.

    Raises:
        ValueError: where not even the smallest tile fits, or the sizes contradict each other.
    """
    _check(width, height, margin, overlap, multiple_of, smallest, most_batch)
    least = max(-(-smallest // multiple_of), -(-overlap // multiple_of) + 1) * multiple_of
    most = -(-max(width, height, least) // multiple_of) * multiple_of if largest is None else largest // multiple_of * multiple_of
    if most < least:
        mend = "use a smaller overlap or a larger tile" if "overlap" in inputs else "plan for one model at a time"
        raise ValueError(
            f"tiles of at most {largest} px in steps of {multiple_of} px leave no room above the smallest of {least} px "
            f"that an overlap of {overlap} asks for: {mend}"
        )
    xs, ys = covers(width, overlap, multiple_of, least, most), covers(height, overlap, multiple_of, least, most)
    best = _fewest_pixels(xs, ys, lambda tile_width, tile_height: fit.needs(tile_width, tile_height) * (1 + margin) <= free)
    if best is None:
        raise ValueError(_nothing_fits(fit.needs(xs[-1].tile, ys[-1].tile), xs[-1].tile, ys[-1].tile, free, margin, inputs))
    x, y = best
    count = x.count * y.count
    batch = batch_that_fits(fit, x.tile, y.tile, most_batch, count, free / (1 + margin))
    chosen = Candidate((x.tile, y.tile), batch, count, x.pixels * y.pixels, fit.needs(x.tile, y.tile, batch), True, True)
    return TilePlan(x.tile, y.tile, overlap, batch, _beside(chosen, xs, ys, fit, free / (1 + margin)))


def _fewest_pixels(xs: list[Cover], ys: list[Cover], fits: Callable[[int, int], bool]) -> tuple[Cover, Cover] | None:
    """The best pair of covers of which a tile fits, or None."""
    # Among the rows from `first` on, which grow shorter, the best one, whatever the columns are.
    best_rows = list(ys)
    for first in range(len(ys) - 2, -1, -1):
        best_rows[first] = min(ys[first], best_rows[first + 1], key=lambda y: (y.pixels, y.count))
    best = None
    for x in xs:
        first = bisect_right(ys, False, key=lambda y, x=x: fits(x.tile, y.tile))
        if first == len(ys):
            continue
        y = best_rows[first]
        key = (x.pixels * y.pixels, x.count * y.count, abs(x.tile - y.tile))
        if best is None or key < best[0]:
            best = key, (x, y)
    return None if best is None else best[1]


def even_batch(count: int, most: int) -> int:
    """Of `count` tiles, how many go through together where `most` may: so many that all calls are about equally full."""
    return -(-count // -(-count // most))


def batch_that_fits(fit: Needs, width: int, height: int, most: int, count: int, room: float) -> int:
    """As many of `count` tiles at once as fit `room` bytes, at most `most` and at least one; all calls about equally full."""
    batch = min(most, count)
    while batch > 1 and fit.needs(width, height, batch) > room:
        batch -= 1
    return even_batch(count, batch)


def _beside(chosen: Candidate, xs: list[Cover], ys: list[Cover], fit: Needs, room: float) -> tuple[Candidate, ...]:
    """The choice among its neighbours: the grids one comes through when the longer side of the tile is cut again and again."""
    ladder = []
    i = j = 0
    while True:
        x, y = xs[i], ys[j]
        needed = fit.needs(x.tile, y.tile)
        ladder.append(Candidate((x.tile, y.tile), 1, x.count * y.count, x.pixels * y.pixels, needed, needed <= room))
        if i + 1 == len(xs) and j + 1 == len(ys):
            break
        if j + 1 == len(ys) or (i + 1 < len(xs) and x.tile >= y.tile):
            i += 1
        else:
            j += 1
    area = chosen.size[0] * chosen.size[1]
    others = [one for one in ladder if one.size != chosen.size]
    above = [one for one in others if one.size[0] * one.size[1] > area]
    below = [one for one in others if one.size[0] * one.size[1] <= area]
    shown = above[:1] + above[1:][-SHOWN_ABOVE:]
    return (*shown, chosen, *below[:SHOWN_BELOW])


def _nothing_fits(needed: float, width: int, height: int, free: float, margin: float, inputs: Collection[str]) -> str:
    overlap, lower = " or a smaller overlap" * ("overlap" in inputs), ", or lower the margin" * ("margin" in inputs)
    return (
        f"not even a tile of {width} x {height} px fits: it needs {in_words(needed)} and a margin of {margin:.0%}, and "
        f"{in_words(max(free, 0))} are free. Close other programs that use the memory, unload models, use a smaller model"
        f"{overlap}{lower}"
    )
