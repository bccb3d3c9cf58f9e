"""Making a reference comparable with a finished picture: the same size, and the same contrast.

A process that lightens or flattens the whole picture makes no seam, but leaves a trace of every
edge in the plain difference, one on a boundary included. So the reference is multiplied by the
gain of the process first, one per channel, fitted where no tile ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import avg_pool2d, interpolate

from ..layout.reference import same_shape
from ..pixels.counted import counted
from .boundaries import Boundary
from .surroundings import levels

BLOCK = 8
STILL = 4.0  # levels squared: where the reference hardly changes, the gain is one
SURE = 4.0  # standard errors
LEAST_GAIN, MOST_GAIN = 0.25, 4.0
_ROWS = 512


def fitted(reference: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """The reference [1 or B, h, w, C] resized to the image's size, antialiased.

    Raises:
        ValueError: where the batches do not fit, or the sizes are not one scale apart.
    """
    if len(reference) not in (1, len(image)):
        raise ValueError(
            f"reference has {counted(len(reference), 'picture')} and image {len(image)}: connect one reference, or one per picture"
        )
    size = tuple(image.shape[1:3])
    if tuple(reference.shape[1:3]) != size:
        if not same_shape(tuple(reference.shape[1:3]), size):
            raise ValueError(
                f"reference is {reference.shape[2]} x {reference.shape[1]} and image {size[1]} x {size[0]}, which is not one scale for "
                "both sides: connect the picture before it was cut in tiles"
            )
        planes = reference.to(image.device).float().movedim(-1, 1)
        reference = interpolate(planes, size=size, mode="bicubic", antialias=True).movedim(1, -1)
    return reference.to(image.device)


def gains(image: torch.Tensor, reference: torch.Tensor, found: Sequence[Boundary]) -> torch.Tensor:
    """How much stronger each picture's contrast is than the reference's: [B, c], 1 where it cannot be told.

    Least squares over the differences between neighbouring blocks of 8 px, those left out that reach into an overlap.
    """
    across = [_free([b for b in found if b.vertical == vertical], image.shape[2 if vertical else 1]) for vertical in (True, False)]
    result = []
    for index in range(len(image)):
        before = reference[index : index + 1] if len(reference) > 1 else reference
        one = _blocks(image[index : index + 1])
        other = _blocks(before)
        other = other if other.shape[1] in (1, one.shape[1]) else other.mean(1, keepdim=True)
        dot = size = STILL
        for dim, free in ((3, across[0]), (2, across[1])):
            by, of = (blocks.diff(dim=dim).transpose(dim, 3)[..., free] for blocks in (one, other))
            dot = dot + (by * of).sum((0, 2, 3))
            size = size + of.square().sum((0, 2, 3))
        gain = dot / size
        rest = sum((one.diff(dim=dim) - gain[:, None, None] * other.diff(dim=dim)).square().mean((0, 2, 3)) for dim in (2, 3)) / 2
        # Where what the fit leaves over could have made it, the gain is one.
        sure = (gain - 1).abs() > SURE * (rest / size).sqrt()
        result.append(torch.where(sure, gain.clamp(LEAST_GAIN, MOST_GAIN), 1.0).expand(one.shape[1]))
    return torch.stack(result)


def _blocks(picture: torch.Tensor) -> torch.Tensor:
    """Mean levels of the picture's blocks, [1, c, h, w]."""
    return torch.cat([avg_pool2d(levels(rows), BLOCK, ceil_mode=True) for rows in picture.split(_ROWS, 1)], 2)


def _free(found: Sequence[Boundary], size: int) -> list[int]:
    """The block differences that no overlap reaches into; all of them where that leaves none."""
    count = max(0, -(-size // BLOCK) - 1)
    bands = sorted({(min(b.band), max(b.band)) for b in found})
    free = [k for k in range(count) if not any(k * BLOCK < stop + BLOCK and start - BLOCK < (k + 2) * BLOCK for start, stop in bands)]
    return free or list(range(count))
