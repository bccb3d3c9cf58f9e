"""The methods by which tiles are put together, by name: the one table that says what each of them is made of."""

from __future__ import annotations

from typing import NamedTuple

from ..layout.windows import RAMPS, WINDOWS

WINDOWED, CUT, BANDS, GRADIENT, AUTO, CONFIDENCE = "windows alone", "optimal seam", "multiband", "gradient", "auto", "confidence"
COMPOSERS = (WINDOWED, CUT, BANDS, GRADIENT, AUTO, CONFIDENCE)


class Method(NamedTuple):
    """What a method is made of.

    Attributes:
        window: one of `windows.WINDOWS`, by which tone changes over from tile to tile.
        composer: what is done beside that.
        again: whether the tiles are gone over more than once, and so are kept.
        uses_reference: whether it can take its tone from a reference.
    """

    window: str
    composer: str = WINDOWED
    again: bool = False
    uses_reference: bool = False


TABLE = {
    **{window: Method(window) for window in WINDOWS},
    CUT: Method("hann", CUT),
    BANDS: Method("hann", BANDS),
    GRADIENT: Method("hann", GRADIENT, again=True, uses_reference=True),
    AUTO: Method("hann", AUTO, again=True, uses_reference=True),
    CONFIDENCE: Method("hann", CONFIDENCE, again=True),
}
METHODS = tuple(TABLE)
# Those that say how one tile gives way to what is below it, whatever that is.
OVER_A_PICTURE = (*RAMPS, "average", AUTO)


def method_named(name: str) -> Method:
    """One of TABLE, or ValueError."""
    if name not in TABLE:
        raise ValueError(f"blend method {name!r} is not known: use one of {', '.join(METHODS)}")
    return TABLE[name]
