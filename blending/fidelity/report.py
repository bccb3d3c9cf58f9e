"""What a fidelity check found, as places, tiles, a profile in words, text and JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ..pixels.counted import counted
from .profile import Profile

TOLERANCE = 1.0
MOST_ROWS = 40
TILE_TONE = "tone of a tile"
COLUMNS = ("verdict", "where", "size", "severity", "measure", "what")
TILE_COLUMNS = ("verdict", "tile", "severity", "tone", "structure", "fine detail", "shift", "step, levels")


@dataclass(frozen=True)
class Place:
    """One place of one picture, in pixels of the source.

    Attributes:
        picture: its number in the batch, from 0.
        box: (y, x, height, width), all of it that was changed.
        peak: (y, x) of the middle of the worst block in it.
        measure: which measure it is worst by.
        severity: 1 is where a place begins to count; 100 for a result that is another picture.
        what: in words.
        fails: whether the severity exceeds the tolerance.
    """

    picture: int
    box: tuple[int, int, int, int]
    peak: tuple[int, int]
    measure: str
    severity: float
    what: str
    fails: bool

    @property
    def where(self) -> str:
        """Its place in words."""
        return f"x {self.box[1]}-{self.box[1] + self.box[3]}, y {self.box[0]}-{self.box[0] + self.box[2]}"

    @property
    def cells(self) -> tuple[str, ...]:
        """Its row of the table, one text for each of COLUMNS."""
        verdict = "changed" if self.fails else "passes"
        return verdict, self.where, f"{self.box[3]} x {self.box[2]}", shown(self.severity), self.measure, self.what

    def sentence(self) -> str:
        """One line about it."""
        return f"{self.what} at {self.where}, severity {shown(self.severity)}"


@dataclass(frozen=True)
class TileRow:
    """One tile of one picture.

    Attributes:
        picture: its number in the batch.
        tile: as the layout numbers them.
        severities: the largest of tone, structure, fine detail and shift inside the tile.
        step: its tone against its neighbours in levels, None where it has no side that can be judged.
        by_step: the step's severity.
        severity: the largest of all, the step's included.
        fails: whether that exceeds the tolerance.
    """

    picture: int
    tile: int
    severities: tuple[float, float, float, float]
    step: float | None
    by_step: float
    severity: float
    fails: bool

    @property
    def cells(self) -> tuple[str, ...]:
        """Its row of the table, one text for each of TILE_COLUMNS."""
        step = "-" if self.step is None else f"{self.step:+.2f}"
        return "changed" if self.fails else "passes", str(self.tile), shown(self.severity), *map(shown, self.severities), step


@dataclass(frozen=True)
class FidelityReport:
    """All pictures of a batch, worst first.

    Attributes:
        places: that were changed; where nothing was, the places that came nearest.
        tiles: one row for each tile, worst first; empty without a layout.
        profiles: what each result does everywhere.
        maps: per picture the severity of each measure, by its name, [n, m], one value for every 8 px of the source.
        sizes: per picture (height, width) of the grid that was compared.
        tolerance: the severity from which a place fails.
    """

    places: tuple[Place, ...]
    tiles: tuple[TileRow, ...]
    profiles: tuple[Profile, ...]
    maps: tuple[dict[str, torch.Tensor], ...]
    sizes: tuple[tuple[int, int], ...]
    tolerance: float

    @property
    def failing(self) -> list[Place]:
        """The places that fail, worst first."""
        return [place for place in self.places if place.fails]

    @property
    def passed(self) -> bool:
        """True where no place of any picture was changed by more than the tolerance, and each was large enough to judge."""
        return not self.failing and all(profile.judged for profile in self.profiles)

    @property
    def score(self) -> float:
        """The largest severity of any place; 0 where there is none."""
        return max((place.severity for place in self.places), default=0.0)

    def summary(self) -> str:
        """The verdict in one line."""
        if not self.places and not all(profile.judged for profile in self.profiles):
            return "not judged: the pictures are too small, 16 px a side is the least"
        pictures = f" in {len(self.profiles)} pictures" if len(self.profiles) > 1 else ""
        limit = f"tolerance {self.tolerance:g}"
        if self.passed:
            highest = f"highest severity {shown(self.score)}, {limit}"
            return f"passed: nothing was changed beyond what the result does everywhere{pictures} ({highest})"
        if not self.failing:
            return f"not judged: a picture is too small{pictures}"
        count = f"{counted(len(self.failing), 'place')} changed{pictures}"
        return f"failed: {count}, score {shown(self.score)}, {limit}; worst: {self.places[0].sentence()}"

    def plain(self) -> str:
        """The verdict as one reads it who does not ask for figures."""
        if self.passed:
            return "Nothing was changed beyond what the result does everywhere."
        if not self.failing:
            return "Not judged: the picture is too small."
        return f"{counted(len(self.failing), 'place')} changed; worst: {self.places[0].what} at {self.places[0].where}."

    def text(self, most: int = MOST_ROWS) -> str:
        """The whole report as plain text: verdict, profile, a table of places and one of tiles, worst first."""
        lines = [f"Fidelity Check: {self.summary()}"]
        many = len(self.profiles) > 1
        for index, profile in enumerate(self.profiles):
            lines += ["", (f"picture {index}, everywhere: " if many else "everywhere: ") + profile.words()]
        if self.places:
            lines += ["", *_table(COLUMNS, self.places, most, many), "", "places and sizes are in pixels of the compared size, "]
            height, width = self.sizes[0]
            lines[-1] += f"{width} x {height}; severity 1 is where a place begins to count as changed"
        if self.tiles:
            lines += ["", *_table(TILE_COLUMNS, self.tiles, most, many)]
        return "\n".join(lines)

    def to_record(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "version": 1,
            "passed": self.passed,
            "score": round(self.score, 4),
            "tolerance": self.tolerance,
            "sizes": [list(size) for size in self.sizes],
            "profiles": [profile.to_record() for profile in self.profiles],
            "places": [asdict(place) for place in self.places],
            "tiles": [asdict(tile) for tile in self.tiles],
        }

    def to_json(self) -> str:
        """`to_record` as JSON text."""
        return json.dumps(self.to_record(), separators=(",", ":"), allow_nan=False)


def shown(severity: float) -> str:
    """Two digits, rounded down: what lies below the tolerance must not read as if it reached it."""
    return f"{math.floor(severity * 100 + 1e-6) / 100:.2f}"


def _table(columns: tuple[str, ...], rows: tuple[Any, ...], most: int, many: bool) -> list[str]:
    lines = [("picture", *columns) if many else columns]
    lines += [(str(row.picture), *row.cells) if many else row.cells for row in rows[:most]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    if len(rows) > most:
        text.append(f"... and {len(rows) - most} more, {sum(row.fails for row in rows[most:])} of them changed")
    return [text[0], "-" * len(text[0]), *text[1:]]
