"""Each overlap composed the way it needs: feathered, cut, or feathered and corrected.

All of it is blended by windows first. Where that is right, nothing more is done, and the picture is to the last bit
what windows make of it. A picture with content that differs is composed again, cut there and windowed elsewhere; and
where overlaps show a tone step, one gradient correction follows whose jump field is zero but for those.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from ..layout.landing import on_grid
from ..layout.mosaic import Mosaic, laid_out
from .cut_rows import CutRows
from .gradient import correct, correction_rounds
from .over_alpha import over_alpha
from .survey import CONTENT, TONE, OverlapFinding


class Choices:
    """What was chosen for each overlap, in the form that composition asks for it."""

    def __init__(self, mosaic: Mosaic, findings: Sequence[OverlapFinding]) -> None:
        self.mosaic = mosaic
        self.columns = mosaic.layout.counts[1]
        self.chosen = {(f.second, f.beside): f.choice for f in findings}

    @property
    def corrects(self) -> bool:
        """Whether there is any tone step."""
        return TONE in self.chosen.values()

    @property
    def cuts(self) -> bool:
        """Whether there is anything to cut."""
        return CONTENT in self.chosen.values()

    def _at(self, row: int, column: int, beside: bool) -> str | None:
        """What was chosen for the tile that lies at (row, column) of the mosaic."""
        return self.chosen.get((self.mosaic.number(row, column), beside))

    def cut_x(self, row: int, column: int) -> bool:
        """Whether the tile at (row, column) is cut against its left neighbour."""
        return self._at(row, column, True) == CONTENT

    def cut_y(self, row: int) -> torch.Tensor:
        """float32 [W]: how much the overlap of tile row `row` with the one above is cut, changing over as columns do."""
        share = torch.zeros(self.mosaic.size[1], dtype=torch.float64)
        for column, window in enumerate(self.mosaic.windows[1]):
            if self._at(row, column, False) == CONTENT:
                share[window.start : window.stop] += window.weight
        return share.float()

    def corrected(self, dim: int, row: int, column: int) -> bool:
        """Whether the overlap of the tile of the layout with the one before it along `dim` shows a tone step."""
        return self.chosen.get((row * self.columns + column, dim == 1)) == TONE


def mend(
    out: torch.Tensor,
    tiles: Sequence[torch.Tensor],
    mosaic: Mosaic,
    findings: Sequence[OverlapFinding],
    feather: float,
    length: float,
    reference: torch.Tensor | None = None,
) -> None:
    """Cut and correct what was blended by windows, in place, each picture of a batch where its overlaps ask for it.

    Args:
        out: float32 [P, H, W, C], blended by the windows of `mosaic`; the whole canvas of one that was widened.
        tiles: all tiles [P, h, w, C]; gone over once for a picture that is cut, and once a channel for one that is corrected.
        mosaic: the geometry.
        findings: of all overlaps.
        feather: output pixels that detail takes to change over at a cut, 0 takes it from the overlap.
        length, reference: as for `gradient.correct`; every picture takes its tone from a reference.
    """
    for picture in range(out.shape[0]):
        mine = slice(picture, picture + 1)
        choices = Choices(mosaic, [f for f in findings if (f.picture or 0) == picture])

        def parts(mine: slice = mine) -> Iterator[torch.Tensor]:
            return (tile.detach()[mine] for tile in tiles)

        if choices.cuts:
            _cut(out[mine], parts(), mosaic, choices, feather)
        if choices.corrects or reference is not None:
            own = reference if reference is None or reference.shape[0] == 1 else reference[mine]
            correct(mosaic.picture(out[mine]), parts, mosaic, length, own, choices.corrected)


def _cut(out: torch.Tensor, tiles: Iterator[torch.Tensor], mosaic: Mosaic, choices: Choices, feather: float) -> None:
    composer = over_alpha(mosaic, out, lambda target, seen: CutRows(mosaic, target, feather, seen, choices.cut_x, choices.cut_y))
    for tile, row, column in laid_out(tiles, mosaic):
        composer.take(row, column, on_grid(mosaic, tile, row, column))
    composer.finish()


def auto_rounds(findings: Sequence[OverlapFinding], pictures: int, channels: int, reference: bool) -> int:
    """How often the tiles are gone over, at most: once to blend, and as often as `mend` says."""
    by_picture = [{f.choice for f in findings if (f.picture or 0) == picture} for picture in range(pictures)]
    return 1 + sum((CONTENT in chosen) + correction_rounds(1, channels) * (TONE in chosen or reference) for chosen in by_picture)
