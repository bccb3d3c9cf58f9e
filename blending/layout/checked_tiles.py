"""Refusing tiles that are missing, odd or broken, by their number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch

from ..pixels.counted import counted
from ..pixels.picture import check_finite, is_finite
from .tile_layout import TileLayout


class CheckedTiles:
    """Tiles passed on one by one, refusing a missing, odd-sized or broken one by its index.

    A tile is searched for NaN and Inf when it has been worked on and is still in the processor's cache, where that costs
    half: as far as `look` is told, and the rest when the next tile is asked for.

    Raises:
        ValueError: naming the tile (counted from 0), what was expected and what came.
    """

    def __init__(self, tiles: Iterable[torch.Tensor], layout: TileLayout) -> None:
        self.tiles, self.layout = tiles, layout
        self.count, self.looked = 0, 0
        self.tile = torch.empty(0)

    def size(self) -> tuple[int, int]:
        """(height, width) of the first tile, which still comes first."""
        again = isinstance(self.tiles, Sequence)
        # To go over a sequence is to work on it, and may be counted as that.
        stream = iter([self.tiles[0]] if again and len(self.tiles) else self.tiles)
        held = list(islice(stream, 1))
        if not held:
            raise ValueError(self._missing())
        (first,) = held
        check_kind(first, self.count)
        if not again:
            self.tiles = _joined(held, stream)
        return tuple(first.shape[1:3])

    def __iter__(self) -> Iterator[torch.Tensor]:
        shape = None
        for tile in self.tiles:
            if self.count == len(self.layout):
                raise ValueError(
                    f"more than the {counted(len(self.layout), 'tile')} of the layout came: "
                    "connect the layout of the Tile Split that cut them"
                )
            check_kind(tile, self.count)
            shape = shape or tile.shape
            if tile.shape != shape:
                raise ValueError(
                    f"tile {self.count} is {size_in_words(tile.shape)} and tile 0 is {size_in_words(shape)}: all tiles must come back "
                    "alike; look for a node between split and blend that treats tiles differently"
                )
            self.tile, self.looked = tile.detach(), 0
            yield self.tile
            self.look(shape[1])
            self.count += 1
        if self.count < len(self.layout):
            raise ValueError(self._missing())

    def _missing(self) -> str:
        return (
            f"{counted(self.count, 'tile')} came and the layout has {len(self.layout)}: tile {self.count} is missing; "
            "pass every tile on, in order, from the Tile Split that made this layout"
        )

    def look(self, rows: int) -> None:
        """Search the first `rows` rows of the tile at hand, or what was not searched of them before."""
        if rows > self.looked:
            if not is_finite(self.tile[:, self.looked : rows]):
                check_finite(self.tile, f"tile {self.count}", "the node before the blend")
            self.looked = rows


def check_kind(tile: torch.Tensor, number: int) -> None:
    """Refuse what is no tile: floating point [P, h, w, C], or ValueError that names its number."""
    if not isinstance(tile, torch.Tensor):
        raise ValueError(f"tile {number} is a {type(tile).__name__}: expected a picture, floating point [B, h, w, C]")
    if tile.ndim != 4 or not tile.is_floating_point():
        raise ValueError(f"tile {number} is {tile.dtype} of shape {tuple(tile.shape)}: expected floating point [B, h, w, C]")


def _joined(held: list[torch.Tensor], stream: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    """What is held and the rest of the stream; a chain of both would hold on to the first to the end."""
    yield held.pop()
    yield from stream


def size_in_words(shape: torch.Size) -> str:
    """The shape [P, h, w, C] of a tile, for people."""
    batch, height, width, channels = shape
    return f"{width} x {height} with {counted(channels, 'channel')}, batch {batch}"
