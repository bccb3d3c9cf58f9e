"""Each overlap composed the way it needs: feathered, cut, or feathered and corrected.

Cuts where the content differs, windows elsewhere, and then one gradient correction of the
whole mosaic whose jump field is zero but for overlaps that show a tone step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .mosaic import Mosaic
from .survey import CONTENT, TONE, Finding


class Choices:
    """What was chosen for each overlap, in the form that composition asks for it."""

    def __init__(self, mosaic: Mosaic, findings: Sequence[Finding]) -> None:
        self.mosaic = mosaic
        self.columns = len(mosaic.windows[1])
        self.chosen = {(f.second, f.beside): f.choice for f in findings}

    @property
    def corrects(self) -> bool:
        """Whether there is any tone step."""
        return TONE in self.chosen.values()

    @property
    def cuts(self) -> bool:
        """Whether there is anything to cut."""
        return CONTENT in self.chosen.values()

    def cut_x(self, row: int, column: int) -> bool:
        """Whether the tile at (row, column) is cut against its left neighbour."""
        return self.chosen.get((row * self.columns + column, True)) == CONTENT

    def cut_y(self, row: int) -> torch.Tensor:
        """float32 [W]: how much the overlap of tile row `row` with the one above is cut, changing over as columns do."""
        share = torch.zeros(self.mosaic.size[1], dtype=torch.float64)
        for column, window in enumerate(self.mosaic.windows[1]):
            if self.chosen.get((row * self.columns + column, False)) == CONTENT:
                share[window.start : window.stop] += window.weight
        return share.float()

    def corrected(self, dim: int, row: int, column: int) -> bool:
        """Whether the overlap of the tile with the one before it along `dim` shows a tone step."""
        return self.chosen.get((row * self.columns + column, dim == 1)) == TONE
