"""Layouts of regions and pictures for tests, drawn by a seed."""

import numpy as np
import torch
from tilework.blending import TileLayout
from tilework.blending.layout.grid import Rect
from tilework.blending.layout.region_layout import RegionLayout


def picture(height, width, batch=1, channels=3, seed=0):
    image = torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(seed))
    if channels == 4:
        image[..., 3] = ((image[..., 3] - 0.3) * 2).clamp(0, 1)
    return image


def random_regions(seed, batch=1):
    """1 to 4 regions over a small canvas, some of them at its border, some over each other."""
    drawn = np.random.default_rng(seed)
    canvas = tuple(int(n) for n in drawn.integers(24, 96, 2))
    tiles, cores, ramps = [], [], []
    for _ in range(int(drawn.integers(1, 5))):
        height, width = (int(drawn.integers(8, n)) for n in canvas)
        y, x = int(drawn.integers(0, canvas[0] - 7)), int(drawn.integers(0, canvas[1] - 7))
        tile = Rect(y, x, height, width)
        seen = (min(height, canvas[0] - y), min(width, canvas[1] - x))
        inset = [int(drawn.integers(0, n // 2)) for n in seen]
        core = Rect(y + inset[0], x + inset[1], max(1, seen[0] - 2 * inset[0]), max(1, seen[1] - 2 * inset[1]))
        tiles.append(tile)
        cores.append(core)
        ramps.append(int(drawn.integers(0, 20)))
    return RegionLayout(canvas, tuple(tiles), batch, cores=tuple(cores), ramps=tuple(ramps))


def some_of(seed):
    """A grid with some of its tiles missing."""
    drawn = np.random.default_rng(seed)
    height, width = (int(n) for n in drawn.integers(40, 120, 2))
    tile = int(drawn.integers(24, 40))
    grid = TileLayout.grid(height, width, tile, tile, int(drawn.integers(8, 20)), 4)
    here = [n for n in range(len(grid)) if drawn.random() < 0.5]
    return TileLayout.from_record({**grid.to_record(), "present": here})


def by_area(pixels, size):
    """[B, H, W, C] resized smoothly, antialiased where it becomes smaller."""
    moved = torch.nn.functional.interpolate(pixels.movedim(-1, 1), tuple(size), mode="bicubic", antialias=True)
    return moved.movedim(1, -1)
