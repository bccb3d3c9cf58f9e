"""What the tiles themselves say about a boundary, where their overlap was kept.

Two neighbours show the same scene in their overlap. An edge that both have belongs to the
scene. Where they differ in tone, that difference is the drift the blend had to hide; where
they differ in detail, a blend of both shows it twice (a ghost).

The shift between them is found by phase correlation (C. D. Kuglin, D. C. Hines, "The phase
correlation image alignment method", IEEE Conf. Cybernetics and Society, 1975), to a whole pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import avg_pool2d

from ..layout.grid_layout import GridLayout
from ..layout.landing import on_grid
from ..layout.mosaic import Mosaic
from ..pixels.counted import counted
from .boundaries import Boundary
from .step_filters import SHARP, steps
from .steps import along, opponent
from .surroundings import SEGMENT, levels, luminance

LEAST_JUDGED_OVERLAP = 8
VISIBLE_GHOST = 3.0  # levels of detail seen twice
DISAGREEMENT = 0.7  # of the detail's own height
SURE_SHIFT = 0.15
NOTABLE_DRIFT = 0.5
SAME_STEP = 0.25
CLEAR_DRIFT = 2.0  # levels of lightness; twice as many of colour
SAME_DRIFT = 0.35  # of the drift: nearer than this, the picture shows the one that the tiles have
ALIKE = 0.85  # of the segments must have it
_ALONG_AT_ONCE = 512
_TILES_KEPT = 2


class TilesApart:
    """The tiles of a layout, laid on the picture's own pixel grid one at a time.

    Args:
        tiles: one [B, h, w, C] per tile, in the layout's order, all of one size.
        layout: where they are, in pixels.
        image: the picture that was made of them, [B, H, W, C]; continued by `ends` where it wraps around (`border.py`).
        ends: (y, x) pixels.

    Raises:
        ValueError: where they are not the tiles of that layout and picture.
    """

    def __init__(self, tiles: Sequence[torch.Tensor], layout: GridLayout, image: torch.Tensor, ends: tuple[int, int] = (0, 0)) -> None:
        if len(tiles) != len(layout):
            raise ValueError(
                f"{counted(len(tiles), 'tile')} came and the layout has {len(layout)}: connect the list of tiles that was blended"
            )
        for index, tile in enumerate(tiles):
            if tile.ndim != 4 or tile.shape[1:3] != tiles[0].shape[1:3] or len(tile) != len(image):
                raise ValueError(
                    f"tile {index} is of shape {tuple(tile.shape)} and tile 0 of shape {tuple(tiles[0].shape)}, for {len(image)} "
                    "pictures: all tiles must be alike, one for each picture of the batch"
                )
            if not torch.isfinite(tile.sum(dtype=torch.float64)):
                raise ValueError(f"tile {index} has NaN or Inf in it: look at the node before the blend (fp16 overflow is the usual cause)")
        size = tuple(length - 2 * end for length, end in zip(image.shape[1:3], ends, strict=True))
        self.mosaic = _mosaic(layout, tuple(tiles[0].shape[1:3]), size).widened(tuple((end, end) for end in ends))
        self.tiles, self.image = tiles, image
        self._kept: dict[tuple[int, int], torch.Tensor] = {}
        self._places: dict[int, list[tuple[int, int]]] = {}
        for index, row, column in self.mosaic.visits:
            self._places.setdefault(index, []).append((row, column))

    def _placed(self, index: int, row: int, column: int) -> tuple[torch.Tensor, int, int]:
        """Tile `index` where it lies at (row, column) of the mosaic, on the picture's grid, and where it begins."""
        if (row, column) not in self._kept:
            while len(self._kept) >= _TILES_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[row, column] = on_grid(self.mosaic, self.tiles[index].detach(), row, column).to(self.image.device)
        return self._kept[row, column], self.mosaic.windows[0][row].start, self.mosaic.windows[1][column].start

    def _piece(self, index: int, boundary: Boundary, part: slice, span: tuple[int, int], rows: tuple[int, int]) -> torch.Tensor | None:
        """Tile `index` on columns `span` across and `rows` along, as levels [N, c, rows, columns]; None where it does not reach."""
        ys, xs = self.mosaic.windows
        for row, column in self._places[index]:
            across, along = (xs[column], ys[row]) if boundary.vertical else (ys[row], xs[column])
            if span[0] < across.start or span[1] > across.stop or rows[0] < along.start or rows[1] > along.stop:
                continue
            tile, top, left = self._placed(index, row, column)
            at, start = (left, top) if boundary.vertical else (top, left)
            tile = tile[part] if boundary.vertical else tile[part].transpose(1, 2)
            return levels(tile[:, rows[0] - start : rows[1] - start, span[0] - at : span[1] - at])
        return None

    def pair(self, boundary: Boundary, part: slice) -> Apart | None:
        """What the two tiles of a boundary say, for the pictures `part`; None where they share too little."""
        if boundary.band[1] - boundary.band[0] < LEAST_JUDGED_OVERLAP:
            return None
        rows = (boundary.along[0], min(boundary.along[1], boundary.along[0] + _ALONG_AT_ONCE))
        first, second = (self._piece(index, boundary, part, boundary.band, rows) for index in boundary.tiles)
        if first is None or second is None:
            return None
        image = self.image[part] if boundary.vertical else self.image[part].transpose(1, 2)
        blend = levels(image[:, rows[0] : rows[1], boundary.band[0] : boundary.band[1]])
        natural = {line: self._natural(boundary, part, line) for line in boundary.lines}
        return Apart(first, second, blend, natural)

    def _natural(self, boundary: Boundary, part: slice, line: int) -> torch.Tensor | None:
        """The step [N, planes] that the scene has on `line`, as the tiles that reach over it show it."""
        span = (line - SHARP[0], line + SHARP[0])
        seen = [self._piece(index, boundary, part, span, boundary.along) for index in boundary.tiles]
        found = [_step(piece) for piece in seen if piece is not None]
        if not found:
            return None
        # An edge that only one of the tiles has is no edge of the scene.
        return found[0] if len(found) == 1 else torch.where(found[0].abs() < found[1].abs(), found[0], found[1])


def _mosaic(layout: GridLayout, tile: tuple[int, int], size: tuple[int, int]) -> Mosaic:
    """Where tiles of that size lie on a picture of that size; a scale that was typed need not be the one that the tiles tell."""
    meant = [planned * side / canvas for planned, side, canvas in zip(layout.tile_size, size, layout.canvas, strict=True)]
    # The tiles were rounded or floored to whole pixels, and so was the picture, whose part of a pixel grows with its share in the tile.
    slack = [1.5 + planned / canvas for planned, canvas in zip(layout.tile_size, layout.canvas, strict=True)]
    if any(abs(result - want) > most for result, want, most in zip(tile, meant, slack, strict=True)):
        raise ValueError(
            f"the tiles are {tile[1]} x {tile[0]} and an image of {size[1]} x {size[0]} is made of tiles of about {meant[1]:.0f} x "
            f"{meant[0]:.0f}: connect the tiles that were blended into this picture, or leave tiles unconnected"
        )
    try:
        mosaic = Mosaic(layout, tile, "average")
    except ValueError:
        return Mosaic(layout, tile, "average", size=size)
    return mosaic if mosaic.size == size else Mosaic(layout, tile, "average", size=size)


def _step(piece: torch.Tensor) -> torch.Tensor:
    n, c, rows, columns = piece.shape
    each = min(SEGMENT, rows)
    mean = piece[:, :, : rows // each * each].reshape(n, c, -1, each, columns).mean(3)
    return along(steps(opponent(mean), SHARP))[..., SHARP[0]]


class Apart:
    """How far two tiles are apart in their overlap, of N pictures.

    Args:
        first, second, blend: levels [N, c, rows, columns] of both tiles and of the picture.
        natural: per line, the scene's own step [N, planes].

    Attributes:
        drift: [N, c], second minus first, in levels.
        tone: [N, planes], the same as lightness and colour.
        clear: bool [N, planes], whether it is large, and alike along the boundary.
        shown: [N, planes], the share of it by which the picture changes from one end of the overlap to the other.
        ghost: [N], levels of detail that the picture shows twice.
        ghostly: bool [N], whether that is enough to be seen.
        shift: per picture (across, along) in whole pixels, None where it cannot be told.
    """

    def __init__(self, first: torch.Tensor, second: torch.Tensor, blend: torch.Tensor, natural: dict[int, torch.Tensor | None]) -> None:
        self.natural = natural
        self.drift = (second - first).mean((2, 3))
        self.tone, self.clear, self.shown = _tones(first, second, blend)
        one, two, mixed = (luminance(pixels) for pixels in (first, second, blend))
        self.ghost, self.ghostly = _ghost(*(_detail(pixels) for pixels in (one, two, mixed)))
        self.shift = _shifts(one, two)

    def explains(self, picture: int, line: int, step: torch.Tensor) -> bool | None:
        """Whether the scene itself has the `step` [planes] on that line; None where no tile reaches over it."""
        own = self.natural[line]
        if own is None:
            return None
        return bool((step - own[picture]).abs().max() < max(0.5, SAME_STEP * float(step.abs().max())))

    def _hidden(self, picture: int) -> str:
        """Whether the picture shows a clear drift of the tiles, in words; empty where it does, or where there is none."""
        clear = self.clear[picture]
        if not bool(clear.any()):
            return ""
        most = float(self.shown[picture][clear].abs().max())
        if most < SAME_DRIFT:
            return ", and the blend hides it"
        return f", and the blend hides {100 * (1 - most):.0f} % of it" if most < 1 - SAME_DRIFT else ""

    def seen(self, picture: int, sizes: list[float] | None) -> int | None:
        """The plane in which the picture shows the tiles' own drift; None where it does not.

        Args:
            picture: its number.
            sizes: the change over the overlap per plane as the picture itself shows it, None where that is not known.
        """
        found = None
        for plane, (tone, clear, shown) in enumerate(
            zip(self.tone[picture].tolist(), self.clear[picture].tolist(), self.shown[picture].tolist(), strict=True)
        ):
            same = abs(shown - 1) < SAME_DRIFT or (sizes is not None and abs(sizes[plane] - tone) < SAME_DRIFT * abs(tone))
            if clear and same and (found is None or abs(tone) > abs(float(self.tone[picture, found]))):
                found = plane
        return found

    def note(self, picture: int) -> str:
        """What a person wants to know of these two tiles; empty where they agree."""
        words = []
        drift = self.drift[picture]
        if float(drift.abs().max()) > NOTABLE_DRIFT:
            words.append("tiles differ by " + "/".join(f"{value:+.1f}" for value in drift.tolist()) + " levels" + self._hidden(picture))
        if self.shift[picture] not in (None, (0, 0)):
            words.append(f"tiles shifted by {self.shift[picture][0]:+d} px across, {self.shift[picture][1]:+d} px along")
        if float(self.ghost[picture]) > 1:
            words.append(f"ghost {float(self.ghost[picture]):.1f} levels")
        return ", ".join(words)


def _tones(first: torch.Tensor, second: torch.Tensor, blend: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(tone, clear, shown) of `Apart`. The picture less the first tile is free of the scene: what changes there is tone."""
    apart = opponent((second - first).mean(3))  # [N, planes, rows]
    tone = apart.mean(2)
    each = max(1, min(SEGMENT, apart.shape[2]))
    pieces = apart[..., : apart.shape[2] // each * each].unflatten(2, (-1, each)).mean(3)
    least = tone.new_tensor([CLEAR_DRIFT, 2 * CLEAR_DRIFT, 2 * CLEAR_DRIFT][: tone.shape[1]])  # the eye sees colour less
    alike = ((pieces - tone[..., None]).abs() < tone[..., None].abs() / 2).float().mean(2) >= ALIKE
    end = max(1, blend.shape[3] // 8)
    added = opponent((blend - first).mean(2))  # [N, planes, columns]
    change = added[..., -end:].mean(-1) - added[..., :end].mean(-1)
    safe = torch.where(tone.abs() > 1e-3, tone, torch.ones_like(tone))
    return tone, (tone.abs() > least) & alike, change / safe


def _detail(light: torch.Tensor) -> torch.Tensor:
    """[N, h, w] between grain and tone: what an eye follows as texture and edges."""
    planes = light[:, None]
    return (avg_pool2d(planes, 3, 1, 1, count_include_pad=False) - avg_pool2d(planes, 11, 1, 5, count_include_pad=False))[:, 0]


def _ghost(one: torch.Tensor, two: torch.Tensor, mixed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Levels of detail seen twice, [N], and whether that is enough to be seen.

    Per column the picture's share w of the first tile is fitted; what is seen twice is the
    tiles' difference times 2 min(w, 1 - w), which is nothing where the picture shows one tile only.
    Where the share changes along the column, as beside a cut that wanders, w is no place's own: of shares s with mean w
    and variance v, w (1 - w) - v is the mean of s (1 - s). The fit leaves over v times the difference squared, and whatever
    grain came after the blend, which does not grow with the difference: v is the slope of one over the other.
    """
    apart = one - two
    energy = apart.square().mean(1)
    share = ((mixed - two) * apart).mean(1) / energy.clamp_min(1e-6)
    residue, power = (mixed - two - share[:, None] * apart).square(), apart.square()
    left_over = residue.mean(1)
    spread = power - energy[:, None]
    variance = ((residue - left_over[:, None]) * spread).mean(1) / spread.square().mean(1).clamp_min(1e-6)
    mixed_share = (share * (1 - share) - variance.clamp_min(0)).clamp(0, 0.25)
    twice = 1 - (1 - 4 * mixed_share).sqrt()
    twice = torch.where(left_over < 0.25 * energy, twice, 0.0)  # changed after the blend: nothing can be said
    ghost = (twice * energy.sqrt()).mean(-1)
    own = ((one.square() + two.square()) / 2).mean((1, 2)).sqrt()
    return ghost, (ghost > VISIBLE_GHOST) & (energy.mean(-1).sqrt() > DISAGREEMENT * own)


def _shifts(one: torch.Tensor, two: torch.Tensor) -> list[tuple[int, int] | None]:
    rows, columns = one.shape[1:]
    window = torch.hann_window(rows, device=one.device)[:, None] * torch.hann_window(columns, device=one.device)
    spectra = [torch.fft.rfft2((light - light.mean((1, 2), keepdim=True)) * window) for light in (one, two)]
    cross = spectra[1] * spectra[0].conj()
    peaks = torch.fft.irfft2(cross / cross.abs().clamp_min(1e-3), s=(rows, columns)).flatten(1)
    found = []
    for height, at in zip(*(part.tolist() for part in peaks.max(-1)), strict=True):
        y, x = divmod(at, columns)
        shift = (x - columns if x > columns // 2 else x, y - rows if y > rows // 2 else y)
        found.append(shift if height > SURE_SHIFT else None)
    return found
