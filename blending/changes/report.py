"""What was found, in words."""

from __future__ import annotations

from typing import NamedTuple

from ..pixels.counted import counted
from ..registration.frame import Frame


class EditFindings(NamedTuple):
    """What was found in one picture.

    Attributes:
        size, edited_size: height and width of both pictures as they came.
        cell: side of the squares of the original's pixels that were compared together.
        align: what of the frame was to be undone.
        threshold: the least Delta-E that counts, as it was asked for.
        identical: whether both pictures are the same, bit for bit; nothing else was then looked at.
        frame: how the edited picture was moved; None where that could not be told, or was not asked for.
        drift: Delta-E of the largest correction of tone.
        highest: the highest Delta-E that a place had to reach, where the noise is largest.
        areas, dropped, least_area: changed areas, those that were too small or only a line, and how small that is in pixels.
        share: of the picture that the areas are, before they grew.
        taken: of the picture that has anything of the edit.
    """

    size: tuple[int, int]
    edited_size: tuple[int, int]
    cell: int
    align: str
    threshold: float
    identical: bool = False
    frame: Frame | None = None
    drift: float = 0.0
    highest: float = 0.0
    areas: int = 0
    dropped: int = 0
    least_area: int = 0
    share: float = 0.0
    taken: float = 0.0


def edit_report(found: list[EditFindings], match_color: bool) -> str:
    """A paragraph for each picture."""
    texts = [_described(one, match_color) for one in found]
    return texts[0] if len(texts) == 1 else "\n\n".join(f"picture {index} of the batch\n{text}" for index, text in enumerate(texts))


def _described(one: EditFindings, match_color: bool) -> str:
    if one.identical:
        return "The two pictures are identical, bit for bit: the original is passed on."
    lines = [_result(one)]
    if one.edited_size != one.size:
        (h, w), (height, width) = one.edited_size, one.size
        line = f"size: the edited picture is {w} x {h} and was brought to {width} x {height}"
        lines.append(line + (f"; compared in squares of {one.cell} x {one.cell} px, it shows no more" if one.cell > 1 else ""))
    lines += [f"frame: {_frame(one)}", f"tone: {_tone(one, match_color)}"]
    noise = f", up to {one.highest:.1f} where the noise is larger" if one.highest > one.threshold * 1.001 else ""
    lines.append(f"threshold: Delta-E 2000 of {one.threshold:g}{noise}; least area {one.least_area} px")
    return "\n".join(lines)


def _result(one: EditFindings) -> str:
    dropped = f" {counted(one.dropped, 'smaller place')} left out." if one.dropped else ""
    if not one.areas:
        return f"Nothing has changed but the frame and the tone of the whole: the original is passed on.{dropped}"
    changed, taken = _percent(one.share), _percent(one.taken)
    return f"{counted(one.areas, 'changed area')}, {changed} of the picture; with grow and feather {taken} has some of the edit.{dropped}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share >= 1e-6 else "less than 0.0001 %"


def _frame(one: EditFindings) -> str:
    if one.align == "off":
        return "not looked at (align is off)"
    if one.frame is None:
        return "left where it is, too little structure to tell whether it moved"
    frame = one.frame
    if not frame.moves:
        return f"where it was ({frame.agree} of {counted(frame.sure, 'block')} agree)"
    words = f"moved by {frame.dx:+.2f} px across and {frame.dy:+.2f} px down"
    if frame.scale_x or frame.scale_y:
        across, down = (f"{100 * scale:+.2f} %" for scale in (frame.scale_x, frame.scale_y))
        words += f", scaled by {across}" if across == down else f", scaled by {across} across and {down} down"
    return f"{words}; undone ({frame.agree} of {counted(frame.sure, 'block')} agree)"


def _tone(one: EditFindings, match_color: bool) -> str:
    if not one.drift:
        return "as it was"
    done = "taken out of what was put in" if match_color else "left in what was put in (match_color is off)"
    return f"the whole had drifted by up to Delta-E {one.drift:.1f}; not counted as a change, and {done}"
