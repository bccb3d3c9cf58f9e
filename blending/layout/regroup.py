"""From any batching of tiles back to one tile at a time.

Tiles travel as a list, one item per place with all pictures of the batch in it. On the
way a node may have joined them into batches or taken them apart: flattened along the
batch, the order is tile-major, and that is all that is relied on. A node may also give other
numbers of pictures back (a video model 13 frames for 16): then every tile is an item of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from ..pixels.counted import counted
from .tile_layout import TileLayout


class PictureSpan(NamedTuple):
    """Pictures start..stop of item `item`."""

    item: int
    start: int
    stop: int


def as_they_came(sizes: Sequence[int], layouts: Sequence[TileLayout]) -> list[TileLayout]:
    """The layouts, with the number of pictures that their tiles came back with where it is another than was cut.

    That can be told where every item is one tile and all tiles of a layout agree. Where it cannot, the layouts are
    returned as they are, and `tile_spans` says what is wrong.

    Args:
        sizes: the batch size of every item that came.
        layouts: the layouts they belong to, in order.
    """
    if sum(sizes) == _planned(layouts) or len(sizes) != sum(map(_items, layouts)):
        return list(layouts)
    items = iter(sizes)
    parts = [[next(items) for _ in range(_items(layout))] for layout in layouts]
    if not all(len(set(part)) == 1 for part in parts):
        return list(layouts)
    return [replace(layout, batch=part[0]) for layout, part in zip(layouts, parts, strict=True)]


def _planned(layouts: Sequence[TileLayout]) -> int:
    return sum(_items(layout) * layout.batch for layout in layouts)


def _items(layout: TileLayout) -> int:
    """How many places of the list are a layout's: where it has no tiles, one piece stands in for them."""
    return max(len(layout), 1)


def tile_spans(sizes: Sequence[int], layouts: Sequence[TileLayout]) -> list[list[list[PictureSpan]]]:
    """Which parts of the items make up each tile of each layout.

    Args:
        sizes: the batch size of every item that came.
        layouts: the layouts they belong to, in order.

    Returns:
        per layout, per tile, the spans that hold its pictures.

    Raises:
        ValueError: where not exactly the tiles of the layouts came.
    """
    _check_count(sizes, layouts)
    walk = iter(_walk(sizes))
    taken = [[_take(walk, layout.batch) for _ in range(_items(layout))] for layout in layouts]
    return [tiles[: len(layout)] for tiles, layout in zip(taken, layouts, strict=True)]


def _walk(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    for item, size in enumerate(sizes):
        for picture in range(size):
            yield item, picture


def _take(walk: Iterator[tuple[int, int]], count: int) -> list[PictureSpan]:
    spans: list[PictureSpan] = []
    for _ in range(count):
        item, picture = next(walk)
        if spans and spans[-1].item == item:
            spans[-1] = PictureSpan(item, spans[-1].start, picture + 1)
        else:
            spans.append(PictureSpan(item, picture, picture + 1))
    return spans


def _check_count(sizes: Sequence[int], layouts: Sequence[TileLayout]) -> None:
    result, expected = sum(sizes), _planned(layouts)
    if result == expected:
        return
    if len(layouts) == 1 and layouts[0].batch == 1:
        plan = f"the layout has {counted(len(layouts[0]), 'tile')}"
    else:
        parts = " + ".join(f"{counted(len(layout), 'tile')} x batch {layout.batch}" for layout in layouts[:4])
        more = " + ..." if len(layouts) > 4 else ""
        plan = f"the layout has {counted(expected, 'tile picture')} ({parts}{more})"
    if result == 0:
        raise ValueError(f"the list of tiles is empty and {plan}: connect the tiles that Tile Split made, through the nodes in between")
    what = "a tile is missing" if result < expected else "there are too many"
    raise ValueError(
        f"{plan} and {result} came: {what}, or they belong to another layout; connect the layout of the Tile Split that cut "
        f"them, and let every node in between pass on one picture for each it gets{_uneven(sizes, layouts)}"
    )


def _uneven(sizes: Sequence[int], layouts: Sequence[TileLayout]) -> str:
    """Which item has another number of pictures than the first, where every item is one tile."""
    odd = next((item for item, size in enumerate(sizes) if size != sizes[0]), None)
    if odd is None or len(layouts) > 1 or len(sizes) != len(layouts[0]):
        return ""
    return f", or the same number for each tile: tile 0 came back with {sizes[0]} and tile {odd} with {sizes[odd]}"


def gather(items: Sequence[torch.Tensor], spans: Sequence[PictureSpan]) -> torch.Tensor:
    """The pictures of `spans` as one tensor; a view where they lie in one item.

    Raises:
        ValueError: where the parts of one tile have different shapes.
    """
    parts = [items[span.item][span.start : span.stop] for span in spans]
    if len(parts) == 1:
        return parts[0]
    if len({part.shape[1:] for part in parts}) > 1:
        shapes = ", ".join(str(tuple(part.shape)) for part in parts[:4])
        raise ValueError(f"the pictures of one tile came back in different shapes ({shapes}): all must be treated alike")
    return torch.cat([part.to(parts[0].device) for part in parts])


def in_their_items(items: Sequence[torch.Tensor], done: Iterable[tuple[Sequence[PictureSpan], torch.Tensor, bool]]) -> list[torch.Tensor]:
    """Worked-on tiles in the batches that they came in; the very item where none of its pictures changed.

    Args:
        items: as they came.
        done: per tile the spans that hold its pictures, the tile, and whether it changed.
    """
    pieces: list[list[tuple[torch.Tensor, bool]]] = [[] for _ in items]
    for spans, tile, changed in done:
        start = 0
        for span in spans:
            stop = start + span.stop - span.start
            pieces[span.item].append((tile if len(spans) == 1 else tile[start:stop], changed))
            start = stop
    return [_joined(item, parts) for item, parts in zip(items, pieces, strict=True)]


def _joined(item: torch.Tensor, parts: list[tuple[torch.Tensor, bool]]) -> torch.Tensor:
    if not any(changed for _, changed in parts):
        return item
    return parts[0][0] if len(parts) == 1 else torch.cat([part.float() for part, _ in parts])
