"""Noise masks of tiles, blended into one at the resolution that they were cut from."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch

from ..layout.grid_layout import GridLayout
from ..layout.mosaic import Mosaic
from ..layout.noise_mask import tile_mask_size
from ..layout.regroup import PictureSpan, gather
from .compose import compose_on


def compose_masks(
    masks: Sequence[torch.Tensor | None],
    sizes: Sequence[int],
    tiles: Sequence[Sequence[PictureSpan]],
    layout: GridLayout,
    window: str,
    trim: int = 0,
) -> torch.Tensor | None:
    """Blend the tiles' noise masks into one, at the resolution they were cut from.

    Masks that came back at another size than they were cut at give a mask in proportion.

    Args:
        masks: one per item that came, [H, W] or [b, ..., H, W] of any batch b; None where an item has none and may
            be painted everywhere.
        sizes: the batch size of every item.
        tiles: which pictures of which items make up each tile (`regroup.tile_spans`).
        layout: where they belong; its `mask_size` is the resolution they were cut from.
        window: one of `windows.WINDOWS`.
        trim: source pixels.

    Returns:
        a mask of the same dimensions as those that came, or None where no tile had one.
    """
    used = {span.item for spans in tiles for span in spans}
    present = [masks[item] for item in sorted(used) if masks[item] is not None]
    if not present:
        return None
    tile_size = tuple(present[0].shape[-2:])
    size = layout.mask_size
    if size is None or tile_mask_size(layout, size) != tile_size:
        size = tuple(max(1, round(Fraction(axis.size * n, axis.tile))) for axis, n in zip(layout.axes, tile_size, strict=True))
    planes = [_planes(torch.ones(tile_size) if mask is None else mask) for mask in masks]
    if (
        not all(len(spans) == 1 and spans[0].stop - spans[0].start == sizes[spans[0].item] for spans in tiles)
        or len({planes[item].shape[0] for item in used}) > 1
    ):
        # Pictures were taken apart or joined on the way: every picture needs its own plane.
        planes = [_repeat(plane, batch) for plane, batch in zip(planes, sizes, strict=True)]
        parts = (gather(planes, spans) for spans in tiles)
    else:
        parts = (planes[spans[0].item] for spans in tiles)
    mosaic = Mosaic(layout, tile_size, window, trim, size=size)
    blended = compose_on((part.flatten(0, 1)[..., None] for part in parts), mosaic)[..., 0]
    template = max(present, key=lambda mask: mask.ndim)
    if template.ndim == 2 and len(blended) == 1:
        return blended[0]
    return blended.reshape(-1, *template.shape[1:-2], *blended.shape[-2:])


def _planes(mask: torch.Tensor) -> torch.Tensor:
    """A mask as [b, K, H, W]."""
    batch = mask.shape[0] if mask.ndim > 2 else 1
    return mask.reshape(batch, -1, *mask.shape[-2:])


def _repeat(planes: torch.Tensor, batch: int) -> torch.Tensor:
    """As many planes as there are pictures, over and over: what the host does with a mask of another batch."""
    return planes[torch.arange(batch) % planes.shape[0]]
