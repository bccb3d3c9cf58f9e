"""The edited picture as it lies over the original: read where the original's pixels are."""

from __future__ import annotations

import torch

from ..layout.reference import sample
from ..registration.frame import Frame
from ..registration.resample import sampled_at

_SHRINKS = 1.02  # pixels per pixel from which on reading between pixels would leave some out
_MARGIN = 8  # pixels that the reading reaches beyond what it is asked for


class EditedView:
    """One edited picture, over an original of `size`.

    Args:
        pixels: [h, w, C], of any size of the original's proportions.
        size: height and width of the original.
        frame: how the edited picture is moved, in the original's pixels; None for not at all.
    """

    def __init__(self, pixels: torch.Tensor, size: tuple[int, int], frame: Frame | None = None) -> None:
        self.pixels, self.size, self.frame = pixels, size, frame or Frame()

    @property
    def untouched(self) -> bool:
        """Whether its pixels are the original's, one by one, and none is read between others."""
        return not self.frame.moves and tuple(self.pixels.shape[:2]) == tuple(self.size)

    def part(self, rows: tuple[int, int], columns: tuple[int, int], cell: int = 1) -> torch.Tensor:
        """What lies over rows and columns (first, end) of the original, counted in cells of `cell` x `cell` pixels.

        Returns:
            [n, m, C]; a view where nothing has to be read between pixels, else float32. Beyond the border it is repeated.
        """
        (top, end), (left, right) = rows, columns
        if self.untouched and cell == 1:
            return self.pixels[top:end, left:right]
        (y, height), (x, width) = (self._span(first, last, cell, axis) for axis, (first, last) in enumerate((rows, columns)))
        pitch = max(height / (end - top), width / (right - left))
        if pitch > _SHRINKS:
            return sample(self.pixels[None], (y, x, height, width), (end - top, right - left))[0]
        ys, xs = (
            start + (torch.arange(count, dtype=torch.float64) + 0.5) * (length / count) - 0.5
            for start, length, count in ((y, height, end - top), (x, width, right - left))
        )
        (y0, y1), (x0, x1) = (_around(at, side) for at, side in zip((ys, xs), self.pixels.shape[:2], strict=True))
        return sampled_at(self.pixels[None, y0:y1, x0:x1], ys - y0, xs - x0)[0]

    def _span(self, first: int, last: int, cell: int, axis: int) -> tuple[float, float]:
        """Start and length in the edited picture of cells first..last, in its pixels."""
        shift, scale = (self.frame.dy, self.frame.scale_y) if axis == 0 else (self.frame.dx, self.frame.scale_x)
        side, own = self.size[axis], self.pixels.shape[axis]
        start, end = (edge * cell + shift + scale * (edge * cell - side / 2) for edge in (first, last))
        return start * own / side, (end - start) * own / side

    def covered(self, axis: int, margin: float = 1.0) -> tuple[int, int]:
        """First and end of the original's rows (axis 0) or columns (1) that the edited picture has something for."""
        shift, scale = (self.frame.dy, self.frame.scale_y) if axis == 0 else (self.frame.dx, self.frame.scale_x)
        side = self.size[axis]
        if not self.frame.moves:
            return 0, side
        at = torch.arange(side, dtype=torch.float64)
        at = at + shift + scale * (at - (side - 1) / 2)
        inside = ((at >= margin) & (at <= side - 1 - margin)).nonzero()
        return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)


def _around(at: torch.Tensor, side: int) -> tuple[int, int]:
    """The pixels that reading at these places needs, kept within the picture."""
    first = min(max(int(at.min()) - _MARGIN, 0), side - 1)
    return first, max(first + 1, min(int(at.max()) + _MARGIN + 1, side))
