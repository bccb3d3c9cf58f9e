"""Tables, and who is first in them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ALIKE = 1.02  # figures that differ by less are a tie


@dataclass(frozen=True)
class Figure:
    """One column.

    Attributes:
        name: its heading.
        key: where its value is in a row.
        show: how a value is written.
        distance: how far a value is from what is right, 0 being right; None where it is not ranked.
        least: distances up to this one are a tie: noise, or what nobody could do better.
        ratio: whether a column with multiples of the base row's value follows.
    """

    name: str
    key: str
    show: Callable[[Any], str] = "{:.2f}".format
    distance: Callable[[Any], float] | None = float
    least: float = 0.0
    ratio: bool = False


@dataclass
class Row:
    """One contestant's values; what is None or missing is written as a dash.

    Attributes:
        label: its name.
        ours: whether it is Tilework.
        default: whether it is the method that Tilework's users get unless they choose.
        ranked: whether it competes: no floor does, nor one who was told more than the others.
        values: by the figures' keys.
    """

    label: str
    ours: bool = False
    default: bool = False
    ranked: bool = True
    values: dict[str, Any] = field(default_factory=dict)


def away_from_one(value: float) -> float:
    """How far a ratio is from 1, too small and too large alike."""
    return abs(math.log(max(value, 1e-6)))


def _value(row: Row, figure: Figure) -> Any:
    value = row.values.get(figure.key)
    return None if isinstance(value, float) and math.isnan(value) else value


def _ratio(row: Row, base: Row | None, figure: Figure) -> str:
    value, against = _value(row, figure), base and _value(base, figure)
    return "-" if value is None or not against else f"{value / against:.2f}"


def table(rows: list[Row], figures: list[Figure], base: Row | None = None, base_name: str = "default") -> list[str]:
    """Markdown lines. Ratios are to `base`, the default method's row where None."""
    base = base or next((row for row in rows if row.default), None)
    heads = [cell for f in figures for cell in ([f.name, f"x {base_name}"] if f.ratio else [f.name])]
    lines = ["| contestant | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    for row in rows:
        cells = []
        for figure in figures:
            value = _value(row, figure)
            cells.append("-" if value is None else figure.show(value))
            if figure.ratio:
                cells.append(_ratio(row, base, figure))
        lines.append(f"| {row.label} | " + " | ".join(cells) + " |")
    return lines


def _distance(row: Row, figure: Figure) -> float | None:
    value = _value(row, figure)
    return None if value is None else max(figure.distance(value), figure.least)


def _best(rows: list[Row], figure: Figure) -> tuple[float, Row] | None:
    pairs = [(distance, row) for row in rows if (distance := _distance(row, figure)) is not None]
    return min(pairs, key=lambda pair: pair[0], default=None)


def _plain(label: str) -> str:
    return label.replace("**", "")


def _behind(what: str, own: Row, peer: Row, figure: Figure) -> str:
    mine, theirs = (figure.show(_value(row, figure)) for row in (own, peer))
    return f"- {figure.name}: {what} {mine} ({_plain(own.label)}), {_plain(peer.label)} {theirs}"


def _level(row: Row, rows: list[Row], figures: list[Figure]) -> int:
    """In how many columns a row is the best of all or level with it."""
    pairs = [(_distance(row, figure), _best(rows, figure)) for figure in figures]
    return sum(own is not None and own <= best[0] * ALIKE for own, best in pairs)


def _overall(rows: list[Row], figures: list[Figure]) -> str:
    """Who is level with the best in most columns at once: a method that wins one column by losing another is no winner."""
    figures = [figure for figure in figures if _best(rows, figure) is not None]
    counts = [(_level(row, rows, figures), row) for row in rows]

    def leaders(chosen: list[tuple[int, Row]]) -> str:
        most = max(count for count, _ in chosen)
        return f"{'; '.join(_plain(row.label) for count, row in chosen if count == most)} ({most} of {len(figures)})"

    peers, ours = ([pair for pair in counts if pair[1].ours is which] for which in (False, True))
    default = "".join(f"; the default is in {count}" for count, row in counts if row.default)
    return f"Level with the best in most columns at once. Peers: {leaders(peers)}. Ours: {leaders(ours)}{default}."


def not_first(rows: list[Row], figures: list[Figure]) -> list[str]:
    """Where a peer's figure is better than Tilework's best method's, and where it is only better than the default's."""
    rows = [row for row in rows if row.ranked]
    ours, peers = ([row for row in rows if row.ours is which] for which in (True, False))
    if not ours or not peers:
        return [f"No contestant of {'the peers' if ours else 'Tilework'} is here."]
    figures = [figure for figure in figures if figure.distance is not None]
    lines, default_lines = [], []
    for figure in figures:
        peer, best, default = (_best(group, figure) for group in (peers, ours, [row for row in ours if row.default]))
        if peer is None or best is None:
            continue
        if best[0] > peer[0] * ALIKE:
            lines.append(_behind("the best of Tilework", best[1], peer[1], figure))
        elif default is not None and default[0] > peer[0] * ALIKE:
            own = f"; Tilework's best {figure.show(_value(best[1], figure))} ({_plain(best[1].label)})"
            default_lines.append(_behind("the default", default[1], peer[1], figure) + own)
    told = ["Where Tilework is not first:", "", *lines] if lines else ["In every ranked column some method of Tilework is first, or level."]
    if default_lines:
        told += ["", "Where only its default method is not:", "", *default_lines]
    return [*told, "", _overall(rows, figures)]
