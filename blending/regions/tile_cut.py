"""A tile cut into a finished picture along the paths on which the two differ least.

As in `composition/cut_rows.py`: fine detail changes over within a few pixels of the path, tone by the window over all of the
room, and one side of the tile is cut after the other, so that corners are cut like everything else. The room is where the
tile takes over; what lies before that is finished and stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..composition.cut_rows import LEAST_CUT_OVERLAP, MOST_FEATHER, difference_cost, tone_of
from ..composition.minimum_cut import cut_ramp, minimum_cut
from ..pixels.alpha import LEAST_ALPHA
from .turns import Side


def cut_in(theirs: torch.Tensor, ours: torch.Tensor, sides: Sequence[Side], share: torch.Tensor) -> torch.Tensor:
    """The tile cut into what is there.

    Args:
        theirs: float32 [B, h, w, C], what is there.
        ours: the same of the tile.
        sides: along which it takes over, x before y, with windows for the tone.
        share: float32 [h, w], the product of those windows: where it is 0 or 1 one of both comes through as it is.

    Returns:
        float32 [B, h, w, C]; RGBA is mixed with its colour weighted by alpha.
    """
    seen = slice(3, 7) if ours.shape[3] == 4 else slice(None)
    before, after = _planes(theirs), _planes(ours)
    rows = _where_tiles_count(sides, ours.shape[1])
    for side in sides:
        # Beyond the room of the sides above and below nothing of the tile is seen, and no path need go there.
        span = rows if side.dim == 2 else slice(None)
        after[:, span] = _along(before[:, span], after[:, span], side, seen)
    if ours.shape[3] == 4:
        after = _straight(after, theirs, ours)
    mixed = (share > 0) & (share < 1)
    return torch.where(mixed[..., None], after, torch.where((share > 0)[..., None], ours, theirs))


def _where_tiles_count(sides: Sequence[Side], height: int) -> slice:
    """The rows of a tile that are not finished already."""
    top = max((side.start for side in sides if side.dim == 1 and not side.far), default=0)
    bottom = max((side.start for side in sides if side.dim == 1 and side.far), default=0)
    return slice(min(top, height), max(height - bottom, 0))


def _along(theirs: torch.Tensor, ours: torch.Tensor, side: Side, seen: slice) -> torch.Tensor:
    """`ours` with one side of it cut into `theirs`, [B, h, w, C]."""
    theirs, ours = (_turned(pixels, side) for pixels in (theirs, ours))
    length = min(len(side.weight), ours.shape[2])
    first = min(side.start, length)
    ours = ours.clone()
    ours[:, :, :first] = theirs[:, :, :first]
    room = slice(first, length)
    if ours[:, :, room].numel():
        wide = side.weight[room].to(ours.device)
        ours[:, :, room] = _cut(theirs[:, :, room], ours[:, :, room], wide, seen)
    return _turned(ours, side)


def _turned(pixels: torch.Tensor, side: Side) -> torch.Tensor:
    """So that the side is at the left; twice is as it was."""
    if side.far:
        pixels = pixels.flip(side.dim)
    return pixels.transpose(1, 2) if side.dim == 1 else pixels


def _cut(theirs: torch.Tensor, ours: torch.Tensor, wide: torch.Tensor, seen: slice) -> torch.Tensor:
    """Both [B, n, L, C] along the path from the first to the last row; `wide` [L] is how much the tone of ours counts."""
    length, difference = ours.shape[2], ours - theirs
    if length < LEAST_CUT_OVERLAP:
        return theirs + difference * wide[:, None]
    feather = min(max(length / 8, 1), MOST_FEATHER, length - 2)
    room = int(feather / 2 + 0.5)  # so that the ramp is over before the tile is
    path = minimum_cut(difference_cost(difference[..., seen])[..., room : length - room]) + room
    narrow = cut_ramp(path, length, feather).to(difference.device)[..., None]
    tone = tone_of(difference, length)
    return theirs + tone * wide[:, None] + (difference - tone) * narrow


def _planes(pixels: torch.Tensor) -> torch.Tensor:
    """RGBA as seven planes, straight colour, alpha, and colour times alpha; a copy."""
    return torch.cat((pixels, pixels[..., :3] * pixels[..., 3:]), -1) if pixels.shape[3] == 4 else pixels.clone()


def _straight(planes: torch.Tensor, theirs: torch.Tensor, ours: torch.Tensor) -> torch.Tensor:
    """Seven planes as RGBA, within the range of the two that were mixed: cuts over- and undershoot."""
    alpha = planes[..., 3:4]
    colour = torch.where(alpha >= LEAST_ALPHA, planes[..., 4:] / alpha.clamp_min(LEAST_ALPHA), planes[..., :3])
    bounds = [[float(end) for end in torch.cat((a, b)).aminmax()] for a, b in zip(_parts(theirs), _parts(ours), strict=True)]
    return torch.cat((colour.clamp(*bounds[0]), alpha.clamp(*bounds[1])), -1)


def _parts(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Colour and alpha, in one dimension each."""
    return pixels[..., :3].flatten(), pixels[..., 3].flatten()
