"""The whole canvas at a fraction of its size: means of blocks of cells, which are a picture at a lower noise level.

The mean of s x s cells of independent noise has 1 / s of its standard deviation. A canvas that is pooled so is what a model
of the small size would see later in a run, and can be asked about.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .dilated import view_shape


@dataclass(frozen=True)
class PooledView:
    """Means of blocks of `stride` x `stride` cells of a canvas.

    Where the canvas is no whole number of blocks they are spread evenly and share some cells, so that each is the mean of
    as many cells, and has as little noise, as any other.

    Attributes:
        stride: cells.
        canvas: (height, width) of the canvas.
        shape: (height, width) of the view.
    """

    stride: int
    canvas: tuple[int, int]
    shape: tuple[int, int]

    def gather(self, canvas: torch.Tensor) -> torch.Tensor:
        """The view of a canvas [..., H, W], [..., *shape], in its type or in float32 where it has none."""
        pixels = canvas if canvas.is_floating_point() else canvas.float()
        for dim, count in ((-2, self.shape[0]), (-1, self.shape[1])):
            starts = torch.linspace(0, pixels.shape[dim] - self.stride, count, dtype=torch.float64).round().long().to(pixels.device)
            parts = (pixels.index_select(dim, starts + step) for step in range(self.stride))
            total = next(parts)
            for part in parts:
                total += part
            pixels = total / self.stride
        return pixels


def pooled_view(canvas: tuple[int, int], stride: int, lattice: int = 1) -> PooledView:
    """The view of a canvas at 1 / stride of its size.

        >>> pooled_view((97, 64), 2).shape
        (49, 32)

    Args:
        canvas: (height, width) in cells.
        stride: cells; no more than either side.
        lattice: cells that the view's sides are multiples of.

    Raises:
        ValueError: for a canvas that is too small.
    """
    shape = view_shape(canvas, stride, lattice)
    if not 1 <= stride <= min(canvas) or any(count > cells for count, cells in zip(shape, canvas, strict=True)):
        raise ValueError(f"{canvas[1]} x {canvas[0]} cells cannot be seen at 1/{stride} of their size: use a larger picture")
    return PooledView(stride, canvas, shape)
