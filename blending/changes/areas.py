"""Changed places as areas: small ones dropped, the rest grown and feathered."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from .difference import ChangedPlaces

_ROWS_PIXELS = 1 << 19
_CLOSE = 5  # gaps up to this are closed
_AUTO_SHARE = 2e-5  # of the picture
_AUTO_LEAST = 24
_CLEAR_SHARE = 0.4
_LARGE = 32  # times the least area


class Areas(NamedTuple):
    """What has changed.

    Attributes:
        inside: bool [h, w].
        count: areas that were kept.
        dropped: areas that were too small.
    """

    inside: torch.Tensor
    count: int
    dropped: int


def least_area(asked: int, size: tuple[int, int]) -> int:
    """The smallest area in pixels: what was asked, or for 0 a fifty-thousandth of the picture, and 24 at least."""
    return asked if asked > 0 else max(_AUTO_LEAST, round(_AUTO_SHARE * size[0] * size[1]))


def changed_areas(places: ChangedPlaces, least: int) -> Areas:
    """Joined places that are large enough, clear enough, and not only a line.

    Args:
        places: on any device.
        least: pixels that an area must have.

    Returns:
        the areas; dropped is what is smaller, what is nowhere three pixels thick (smoothed as the pictures are compared, a real
        line is thicker; it is what is left of an edge), and what is neither large nor clearly over the limit in `_CLEAR_SHARE`
        of it (the tail of the noise). It takes a plane of 32 bits.
    """
    from scipy.ndimage import label  # here, because loading it takes longer than the rest of the pack

    closed = _closed(places.changed)
    if not bool(closed.any()):
        return Areas(closed, 0, 0)
    labels, count = label(closed.cpu().numpy(), np.ones((3, 3), np.int8))
    core, clear = (plane.cpu().numpy() for plane in (_shrunk(closed, 3), places.clear))
    sizes, cores, clears = (np.zeros(count + 1, np.int64) for _ in range(3))
    for rows in _row_slices(labels.shape):
        sizes += np.bincount(labels[rows].ravel(), minlength=count + 1)
        cores += np.bincount(labels[rows][core[rows]], minlength=count + 1)
        clears += np.bincount(labels[rows][clear[rows]], minlength=count + 1)
    kept = (sizes >= least) & (cores > 0) & ((clears >= _CLEAR_SHARE * sizes) | (sizes >= _LARGE * least))
    kept[0] = False
    inside = np.empty(labels.shape, bool)
    for rows in _row_slices(labels.shape):
        inside[rows] = kept[labels[rows]]
    return Areas(torch.from_numpy(inside).to(closed.device), int(kept.sum()), count - int(kept.sum()))


def feathered(inside: torch.Tensor, grow: int, feather: int) -> torch.Tensor:
    """A weight that is 1 inside and up to `grow` pixels around, and falls to 0 over the next `feather`, as a cosine.

    Args:
        inside: bool [h, w].
        grow, feather: pixels, 0 or more.

    Returns:
        float32 [h, w] on the same device, exactly 0 from grow + feather pixels on, by straight distance. It takes as many
        rows more at a time as the two reach.
    """
    from scipy.ndimage import distance_transform_edt

    out = torch.zeros(inside.shape, dtype=torch.float32, device=inside.device)
    reach = grow + feather
    used = inside.any(1).nonzero()
    if not len(used):
        return out
    if reach == 0:
        return out.copy_(inside)
    columns = inside.any(0).nonzero()
    height, width = inside.shape
    left, right = max(0, int(columns[0]) - reach), min(width, int(columns[-1]) + reach + 1)
    strip = max(64, reach, _ROWS_PIXELS // (right - left))
    for top in range(max(0, int(used[0]) - reach), min(height, int(used[-1]) + reach + 1), strip):
        end = min(top + strip, height)
        first, last = max(0, top - reach), min(height, end + reach)
        part = inside[first:last, left:right].cpu().numpy()
        if not part.any():
            continue
        distance = torch.from_numpy(distance_transform_edt(~part)[top - first : end - first].astype(np.float32))
        if feather:
            weight = distance.sub_(grow).div_(feather).clamp_(0, 1).mul_(math.pi).cos_().add_(1).mul_(0.5)
        else:
            weight = (distance <= grow).float()
        out[top:end, left:right] = weight
    return out


def labelled(inside: torch.Tensor) -> tuple[np.ndarray, list[tuple[slice, slice]]]:
    """Joined areas of a bool [h, w] as labels int32 [h, w], from 1, and the box (rows, columns) of each."""
    from scipy.ndimage import find_objects, label

    labels, _ = label(inside.cpu().numpy(), np.ones((3, 3), np.int8))
    return labels, find_objects(labels)


def _row_slices(shape: tuple[int, ...]) -> list[slice]:
    rows = max(1, _ROWS_PIXELS // shape[1])
    return [slice(top, top + rows) for top in range(0, shape[0], rows)]


def _shrunk(inside: torch.Tensor, side: int) -> torch.Tensor:
    """Only pixels all of whose neighbours in a square of `side` are inside; the picture goes on as it is beyond its border."""
    return ~_widened(~inside, side)


def _widened(inside: torch.Tensor, side: int) -> torch.Tensor:
    out, reach = torch.empty_like(inside), side // 2
    for rows in _row_slices(inside.shape):
        first, last = max(0, rows.start - reach), min(len(inside), rows.stop + reach)
        grown = inside[first:last].float()[None]
        grown = F.max_pool2d(F.max_pool2d(grown, (side, 1), 1, (reach, 0)), (1, side), 1, (0, reach))[0] > 0
        out[rows] = grown[rows.start - first :][: len(out[rows])]
    return out


def _closed(inside: torch.Tensor) -> torch.Tensor:
    return _shrunk(_widened(inside, _CLOSE), _CLOSE) | inside
