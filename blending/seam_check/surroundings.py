"""Reading a boundary's surroundings off a picture: a strip at a time, turned so that the boundary runs from top to bottom.

Nothing here looks at more than one strip of a few hundred rows at once. A strip is boiled down
to numbers per segment (SEGMENT rows) and per column, which is all the tests need. Values are
8-bit levels (255 x the picture's), and are never clipped.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from .boundaries import LEAST_ALONG, Boundary

SEGMENT = 32
LEAST_SEGMENT = 8
SEGMENTS = 8  # wanted, where the boundary is long enough
ROWS_AT_ONCE = 256
CONTROL_REACH = 128
CONTROL_MARGIN = 12
ARM = 16  # the longest filter's arm
LEAST_CONTROLS = 24
LAG = 3
# What lies behind a transparent picture: what cannot be seen is the same everywhere.
BACKGROUND = 127.5


class Strip(NamedTuple):
    """A boundary's surroundings in numbers, of N pictures.

    Attributes:
        left: the picture's column at which `mean` begins.
        core: (start, stop), the columns of `mean` that the other figures belong to.
        ends: the (start, stop) of every segment along the boundary, in pixels of the picture.
        mean: [N, C, S, columns], mean colour per segment and column.
        rough: [N, S, core], mean |mixed second difference| of the luminance.
        fine: [N, S, core], mean squared second difference along the boundary.
        slope: [N, core], mean |difference to the column before|.
    """

    left: int
    core: tuple[int, int]
    ends: list[tuple[int, int]]
    mean: torch.Tensor
    rough: torch.Tensor
    fine: torch.Tensor
    slope: torch.Tensor

    def at(self, line: int) -> int:
        """The index into the core figures of the picture's column `line`."""
        return line - self.left - self.core[0]


def levels(pixels: torch.Tensor) -> torch.Tensor:
    """[N, h, w, C] as [N, c, h, w] in 8-bit levels, c = 1 or 3: what can be seen, colour under alpha laid on grey."""
    pixels = pixels.detach().movedim(-1, 1).float() * 255
    if pixels.shape[1] != 4:
        return pixels
    alpha = pixels[:, 3:].clamp(0, 255) / 255
    return pixels[:, :3] * alpha + BACKGROUND * (1 - alpha)


def luminance(pixels: torch.Tensor) -> torch.Tensor:
    """[N, c, h, w] -> [N, h, w], the mean of the channels: of independent grain it keeps the least."""
    return pixels[:, 0] if pixels.shape[1] == 1 else pixels.mean(1)


def cut_strip(image: torch.Tensor, boundary: Boundary, rows: tuple[int, int], columns: tuple[int, int]) -> torch.Tensor:
    """A piece of `image` [N, H, W, C] as levels [N, c, rows, columns], the boundary running from top to bottom."""
    if boundary.vertical:
        return levels(image[:, rows[0] : rows[1], columns[0] : columns[1]]).contiguous()
    return levels(image[:, columns[0] : columns[1], rows[0] : rows[1]].transpose(1, 2)).contiguous()


def segments(boundary: Boundary) -> list[tuple[int, int]]:
    """The boundary in pieces of SEGMENT rows, of fewer where it is short."""
    start, stop = boundary.along
    each = min(max((stop - start) // SEGMENTS, LEAST_SEGMENT), SEGMENT, stop - start)
    return [(at, at + each) for at in range(start, stop - each + 1, each)]


def can_be_judged(boundary: Boundary, size: int) -> bool:
    """Whether there is enough picture beside the boundary to compare it with; `size` is the picture's, across."""
    return boundary.along[1] - boundary.along[0] >= LEAST_ALONG and len(control_columns(boundary, size)) >= LEAST_CONTROLS


def control_columns(boundary: Boundary, size: int) -> list[int]:
    """Columns of the same rows that lie beside the overlap and near no tile edge, nearest first."""
    a, b = min(boundary.band), max(boundary.band)
    outside = [
        *range(b + CONTROL_MARGIN, min(b + CONTROL_REACH, size - ARM) + 1),
        *range(max(a - CONTROL_REACH, ARM), a - CONTROL_MARGIN + 1),
    ]
    free = [x for x in outside if all(abs(x - edge) >= CONTROL_MARGIN for edge in boundary.edges)]
    if len(free) < 2 * LEAST_CONTROLS:  # tiles so small, or overlaps so wide, that only the overlap itself is left
        free += [x for x in range(max(a, ARM), min(b, size - ARM)) if all(abs(x - edge) >= CONTROL_MARGIN for edge in boundary.edges)]
    return sorted(free)


def read_strip(image: torch.Tensor, boundary: Boundary, reference: torch.Tensor | None = None, gain: torch.Tensor | None = None) -> Strip:
    """Boil the surroundings of a boundary down to numbers.

    Args:
        image: [N, H, W, C], 0..1.
        boundary: where.
        reference: of the same size; what is looked at is then `image - gain x reference`.
        gain: [N, c].
    """
    size = image.shape[2 if boundary.vertical else 1]
    a, b = min(boundary.band), max(boundary.band)
    wide = max(CONTROL_REACH + ARM, boundary.tile // 2 + 2 * (b - a))
    left, right = max(0, a - wide), min(size, b + wide)
    core = (max(0, a - CONTROL_REACH - ARM) - left, min(size, b + CONTROL_REACH + ARM) - left)
    ends = segments(boundary)
    parts = []
    at_once = ROWS_AT_ONCE // (ends[0][1] - ends[0][0])
    for first in range(0, len(ends), at_once):
        chunk = ends[first : first + at_once]
        rows = (chunk[0][0], chunk[-1][1])
        pixels = cut_strip(image, boundary, rows, (left, right))
        if reference is not None:
            other = cut_strip(reference, boundary, rows, (left, right))
            other = other if other.shape[1] in (1, pixels.shape[1]) else other.mean(1, keepdim=True)
            pixels = pixels - other * gain[..., None, None]
        parts.append(_boil_down(pixels, len(chunk), core))
    mean, rough, fine, slope = (torch.cat(part, 2 if i == 0 else 1) for i, part in enumerate(zip(*parts, strict=True)))
    return Strip(left, core, ends, mean, rough, fine, slope.mean(1))


def _boil_down(pixels: torch.Tensor, count: int, core: tuple[int, int]) -> tuple[torch.Tensor, ...]:
    n, c, rows, columns = pixels.shape
    mean = pixels.view(n, c, count, rows // count, columns).mean(3)
    light = luminance(pixels[..., core[0] : core[1]]).reshape(n, count, rows // count, -1)
    # Along the boundary first: what is the same in every row (an edge beside the boundary, a step) is no roughness.
    mixed = light[:, :, LAG:] - light[:, :, :-LAG]
    across = mixed[..., 1:] - mixed[..., :-1]
    rough = light.new_zeros(n, count, light.shape[-1])
    rough[..., 2:-1] = (across[..., 1:-1] - (across[..., :-2] + across[..., 2:]).mul_(0.5)).abs_().mean(2)
    fine = (light[:, :, 2:] - 2 * light[:, :, 1:-1] + light[:, :, :-2]).square_().mean(2)
    slope = torch.zeros_like(rough)
    slope[..., 1:] = (light[..., 1:] - light[..., :-1]).abs_().mean(2)
    return mean, rough, fine, slope
