"""Which words of a prompt belong to which tile: from maps of where on the picture a model looks for each word.

A word belongs to a tile whose area its mask covers enough of (the patch-content-aware prompts of Lin et al., "AccDiffusion",
ECCV 2024, and "AccDiffusion v2", 2024). Masks are cells of the map that lie above the map's mean, opened, so that single
cells do not count.
"""

from __future__ import annotations

import torch

from ..layout.grid import Rect
from ..layout.grid_layout import GridLayout

OPENED_BY = 16  # cells of a map's height per turn of the opening


def word_masks(maps: torch.Tensor) -> torch.Tensor:
    """Where each word is.

    Args:
        maps: how much each cell of the picture looks at each word, [words, h, w], of any scale.

    Returns:
        bool [words, h, w]: above the map's mean, then eroded and dilated by 3 x 3 cells, a turn for every 16 rows. The
        picture's border erodes nothing.
    """
    masks = (maps > maps.mean((-2, -1), keepdim=True)).float()[None]
    turns = maps.shape[-2] // OPENED_BY
    for _ in range(turns):
        masks = -torch.nn.functional.max_pool2d(-masks, 3, 1, 1)
    for _ in range(turns):
        masks = torch.nn.functional.max_pool2d(masks, 3, 1, 1)
    return masks[0] > 0.5


def _shares(start: int, length: int, size: int, cells: int, wraps: bool) -> torch.Tensor:
    """How much of pixels `start` on lies in each of `cells` cells over `size` pixels, float64 [cells]; sums to one."""
    shares = torch.zeros(cells, dtype=torch.float64)
    # What reaches over the end shows the beginning where the canvas wraps, and is mirrored and disregarded where it does not.
    parts = [(start, min(start + length, size))] + ([(0, start + length - size)] if wraps and start + length > size else [])
    edges = torch.arange(cells + 1, dtype=torch.float64) * size / cells
    for low, high in parts:
        shares += (edges[1:].clamp(max=high) - edges[:-1].clamp(min=low)).clamp(min=0)
    return shares / shares.sum()


def tile_coverage(masks: torch.Tensor, rect: Rect, canvas: tuple[int, int], wrap: tuple[bool, bool] = (False, False)) -> torch.Tensor:
    """How much of a tile each word covers.

    Args:
        masks: [words, h, w] over the whole canvas, at any size.
        rect: the tile, in the canvas' pixels.
        canvas: (height, width) in pixels.
        wrap: (y, x), whether the canvas is joined to itself.

    Returns:
        float64 [words], 0..1: exact, also where the tile cuts cells of the masks.
    """
    rows = _shares(rect.y, rect.height, canvas[0], masks.shape[-2], wrap[0])
    columns = _shares(rect.x, rect.width, canvas[1], masks.shape[-1], wrap[1])
    return torch.einsum("h,nhw,w->n", rows, masks.double(), columns)


def words_of_tiles(maps: torch.Tensor, layout: GridLayout, threshold: float) -> list[list[int]]:
    """The numbers of the words that belong to each tile, in the prompt's order; empty where none does.

    Args:
        maps: [words, h, w] over the layout's canvas, at any size.
        layout: of the canvas.
        threshold: 0..1, how much of a tile a word must cover; 0 keeps every word everywhere.

    Raises:
        ValueError: for a threshold outside of 0..1.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold {threshold} is no share of a tile: use 0 (every word everywhere) to 1; 0.3 is published")
    masks = word_masks(maps.cpu().float())
    covered = [tile_coverage(masks, rect, layout.canvas, layout.wrap) for rect in layout.tiles]
    # Sums of eighths and thirds of cells: a tile that is covered by exactly the threshold is.
    return [[word for word, share in enumerate(shares.tolist()) if share >= threshold - 1e-9] for shares in covered]
