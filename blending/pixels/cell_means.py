"""Means over square cells of a picture."""

from __future__ import annotations

import torch


def cell_means(pixels: torch.Tensor, cell: int) -> torch.Tensor:
    """Means over cells: [P, n * cell, m * cell, C] -> float32 [P, n, m, C]."""
    batch, height, width, channels = pixels.shape
    rows = pixels.reshape(batch, height, width * channels).unflatten(1, (height // cell, cell)).sum(2, dtype=torch.float32)
    return rows.view(batch, height // cell, width // cell, cell, channels).sum(3) / cell**2
