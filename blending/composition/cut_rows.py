"""Composition along minimum-error cuts.

What overlaps is split in two bands. Fine detail changes over within a few pixels of the
cut, so that texture is neither averaged nor doubled. Tone, which no cut can hide because it
differs all along, changes over by the window across the whole overlap; on a flat sky, where
no path is better than another, that is all there is to see.

Cuts run down each overlap of a tile row first and along the overlap of whole rows then, so
that four-tile corners are cut like everything else. Where the picture is joined to itself sideways, the latter end where
they began.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from ..layout.mosaic import Mosaic
from .closed_cut import closed_cut
from .minimum_cut import cut_ramp, minimum_cut
from .rows import RowBlend

MOST_FEATHER = 8
LEAST_CUT_OVERLAP = 4  # narrower than this there is no room to cut in
_GRADIENT_SHARE = 0.5
_ORDINARY = 8 / 255  # how far grain and soft detail stray from the tone around them


def low_band(pixels: torch.Tensor, length: int, closed: bool = False) -> torch.Tensor:
    """The part of [B, n, L, C] that changes slowly against `length` pixels; same shape.

    Means over blocks of an eighth of `length`, blurred (sigma about `length` / 6), drawn out linearly.
    A constant stays what it is. Where the n rows are `closed` to a ring, there is no block that begins it, and the
    same is done with means around every row.
    """
    block = max(1, length // 8)
    planes = pixels.movedim(-1, 1)
    pool = (1, block) if closed else block
    small = F.avg_pool2d(planes, pool, ceil_mode=True, count_include_pad=False) if block > 1 else planes
    kernel = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=pixels.device) / 16
    channels = small.shape[1]
    if closed:
        small = _blurred_around(small, block)
    for shape, pad in (((1, 1, 5, 1), (0, 0, 2, 2)), ((1, 1, 1, 5), (2, 2, 0, 0)))[closed:]:
        weights = kernel.view(shape).expand(channels, -1, -1, -1).contiguous()
        for _ in range(2):
            small = F.conv2d(F.pad(small, pad, mode="replicate"), weights, groups=channels)
    if block > 1:
        small = F.interpolate(small, size=planes.shape[-2:], mode="bilinear", align_corners=False)
    return small.movedim(1, -1)


def _blurred_around(planes: torch.Tensor, block: int) -> torch.Tensor:
    """[B, C, n, L] with its n rows, which are a ring, averaged by blocks, blurred and drawn out linearly, around each of them."""
    n = planes.shape[2]
    box, blur = torch.ones(block, dtype=torch.float64), torch.zeros(4 * block + 1, dtype=torch.float64)
    blur[::block] = blur.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0])
    kernel = box
    for part in (box, blur, blur):  # all symmetric, and so is what they make together
        kernel = F.conv1d(kernel[None, None], part[None, None], padding=len(part) - 1)[0, 0]
    around = torch.zeros(n, dtype=torch.float64)
    around.index_add_(0, (torch.arange(len(kernel)) - len(kernel) // 2) % n, kernel / kernel.sum())
    spectrum = torch.fft.rfft(around.float().to(planes.device))[:, None]
    return torch.fft.irfft(torch.fft.rfft(planes, dim=2) * spectrum, n, dim=2)


def tone_of(difference: torch.Tensor, length: int, closed: bool = False) -> torch.Tensor:
    """The slowly changing part of a difference [B, n, L, C] of two tiles, whatever objects only one of them has; same shape.

    A plain mean would take a share of a dark chain for a darker tone, and leave its shadow. So pixels far from the mean
    around them count little the second time (Cauchy weights).
    """
    low = low_band(difference, length, closed)
    weight = 1 / (1 + (difference - low).square().sum(-1, keepdim=True) / _ORDINARY**2)
    return low_band(difference * weight, length, closed).div_(low_band(weight, length, closed))


def difference_cost(difference: torch.Tensor, closed: bool = False) -> torch.Tensor:
    """What cutting through each pixel shows: [B, n, L] of a difference [B, n, L, C].

    Its square, and half of the square of its slope: a cut across an edge that only one tile has
    shows even where the tiles happen to agree (after Kwatra et al., "Graphcut textures", 2003).
    Where the n rows are `closed` to a ring, the last one lies beside the first one.
    """
    cost = difference.square().sum(-1)
    for dim in (1, 2):
        if difference.shape[dim] > 1:
            slope = difference.diff(dim=dim).square().sum(-1).mul_(_GRADIENT_SHARE / 2)
            cost.narrow(dim, 0, slope.shape[dim]).add_(slope)
            cost.narrow(dim, 1, slope.shape[dim]).add_(slope)
    if closed and difference.shape[1] > 1:
        slope = (difference[:, 0] - difference[:, -1]).square().sum(-1).mul_(_GRADIENT_SHARE / 2)
        cost[:, 0].add_(slope)
        cost[:, -1].add_(slope)
    return cost


def _stretches(flags: torch.Tensor, closed: bool) -> list[tuple[list[slice], bool]]:
    """Where a bool [n] stays what it is: the stretches in turn, and what it is there. On a ring one may be in two parts."""
    ends = [0, *((flags[1:] != flags[:-1]).nonzero().flatten() + 1).tolist(), len(flags)]
    found = [([slice(start, stop)], bool(flags[start])) for start, stop in pairwise(ends)]
    if closed and len(found) > 1 and found[0][1] == found[-1][1]:
        first, last = found.pop(0), found.pop()
        found.append((last[0] + first[0], first[1]))
    return found


def whole_rows(mosaic: Mosaic) -> Mosaic:
    """The mosaic on a canvas on which every row of tiles is whole, where top and bottom are joined.

    In a row that is cut in two, cuts between its tiles would be looked for in each part by itself, and not meet. Along joined
    axes only two tiles count at a place: on a ring no tile comes first, and a cut has two sides.
    """
    beyond = ((0, 0), (0, 0))
    if mosaic.layout.wrap[0]:
        over = mosaic.around().windows[0][-1].stop - mosaic.size[0]
        beyond = ((max(mosaic.tile_size[0] - over, 0) + 2, max(over, 0) + 2), (0, 0))
    return mosaic.widened(beyond, pairs=True)


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
        self.closed = mosaic.layout.wrap[1]
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
        for spans, cuts in (([slice(0, width)], True),) if share is None else _stretches(share > 0, self.closed):
            if not cuts:
                for span in spans:
                    at = slice(span.start * self.channels, span.stop * self.channels)
                    self.band[:, :fresh, at].lerp_(self.aside[:, :fresh, at], self.y_blend[row][:, None])
                continue
            sides = [
                torch.cat([part[:, :, span] for span in spans], 2) if len(spans) > 1 else part[:, :, spans[0]] for part in (before, after)
            ]
            cut = None if share is None else torch.cat([share[span] for span in spans])[None, :, None]
            whole = self.closed and spans[0] == slice(0, width)
            self._cut(*(side.transpose(1, 2) for side in sides), self.y_blend[row], cut, whole)
            if len(spans) > 1:
                for span, part in zip(spans, sides[0].split([span.stop - span.start for span in spans], 2), strict=True):
                    before[:, :, span] = part

    def _apart(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.unflatten(2, (-1, self.channels))

    def _cut(
        self, theirs: torch.Tensor, ours: torch.Tensor, window: torch.Tensor, share: torch.Tensor | None, closed: bool = False
    ) -> None:
        """Mix `ours` into `theirs` [P, n, L, C], in place; `window` [L] is how much ours counts, `share` how much is cut.

        Where the n rows are `closed` to a ring the cut ends where it began.
        """
        length = ours.shape[2]
        if not ours.numel():
            return  # shrunk so far that no output pixel sees this tile
        difference = ours - theirs
        wide = window[:, None]
        if length < LEAST_CUT_OVERLAP:
            theirs.addcmul_(difference, wide)
            return
        narrow = self._narrow(difference[..., self.seen], length, closed)
        if share is not None:
            narrow = torch.lerp(window.expand_as(narrow), narrow, share)
        low = tone_of(difference, length, closed)
        theirs.addcmul_(low, wide)
        theirs.addcmul_(difference.sub_(low), narrow[..., None])

    def _narrow(self, difference: torch.Tensor, length: int, closed: bool) -> torch.Tensor:
        feather = min(self.feather or min(max(length / 8, 1), MOST_FEATHER), length - 2)
        room = int(feather / 2 + 0.5)  # so that the ramp is over before the tile is
        cost = difference_cost(difference, closed)
        path = (closed_cut if closed else minimum_cut)(cost[..., room : length - room]) + room
        return cut_ramp(path, length, feather).to(difference.device)
