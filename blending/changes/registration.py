"""Where an edit model has moved the frame to, from coarse to fine, before anything is compared.

At which scale a picture has structure is its own affair: an enlarged photograph has none in single pixels, grain on a soft
ground none in large cells. So every scale between is looked at, and each that can tell anything mends what was found so far.
"""

from __future__ import annotations

import math

import torch

from ..layout.reference import sample
from ..pixels.picture import REC_709, colours
from ..registration.frame import AGREE, Frame, fit_frame
from ..registration.shift import find_shifts, least_side
from .edited_view import EditedView

_COARSE = 512  # pixels of the longer side, where large moves are looked for
_FARTHEST = 0.03  # of the longer side
_LEFT_OVER = 3.0  # pixels that may be left for the fine look
_COARSE_BLOCK, _FINE_BLOCK = 96, 128
_ACROSS = 6  # blocks along the longer side
_HIDDEN = 0.5  # what transparent pixels show


def find_edit_frame(original: torch.Tensor, edited: torch.Tensor, scaled: bool, cell: int = 1) -> Frame | None:
    """How the edited picture's frame lies over the original's.

    Args:
        original: [H, W, C].
        edited: [h, w, C'], of the same proportions.
        scaled: whether to look for a scale beside the shift.
        cell: pixels of the original that are compared together, because the edited picture shows no more.

    Returns:
        the frame in the original's pixels; None where the pictures have too little structure in common to tell.
    """
    size = tuple(original.shape[:2])
    found, known = None, 0.0
    for here in _cells(max(size), cell):
        farthest = _FARTHEST * max(size) / here if found is None else _LEFT_OVER
        side = _COARSE_BLOCK if max(size) // here <= _COARSE else _FINE_BLOCK
        rest = _look(original, EditedView(edited, size, found), here, side, max(_LEFT_OVER, farthest), scaled)
        if rest is None:
            continue
        if found is None:
            found, known = rest, AGREE * here
        elif rest.agree >= found.agree or _farthest_move(rest, size) <= known:
            # Few blocks that are sharp may be what was pasted in: they may only mend what most have said.
            found, known = found.after(rest).settled(), AGREE * here
    return found


def _cells(longer: int, least: int) -> list[int]:
    """Sides of the cells that are looked at, from the coarsest to `least`."""
    sides = [max(least, math.ceil(longer / _COARSE))]
    while sides[-1] > least:
        sides.append(max(least, sides[-1] // 2))
    return sides


def _farthest_move(frame: Frame, size: tuple[int, int]) -> float:
    """By how many pixels a frame moves a corner of the picture along an axis, the larger of both."""
    ways = ((frame.dy, frame.scale_y), (frame.dx, frame.scale_x))
    return max(abs(shift) + abs(scale) * side / 2 for (shift, scale), side in zip(ways, size, strict=True))


def _look(original: torch.Tensor, view: EditedView, cell: int, side: int, farthest: float, scaled: bool) -> Frame | None:
    """One look at blocks of `side` cells; the frame in the original's pixels, of what the view has not undone yet."""
    height, width = (length // cell for length in original.shape[:2])
    side = min(side, height, width)
    while farthest > 1 and least_side(farthest) > side:
        farthest /= 2
    if side < least_side(farthest):
        return None
    across = max(1, min(_ACROSS, 2 * max(height, width) // side - 1))
    tops, lefts = (_starts(length, side, max(1, min(_ACROSS, round(across * length / max(height, width))))) for length in (height, width))
    places = [(top, left) for top in tops for left in lefts]
    pairs = [_blocks(original, view, cell, top, left, side) for top, left in places]
    fixed, moving = (torch.stack(blocks) for blocks in zip(*pairs, strict=True))
    centres = torch.tensor(places, dtype=torch.float64) + (side - 1) / 2
    frame = fit_frame(centres, find_shifts(fixed, moving, farthest), (height, width), scaled)
    return None if frame is None else frame.times(cell)


def _starts(length: int, side: int, count: int) -> list[int]:
    count = count if length > side else 1
    return [round(index * (length - side) / max(1, count - 1)) for index in range(count)]


def _blocks(original: torch.Tensor, view: EditedView, cell: int, top: int, left: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = (top, top + side), (left, left + side)
    if cell == 1:
        own = original[top : top + side, left : left + side]
    else:
        own = sample(original[None], (top * cell, left * cell, side * cell, side * cell), (side, side))[0]
    other = view.part(rows, columns, cell)
    # Where one of them alone has alpha, its edges are no structure of the other.
    both = own.shape[-1] == other.shape[-1] == 4
    return _luma(own, both), _luma(other, both)


def _luma(pixels: torch.Tensor, alpha: bool) -> torch.Tensor:
    """Lightness [h, w]; with alpha of what can be seen, over grey."""
    colour = colours(pixels).float()
    luma = colour[..., 0] if colour.shape[-1] == 1 else colour @ colour.new_tensor(REC_709)
    if not alpha:
        return luma
    return _HIDDEN + (luma - _HIDDEN) * pixels[..., 3].float()
