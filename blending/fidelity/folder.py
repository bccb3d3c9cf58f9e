"""Fidelity Check for a folder of results, from the command line.

    python -m blending.fidelity FOLDER REFERENCES [--layout LAYOUT.json] [--tolerance 1] [--no-align] [--json FILE]

Run it in the pack's folder. The source of each result is looked for in REFERENCES under the result's own name, whatever its
extension. LAYOUT.json is what `TileLayout.to_json` writes; all pictures of the folder were tiled by it (at any one scale each).

Prints one line per picture, and the report of those that fail. Exit status: 0 nothing was changed, 1 something was, 2 something
could not be read, does not fit or could not be judged (said in words, the other pictures are still checked).
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from ..layout.grid_layout import GridLayout
from ..seam_check.folder import BAD, CLEAN, FOUND, complain, pictures, print_line, read_layout, read_picture
from .check import check_fidelity
from .report import TOLERANCE, FidelityReport


def check_result(path: Path, references: dict[str, Path], layout: GridLayout | None, tolerance: float, align: bool) -> FidelityReport:
    """The report on one file.

    Raises:
        ValueError: where it has no source, or one of the two cannot be read or does not fit.
    """
    if path.stem not in references:
        raise ValueError("has no reference of the same name")
    return check_fidelity(read_picture(path), read_picture(references[path.stem]), layout, tolerance, align)


def check_results(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m blending.fidelity", description="Look for what every picture of a folder changed of its source."
    )
    parser.add_argument("folder", type=Path, help="the results")
    parser.add_argument("references", type=Path, help="folder of their sources, by the same names")
    parser.add_argument("--layout", type=Path, help="JSON file of the layout they were tiled by: tones of tiles are judged, too")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="the severity from which a place fails (default %(default)g)")
    parser.add_argument("--no-align", action="store_true", help="leave a shift of the whole result as it is")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all reports there")
    asked = parser.parse_args(arguments)
    try:
        if not math.isfinite(asked.tolerance) or asked.tolerance <= 0:
            raise ValueError(f"tolerance {asked.tolerance:g} is not a severity: use a number above 0, for example 1")
        layout = None if asked.layout is None else read_layout(asked.layout)
        if layout is not None and not isinstance(layout, GridLayout):
            raise ValueError(f"{asked.layout} is a layout of regions, and Fidelity Check needs a grid of tiles")
        paths = pictures(asked.folder)
        references = {path.stem: path for path in pictures(asked.references)}
    except ValueError as error:
        complain(str(error))
        return BAD
    status, records = CLEAN, {}
    for path in paths:
        try:
            report = check_result(path, references, layout, asked.tolerance, not asked.no_align)
        except ValueError as error:
            complain(f"{path.name}: {error}")
            status = BAD
            continue
        records[path.name] = report.to_record()
        print_line(f"{path.name}: {report.summary()}")
        if not report.passed:
            print_line(report.text().partition("\n")[2].strip("\n") + "\n")
            status = max(status, FOUND if report.failing else BAD)
    if asked.json is not None:
        try:
            asked.json.write_text(json.dumps(records, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        except OSError as error:
            complain(f"{asked.json} cannot be written: {error}")
            return BAD
    return status
