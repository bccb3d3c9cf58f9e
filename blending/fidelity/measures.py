"""What a result changed at each place, as a severity: 1 is where a place begins to count as changed.

Places are blocks of 16 px, one every 8 px. A place counts where three things come together: it stands out from places of
like content in the same result, the change is a fair share of what the place holds, and it is large enough to be seen. The
severity is the least of the three, each over its limit.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn.functional import avg_pool2d, pad

from ..pixels.delta_e import ciede2000
from ..pixels.lab import rgb_to_lab
from .cell_sums import CELL, FINE, STRUCTURE, CellSums
from .comparable import robust_fit, stands_out
from .usual_gain import Gain, left_over, usual_gain

BLOCK = 2  # cells along a side
_WIDE = 4  # cells along a side of what tone is judged by: the low band
_NOTHING = 0.05  # squared gradient that is added before a logarithm
_LEAST_SHIFT = 0.05  # px that blocks of one picture differ by at least
_NOISE = 1.0  # squared gradient that two pictures of one scene may differ in at any place


class Limits(NamedTuple):
    """From where a place counts.

    Attributes:
        deviations: from places of like content.
        share: of what the place holds, 0..1; of tone nothing is asked.
        size: levels per pixel of gradient; of tone Delta-E, of a shift pixels.
    """

    deviations: float
    share: float
    size: float


# Measured on photographs that none of the rates are told of (`tests/unit/fidelity/fidelity_scenes.py`, TRIED).
STRUCTURE_NAME, FINE_NAME, TONE, SHIFT = "structure", "fine detail", "tone", "shift"
LIMITS = {
    STRUCTURE_NAME: Limits(4.0, 0.03, 0.7),
    FINE_NAME: Limits(6.0, 0.16, 3.2),
    TONE: Limits(5.0, 0.0, 1.7),
    SHIFT: Limits(6.0, 0.0, 0.5),
}


class Measured(NamedTuple):
    """One measure at every place, each float64 [n, m], of one place for each cell but the last of a row and column.

    Attributes:
        severity: 1 from where a place counts as changed.
        size: levels per pixel, or Delta-E.
        energy: the result's detail over what was to be expected, as a ratio of amplitudes; of tone the difference in L.
    """

    severity: torch.Tensor
    size: torch.Tensor
    energy: torch.Tensor


def measured(sums: CellSums) -> tuple[dict[str, Measured], dict[str, Gain]]:
    """Every measure at every place, and the usual gains that they rest on; of pictures of at least two by two cells.

    Args:
        sums: of both pictures.
    """
    gains = {FINE_NAME: usual_gain(sums, FINE), STRUCTURE_NAME: usual_gain(sums, STRUCTURE)}
    content = torch.stack([(_blocks(plane.double()) + _NOTHING).log() for plane in sums.source], -1)
    found = {name: _detail(sums, view, gains[name], content) for name, view in ((STRUCTURE_NAME, STRUCTURE), (FINE_NAME, FINE))}
    return {**found, TONE: _tone(sums, content)}, gains


def _blocks(plane: torch.Tensor) -> torch.Tensor:
    return avg_pool2d(plane[None, None], BLOCK, 1)[0, 0]


def _detail(sums: CellSums, view: int, gain: Gain, content: torch.Tensor) -> Measured:
    left = _blocks(left_over(sums, view, gain.cells))
    expected = _blocks(gain.cells.square() * sums.source[view].double())
    there = _blocks(sums.result[view].double())
    deviations = stands_out((left + 5 * _NOTHING).log().flatten(), content.flatten(0, 1)).view_as(left)
    share = left / (torch.maximum(expected, there) + 4 * _NOISE)
    limits = LIMITS[STRUCTURE_NAME if view == STRUCTURE else FINE_NAME]
    severity = torch.minimum(torch.minimum(deviations / limits.deviations, share / limits.share), left.sqrt() / limits.size)
    return Measured(severity.clamp_min(0), left.sqrt(), ((there + _NOTHING) / (expected + _NOTHING)).sqrt())


def _tone(sums: CellSums, content: torch.Tensor) -> Measured:
    before, after = (_lab(colour) for colour in (sums.colour_source, sums.colour_result))
    shape = before.shape[:2]
    flat, came = before.flatten(0, 1), after.flatten(0, 1)
    by = torch.cat((flat / 50, (flat[:, :1] / 50).square(), content.flatten(0, 1)), 1)
    usual = torch.stack([robust_fit(came[:, i] - flat[:, i], by) for i in range(3)], 1)
    size = ciede2000(flat + usual, came)
    limits = LIMITS[TONE]
    deviations = stands_out((size + 0.2).log(), by)
    severity = torch.minimum(deviations / limits.deviations, size / limits.size).clamp_min(0)
    return Measured(*(value.view(shape) for value in (severity, size, (came - flat - usual)[:, 0])))


def _lab(colour: torch.Tensor) -> torch.Tensor:
    """Lab of the mean colour around each place, float64 [n - 1, m - 1, 3]."""
    wide = [min(_WIDE, side) for side in colour.shape[1:]]
    means = avg_pool2d(colour[None].double(), wide, 1)
    # One mean for each place: those at the ends look at what there is.
    missing = [side - BLOCK + 1 - have for side, have in zip(colour.shape[1:], means.shape[2:], strict=True)]
    around = [end for count in reversed(missing) for end in (count // 2, count - count // 2)]
    means = pad(means, around, mode="replicate")[0]
    lab = rgb_to_lab((means.expand(3, -1, -1) if len(means) == 1 else means).flatten(1) / 255)
    return lab.view(3, *means.shape[1:]).movedim(0, -1)


def shift_measured(at: list[tuple[int, int]], side: int, off: torch.Tensor, sure: torch.Tensor, shape: tuple[int, int]) -> Measured:
    """The shift of blocks against what the whole picture is shifted by, at the places that they cover.

    Args:
        at: (y, x) of the first pixels of the blocks.
        side: of a block, pixels.
        off: [N], by how many pixels each is off.
        sure: bool [N], whether that can be relied on; where not, it is no shift.
        shape: places, down and across.
    """
    size, severity = (torch.zeros(shape, dtype=torch.float64) for _ in range(2))
    limits = LIMITS[SHIFT]
    known = off[sure]
    scatter = max(float(known.median()) if len(known) else 0.0, _LEAST_SHIFT)
    for (y, x), far, counts in zip(at, off.tolist(), sure.tolist(), strict=True):
        if counts:
            # The middle of the block, where it is at home.
            rows, columns = (slice((start + side // 4) // CELL, (start + 3 * side // 4) // CELL) for start in (y, x))
            size[rows, columns] = size[rows, columns].clamp_min(far)
            severity[rows, columns] = severity[rows, columns].clamp_min(min(far / scatter / limits.deviations, far / limits.size))
    return Measured(severity, size, torch.zeros(shape, dtype=torch.float64))
