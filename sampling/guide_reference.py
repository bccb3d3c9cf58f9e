"""The reference of a guidance of the whole canvas: a latent of the canvas' size or a smaller one, brought to it."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

Wrap = tuple[bool, bool]
# Cells of the small one that are put on behind a border that goes on at the other side.
REACH = 2


def fitting_shape(shape: tuple[int, ...], canvas: tuple[int, ...], what: str = "reference", whole: str = "the canvas") -> tuple[int, ...]:
    """The shape that a latent is to be taken as, for a canvas [B, C, ..., H, W]; `what` and `whole` are their names for a message.

    Raises:
        ValueError: in words, where it cannot be brought to the canvas.
    """
    if len(shape) == 4 and len(canvas) == 5 and canvas[2] == 1:
        shape = (*shape[:2], 1, *shape[2:])
    if len(shape) != len(canvas) or shape[1:-2] != canvas[1:-2]:
        raise ValueError(
            f"{what} is a latent of shape {shape} and {whole} one of {canvas}: connect a latent of the same model family, with as many "
            "frames"
        )
    if shape[0] not in (1, canvas[0]):
        raise ValueError(f"{what} has {shape[0]} pictures and {whole} {canvas[0]}: connect one, or as many")
    (rows, columns), (height, width) = shape[-2:], canvas[-2:]
    if rows > height or columns > width:
        raise ValueError(
            f"{what} is {columns} x {rows} cells and {whole} {width} x {height}: connect a latent of that size or a smaller one, or make "
            f"{whole} larger"
        )
    # A cell of the small one is the most that rounding can take.
    if abs(height * columns - width * rows) > max(height, width):
        raise ValueError(
            f"{what} is {columns} x {rows} cells and {whole} {width} x {height}, which has other proportions: crop or pad one of them, so "
            "that they are alike"
        )
    return shape


def prepared(
    samples: torch.Tensor, canvas: tuple[int, ...], model: Any, wrap: Wrap = (False, False), what: str = "reference"
) -> torch.Tensor:
    """The `samples` of a LATENT as what a BaseModel's sampler works with, enlarged to a canvas; float32, batch as it came.
    `what` is their name for a message.

    Raises:
        ValueError: see `fitting_shape`.
    """
    shape = fitting_shape(tuple(samples.shape), canvas, what)
    return enlarged(model.process_latent_in(samples.float().reshape(shape)), canvas, wrap)


def enlarged(small: torch.Tensor, canvas: tuple[int, ...], wrap: Wrap = (False, False)) -> torch.Tensor:
    """A latent [B, C, ..., h, w] at the size of a canvas, bicubic, as ComfyUI's Upscale Latent makes it; itself where it has that."""
    (rows, columns), (height, width) = small.shape[-2:], canvas[-2:]
    if (rows, columns) == (height, width):
        return small
    planes = small.reshape(1, -1, rows, columns)
    # Only whole cells can be taken off again.
    down, across = (
        min(REACH, side) if wraps and large % side == 0 else 0
        for wraps, side, large in zip(wrap, (rows, columns), (height, width), strict=True)
    )
    if down or across:
        planes = functional.pad(planes, (across, across, down, down), mode="circular")
    top, left = down * height // rows, across * width // columns
    size = (height + 2 * top, width + 2 * left)
    large = functional.interpolate(planes, size=size, mode="bicubic", align_corners=False)[..., top : top + height, left : left + width]
    return large.reshape(*small.shape[:-2], height, width)
