"""What overlapping tiles, and a reference, say about how far each tile lies beside its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product

import torch

from ..layout.grid_layout import GridLayout
from ..layout.reference import check_scene, tile_part
from ..pixels.picture import REC_709, check_finite, colours
from .joint_solve import REFERENCE_TILE, Measurement
from .resample import sampled_at
from .shift import SURE, judged_shifts, least_side

# A strip is measured in pieces about so long, so that a place where the tiles show different things spoils one of them.
_PIECE = 256
_PIECES_OF_A_TILE = 3  # along each side, against a reference
_AT_ONCE = 1 << 21  # pixels that are gathered before they are compared


def brightness(pixels: torch.Tensor) -> torch.Tensor:
    """Luma (Rec. 709) times alpha of [P, h, w, C], float32 [P, h, w]: what of a picture can be seen."""
    colour = colours(pixels).float()
    luma = colour[..., 0] if colour.shape[-1] == 1 else colour @ colour.new_tensor(REC_709)
    return luma * pixels[..., 3].float() if pixels.shape[-1] == 4 else luma


class SharedStrip:
    """Where tiles `first` and `second` overlap, in pixels of the tiles.

    Attributes:
        start, size: (y, x) of the overlap in `first`.
        beside: whether the tiles lie side by side.
        offset: (y, x) of `second` in `first`, whole or not.
    """

    def __init__(self, layout: GridLayout, size: tuple[int, int], first: int, second: int, beside: bool) -> None:
        a, b = layout.tiles[first], layout.tiles[second]
        factors = [size[dim] / layout.tile_size[dim] for dim in (0, 1)]
        self.first, self.second, self.beside = first, second, beside
        self.offset = ((b.y - a.y) * factors[0], (b.x - a.x) * factors[1])
        self.start = tuple(math.ceil(at) for at in self.offset)
        self.size = tuple(length - start for length, start in zip(size, self.start, strict=True))

    def both(self, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The strip [P, n, m] of both tiles' brightness [P, h, w], at the same places."""
        (y, x), (height, width) = self.start, self.size
        fixed = first[:, y : y + height, x : x + width]
        between = [start - offset for start, offset in zip(self.start, self.offset, strict=True)]
        if not any(between):
            return fixed, second[:, :height, :width]
        lines = [torch.arange(size, dtype=torch.float64) + more for size, more in zip(self.size, between, strict=True)]
        return fixed, sampled_at(second[..., None], *lines)[..., 0]


def strips(layout: GridLayout, size: tuple[int, int]) -> Iterator[SharedStrip]:
    """The overlap of every tile of `size` (height, width) with the one to its left and the one above."""
    rows, columns = layout.counts
    for row, column in product(range(rows), range(columns)):
        index = row * columns + column
        for there, before, beside in ((column, index - 1, True), (row, index - columns, False)):
            if there:
                strip = SharedStrip(layout, size, before, index, beside)
                if min(strip.size) > 0:
                    yield strip


def check_room(layout: GridLayout, size: tuple[int, int], max_shift: float, alone: bool) -> float:
    """`max_shift` (source pixels) in pixels of the tiles, or ValueError.

    Args:
        layout: the plan.
        size: (height, width) of the tiles as they came.
        max_shift: source pixels.
        alone: whether the tiles have only each other to be compared with.
    """
    if not 0 < max_shift < math.inf:
        raise ValueError(f"max_shift {max_shift} is not a number of pixels: use a number above 0, for example 4")
    scale = size[0] / layout.tile_size[0]
    reach = max_shift * scale
    if not alone:
        if min(size) < least_side(reach):
            raise ValueError(
                f"tiles of {size[1]} x {size[0]} are too small to look for shifts of {max_shift:g} px: use a smaller max_shift"
            )
        return reach
    narrow = min((min(strip.size) for strip in strips(layout, size)), default=None)
    if len(layout) > 1 and (narrow is None or narrow < least_side(reach)):
        raise ValueError(
            f"the tiles overlap by {layout.least_overlap} px, too little to look for shifts of {max_shift:g} px: split with an overlap of "
            f"{math.ceil(least_side(reach) / scale)} or more, or use a smaller max_shift"
        )
    return reach


class MeasuredShifts:
    """What was measured for one picture of a batch.

    Attributes:
        measurements: those that are sure.
        doubts: per tile, the reasons of those that are not, as `shift.judged_shifts` has them.
    """

    def __init__(self, tiles: int) -> None:
        self.measurements: list[Measurement] = []
        self.doubts: list[list[int]] = [[] for _ in range(tiles)]

    def add(self, first: int, second: int, dy: float, dx: float, weight: float, doubt: int) -> None:
        """One block's shift, or why there is none."""
        if doubt == SURE:
            self.measurements.append(Measurement(first, second, dy, dx, weight))
            return
        for tile in (first, second):
            if tile != REFERENCE_TILE:
                self.doubts[tile].append(doubt)


def measure_shifts(
    tile_at: Callable[[int], torch.Tensor],
    layout: GridLayout,
    reach: float,
    reference: torch.Tensor | None = None,
    step: Callable[[], None] = lambda: None,
) -> list[MeasuredShifts]:
    """Compare every tile with its neighbours, or where there is a reference, with its own part of that as well.

    Args:
        tile_at: index -> tile [P, h, w, C]; asked for once a tile, in order.
        layout: the plan.
        reach: the largest shift to look for, in pixels of the tiles.
        reference: [P or 1, H, W, C'] of the same scene, any size.
        step: told after each tile.

    Returns:
        one for each picture of the batch. Held are the brightness of one row of tiles and one tile, and _AT_ONCE pixels to compare.

    Raises:
        ValueError: for tiles that are broken or of different sizes, and for a reference of another shape.
    """
    compare, piece = _Comparisons(len(layout), reach), max(_PIECE, 2 * least_side(reach))
    held: dict[int, torch.Tensor] = {}
    into: dict[int, list[SharedStrip]] = {}
    if reference is not None:
        check_finite(reference, "the reference", "the node that made it")
        check_scene(reference, layout, "the reference")
    for index in range(len(layout)):
        tile = tile_at(index)
        check_finite(tile, f"tile {index}", "the node before")
        size = tuple(tile.shape[1:3])
        if not index:
            for strip in strips(layout, size):
                into.setdefault(strip.second, []).append(strip)
        held[index] = brightness(tile)
        for strip in into.get(index, ()):
            if min(strip.size) >= least_side(reach):
                compare.add(strip.first, index, _pieces(strip.size, 1, piece), *strip.both(held[strip.first], held[index]))
        if reference is not None:
            part = brightness(tile_part(reference, layout, index, size)).to(held[index].device).expand(len(tile), -1, -1)
            compare.add(REFERENCE_TILE, index, _pieces(size, _PIECES_OF_A_TILE, piece), part, held[index])
        held.pop(index - layout.counts[1], None)
        step()
    compare.finish()
    return [compare.found.get(picture) or MeasuredShifts(len(layout)) for picture in range(len(tile))]


class _Comparisons:
    """Blocks of one size are compared together, which takes a fraction of the time.

    Attributes:
        found: by picture of the batch.
    """

    def __init__(self, tiles: int, reach: float) -> None:
        self.tiles, self.reach = tiles, reach
        self.found: dict[int, MeasuredShifts] = {}
        self.waiting: dict[tuple[int, ...], list[tuple]] = {}
        self.pixels = 0

    def add(self, first: int, second: int, pieces: list[tuple[slice, slice]], fixed: torch.Tensor, moving: torch.Tensor) -> None:
        """What two tiles [P, h, w] show at the same places, to be compared in pieces."""
        for rows, columns in pieces:
            pair = [one[:, rows, columns].clone() for one in (fixed, moving)]
            self.waiting.setdefault(tuple(pair[0].shape), []).append((first, second, *pair))
            self.pixels += pair[0].numel()
        if self.pixels > _AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Compare what waits."""
        for (pictures, *_), jobs in self.waiting.items():
            shifts, doubts = judged_shifts(*(torch.cat([job[side] for job in jobs]) for side in (2, 3)), self.reach)
            rows = zip(*(column.tolist() for column in (*shifts[:3], doubts)), strict=True)
            for block, (dy, dx, confidence, doubt) in enumerate(rows):
                first, second = jobs[block // pictures][:2]
                self.found.setdefault(block % pictures, MeasuredShifts(self.tiles)).add(first, second, dy, dx, confidence, doubt)
        self.waiting, self.pixels = {}, 0


def _pieces(size: tuple[int, int], most_across: int, piece: int) -> list[tuple[slice, slice]]:
    """Pieces of a strip or tile, about `piece` long and alike in size, all of it in the shorter direction where `most_across` is 1."""
    counts = [max(1, round(length / piece)) for length in size]
    if most_across == 1:
        counts[size.index(min(size))] = 1
    else:
        counts = [min(count, most_across) for count in counts]
    sides = [min(length // count, 2 * piece) if most_across > 1 else length // count for length, count in zip(size, counts, strict=True)]
    lines = [
        [slice(at, at + side) for at in (round(k * length / count + (length / count - side) / 2) for k in range(count))]
        for length, count, side in zip(size, counts, sides, strict=True)
    ]
    return list(product(*lines))
