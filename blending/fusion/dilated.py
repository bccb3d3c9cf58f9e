"""Views of the whole canvas: every s-th cell of it, which a model takes for a picture of its own size.

DemoFusion's dilated sampling (Du, Chang, Hospedales, Song, Ma: "DemoFusion", CVPR 2024): at each of s x s offsets the cells
that lie s apart are a small picture of the whole scene, at the noise level of the canvas. Every cell of the canvas is in
exactly one of them, so that splitting and merging is a permutation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..pixels.taps import mirrored


def stride_for(canvas: tuple[int, int], native: tuple[int, int]) -> int:
    """How far apart the cells of a view lie: the whole number for which the views' area comes nearest, in ratio, to the native one.

    One number for both directions, so that a view has the canvas' proportions.

        >>> stride_for((96, 96), (32, 32)), stride_for((64, 96), (32, 32)), stride_for((40, 40), (32, 32))
        (3, 2, 1)

    Args:
        canvas, native: (height, width) in cells.
    """
    ratio = math.sqrt(canvas[0] * canvas[1] / (native[0] * native[1]))
    below = max(math.floor(ratio), 1)
    return below if ratio * ratio < below * (below + 1) else below + 1


def view_shape(canvas: tuple[int, int], stride: int, lattice: int) -> tuple[int, int]:
    """(height, width) of a view of every `stride`-th cell, rounded up to multiples of `lattice`."""
    return tuple(math.ceil(math.ceil(cells / stride) / lattice) * lattice for cells in canvas)


@dataclass(frozen=True)
class StridedView:
    """Every `stride`-th cell of a canvas, from `offset` on.

    Attributes:
        index: its number, row by row of the offsets.
        offset: (y, x), each below the stride.
        stride: cells.
        canvas: (height, width) of the canvas.
        shape: (height, width) of the view. Where the canvas has fewer cells than that, it is mirrored, and what the model
            says of them is dropped.
    """

    index: int
    offset: tuple[int, int]
    stride: int
    canvas: tuple[int, int]
    shape: tuple[int, int]

    def gather(self, canvas: torch.Tensor) -> torch.Tensor:
        """The view of a canvas [..., H, W], [..., *shape]; a strided view of its memory where nothing is mirrored."""
        inside = canvas[..., self.offset[0] :: self.stride, self.offset[1] :: self.stride]
        if tuple(inside.shape[-2:]) == self.shape:
            return inside
        rows, columns = (
            mirrored(start + self.stride * torch.arange(count), size).to(canvas.device)
            for start, count, size in zip(self.offset, self.shape, self.canvas, strict=True)
        )
        return canvas.index_select(-2, rows).index_select(-1, columns)

    def scatter(self, prediction: torch.Tensor, total: torch.Tensor) -> None:
        """Put what the model said [..., *shape] into its own cells of `total` [..., H, W]."""
        own = total[..., self.offset[0] :: self.stride, self.offset[1] :: self.stride]
        own.copy_(prediction[..., : own.shape[-2], : own.shape[-1]])


def strided_views(canvas: tuple[int, int], stride: int, lattice: int = 1) -> list[StridedView]:
    """The stride x stride views of a canvas; all are of one size, so that they may go through a model together.

        >>> [view.shape for view in strided_views((7, 8), 2, lattice=2)] == [(4, 4)] * 4
        True

    Args:
        canvas: (height, width) in cells.
        stride: cells; no more than either side.
        lattice: cells that a view's sides are multiples of.

    Raises:
        ValueError: for a stride that leaves views without a cell.
    """
    if not 1 <= stride <= min(canvas):
        words = f"{canvas[1]} x {canvas[0]} cells are too few for {stride} x {stride} views of them"
        raise ValueError(f"{words}: use a larger picture, or a larger native size")
    shape = view_shape(canvas, stride, lattice)
    offsets = [(y, x) for y in range(stride) for x in range(stride)]
    return [StridedView(index, offset, stride, canvas, shape) for index, offset in enumerate(offsets)]


def exchanged(canvas: tuple[int, int], stride: int, seed: int) -> torch.Tensor:
    """Which cell of a canvas each place takes when the views exchange their cells: int64 [H * W], row by row.

    AccDiffusion's window interaction (Lin, Lin, Zhang, Cao, Ji: "AccDiffusion", ECCV 2024): at every place of the views
    the cells that lie there are dealt to the views anew, at random. On the canvas that is a permutation inside of each
    block of stride x stride cells; blocks that the border cuts are permuted as far as they go.

    Args:
        canvas: (height, width) in cells.
        stride: cells.
        seed: the only source of chance.

    Returns:
        a permutation: `flat[..., taken]` exchanges, `flat[..., taken.argsort()]` undoes it.
    """
    height, width = canvas
    generator = torch.Generator().manual_seed(seed % 2**63)
    block = (torch.arange(height)[:, None] // stride * -(-width // stride) + torch.arange(width) // stride).flatten()
    chance = torch.rand(height * width, generator=generator, dtype=torch.float64)
    # Both orders go block by block, and a block's cells stand at the same ranks in both.
    places, cells = torch.argsort(block, stable=True), torch.argsort(block + chance)
    taken = torch.empty_like(places)
    taken[places] = cells
    return taken


def restated(canvas: torch.Tensor, stride: int, sigma: float) -> torch.Tensor:
    """The canvas blurred and brought back to its mean and spread, which DemoFusion takes its views from.

    A view of every s-th cell of what is finer than s cells is another picture at each offset; the blur makes the views agree.

    Args:
        canvas: [B, C, ..., H, W].
        stride: cells; the Gaussian reaches 2 * stride - 1 cells.
        sigma: of the Gaussian, in cells.

    Returns:
        the canvas' shape and type, with its mean and standard deviation per picture and channel.
    """
    from kornia.filters import gaussian_blur2d  # here, because loading it takes longer than the rest of the pack

    pixels = canvas.float()
    flat = pixels.reshape(-1, 1, *canvas.shape[-2:])
    side = min(2 * stride - 1, *(length - 1 + length % 2 for length in canvas.shape[-2:]))
    soft = gaussian_blur2d(flat, (side, side), (sigma, sigma), border_type="reflect").reshape(pixels.shape)
    over = tuple(range(2, canvas.ndim))
    spread, mean = torch.std_mean(pixels, over, keepdim=True)
    soft_spread, soft_mean = torch.std_mean(soft, over, keepdim=True)
    return ((soft - soft_mean) * (spread / soft_spread.clamp_min(1e-12)) + mean).to(canvas.dtype)
