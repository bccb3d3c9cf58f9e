"""What kind of disagreement each overlap shows, and what is the right way to hide it.

equal      the tiles agree: any window will do.
tone step  the same detail on another level: a window spreads the step, a gradient correction takes it away.
content    other detail (another texture, or the same one shifted): a mean of both would be blurred or doubled, so cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from .checking import CheckedTiles
from .cut_rows import low_band
from .mosaic import Mosaic
from .resample import on_grid

EQUAL, TONE, CONTENT = "feather", "gradient", "cut"

# A difference that nobody sees: half a level of 255 for tone, two for fine detail, which an eye forgives.
TONE_SEEN = 0.5 / 255
DETAIL_SEEN = 2 / 255
# Independent details differ by as much as both have together; a shift of half a wavelength by as much.
DETAIL_SHARE = 0.25


class Finding(NamedTuple):
    """What one overlap showed.

    Attributes:
        first, second: the tiles, counted from 0.
        beside: whether they lie side by side, else one above the other.
        choice: "feather", "gradient" or "cut".
        tone: the tone difference, second less first, of the channel where it is largest, 0..1.
        detail: rms difference of fine detail, 0..1.
        unlike: that as a share of what independent details would show, 0 (the same) to about 1 (unrelated).
    """

    first: int
    second: int
    beside: bool
    choice: str
    tone: float
    detail: float
    unlike: float

    def __str__(self) -> str:
        tone, detail = abs(self.tone) * 255, self.detail * 255
        why = {
            EQUAL: f"they agree (tone {tone:.1f}, detail {detail:.1f} of 255)",
            TONE: f"same detail, {tone:.1f} of 255 apart in tone",
            CONTENT: f"detail differs by {detail:.1f} of 255, {100 * min(self.unlike, 1):.0f} % of what unrelated pictures would",
        }[self.choice]
        return f"tiles {self.first}|{self.second}: {self.choice}, {why}"


def examine(first: torch.Tensor, second: torch.Tensor) -> tuple[str, float, float, float]:
    """Compare two tiles where they overlap.

    Args:
        first, second: float [P, h, w, C], the same place in both; the overlap runs across the shorter side.

    Returns:
        (choice, tone, detail, unlike) as in `Finding`.
    """
    first, second = first.float(), second.float()
    if first.shape[3] == 4:  # what cannot be seen cannot differ
        first, second = (torch.cat((t[..., :3] * t[..., 3:], t[..., 3:]), 3) for t in (first, second))
    length = min(first.shape[1:3])
    low_first, low_second = low_band(first, length), low_band(second, length)
    slow = low_second - low_first
    rough = (second - low_second) - (first - low_first)
    per_channel = slow.mean((0, 1, 2))
    tone = float(per_channel[per_channel.abs().argmax()])
    strength = float(slow.square().mean((0, 1, 2)).max().sqrt())
    detail = float(rough.square().mean().sqrt())
    both = float(((first - low_first).square().mean() + (second - low_second).square().mean()).sqrt())
    unlike = (detail / both) ** 2 if both > 0 else 0.0
    if detail > DETAIL_SEEN and unlike > DETAIL_SHARE:
        return CONTENT, tone, detail, unlike
    return (TONE if strength > TONE_SEEN else EQUAL), tone, detail, unlike


def survey(tiles: Sequence[torch.Tensor], mosaic: Mosaic) -> list[Finding]:
    """Examine every overlap of neighbouring tiles of the grid, in the order of the second tile.

    Args:
        tiles: all tiles [P, h, w, C], in the layout's order.
        mosaic: the geometry.

    Raises:
        ValueError: for tiles that are missing, odd or broken.
    """
    for _ in CheckedTiles(tiles, mosaic.layout):
        pass
    ys, xs = mosaic.windows
    findings = []
    for second in range(len(tiles)):
        row, column = divmod(second, len(xs))
        for beside, other in ((True, second - 1 if column else None), (False, second - len(xs) if row else None)):
            if other is None:
                continue
            a, b = (on_grid(mosaic, tiles[i].detach(), *divmod(i, len(xs))) for i in (other, second))
            if beside:
                n = xs[column - 1].stop - xs[column].start
                parts = (a[:, :, a.shape[2] - n :], b[:, :, :n]) if n > 0 else None
            else:
                n = ys[row - 1].stop - ys[row].start
                parts = (a[:, a.shape[1] - n :], b[:, :n]) if n > 0 else None
            if parts is not None and parts[0].shape == parts[1].shape and parts[0].numel():
                findings.append(Finding(other, second, beside, *examine(*parts)))
    return findings


def summary(findings: Sequence[Finding]) -> list[str]:
    """A line for each kind that was found, with the case that shows it best."""
    if not findings:
        return ["no overlaps: nothing to decide"]
    lines = []
    for choice, strength in ((EQUAL, "tone"), (TONE, "tone"), (CONTENT, "detail")):
        of_kind = [f for f in findings if f.choice == choice]
        if of_kind:
            worst = max(of_kind, key=lambda f: abs(getattr(f, strength)))
            lines.append(f"{len(of_kind)} x {choice}; strongest: {worst}")
    return lines
