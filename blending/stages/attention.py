"""Attention over a whole picture, in bounded memory.

No position is added in these attentions, so it makes no difference in which order keys and values stand: each tile's are
appended as they come. Queries go through a chunk at a time; the matrix of a chunk is never larger than CHUNK_VALUES.
"""

from __future__ import annotations

import torch

from .steps import Attention

# Scores at a time: 256 MB in float32, where the device stores them at all.
CHUNK_VALUES = 1 << 26


class KeysValues:
    """The keys and values of a picture, [cells, C] each, filled tile by tile.

    Args:
        cells: how many the picture has.
    """

    def __init__(self, cells: int) -> None:
        self.cells, self.filled = cells, 0
        self.keys: torch.Tensor | None = None
        self.values: torch.Tensor | None = None

    def add(self, step: Attention, x: torch.Tensor) -> None:
        """Append the keys and values of a tile's core [1, C, h, w], on its device."""
        keys, values = _cells(step.key(x)), _cells(step.value(x))
        if self.keys is None or self.values is None:
            self.keys, self.values = keys.new_empty(self.cells, keys.shape[1]), values.new_empty(self.cells, values.shape[1])
        end = self.filled + len(keys)
        self.keys[self.filled : end], self.values[self.filled : end] = keys, values
        self.filled = end

    def attend(self, step: Attention, x: torch.Tensor) -> torch.Tensor:
        """What attention to the whole picture makes of a tile [1, C, h, w].

        Raises:
            ValueError: while not all cells have been added.
        """
        if self.keys is None or self.values is None or self.filled != self.cells:
            raise ValueError(f"attention has the keys of {self.filled} cells, and the picture has {self.cells}")
        queries = _cells(step.query(x))
        chunk = max(1, CHUNK_VALUES // self.cells)
        keys, values = self.keys[None, None], self.values[None, None]
        parts = [torch.nn.functional.scaled_dot_product_attention(part[None, None], keys, values)[0, 0] for part in queries.split(chunk)]
        return step.project(torch.cat(parts).T.reshape(1, -1, *x.shape[2:]))


def _cells(x: torch.Tensor) -> torch.Tensor:
    """[1, C, h, w] -> [h * w, C], in one piece of memory."""
    return x.flatten(2)[0].T.contiguous()
