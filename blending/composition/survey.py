"""What kind of disagreement each overlap shows, and what is the right way to hide it.

equal      the tiles agree, or differ where windows hide it: windows are the best there is.
tone step  the same detail on another level: a window spreads the step, a gradient correction takes it away.
content    other detail (another texture, or the same one shifted): a mean of both would be blurred or doubled, so cut.

Looked at while the tiles are blended by windows, when both sides of an overlap are at hand and in the processor's cache.
What counts how much is said in `overlap_weights.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch

from ..layout.checked_tiles import CheckedTiles
from ..layout.landing import on_grid
from ..layout.mosaic import Mosaic, laid_out
from ..pixels.cell_means import cell_means
from ..pixels.memory import empty
from .over_alpha import by_windows
from .overlap_weights import OverlapWeights, Weights

EQUAL, TONE, CONTENT = "feather", "gradient", "cut"

# A difference that nobody sees: half a level of 255 for tone (a whole one where it comes and goes along the overlap, as
# what a model makes of single objects does), two for fine detail, which an eye forgives.
TONE_SEEN = 0.5 / 255
DETAIL_SEEN = 2 / 255
# Independent details differ by as much as both have together; a shift of half a wavelength by as much.
DETAIL_SHARE = 0.25
# Values of an overlap that tell tone, and whether detail differs at all; where there are more, one row in two, three or
# four is looked at.
_ENOUGH = 1 << 15
_SPARSE = 4


class OverlapFinding(NamedTuple):
    """What one overlap showed.

    Attributes:
        first, second: the tiles, counted from 0.
        beside: whether they lie side by side, else one above the other.
        choice: "feather", "gradient" or "cut".
        tone: the tone step that windows would make a slope of, second less first, of the channel where it is largest, 0..1.
        detail: rms difference of fine detail, 0..1; of all there is, where that is too small to be seen.
        unlike: that as a share of what independent details would show, 0 (the same) to about 1 (unrelated).
        picture: which of a batch; None where there is one.
    """

    first: int
    second: int
    beside: bool
    choice: str
    tone: float
    detail: float
    unlike: float
    picture: int | None = None

    def __str__(self) -> str:
        tone, detail = abs(self.tone) * 255, self.detail * 255
        why = {
            EQUAL: f"they agree (tone {tone:.1f}, detail {detail:.1f} of 255)",
            TONE: f"same detail, {tone:.1f} of 255 apart in tone",
            CONTENT: f"detail differs by {detail:.1f} of 255, {100 * min(self.unlike, 1):.0f} % of what unrelated pictures would",
        }[self.choice]
        whose = "" if self.picture is None else f"picture {self.picture}, "
        return f"{whose}tiles {self.first}|{self.second}: {self.choice}, {why}"


@lru_cache(maxsize=32)
def _blur(count: int) -> torch.Tensor:
    """float32 [count, count]: a blur of `count` cells by (1 4 6 4 1) / 16, twice, the ends repeated."""
    kernel = torch.zeros(count, count)
    for step, weight in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True):
        at = (torch.arange(count) + step).clamp(0, count - 1)
        kernel.index_put_((torch.arange(count), at), torch.tensor(weight / 16), accumulate=True)
    return kernel @ kernel


def _fine_power(pixels: torch.Tensor, weights: Weights) -> float:
    """The mean power of what is fine in [h, w, C] against an eighth of its shorter side.

    That is what is left when means over cells are taken off, and what is left of those when they are blurred.
    """
    cell = max(1, min(pixels.shape[:2]) // 8)
    rows, columns = (side // cell for side in pixels.shape[:2])
    pixels = pixels[None, : rows * cell, : columns * cell]
    means, squares = cell_means(pixels, cell)[0], cell_means(pixels.square(), cell)[0]
    slow = _blur(columns).to(means) @ (_blur(rows).to(means) @ means.flatten(1)).view(means.shape)
    within = (squares - means.square()).clamp_min_(0)
    return weights.over_cells(cell).mean(within + (means - slow).square_())


def _tone(difference: torch.Tensor, weights: Weights) -> tuple[float, float]:
    """The tone step in a difference [h, w, C] of two tiles: its mean, and its rms along the overlap.

    Of the channel where each is largest. Along the overlap it is averaged over pieces.
    """
    across, pieces = weights[weights.across].to(difference), weights.pieces.to(difference)
    if weights.across == 0:
        sums = pieces @ (across @ difference.flatten(1)).view(difference.shape[1:])
    else:
        sums = across @ (pieces @ difference.flatten(1)).view(len(pieces), *difference.shape[1:])
    shares, mean = pieces.sum(1, keepdim=True), sums.sum(0)
    return float(mean[mean.abs().argmax()]), float((sums.square() / shares).sum(0).max().sqrt())


def _examine(first: torch.Tensor, second: torch.Tensor, weights: Callable[[int], Weights]) -> tuple[str, float, float, float]:
    """Compare two tiles [h, w, C] where they overlap.

    Args:
        first, second: the same place in both.
        weights: step -> those of one row in `step`.

    Returns:
        (choice, tone, detail, unlike) as in `OverlapFinding`.
    """
    step = max(1, min(first.numel() // _ENOUGH, _SPARSE))
    glance = _difference(first[::step], second[::step])
    flat = glance.flatten()
    power = float(flat.dot(flat)) / flat.numel()
    if not TONE_SEEN**2 < power * glance.shape[2] < math.inf:  # no difference, or one that is beyond all pictures
        return EQUAL, 0.0, power**0.5, 0.0
    some = weights(step)
    tone, strength = _tone(glance[..., :3], some)
    detail, unlike = some.mean(glance.square()) ** 0.5, 0.0
    if detail > DETAIL_SEEN:
        detail = _fine_power(_difference(first, second), weights(1)) ** 0.5
    if detail > DETAIL_SEEN:
        both = sum(_fine_power(_seen(tile), weights(1)) for tile in (first, second))
        unlike = detail**2 / both if both > 0 else 0.0
    if unlike > DETAIL_SHARE:
        return CONTENT, tone, detail, unlike
    seen = abs(tone) > TONE_SEEN or strength > 2 * TONE_SEEN
    return (TONE if seen else EQUAL), tone, detail, unlike


def _difference(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Of two tiles [h, w, C]: what cannot be seen cannot differ."""
    first, second = first.float(), second.float()
    difference = second - first
    if first.shape[2] == 4:
        difference[..., :3] *= torch.minimum(first[..., 3:], second[..., 3:]).clamp_min_(0)
    return difference


def _seen(tile: torch.Tensor) -> torch.Tensor:
    """A tile [h, w, C] as it can be seen: colour times alpha, and alpha."""
    tile = tile.float()
    return tile if tile.shape[2] != 4 else torch.cat((tile[..., :3] * tile[..., 3:], tile[..., 3:]), 2)


class Overlaps:
    """Looks at overlaps as they come up, and keeps what it finds.

    Attributes:
        findings: so far.
    """

    def __init__(self, mosaic: Mosaic, channels: int) -> None:
        self.mosaic, self.windows, self.channels = mosaic, mosaic.windows, channels
        self.columns = list(mosaic.windows[1])
        for column, whole in zip(mosaic.own[1], mosaic.around().windows[1], strict=True):
            self.columns[column] = whole
        self.weights = OverlapWeights(mosaic, self.columns)
        self.findings: list[OverlapFinding] = []

    def beside(self, row: int, column: int, last: torch.Tensor, pixels: torch.Tensor) -> None:
        """The tile at (row, column), `pixels` [P, h, w, C], comes to lie beside `last`."""
        if row not in self.mosaic.own[0] or column not in self.mosaic.own[1]:
            return  # it is there a second time, whole
        at = self.windows[1][column]
        self._examine(row, column, last[:, :, at.start - self.windows[1][column - 1].start :], pixels[:, :, : at.fresh], True)

    def above(self, row: int, before: torch.Tensor, fresh: torch.Tensor) -> None:
        """Row `row` of tiles, `fresh` [P, n, W * C], comes to lie on those above it."""
        if row not in self.mosaic.own[0]:
            return
        before, fresh = (part.unflatten(2, (-1, self.channels)) for part in (before, fresh))
        size = self.mosaic.size[1]
        for column in self.mosaic.own[1]:
            window = self.columns[column]
            sides = [part[:, :, window.start : window.stop] for part in (before, fresh)]
            if window.stop > size:  # it goes on at the beginning
                sides = [torch.cat((side, part[:, :, : window.stop - size]), 2) for side, part in zip(sides, (before, fresh), strict=True)]
            self._examine(row, column, *sides, False)

    def _examine(self, row: int, column: int, first: torch.Tensor, second: torch.Tensor, beside: bool) -> None:
        if not second.numel():
            return
        in_row, (ys, xs) = self.mosaic.layout.counts[1], self.mosaic.sources
        tile = ys[row] * in_row + xs[column]
        other = ys[row] * in_row + xs[column - 1] if beside else ys[row - 1] * in_row + xs[column]
        for picture, pair in enumerate(zip(first, second, strict=True)):
            found = _examine(*pair, lambda step: self.weights.of(row, column, beside, step))
            self.findings.append(OverlapFinding(other, tile, beside, *found, picture if len(first) > 1 else None))


class Survey:
    """Blends tiles by windows, and looks at every overlap on the way; same protocol as `RowBlend`.

    Holds the last tile beside what the blend holds.
    """

    def __init__(self, mosaic: Mosaic, out: torch.Tensor) -> None:
        self.overlaps = Overlaps(mosaic, out.shape[3])
        self.inner = by_windows(mosaic, out, self.overlaps.above)
        self.last = out[:, :0]

    def take(self, row: int, column: int, pixels: torch.Tensor, look: Callable[[int], None] | None = None) -> None:
        """Take in the tile at (row, column): `pixels` [P, h, w, C] of exactly the windows' size."""
        if column:
            self.overlaps.beside(row, column, self.last, pixels)
        self.last = pixels
        self.inner.take(row, column, pixels, look)

    def finish(self) -> None:
        """All tiles are in."""
        self.inner.finish()

    @property
    def findings(self) -> list[OverlapFinding]:
        """Of every overlap, in the order of the second tile."""
        return sorted(self.overlaps.findings, key=lambda f: (f.second, not f.beside, f.picture or 0))


def survey(tiles: Sequence[torch.Tensor], mosaic: Mosaic) -> list[OverlapFinding]:
    """Examine every overlap of neighbouring tiles of the grid, in the order of the second tile.

    Args:
        tiles: all tiles [P, h, w, C], in the layout's order.
        mosaic: the geometry.

    Raises:
        ValueError: for tiles that are missing, odd or broken.
    """
    looking = None
    for tile, row, column in laid_out(CheckedTiles(tiles, mosaic.layout), mosaic):
        looking = looking or Survey(mosaic, empty((tile.shape[0], *mosaic.size, tile.shape[3]), device=tile.device))
        looking.take(row, column, on_grid(mosaic, tile, row, column))
    looking.finish()
    return looking.findings


def summary(findings: Sequence[OverlapFinding]) -> list[str]:
    """A line for each kind that was found, with the case that shows it best."""
    if not findings:
        return ["no overlaps: nothing to decide"]
    lines = ["all overlaps agree: the same as hann"] if all(f.choice == EQUAL for f in findings) else []
    for choice, strength in ((EQUAL, "tone"), (TONE, "tone"), (CONTENT, "detail")):
        of_kind = [f for f in findings if f.choice == choice]
        if of_kind:
            worst = max(of_kind, key=lambda f: abs(getattr(f, strength)))
            lines.append(f"{len(of_kind)} x {choice}; strongest: {worst}")
    return lines
