"""What a seam check found, as rows, text and JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from ..pixels.counted import counted

THRESHOLD = 5.0  # the z from which a boundary fails

MOST_ROWS = 40
SEAM, EITHER, CLEAN, UNJUDGED = "seam", "edge or seam", "clean", "not judged"
FAILING = (SEAM, EITHER)
COLUMNS = ("verdict", "boundary", "where", "step", "dE2000", "z", "test", "worst at", "3x rule")


@dataclass(frozen=True)
class SeamRow:
    """One boundary of one picture.

    Attributes:
        picture: its number in the batch, from 0.
        tiles: the two tiles that meet, as the layout numbers them.
        vertical: whether the line runs from top to bottom.
        line: the line's position across (x of a vertical one), the first pixel after it.
        middle: the same of the middle of the overlap.
        along: (start, stop) along the line.
        worst: (start, stop) along the line where it is strongest.
        step: in 8-bit levels, signed for tone (after minus before), else the strength of what was found.
        delta_e: CIEDE2000 of a step or drift, 0 for tests of detail.
        z: how far it stands out from the picture beside it.
        test: the test that fired, or the one that came nearest.
        verdict: "seam", "edge or seam", "clean", or "not judged" where there is too little picture.
        rule: boundary gradient over mean gradient, which the 3x rule calls a seam from 3 on.
        note: what else is known: drift and shift of the tiles, an edge that the reference has too; why it passes first.
        drift_judged: whether a drift spread over the overlap could be looked for (True where there is no overlap).
    """

    picture: int
    tiles: tuple[int, int]
    vertical: bool
    line: int
    middle: int
    along: tuple[int, int]
    worst: tuple[int, int]
    step: float
    delta_e: float
    z: float
    test: str
    verdict: str
    rule: float
    note: str = ""
    drift_judged: bool = True

    @property
    def boundary(self) -> str:
        """Its name."""
        return f"tiles {self.tiles[0]}|{self.tiles[1]}"

    @property
    def fails(self) -> bool:
        """Whether a person should look at it."""
        return self.verdict in FAILING

    @property
    def where(self) -> str:
        """Its place in words."""
        names = "xy" if self.vertical else "yx"
        return f"{names[0]} {self.line}, {names[1]} {self.along[0]}-{self.along[1]}"

    @property
    def cells(self) -> tuple[str, ...]:
        """Its row of the table, one text for each of COLUMNS."""
        return (
            self.verdict,
            self.boundary,
            self.where,
            f"{self.step:.2f}",
            f"{self.delta_e:.2f}" if self.delta_e else "-",
            short(self.z),
            self.test,
            f"{'y' if self.vertical else 'x'} {self.worst[0]}-{self.worst[1]}",
            f"{self.rule:.2f}" + (" flags" if self.rule > 3 else ""),
        )

    def sentence(self) -> str:
        """One line about it."""
        tone = f", Delta-E {self.delta_e:.1f}" if self.delta_e else ""
        return (
            f"{self.boundary} ({self.where}): {self.verdict}, {self.test} of {abs(self.step):.1f} levels{tone}, z {short(self.z)}, "
            f"worst at {'y' if self.vertical else 'x'} {self.worst[0]}-{self.worst[1]}"
        )


def _order(row: SeamRow) -> tuple:
    return (not row.fails, row.verdict == UNJUDGED, -row.z, row.picture, row.tiles)


@dataclass(frozen=True)
class SeamReport:
    """All boundaries of all pictures, worst first.

    Attributes:
        rows: one per boundary and picture.
        threshold: the z from which a boundary fails.
        size: (height, width) of the pictures.
        pictures: how many.
        compared: "" or what the verdicts rest on besides the picture: "reference", "tiles", "reference and tiles".
        overlap: the widest overlap in pixels of the picture, 0 where it is too narrow for a drift to be spread over it.
    """

    rows: tuple[SeamRow, ...]
    threshold: float
    size: tuple[int, int]
    pictures: int
    compared: str = ""
    overlap: int = 0

    @property
    def failing(self) -> list[SeamRow]:
        """The rows that fail, worst first."""
        return [row for row in self.rows if row.fails]

    @property
    def passed(self) -> bool:
        """True where no boundary of any picture is a seam, nor an edge that may be one; False where none could be judged."""
        return not self.failing and (self.judged > 0 or not self.rows)

    @property
    def judged(self) -> int:
        """How many rows there was enough picture for."""
        return sum(row.verdict != UNJUDGED for row in self.rows)

    @property
    def score(self) -> float:
        """0 where nothing was found, else the largest z of a failing boundary over the threshold (1 or more)."""
        return max((max(1.0, row.z / self.threshold) for row in self.failing), default=0.0)

    @property
    def worst(self) -> SeamRow | None:
        """The worst boundary, failing or not; None where there is none."""
        return self.rows[0] if self.rows else None

    def summary(self) -> str:
        """The verdict in one line."""
        if not self.rows:
            return "passed: the layout has a single tile, so there is no boundary to check"
        judged = self.judged
        if not judged:
            all_of = "the one boundary has" if len(self.rows) == 1 else f"all {len(self.rows)} boundaries have"
            return f"not judged: {all_of} too little picture beside them (small tiles, or wide overlaps)"
        of = f"{judged} of {counted(len(self.rows), 'boundary')}" if judged < len(self.rows) else counted(judged, "boundary")
        pictures = f" in {self.pictures} pictures" if self.pictures > 1 else ""
        blind = sum(not row.drift_judged and row.verdict != UNJUDGED for row in self.rows)
        pictures += f" (drift not judged at {blind})" if blind else ""
        if self.passed:
            few = "; the others have too little picture beside them to judge" if judged < len(self.rows) else ""
            return f"passed: no seam at {of}{pictures} ({self._highest()}){few}{self._unseen()}"
        counts = [(sum(row.verdict == word for row in self.failing), word) for word in FAILING]
        found = " and ".join(f"{n} x {word}" for n, word in counts if n)
        return f"failed: {found} at {of}{pictures}, score {self.score:.2f}; worst: {self.failing[0].sentence()}"

    def plain(self) -> str:
        """The verdict as one reads it who does not ask for figures."""
        if not self.rows:
            return "One tile: there is no boundary to check."
        if not self.judged:
            return "Not judged: there is too little picture beside the boundaries."
        if self.passed:
            return f"No seam can be seen at {counted(self.judged, 'boundary')}."
        worst, seams = self.failing[0], sum(row.verdict == SEAM for row in self.failing)
        found = f"A seam can be seen at {seams}" if seams else f"An edge that may be a seam lies at {len(self.failing)}"
        what = f"{worst.test} of {abs(worst.step):.1f} levels"
        return f"{found} of {counted(self.judged, 'boundary')}; worst: {worst.boundary}, {worst.where}, {what}."

    def _highest(self) -> str:
        """The highest z of a report that passed, and why it is no seam where it is above the threshold."""
        top = max((row for row in self.rows if row.verdict != UNJUDGED), key=lambda row: row.z, default=None)
        words = f"highest z {short(top.z if top else 0.0)}, threshold {self.threshold:g}"
        if top is None or top.z <= self.threshold:
            return words
        return f"{words}, {top.boundary}: {top.note.partition('; ')[0]}"

    def _unseen(self) -> str:
        """What a report that passed could not see."""
        if not self.overlap or "reference" in self.compared:
            return ""
        small = " of less than 2 levels" if self.compared else ""
        return f"; a drift{small} that the blend spread over the overlaps is only judged with a reference"

    def text(self, most: int = MOST_ROWS) -> str:
        """The whole report as plain text: the verdict, a table of at most `most` boundaries, worst first, and how to read it."""
        lines = [f"Seam Check: {self.summary()}"]
        if self.compared:
            lines.append(f"verdicts rest on the comparison with the {self.compared}")
        if self.rows:
            lines += ["", *self._table(most)]
            flagged = sum(row.rule > 3 for row in self.rows)
            lines += ["", f"the plain 3x gradient rule would flag {flagged} of {counted(len(self.rows), 'boundary')}"]
        if any(row.verdict == EITHER for row in self.rows):
            lines.append(
                "edge or seam: a hard edge lies exactly on the boundary; it may belong to the scene. "
                + "Connect a reference (the picture before the tiles were processed) to tell"
            )
        return "\n".join(lines)

    def _table(self, most: int) -> list[str]:
        rows = [COLUMNS if self.pictures == 1 else ("picture", *COLUMNS)]
        rows += [row.cells if self.pictures == 1 else (str(row.picture), *row.cells) for row in self.rows[:most]]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines = [line + (f"  ({row.note})" if row.note else "") for line, row in zip(lines[1:], self.rows, strict=False)]
        head = "  ".join(cell.ljust(width) for cell, width in zip(rows[0], widths, strict=True)).rstrip()
        if len(self.rows) > most:
            lines.append(f"... and {len(self.rows) - most} more, {max(0, len(self.failing) - most)} of them failing")
        return [head, "-" * len(head), *lines]

    def to_record(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "version": 1,
            "passed": self.passed,
            "score": round(self.score, 4),
            "threshold": self.threshold,
            "size": list(self.size),
            "pictures": self.pictures,
            "compared": self.compared,
            "boundaries": [asdict(row) | {"boundary": row.boundary} for row in self.rows],
        }

    def to_json(self) -> str:
        """`to_record` as JSON text."""
        return json.dumps(self.to_record(), separators=(",", ":"), allow_nan=False)


def short(z: float) -> str:
    """A z with one digit, rounded down: one below the threshold must not read as if it reached it."""
    return f"{math.floor(z * 10 + 1e-6) / 10:.1f}"


def in_order(rows: list[SeamRow]) -> tuple[SeamRow, ...]:
    """Rows, worst first."""
    return tuple(sorted(rows, key=_order))
