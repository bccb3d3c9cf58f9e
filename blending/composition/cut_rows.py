"""Composition along minimum-error cuts.

What overlaps is split in two bands. Fine detail changes over within a few pixels of the
cut, so that texture is neither averaged nor doubled. Tone, which no cut can hide because it
differs all along, changes over by the window across the whole overlap; on a flat sky, where
no path is better than another, that is all there is to see.

Cuts run down each overlap of a tile row first and along the overlap of whole rows then, so
that four-tile corners are cut like everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from ..layout.mosaic import Mosaic
from .minimum_cut import cut_ramp, minimum_cut
from .rows import RowBlend

MOST_FEATHER = 8
LEAST_CUT_OVERLAP = 4  # narrower than this there is no room to cut in
_GRADIENT_SHARE = 0.5
_ORDINARY = 8 / 255  # how far grain and soft detail stray from the tone around them


def low_band(pixels: torch.Tensor, length: int) -> torch.Tensor:
    """The part of [B, n, L, C] that changes slowly against `length` pixels; same shape.

    Means over blocks of an eighth of `length`, blurred (sigma about `length` / 6), drawn out linearly.
    A constant stays what it is.
    """
    block = max(1, length // 8)
    planes = pixels.movedim(-1, 1)
    small = F.avg_pool2d(planes, block, ceil_mode=True, count_include_pad=False) if block > 1 else planes
    kernel = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=pixels.device) / 16
    channels = small.shape[1]
    for shape, pad in (((1, 1, 5, 1), (0, 0, 2, 2)), ((1, 1, 1, 5), (2, 2, 0, 0))):
        weights = kernel.view(shape).expand(channels, -1, -1, -1).contiguous()
        for _ in range(2):
            small = F.conv2d(F.pad(small, pad, mode="replicate"), weights, groups=channels)
    if block > 1:
        small = F.interpolate(small, size=planes.shape[-2:], mode="bilinear", align_corners=False)
    return small.movedim(1, -1)


def tone_of(difference: torch.Tensor, length: int) -> torch.Tensor:
    """The slowly changing part of a difference [B, n, L, C] of two tiles, whatever objects only one of them has; same shape.

    A plain mean would take a share of a dark chain for a darker tone, and leave its shadow. So pixels far from the mean
    around them count little the second time (Cauchy weights).
    """
    low = low_band(difference, length)
    weight = 1 / (1 + (difference - low).square().sum(-1, keepdim=True) / _ORDINARY**2)
    return low_band(difference * weight, length).div_(low_band(weight, length))


def difference_cost(difference: torch.Tensor) -> torch.Tensor:
    """What cutting through each pixel shows: [B, n, L] of a difference [B, n, L, C].

    Its square, and half of the square of its slope: a cut across an edge that only one tile has
    shows even where the tiles happen to agree (after Kwatra et al., "Graphcut textures", 2003).
    """
    cost = difference.square().sum(-1)
    for dim in (1, 2):
        if difference.shape[dim] > 1:
            slope = difference.diff(dim=dim).square().sum(-1).mul_(_GRADIENT_SHARE / 2)
            cost.narrow(dim, 0, slope.shape[dim]).add_(slope)
            cost.narrow(dim, 1, slope.shape[dim]).add_(slope)
    return cost


def _stretches(flags: torch.Tensor) -> list[tuple[slice, bool]]:
    """Where a bool [n] stays what it is: the stretches in turn, and what it is there."""
    ends = [0, *((flags[1:] != flags[:-1]).nonzero().flatten() + 1).tolist(), len(flags)]
    return [(slice(start, stop), bool(flags[start])) for start, stop in pairwise(ends)]


class CutRows(RowBlend):
    """Like `RowBlend`, cutting where tiles differ.

    Args:
        mosaic: with the windows that tone changes over by.
        target: float32 [P, H, W, C] to write to.
        feather: output pixels that fine detail takes to change over; 0 is an eighth of the overlap, 8 at most.
        seen: the channels that count when looking for the cut.
        cut_x: (row, column) -> whether the overlap with the tile to the left is cut, else feathered.
        cut_y: row -> float [W], how much of the overlap with the row above is cut (1) or feathered (0); None is all cut.
    """

    def __init__(
        self,
        mosaic: Mosaic,
        target: torch.Tensor,
        feather: float = 0,
        seen: slice = slice(None),
        cut_x: Callable[[int, int], bool] | None = None,
        cut_y: Callable[[int], torch.Tensor | None] | None = None,
    ) -> None:
        super().__init__(mosaic, target)
        self.channels = target.shape[-1]
        self.feather, self.seen = feather, seen
        self.cut_x, self.cut_y = cut_x, cut_y
        self.y_blend = [w.blend[: w.fresh].float().to(target.device) for w in self.rows]

    def add(self, row: int, column: int, pixels: torch.Tensor, look: Callable[[int], None] | None = None) -> None:
        """Cut the tile at (row, column) into its row."""
        if self.cut_x is not None and not self.cut_x(row, column):
            super().add(row, column, pixels, look)
            return
        start, fresh, stop = self.places[column]
        pixels = pixels.flatten(2)
        strips = list(self.strips(row, max(pixels.shape[1], 1)))
        if fresh and strips:
            # The cut runs through all rows of the tile, wherever they go.
            mixed = torch.cat([band[:, :, start : start + fresh] for _, band in strips], 1)
            ours = pixels[:, :, :fresh].to(mixed.device, mixed.dtype)
            self._cut(self._apart(mixed), self._apart(ours), self.x_blend[column][:: self.channels], None)
        for rows, band in strips:
            if fresh:
                band[:, :, start : start + fresh].copy_(mixed[:, rows])
            band[:, :, start + fresh : stop].copy_(pixels[:, rows, fresh:])

    def end(self, row: int) -> None:
        """All tiles of the row are in: cut what is beside the picture into it, and blend where nothing is cut."""
        fresh = self.rows[row].fresh
        if not fresh:
            return
        share = None if self.cut_y is None else self.cut_y(row).to(self.target.device, torch.float32)
        before, after = self._apart(self.band[:, :fresh]), self._apart(self.aside[:, :fresh])
        width = before.shape[2]
        for span, cuts in ((slice(0, width), True),) if share is None else _stretches(share > 0):
            if not cuts:
                at = slice(span.start * self.channels, span.stop * self.channels)
                self.band[:, :fresh, at].lerp_(self.aside[:, :fresh, at], self.y_blend[row][:, None])
                continue
            sides = (part[:, :, span].transpose(1, 2) for part in (before, after))
            self._cut(*sides, self.y_blend[row], None if share is None else share[None, span, None])

    def _apart(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.unflatten(2, (-1, self.channels))

    def _cut(self, theirs: torch.Tensor, ours: torch.Tensor, window: torch.Tensor, share: torch.Tensor | None) -> None:
        """Mix `ours` into `theirs` [P, n, L, C], in place; `window` [L] is how much ours counts, `share` how much is cut."""
        length = ours.shape[2]
        if not ours.numel():
            return  # shrunk so far that no output pixel sees this tile
        difference = ours - theirs
        wide = window[:, None]
        if length < LEAST_CUT_OVERLAP:
            theirs.addcmul_(difference, wide)
            return
        narrow = self._narrow(difference[..., self.seen], length)
        if share is not None:
            narrow = torch.lerp(window.expand_as(narrow), narrow, share)
        low = tone_of(difference, length)
        theirs.addcmul_(low, wide)
        theirs.addcmul_(difference.sub_(low), narrow[..., None])

    def _narrow(self, difference: torch.Tensor, length: int) -> torch.Tensor:
        feather = min(self.feather or min(max(length / 8, 1), MOST_FEATHER), length - 2)
        room = int(feather / 2 + 0.5)  # so that the ramp is over before the tile is
        cost = difference_cost(difference)
        path = minimum_cut(cost[..., room : length - room]) + room
        return cut_ramp(path, length, feather).to(difference.device)
