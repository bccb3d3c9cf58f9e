"""What a result does everywhere, in words: what it keeps of the source's detail, what it adds, how it moves tone and place."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from ..pixels.delta_e import ciede2000
from ..pixels.lab import rgb_to_lab
from .cell_sums import CellSums
from .measures import FINE_NAME, STRUCTURE_NAME
from .one_grid import Registration
from .usual_gain import Gain

KINDS = ("faint texture", "detail", "edges")
ANOTHER_PICTURE = 0.5  # likeness of edges below which the two show different things
_FAITHFUL_LIKENESS = 0.97
_FAITHFUL_TONE = 1.0  # Delta-E
_FAITHFUL_KEPT = (0.6, 0.8, 0.8)  # of fine detail; faint texture may be grain that a file's compression took
_QUIET = 0.05  # px


@dataclass(frozen=True)
class Profile:
    """What one result does everywhere; the middle of all places, so that single faults have no part in it.

    Attributes:
        judged: whether the picture is large enough.
        kept: share of the source's fine detail that is kept, of faint texture, detail and edges.
        added: share of fine detail of its own, of the same.
        likeness: correlation of the structure, of the same; 1 is the same picture.
        lightness: median change of L, in CIELAB.
        tone: median Delta-E 2000, and that of the 95th percentile.
        shift, stretch: (y, x), what was registered; pixels of the compared size, and shares of it.
        registered: whether enough of both pictures agreed on it; None where it was not asked for.
    """

    judged: bool = False
    kept: tuple[float, float, float] = (0.0, 0.0, 0.0)
    added: tuple[float, float, float] = (0.0, 0.0, 0.0)
    likeness: tuple[float, float, float] = (0.0, 0.0, 0.0)
    lightness: float = 0.0
    tone: tuple[float, float] = (0.0, 0.0)
    shift: tuple[float, float] = (0.0, 0.0)
    stretch: tuple[float, float] = (0.0, 0.0)
    registered: bool | None = None

    @property
    def repaints(self) -> bool:
        """Whether the result is more than an enlargement: it draws anew, flattens or softens, or moves tone."""
        flat = any(kept < least for kept, least in zip(self.kept, _FAITHFUL_KEPT, strict=True))
        return flat or min(self.likeness[1:]) < _FAITHFUL_LIKENESS or self.tone[0] > _FAITHFUL_TONE

    @property
    def another_picture(self) -> bool:
        """Whether the edges of both have so little in common that the result cannot have been made from this source."""
        return self.judged and self.likeness[2] < ANOTHER_PICTURE

    def words(self) -> str:
        """In one to four sentences."""
        if not self.judged:
            return "too small to say"
        if self.another_picture:
            return f"the two pictures have little in common (likeness of edges {self.likeness[2]:.2f}): is this the right reference?"
        parts = [
            "repaints or softens: single places are judged against what it does to all of them" if self.repaints else "a faithful result"
        ]
        parts.append(
            "of fine detail it keeps "
            + ", ".join(f"{kept:.0%} of {kind}" for kept, kind in zip(self.kept, KINDS, strict=True))
            + " and adds "
            + ", ".join(f"{added:.0%}" for added in self.added)
            + " of its own"
        )
        parts.append("likeness of structure " + ", ".join(f"{value:.3f}" for value in self.likeness))
        lighter = "lighter" if self.lightness > 0 else "darker"
        tone = f"tone is moved by Delta-E {self.tone[0]:.1f} (in one place of twenty by {self.tone[1]:.1f} or more)"
        parts.append(tone + (f", {abs(self.lightness):.1f} L {lighter}" if abs(self.lightness) >= 0.2 else ""))
        return "; ".join([*parts, self._place()])

    def _place(self) -> str:
        if self.registered is None:
            return "not registered"
        if not self.registered:
            return "not registered: too little structure to be sure of a shift"
        if max(map(abs, (*self.shift, *self.stretch))) == 0:
            return "nothing is shifted"
        stretched = f", stretched by {self.stretch[1]:+.3%} and {self.stretch[0]:+.3%}" if any(self.stretch) else ""
        return f"shifted by {self.shift[1]:+.2f} px across and {self.shift[0]:+.2f} px down{stretched}, taken out first"

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self) | {"words": self.words()}


def profile_of(sums: CellSums, gains: dict[str, Gain], registration: Registration, asked: bool) -> Profile:
    """The profile of one result.

    Args:
        sums: of both pictures.
        gains: the usual gains.
        registration: what was taken out.
        asked: whether it was asked for.
    """
    before, after = (_lab(colour) for colour in (sums.colour_source, sums.colour_result))
    size = ciede2000(before, after)
    fine, structure = gains[FINE_NAME], gains[STRUCTURE_NAME]
    three = [_thirds(values) for values in (fine.table, fine.added, structure.likeness)]
    tone = float(size.median()), float(size.quantile(0.95) if size.numel() < 1 << 24 else size[:: size.numel() >> 23].quantile(0.95))
    lightness = float((after - before)[:, 0].median())
    return Profile(True, *three, lightness, tone, registration.shift, registration.stretch, registration.sure if asked else None)


def _lab(colour: torch.Tensor) -> torch.Tensor:
    planes = colour.double().flatten(1) / 255
    return rgb_to_lab(planes.expand(3, -1) if len(planes) == 1 else planes).T


def _thirds(values: torch.Tensor) -> tuple[float, float, float]:
    """The faintest class, the middle one, the strongest."""
    return tuple(float(values[i]) for i in (0, len(values) // 2, -1))
