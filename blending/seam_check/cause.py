"""Which faults of the tiles a seam report tells of; what to do follows from that."""

from __future__ import annotations

from collections import Counter

from .judge import TONES
from .report import EITHER, SeamReport

# The tiles differ in tone; their detail does not meet; two versions of it are averaged; an edge lies on the boundary, whose
# it is; nothing was found; there was too little picture to look at; there is no boundary.
TONE, BROKEN, MIXED, EDGE, NOTHING, UNJUDGED, SINGLE = CAUSES = (
    "tone",
    "broken detail",
    "mixed detail",
    "edge",
    "nothing",
    "not judged",
    "one tile",
)
_OF_TEST = {**dict.fromkeys(TONES, TONE), "broken detail": BROKEN, "faded detail": MIXED, "ghost": MIXED}


def causes(report: SeamReport) -> tuple[str, ...]:
    """What the failing boundaries of a report come from, the most frequent first; one of the last three where none fails."""
    if not report.rows:
        return (SINGLE,)
    if not report.judged:
        return (UNJUDGED,)
    found = Counter(EDGE if row.verdict == EITHER else _OF_TEST[row.test] for row in report.failing)
    return tuple(cause for cause, _ in found.most_common()) or (NOTHING,)
