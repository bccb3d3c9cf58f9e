"""How large the step at a seam is, and where to look for the worst one (numpy only)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy

LUMA = (0.2126, 0.7152, 0.0722)

# Averaging along the seam leaves what lies along it, and brings rounding to 8 bits down to 0.1 level.
ALONG = 48
NEAR = 16
STRIDE = 8
# What is shown and looked at around a piece of a seam: height, width.
WINDOW = (80, 112)
# The network has never learnt the picture's own border, with tiles or without: keep away from it.
BORDER = 40
# Nearly black and nearly white areas hide steps.
DARKEST, BRIGHTEST = 30, 225
# Where neighbours differ by so many levels anyway, a step counts half of what it does on an even area.
EVEN = 2.0


class Seam(NamedTuple):
    """A piece of a planned boundary, in pixels of the finished picture.

    Attributes:
        across: the boundary lies between the pixels `across - 1` and `across`.
        start: where the piece begins along the boundary; it is ALONG pixels long.
        vertical: whether the boundary runs from top to bottom.
    """

    across: int
    start: int
    vertical: bool

    def turned(self, plane: numpy.ndarray) -> numpy.ndarray:
        """`plane` [H, W], turned such that this boundary is vertical."""
        return plane if self.vertical else plane.T


def luminance(picture: numpy.ndarray) -> numpy.ndarray:
    """Brightness of `picture` [H, W, 3] in its own levels, float64 [H, W] (Rec. 709 weights)."""
    return picture[..., :3].astype(numpy.float64) @ numpy.array(LUMA)


def seam_step(error: numpy.ndarray, seam: Seam) -> float:
    """The largest jump between neighbouring pixels near `seam`, in the levels of `error`.

    The error is averaged over the ALONG pixels beside each other along the seam, with its
    sign; what remains and jumps from one pixel to the next is a step that the tiles made.

    Args:
        error: the luminance of a tiled picture less that of the same picture without tiles, [H, W].
        seam: where.
    """
    turned = seam.turned(error)
    near = turned[seam.start : seam.start + ALONG, max(0, seam.across - NEAR) : seam.across + NEAR]
    return float(numpy.abs(numpy.diff(near.mean(axis=0))).max())


def window(seam: Seam, shape: tuple[int, int]) -> tuple[slice, slice]:
    """WINDOW, with the piece of the seam in its middle where the picture allows."""
    middle = seam.start + ALONG // 2
    centre = (middle, seam.across) if seam.vertical else (seam.across, middle)
    return tuple(_around(at, length, size) for at, length, size in zip(centre, WINDOW, shape, strict=True))


def _around(at: int, length: int, size: int) -> slice:
    length = min(length, size)
    start = min(max(0, at - length // 2), size - length)
    return slice(start, start + length)


def visibility(error: numpy.ndarray, reference: numpy.ndarray, seam: Seam) -> float:
    """The step at `seam`, in proportion to how much goes on around it: texture hides steps, smooth areas show them."""
    around = reference[window(seam, reference.shape)]
    if not DARKEST <= around.mean() <= BRIGHTEST:
        return 0.0
    jumps = (numpy.abs(numpy.diff(around, axis=0)).mean() + numpy.abs(numpy.diff(around, axis=1)).mean()) / 2
    return seam_step(error, seam) / (EVEN + float(jumps))


def pieces(boundaries: Sequence[Sequence[int]], shape: tuple[int, int]) -> Iterator[Seam]:
    """All pieces of all boundaries, away from the picture's border where it is large enough for that.

    Args:
        boundaries: (the y of the horizontal ones, the x of the vertical ones).
        shape: (height, width) of the picture.
    """
    for vertical, places in enumerate(boundaries):
        length = shape[0] if vertical else shape[1]
        border = BORDER if length >= 2 * BORDER + ALONG else 0
        for across in places:
            for start in range(border, length - border - ALONG + 1, STRIDE):
                yield Seam(across, start, bool(vertical))


def most_visible(error: numpy.ndarray, reference: numpy.ndarray, boundaries: Sequence[Sequence[int]]) -> Seam:
    """The piece of a boundary where the step shows most.

    Args:
        error: as for `seam_step`.
        reference: luminance of the picture without tiles, [H, W].
        boundaries: as for `pieces`.

    Raises ValueError where there is no boundary.
    """
    seams = list(pieces(boundaries, error.shape))
    if not seams:
        raise ValueError("one tile covers the whole picture: there is no seam to look at")
    return max(seams, key=lambda seam: visibility(error, reference, seam))


def worst_step(error: numpy.ndarray, boundaries: Sequence[Sequence[int]]) -> float:
    """The largest step over all pieces of all boundaries."""
    return max(seam_step(error, seam) for seam in pieces(boundaries, error.shape))
