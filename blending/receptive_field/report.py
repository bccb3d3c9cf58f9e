"""What a measured receptive field means, in words."""

from __future__ import annotations

from ..pixels.picture import LEVELS
from .measure import ReceptiveField

# What costs are counted in: pixels of a picture of 256 x 256.
PASS = 256 * 256


def report_text(field: ReceptiveField, name: str, remedy: str, output: str = "levels of 255") -> str:
    """The report, a few paragraphs of plain text.

    Args:
        field: lengths in the pixels that the reader thinks in.
        name: what was measured, "the upscale model" for instance.
        remedy: what helps where the whole picture matters.
        output: what changes are counted in.
    """
    words = [_reach(field, name, output), _suggestion(field, output), _whole_picture(field, remedy, output)]
    return "\n".join(words + [_cost(field)] * bool(field.spent))


def headline(field: ReceptiveField) -> str:
    """One line."""
    seen = ", and it sees the whole picture" if field.sees_everything else ""
    least = "" if field.radius_known else "at least "
    return f"radius {least}{field.radius} px: overlap {field.overlap}, trim {field.trim}{seen}"


def _level(change: float) -> str:
    return f"{change * LEVELS:.3g}"


def _reach(field: ReceptiveField, name: str, output: str) -> str:
    sides = "left {}, right {}, top {}, bottom {}".format(*field.sides)
    asymmetric = f" ({sides})" if len(set(field.sides)) > 1 else ""
    words = [
        f"{name[0].upper()}{name[1:]}: what lies beyond a tile's border changes the result by more than {_level(field.threshold)} "
        f"{output} up to {'' if field.radius_known else 'at least '}{field.radius} px into the tile{asymmetric}{_on_top(field)}."
    ]
    if not field.radius_known:
        left = _level(float(field.profile[-1]))
        words.append(f"How much farther was not followed, to save time: where the measuring ends the change is still {left} {output}.")
    if field.cut_only:
        words.append(
            f"That is in tiles that are cut out, followed for {len(field.profile)} px; black or another picture beyond the border may "
            "reach farther."
        )
    if field.full_known:
        words.append(f"From {field.full_radius} px on it changes nothing at all.")
    elif field.radius_known and not field.sees_everything:
        words.append(f"Traces of it, smaller than that, reach {field.full_radius} px or farther.")
    return " ".join(words)


def _on_top(field: ReceptiveField) -> str:
    if not field.sees_everything:
        return ""
    if field.full_known:
        return ", measured with what it takes from the whole picture held still"
    return ", on top of what the rest of the picture changes everywhere (an estimate)"


def _suggestion(field: ReceptiveField, output: str) -> str:
    if not field.trim:
        return (
            "Suggested: any overlap, no trim. Every pixel is computed from itself alone."
            if not field.full_radius
            else (f"Suggested: any overlap, no trim. A tile's border changes less than {_level(field.threshold)} {output}.")
        )
    lattice = f" Let tiles start on multiples of {field.lattice} px (multiple_of)." if field.lattice > 1 else ""
    if not (field.radius_known or field.full_known):
        return (
            f"Suggested: overlap {field.overlap}, trim {field.trim}, as far as was measured; tiles may still differ more than "
            f"{_level(field.threshold)} {output}. Use large tiles.{lattice}"
        )
    within = (
        "what is left is what the whole picture does, below"
        if field.sees_everything
        else (f"tiled then equals untiled within {_level(field.threshold)} {output}")
    )
    return f"Suggested: overlap {field.overlap}, trim {field.trim}; {within}.{lattice}"


def _cost(field: ReceptiveField) -> str:
    return f"Measured with {field.spent / PASS:.2g} times the work of a picture of 256 x 256 px."


def _whole_picture(field: ReceptiveField, remedy: str, output: str) -> str:
    cleared = f" Harmless: {', '.join(field.cleared)}." if field.cleared else ""
    if not field.sees_everything:
        return f"Whole-image statistics: none.{cleared}"
    much = f"by up to {_level(field.floor)} {output} in the probe" if field.floor else "by a trace"
    cause = (
        f"Its {', '.join(field.statistics)} work on whatever picture they are given, which is the tile."
        if field.statistics
        else "None of its modules is of a type that is known to do so, so the reason is not known."
    )
    return (
        f"Whole-image statistics: yes. Every pixel depends on the whole picture, however far away, {much}. {cause} "
        f"No overlap and no trim mends that: {remedy}{cleared}"
    )
