"""Putting tiles together into one picture: the one entry for every method.

The window methods, the cut and the bands stream: tiles arrive one at a time, row by row, and
are let go as soon as they are blended in. Held at a time: the output, one tile, and the rows in
which two tile rows overlap (`rows.py`; with alpha one tile row of colour beside them for windows,
seven planes [H, W] for cut and bands). Auto is windows, and one tile more, where nothing is wrong. The gradient, and auto
where it cuts or corrects, go over the tiles several times; a correction holds two planes more, five with alpha. What confidence
holds is said in `confidence.py`.

A layout that wraps around keeps all tiles, and lays those that reach over a joined end twice. Cut and auto hold a canvas of
their own then where top and bottom are joined, higher than the picture by one tile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, Protocol

import torch

from ..layout.checked_tiles import CheckedTiles, size_in_words
from ..layout.grid import MAX_LENGTH
from ..layout.grid_layout import GridLayout
from ..layout.landing import on_grid
from ..layout.mosaic import Mosaic, laid_out
from ..pixels.memory import empty
from .auto import mend
from .bands import LEAST_BAND_OVERLAP, Bands, band_count, over_the_border, smallest_overlap
from .confidence import weigh
from .cut_rows import LEAST_CUT_OVERLAP, CutRows, whole_rows
from .gradient import check_reference, correct
from .methods import AUTO, BANDS, COMPOSERS, CONFIDENCE, CUT, GRADIENT, WINDOWED, method_named
from .over_alpha import by_windows, over_alpha
from .survey import OverlapFinding, Survey

LEAST_LENGTH = 1e-3


class Composer(Protocol):
    """Takes tiles in and leaves a picture."""

    def take(self, row: int, column: int, pixels: torch.Tensor, look: Callable[[int], None] | None = None) -> None:
        """Take in the tile at (row, column), in row order: `pixels` [P, h, w, C] of exactly the windows' size.

        `look` may be told, now and then, how many rows of them are in.
        """

    def finish(self) -> None:
        """All tiles are in: leave the finished picture."""


def compose(
    tiles: Iterable[torch.Tensor],
    layout: GridLayout,
    method: str = "hann",
    trim: int = 0,
    scale: float | Fraction = 0,
    **more: Any,
) -> torch.Tensor:
    """Blend tiles into one picture.

        >>> layout = TileLayout.grid(96, 96, 64, 64, overlap=16)
        >>> bool((compose(cut(torch.ones(1, 96, 96, 3), layout), layout) == 1).all())
        True

    Args:
        tiles: floating point [P, h, w, C], in the layout's order. An iterator is enough for all methods but "gradient",
            "auto" and "confidence", which go over them again and keep them; the others let each go before they ask for the next.
            P is whatever is blended alike: the pictures of a batch, or the channels of a latent with C = 1.
            C = 4 is RGBA, whose colour is weighted by alpha (`over_alpha.py`).
        layout: where they belong.
        method: one of METHODS.
        trim: source pixels to disregard at sides that face a neighbour: the receptive radius of the model in between.
        scale: output pixels per source pixel; 0 takes it from the tiles.
        more: as for `compose_on`.

    Returns:
        float32 [P, H, W, C], whatever the tiles' dtype; round(size * scale) per side.

    Raises:
        ValueError: for tiles that are missing, too many, of different sizes, not finite or of another layout,
            and for a method, trim, scale, feather, reference or `out` that does not fit.
    """
    chosen = method_named(method)
    checked = CheckedTiles(tiles if isinstance(tiles, Sequence) or not chosen.again else list(tiles), layout)
    mosaic = Mosaic(layout, checked.size(), chosen.window, trim, scale)
    return compose_on(checked, mosaic, chosen.composer, **more)


def compose_on(
    tiles: Iterable[torch.Tensor],
    mosaic: Mosaic,
    composer: str = WINDOWED,
    *,
    out: torch.Tensor | None = None,
    device: torch.device | str | None = None,
    cut_feather: float = 0,
    reference_scale: float = 0,
    reference: torch.Tensor | None = None,
    tell: Callable[[Sequence[OverlapFinding] | Sequence[str]], None] | None = None,
) -> torch.Tensor:
    """Blend tiles into one picture, where the caller has worked out the geometry: layout, window, trim and scale are the mosaic's.

    Args:
        tiles: as for `compose`.
        mosaic: the geometry.
        composer: what is done beside the mosaic's windows: one of COMPOSERS of `methods.py`.
        out: float32 [P, H, W, C] to write to; made here where None.
        device: where to make it; the first tile's device where None.
        cut_feather: source pixels that detail takes to change over at a cut; 0 takes it from the overlap.
        reference_scale: source pixels; GRADIENT and AUTO keep structure longer than this from the reference, or from the
            windowed blend where there is none. 0 is the longer side of the tile.
        reference: [P or 1, h, w, C'] of the same scene, any size, for GRADIENT and AUTO.
        tell: is given what AUTO found at every overlap, before it cuts or corrects anything; and lines of what CONFIDENCE did.

    Raises:
        ValueError: as `compose` does.
    """
    if composer == BANDS and (smallest_overlap(mosaic) or 0) < LEAST_BAND_OVERLAP:
        composer = WINDOWED
    if composer not in COMPOSERS:
        raise ValueError(f"composer {composer!r} is not known: use one of {', '.join(COMPOSERS)}")
    if composer in (GRADIENT, AUTO, CONFIDENCE) and not isinstance(tiles, Sequence | CheckedTiles):
        tiles = list(tiles)  # they are gone over again
    checked = tiles if isinstance(tiles, CheckedTiles) else CheckedTiles(tiles, mosaic.layout)
    feather, length = _feather(cut_feather, composer, mosaic), _length(reference_scale, mosaic)
    laid = _laid(composer, mosaic)
    taker = None
    for tile, row, column in laid_out(checked, laid):
        if taker is None:
            if mosaic.tile_size != tuple(tile.shape[1:3]):
                raise ValueError(f"the tiles are {size_in_words(tile.shape)} and the composition was planned for {mosaic.tile_size}")
            shape = (tile.shape[0], *mosaic.size, tile.shape[3])
            check_reference(reference, shape)
            reference = None if reference is None else reference.detach()
            out = _output(out, shape, device or tile.device)
            # Bands are cropped as they are added up, and need no canvas of their own.
            canvas = out if composer == BANDS or laid.size == mosaic.size else empty((shape[0], *laid.size, shape[3]), device=out.device)
            taker = _composer(composer, mosaic, laid, canvas, feather)
        taker.take(row, column, on_grid(laid, tile, row, column), checked.look if laid.exact else None)
    taker.finish()
    if composer == GRADIENT:
        correct(out, lambda: checked.tiles, mosaic, length, reference)
    elif composer == AUTO:
        if tell is not None:
            tell(taker.findings)
        mend(canvas, checked.tiles, laid, taker.findings, feather, length, reference)
    elif composer == CONFIDENCE:
        trust = weigh(out, checked.tiles, mosaic)
        if tell is not None:
            tell(trust.report())
    if canvas is not out:
        out.copy_(laid.picture(canvas))
    return out


def _laid(composer: str, mosaic: Mosaic) -> Mosaic:
    """The geometry that the composer works on: of a layout that wraps around some go over the joined end and are cropped."""
    if composer == BANDS:
        return over_the_border(mosaic)
    return whole_rows(mosaic) if composer in (CUT, AUTO) else mosaic


def _composer(composer: str, mosaic: Mosaic, laid: Mosaic, out: torch.Tensor, feather: float) -> Composer:
    """What takes the tiles in, by the rows and columns of `laid`, and leaves the picture in `out`."""
    if composer == BANDS:
        return over_alpha(mosaic, out, lambda target, _: Bands(laid, target, band_count(smallest_overlap(mosaic))))
    if composer == CUT:
        return over_alpha(laid, out, lambda target, seen: CutRows(laid, target, feather, seen))
    if composer == AUTO:
        return Survey(laid, out)
    return by_windows(mosaic, out)


def _feather(cut_feather: float, composer: str, mosaic: Mosaic) -> float:
    """`cut_feather` in output pixels, or ValueError."""
    if not 0 <= cut_feather < math.inf:
        raise ValueError(f"cut_feather {cut_feather} is not a width: use 0 to take it from the overlap, or a few pixels, for example 8")
    feather, overlap = cut_feather * float(mosaic.scale), smallest_overlap(mosaic)
    if composer in (CUT, AUTO) and feather and overlap is not None and feather > max(overlap - 2, 0):
        if overlap < LEAST_CUT_OVERLAP:
            raise ValueError(f"cut_feather {cut_feather:g} has no overlap to lie in: split with an overlap of 16 or more, or set it to 0")
        raise ValueError(
            f"cut_feather {cut_feather:g} does not fit into the overlap: at scale {float(mosaic.scale):g} it is {feather:g} px and the "
            f"smallest overlap {overlap} px; use 0 to take it from the overlap, or split with more overlap"
        )
    return feather


def _length(reference_scale: float, mosaic: Mosaic) -> float:
    """`reference_scale` in output pixels, or ValueError."""
    if not (reference_scale == 0 or LEAST_LENGTH <= reference_scale <= MAX_LENGTH):
        raise ValueError(
            f"reference_scale {reference_scale} is not a length: use 0 for the tile's size, or {LEAST_LENGTH:g} to {MAX_LENGTH} pixels"
        )
    return (reference_scale or max(mosaic.layout.tile_size)) * float(mosaic.scale)


def _output(out: torch.Tensor | None, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    if out is None:
        return empty(shape, device=device)
    if tuple(out.shape) != shape or out.dtype != torch.float32 or not out.is_contiguous():
        raise ValueError(f"the output buffer is {out.dtype} of shape {tuple(out.shape)}: expected contiguous float32 of shape {shape}")
    return out
