"""How a picture's frame lies over another's: a shift and a scale along each axis, from the shifts of many blocks.

Edit models give a picture back moved by some pixels and scaled by some parts in a thousand, both axes by themselves where
its sides were rounded to what the model takes. What was edited moves by itself, so the fit is by least median of squares
over all pairs of blocks (Rousseeuw, "Least Median of Squares Regression", 1984), and by least squares on those that agree.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from .shift import Shifts

_LEAST_BLOCKS = 3  # that must agree before a frame is moved at all
_LEAST_SHARE = 0.4  # of the blocks that are sure
AGREE = 0.35  # pixels, by which a block may be off
_LEAST_SPREAD = 0.3  # of a side, that the blocks must span before they tell its scale
_MOST_SCALE = 0.04
_NOTHING = 0.04  # pixels: less than this is no move, and reading between pixels would only cost sharpness
_NO_SCALE = 0.08  # pixels at the picture's sides: the same of a scale, which is known less well


class Frame(NamedTuple):
    """Where a pixel of one picture is in the other: y + dy + scale_y * (y - middle), and the same along x.

    Attributes:
        dy, dx: pixels, in the middle of the picture.
        scale_y, scale_x: by how much the other picture is larger, as a share; 0 for none.
        agree: blocks that say so.
        sure: blocks that could say anything; below `agree` by those that an edit has moved.
    """

    dy: float = 0.0
    dx: float = 0.0
    scale_y: float = 0.0
    scale_x: float = 0.0
    agree: int = 0
    sure: int = 0

    @property
    def moves(self) -> bool:
        """Whether there is anything to undo."""
        return any((self.dy, self.dx, self.scale_y, self.scale_x))

    def times(self, factor: float) -> Frame:
        """The same frame with pixels `factor` times as fine."""
        return self._replace(dy=self.dy * factor, dx=self.dx * factor)

    def settled(self) -> Frame:
        """The same frame; where it is a shift by nearly whole pixels, by whole ones, which need no reading between pixels."""
        near = {} if self.scale_y else {"dy": _whole(self.dy)}
        return self._replace(**near, **({} if self.scale_x else {"dx": _whole(self.dx)}))

    def after(self, rest: Frame) -> Frame:
        """This frame, and on top of it what was still left between the pictures once it was undone."""
        # y + d1 + s1 y, and there again: the products of two scales are beneath what blocks can tell, but cost nothing.
        return Frame(
            self.dy + rest.dy * (1 + self.scale_y),
            self.dx + rest.dx * (1 + self.scale_x),
            (1 + self.scale_y) * (1 + rest.scale_y) - 1,
            (1 + self.scale_x) * (1 + rest.scale_x) - 1,
            rest.agree,
            rest.sure,
        )


def fit_frame(centres: torch.Tensor, shifts: Shifts, size: tuple[int, int], scaled: bool) -> Frame | None:
    """The frame that most blocks agree on.

    Args:
        centres: float64 [N, 2], the middle of each block, (y, x) in pixels.
        shifts: of the blocks, moving against fixed.
        size: height and width of the picture.
        scaled: whether to look for a scale beside the shift.

    Returns:
        the frame, or None where too few blocks are sure, or agree: the picture is then left where it is.
    """
    chosen = shifts.sure
    count = int(chosen.sum())
    if count < _LEAST_BLOCKS:
        return None
    middle = torch.tensor([(side - 1) / 2 for side in size], dtype=torch.float64)
    at = (centres.double() - middle)[chosen]
    moves = torch.stack((shifts.dy, shifts.dx), 1).double()[chosen]
    weight = shifts.confidence.double()[chosen]
    fits = [_median_line(at[:, axis], moves[:, axis], scaled, size[axis]) for axis in (0, 1)]
    off = torch.stack([moves[:, axis] - shift - scale * at[:, axis] for axis, (shift, scale) in enumerate(fits)])
    agree = off.norm(dim=0) <= AGREE
    if int(agree.sum()) < max(_LEAST_BLOCKS, _LEAST_SHARE * count):
        return None
    lines = [_weighted_line(at[agree, axis], moves[agree, axis], weight[agree], scaled, size[axis]) for axis in (0, 1)]
    scales = [scale for _, scale in lines]
    if scaled and None in scales:  # blocks in a row tell one scale, and it is then the likeliest for both
        known = next((scale for scale in scales if scale is not None), 0.0)
        scales = [known if scale is None else scale for scale in scales]
        lines = [
            (float((weight[agree] * (moves[agree, axis] - scales[axis] * at[agree, axis])).sum() / weight[agree].sum()), scales[axis])
            for axis in (0, 1)
        ]
    return _settled(lines, size, int(agree.sum()), count)


def _settled(lines: list, size: tuple[int, int], agree: int, sure: int) -> Frame:
    """The frame, without what is less than could be seen."""
    kept = []
    for (shift, scale), side in zip(lines, size, strict=True):
        scale = 0.0 if scale is None or abs(scale) * side / 2 < _NO_SCALE else scale
        kept.append((shift, scale))
    (dy, scale_y), (dx, scale_x) = kept
    return Frame(dy, dx, scale_y, scale_x, agree, sure).settled()


def _whole(shift: float) -> float:
    return float(round(shift)) if abs(shift - round(shift)) < _NOTHING else shift


def _spans(at: torch.Tensor, side: int) -> bool:
    return float(at.max() - at.min()) >= _LEAST_SPREAD * side


def _median_line(at: torch.Tensor, moves: torch.Tensor, scaled: bool, side: int) -> tuple[float, float]:
    """Shift and scale with the least median of what is left, over all pairs of blocks and all single ones."""
    shifts, scales = moves, torch.zeros_like(moves)
    if scaled and _spans(at, side):
        first, second = torch.combinations(torch.arange(len(at))).unbind(1)
        apart = at[second] - at[first]
        far = apart.abs() >= _LEAST_SPREAD / 2 * side
        first, apart, second = first[far], apart[far], second[far]
        slopes = ((moves[second] - moves[first]) / apart).clamp(-_MOST_SCALE, _MOST_SCALE)
        shifts = torch.cat((shifts, moves[first] - slopes * at[first]))
        scales = torch.cat((scales, slopes))
    left = (moves - shifts[:, None] - scales[:, None] * at).abs()
    best = int(left.median(1).values.argmin())
    return float(shifts[best]), float(scales[best])


def _weighted_line(at: torch.Tensor, moves: torch.Tensor, weight: torch.Tensor, scaled: bool, side: int) -> tuple[float, float | None]:
    """Least squares; the scale is None where the blocks do not tell it."""
    total = weight.sum().clamp_min(1e-12)
    middle, mean = (weight * at).sum() / total, (weight * moves).sum() / total
    if not scaled:
        return float(mean), 0.0
    if not _spans(at, side):
        return float(mean), None
    scale = (weight * (at - middle) * (moves - mean)).sum() / (weight * (at - middle) ** 2).sum().clamp_min(1e-12)
    return float(mean - scale * middle), float(scale)
