"""Noise masks: cut in proportion to the latent they belong to, and blended back at their own resolution.

A mask may have any size: the latent's, eight times that, or one that does not divide.
Where the tiles fall on whole mask pixels it is cut and blended exactly; elsewhere each
tile's mask is resampled linearly, which keeps it within 0..1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import torch

from ..composition.compose import compose
from .cutting import crop, mirrored
from .mosaic import Mosaic
from .regroup import Span, gather
from .tile_layout import Axis, Rect, TileLayout


def tile_mask_size(layout: TileLayout, mask_size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of one tile's mask where the whole mask is `mask_size`; at least one pixel."""
    return tuple(max(1, round(Fraction(axis.tile * size, axis.size))) for axis, size in zip(layout.axes, mask_size, strict=True))


def _whole(axis: Axis, size: int) -> bool:
    """Whether the tiles of `axis` fall on whole pixels of a mask of `size`."""
    return all(length * size % axis.size == 0 for length in (axis.tile, *axis.origins))


def _sample(mask: torch.Tensor, spans: Sequence[tuple[int, float, float, int]]) -> torch.Tensor:
    """Linear samples of `mask`, mirrored beyond its ends.

    Args:
        mask: any tensor.
        spans: per dimension (dim, start, step, length): samples whose pixel centres lie at start + (k + 1/2) step.
    """
    taps = []
    for dim, start, step, length in spans:
        at = start + (torch.arange(length, dtype=torch.float64) + 0.5) * step - 0.5
        low = torch.floor(at)
        first = int(low.min())
        line = mirrored(first, int(low.max()) - first + 2, mask.shape[dim])
        # All directions are narrowed before anything is copied, so that a tile costs a tile and not a strip of the mask.
        begin = int(line.min())
        mask = mask.narrow(dim, begin, int(line.max()) - begin + 1)
        taps.append((dim, line - begin, low.long() - first, at - low))
    for dim, line, left, share in taps:
        shape = [1] * mask.ndim
        shape[dim] = -1
        a, b = (mask.index_select(dim, line[at].to(mask.device)) for at in (left, left + 1))
        mask = torch.lerp(a, b, share.to(mask.dtype).to(mask.device).view(shape))
    return mask


def cut_mask(mask: torch.Tensor, layout: TileLayout) -> Iterator[torch.Tensor]:
    """Each tile's part of `mask` [..., H, W], row by row.

    The mask's extent is the layout's canvas, whatever its resolution.
    """
    size = (mask.shape[-2], mask.shape[-1])
    tile_size = tile_mask_size(layout, size)
    if all(_whole(axis, n) for axis, n in zip(layout.axes, size, strict=True)):
        ratios = [Fraction(n, axis.size) for axis, n in zip(layout.axes, size, strict=True)]
        for rect in layout.tiles:
            place = Rect(int(rect.y * ratios[0]), int(rect.x * ratios[1]), *tile_size)
            yield crop(mask, place, (mask.ndim - 2, mask.ndim - 1))
        return
    for rect in layout.tiles:
        spans = []
        for dim, axis, n, start, length in zip((mask.ndim - 2, mask.ndim - 1), layout.axes, size, (rect.y, rect.x), tile_size, strict=True):
            ratio = n / axis.size
            spans.append((dim, start * ratio, axis.tile * ratio / length, length))
        yield _sample(mask, spans)


def compose_masks(
    masks: Sequence[torch.Tensor | None],
    sizes: Sequence[int],
    tiles: Sequence[Sequence[Span]],
    layout: TileLayout,
    method: str,
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
        method: one of `windows.METHODS`.
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
    mosaic = Mosaic(layout, tile_size, method, trim, size=size)
    blended = compose((part.flatten(0, 1)[..., None] for part in parts), layout, mosaic=mosaic)[..., 0]
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
