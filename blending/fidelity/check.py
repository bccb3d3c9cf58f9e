"""Whether a result still shows what its source shows: what it changed beyond resolution, and where.

Both pictures are brought to one grid, that of the smaller, and the result is registered. Tone, structure, fine detail and
place are then compared block by block. A network that repaints does so everywhere: that is told as its profile, and a single
place is blamed where it was changed by more than the same result changes places of like content.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from ..layout.grid_layout import GridLayout
from ..pixels.counted import counted
from ..pixels.picture import check_finite, check_pixels
from ..seam_check.boundaries import check_size
from .cell_sums import CELL, CellSums, cell_sums
from .measures import BLOCK, FINE_NAME, SHIFT, STRUCTURE_NAME, TONE, Measured, measured, shift_measured
from .one_grid import OneGrid
from .places import found_places
from .profile import Profile, profile_of
from .register import registered, spread_blocks
from .report import TILE_TONE, TOLERANCE, FidelityReport, Place, TileRow
from .tile_steps import tile_steps

LEAST_CELLS = 2
MOST_TONE = 15.0  # Delta-E 2000: networks that repaint move the tone of the whole by less
MOST_SEVERE = 100.0  # of a result that is another picture


def check_fidelity(
    image: torch.Tensor,
    reference: torch.Tensor,
    layout: GridLayout | None = None,
    tolerance: float = TOLERANCE,
    align: bool = True,
    watch: Callable[[int, int], None] | None = None,
) -> FidelityReport:
    """Look for what `image` changed of `reference` beyond resolution.

        >>> source = torch.rand(1, 96, 96, 3, generator=torch.Generator().manual_seed(1))
        >>> check_fidelity(source, source).passed
        True

    Args:
        image: floating point [B, H, W, C], C = 1, 3 or 4, about 0..1: the result. RGBA is looked at as it is seen on grey.
        reference: [1 or B, h, w, C], what it was made from, at any size of the same shape.
        layout: the grid of the tiles, if it was made in tiles: each tile's tone is then judged against its neighbours.
        tolerance: the severity up to which a place passes, above 0; 1 is as measured, 2 lets twice as much pass.
        align: whether a shift or stretch of the whole result is taken out first.
        watch: called with (done, total) rows; may raise to stop.

    Returns:
        the report. Beside the pictures about two planes of the smaller picture's size are held, plus a million pixels' work.

    Raises:
        ValueError: for a size, batch or tolerance that does not fit, and for NaN or Inf.
    """
    image, reference = check_pixels(image, "image"), check_pixels(reference, "reference")
    for name, pixels in (("image", image), ("reference", reference)):
        for picture in pixels:
            check_finite(picture, name)
    if not math.isfinite(tolerance) or tolerance <= 0:
        raise ValueError(f"tolerance {tolerance} is not a severity: use a number above 0, for example 1")
    if len(reference) not in (1, len(image)):
        raise ValueError(
            f"reference has {counted(len(reference), 'picture')} and image {len(image)}: connect one reference, or one per picture"
        )
    if layout is not None:
        layout = layout.in_pixels()
        check_size(*image.shape[1:3], layout)
    found = []
    for index in range(len(image)):
        before = reference[index % len(reference)][None]
        report_rows = None if watch is None else _part_of(watch, index, len(image))
        found.append(_check_one(index, OneGrid(image[index : index + 1], before), layout, tolerance, align, report_rows))
    places = sorted((place for one in found for place in one[0]), key=lambda place: -place.severity)
    if any(place.fails for place in places):
        places = [place for place in places if place.fails]
    tiles = sorted((tile for one in found for tile in one[1]), key=lambda tile: (-tile.severity, tile.picture, tile.tile))
    profiles, maps, sizes = (tuple(one[k] for one in found) for k in (2, 3, 4))
    return FidelityReport(tuple(places), tuple(tiles), profiles, maps, sizes, float(tolerance))


def _part_of(watch: Callable[[int, int], None], index: int, count: int) -> Callable[[int, int], None]:
    return lambda done, total: watch(index * total + done, count * total)


def _check_one(
    picture: int,
    grid: OneGrid,
    layout: GridLayout | None,
    tolerance: float,
    align: bool,
    watch: Callable[[int, int], None] | None,
) -> tuple[list[Place], list[TileRow], Profile, dict[str, torch.Tensor], tuple[int, int]]:
    if min(grid.size) < LEAST_CELLS * CELL:
        return [], [], Profile(), {}, grid.size
    blocks = spread_blocks(grid)
    if blocks is not None and align:
        grid.registration = registered(blocks, grid.size)
    sums = cell_sums(grid, watch)
    measures, gains = measured(sums)
    shape = tuple(measures[TONE].severity.shape)
    if blocks is None:
        nothing = torch.zeros(shape, dtype=torch.float64)
        measures[SHIFT] = Measured(nothing, nothing, nothing)
    else:
        measures[SHIFT] = shift_measured(blocks.at, blocks.side, blocks.off(grid.registration), blocks.shifts.sure, shape)
    measures = {name: one._replace(severity=one.severity * _there(grid, shape)) for name, one in measures.items()}
    profile = profile_of(sums, gains, grid.registration, align)
    maps = {name: one.severity.float() for name, one in measures.items()}
    if profile.another_picture:
        height, width = grid.size
        whole = Place(picture, (0, 0, height, width), (height // 2, width // 2), STRUCTURE_NAME, MOST_SEVERE, "another picture", True)
        return [whole], [], profile, maps, grid.size
    places = found_places(picture, grid, measures, tolerance)
    if profile.tone[0] > MOST_TONE * tolerance:
        height, width = grid.size
        what = f"tone of the whole moved by Delta-E {profile.tone[0]:.1f}"
        places.append(Place(picture, (0, 0, height, width), (height // 2, width // 2), TONE, profile.tone[0] / MOST_TONE, what, True))
    tiles = [] if layout is None else _tiles(picture, sums, layout, grid.size, maps, tolerance)
    places += [_place_of(tile, layout, grid.size) for tile in tiles if tile.by_step > tolerance]
    return places, tiles, profile, maps, grid.size


def _there(grid: OneGrid, shape: tuple[int, int]) -> torch.Tensor:
    """0 at the places for which the registered result has no pixels, else 1; float64 of `shape`."""
    lines = []
    for dim, length in enumerate(grid.size):
        first = torch.arange(shape[dim], dtype=torch.float64) * CELL
        low, high = grid.registration.at(dim, first), grid.registration.at(dim, (first + BLOCK * CELL).clamp_max(length) - 1)
        lines.append(((low >= -0.5) & (high <= length - 0.5)).double())
    return lines[0][:, None] * lines[1]


def _tiles(
    picture: int, sums: CellSums, layout: GridLayout, size: tuple[int, int], maps: dict[str, torch.Tensor], tolerance: float
) -> list[TileRow]:
    steps = tile_steps(sums, layout, size)
    rows = []
    for index in range(len(layout.tiles)):
        y, x, height, width = _box(layout, index, size)
        cells = (slice(y // CELL, max((y + height) // CELL, y // CELL + 1)), slice(x // CELL, max((x + width) // CELL, x // CELL + 1)))
        parts = [maps[name][cells] for name in (TONE, STRUCTURE_NAME, FINE_NAME, SHIFT)]
        severities = tuple(float(part.max()) if part.numel() else 0.0 for part in parts)
        by_step = steps.severity(index)
        severity = max(*severities, by_step)
        rows.append(TileRow(picture, index, severities, steps.steps.get(index), by_step, severity, severity > tolerance))
    return rows


def _box(layout: GridLayout, index: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of tile `index` that lies on the canvas, in pixels of the grid."""
    tile, ends = layout.tiles[index], []
    for dim in (0, 1):
        factor = size[dim] / layout.canvas[dim]
        ends.append((round(tile[dim] * factor), round(min(tile[dim] + tile[2 + dim], layout.canvas[dim]) * factor)))
    return ends[0][0], ends[1][0], ends[0][1] - ends[0][0], ends[1][1] - ends[1][0]


def _place_of(tile: TileRow, layout: GridLayout, size: tuple[int, int]) -> Place:
    box = _box(layout, tile.tile, size)
    what = f"tile {tile.tile} {'lighter' if tile.step > 0 else 'darker'} than its neighbours by {abs(tile.step):.1f} levels"
    peak = (box[0] + box[2] // 2, box[1] + box[3] // 2)
    return Place(tile.picture, box, peak, TILE_TONE, tile.by_step, what, True)
