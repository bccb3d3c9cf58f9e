"""What the overlays of web/js/tile_overlay.js are drawn from: plain JSON, under keys of our own."""

from __future__ import annotations

from typing import Any

from ..blending.layout.grid_layout import places_record
from ..blending.layout.region_layout import RegionLayout
from ..blending.layout.tile_layout import TileLayout
from ..blending.seam_check.report import COLUMNS, SeamReport

LAYOUT_KEY = "tilework_layout"
SEAMS_KEY = "tilework_seams"
NOTE_KEY = "tilework_note"
BANDS_KEY = "tilework_bands"
RECORD_VERSION = 1
# About 300 bytes each; the worst come first.
MOST_SEAMS = 4096
MOST_DETAILS = 200


def _grid(plan: TileLayout) -> dict[str, Any]:
    """A layout as the editor draws it: the axes of its grid (none: empty), and only where there are such, regions and what is here."""
    grid = plan.below if isinstance(plan, RegionLayout) else plan
    axes = () if grid is None else grid.axes
    record = {
        "canvas": list(plan.canvas),
        "tile": list(plan.canvas if grid is None else grid.tile_size),
        "origins": [list(axis.origins) for axis in axes] or [[], []],
        "batch": plan.batch,
        "unit": plan.unit,
        "wrap": list(plan.wrap),
    }
    if grid is not None and grid.ramp_places is not None:
        record["ramps"] = places_record(grid.ramp_places)
    if isinstance(plan, RegionLayout):
        record["regions"] = [[*tile, *core] for tile, core in zip(plan.regions, plan.cores, strict=True)]
    if plan.present is not None:
        record["present"] = list(plan.present)
    return record


def layout_record(plan: TileLayout, lines: list[str], details: list[str], picture: dict[str, str] | None) -> dict[str, Any]:
    """A grid by its two axes, which is small for any number of tiles.

    Args:
        plan: the layout; lengths in the record are its source pixels, height before width.
        lines: what to write under it.
        details: what else was found; no more than MOST_DETAILS of them are taken.
        picture: the picture without the grid, as the host names files; None where there is none.
    """
    return {
        "version": RECORD_VERSION,
        **_grid(plan),
        "lines": lines,
        "details": details[:MOST_DETAILS],
        "picture": picture,
    }


def seam_record(report: SeamReport, plan: TileLayout, picture: dict[str, str] | None) -> dict[str, Any]:
    """A seam report: for every boundary its row of the table as text, and where it is, in pixels of the checked picture."""
    rows = [
        {
            "cells": list(row.cells),
            "note": row.note,
            "verdict": row.verdict,
            "picture": row.picture,
            "vertical": row.vertical,
            "line": row.line if row.fails else row.middle,
            "along": list(row.along),
            "worst": list(row.worst),
        }
        for row in report.rows[:MOST_SEAMS]
    ]
    return {
        "version": RECORD_VERSION,
        "size": list(report.size),
        "pictures": report.pictures,
        "summary": report.summary(),
        "plain": report.plain(),
        "passed": report.passed,
        "columns": list(COLUMNS),
        "rows": rows,
        "left_out": len(report.rows) - len(rows),
        "image": picture,
        "layout": _grid(plan),
    }
