"""A mask of the whole picture at low resolution: it says which pieces are one object, and which are none; the tiles give the edge."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ..pixels.picture import check_finite
from .planes import OVERSHOOT, MaskPiece, TileMasks

# A side may have been rounded when the picture was made small.
ROUNDED = 1.5


class Prior:
    """The objects of a low-resolution pass.

    Each mask of it is one object. A single mask may be all objects together, and is taken apart into its separate areas.
    Its edge is uncertain by one of its pixels, so it is grown by that.

    Args:
        prior: floating point [K, h, w] or [h, w] of the whole picture, at any size: soft, binary or logits.
        size: (height, width) of the output.

    Raises:
        ValueError: for what is no mask, NaN, and a mask of another shape than the picture.
    """

    def __init__(self, prior: torch.Tensor, size: tuple[int, int]) -> None:
        from scipy import ndimage

        if not isinstance(prior, torch.Tensor) or prior.ndim not in (2, 3) or not prior.is_floating_point() or 0 in prior.shape[-2:]:
            what = f"{prior.dtype} of shape {tuple(prior.shape)}" if isinstance(prior, torch.Tensor) else type(prior).__name__
            raise ValueError(f"prior is {what}: expected masks, floating point [objects, height, width]")
        check_finite(prior, "prior")
        planes = (prior if prior.ndim == 3 else prior[None]).detach().cpu().float()
        height, width = planes.shape[1:]
        if abs(height * size[1] / size[0] - width) > ROUNDED and abs(width * size[0] / size[1] - height) > ROUNDED:
            raise ValueError(
                f"prior is {width} x {height} and the picture {size[1]} x {size[0]}, which is not one shape: it must be a mask of the "
                "whole picture that went into Tile Split, at any size"
            )
        logits = planes.numel() and (float(planes.min()) < -OVERSHOOT or float(planes.max()) > 1 + OVERSHOOT)
        there = (planes > 0) if logits else (planes >= 0.5)
        if len(there) == 1:
            names = ndimage.label(there[0].numpy(), np.ones((3, 3)))[0][None]
        else:
            names = there.numpy() * np.arange(1, len(there) + 1)[:, None, None]
        self.names = np.stack([ndimage.grey_dilation(one, 3) for one in names.astype(np.int32)]) if len(names) else names.astype(np.int32)
        self.count = int(names.max(initial=0))
        self.rows, self.columns = (
            np.minimum((np.arange(n) + 0.5) * small / n, small - 1).astype(np.int64) for n, small in zip(size, (height, width), strict=True)
        )

    def under(self, span: tuple[int, int, int, int]) -> np.ndarray:
        """The names of the objects, 0 for none, under a rectangle of the output: int32 [maps, h, w]."""
        top, left, bottom, right = span
        return self.names[:, self.rows[top:bottom][:, None], self.columns[left:right]]


def joined_by_prior(
    masks: TileMasks, prior: Prior, join: float, tell: Callable[[int], None] = lambda _: None
) -> tuple[list[list[MaskPiece]], int]:
    """Objects as lists of pieces: what lies on one object of the prior is one; and how many pieces lie on none and are left out.

    A mask is taken apart into its connected areas. An area belongs to the object that holds most of it, if that is at least a
    share of `join`. Soft pixels around go with the area that is nearest.

    Args:
        masks: of all tiles.
        prior: of the whole picture.
        join: 0..1.
        tell: is called with 1 after each tile.
    """
    objects: dict[int, list[MaskPiece]] = {}
    false = 0
    for tile, item in enumerate(masks.items):
        under = prior.under(masks.span(tile)) if len(item) else None
        for plane in range(len(item)):
            found, wrong = _assigned(masks, tile, plane, under, prior.count, join)
            false += wrong
            for name, piece in found.items():
                objects.setdefault(name, []).append(piece)
        tell(1)
    return list(objects.values()), false


def _assigned(masks: TileMasks, tile: int, plane: int, under: np.ndarray, count: int, join: float) -> tuple[dict[int, MaskPiece], int]:
    """The pieces of one mask by the name of their object, and how many of its areas belong to none."""
    from scipy import ndimage

    pixels = masks.landed(tile, plane)
    areas, number = ndimage.label(masks.reached(pixels), np.ones((3, 3)))
    if not number:
        return {}, 0
    names = _names(areas, number, under, count, join)
    kept = sorted(set(names[1:].tolist()) - {0})
    false = int((names[1:] == 0).sum())
    zone = None
    if len(kept) > 1 or (kept and false):
        local = np.searchsorted(kept, names) + 1
        local[names == 0] = 0
        zone = local.astype(np.uint8 if len(kept) < 255 else np.uint16)[_nearest(areas, pixels, masks)]
    pieces = {}
    for index, name in enumerate(kept, 1):
        _, ends, area = masks.place_of((names == name)[areas] & (areas > 0), tile)
        pieces[name] = MaskPiece(tile, plane, ends, area, zone=None if zone is None else (zone, index))
    return pieces, false


def _names(areas: np.ndarray, number: int, under: np.ndarray, count: int, join: float) -> np.ndarray:
    """For each area, counted from 1, the object that holds most of it; 0 where none holds a share of `join`."""
    inside = areas > 0
    line = areas[inside].astype(np.int64) * (count + 1)
    votes = np.zeros((number + 1, count + 1), np.int64)
    for one in under:
        votes += np.bincount(line + one[inside], minlength=votes.size).reshape(votes.shape)
    votes[:, 0] = 0
    names = votes.argmax(1)
    sizes = np.bincount(areas.ravel(), minlength=number + 1)
    names[votes.max(1) < np.maximum(join * sizes, 1)] = 0
    names[0] = 0
    return names


def _nearest(areas: np.ndarray, pixels: torch.Tensor, masks: TileMasks) -> np.ndarray:
    """For each pixel that is not nothing, the area that it lies in or is nearest to; 0 elsewhere."""
    from scipy import ndimage

    faint = (pixels > masks.nothing).numpy() & (areas == 0)
    if not faint.any():
        return areas
    rows, columns = (np.flatnonzero((faint | (areas > 0)).any(axis)) for axis in (1, 0))
    place = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    y, x = ndimage.distance_transform_edt(areas[place] == 0, return_distances=False, return_indices=True)
    out = areas.copy()
    out[place] = np.where(faint[place], areas[place][y, x], areas[place])
    return out
