"""Seams that are spread over the overlap: a drift of tone that was feathered, and detail that was lost in the mix.

Tone: the mean of a strip on either side of the band, less what the strips further out say it
should be. A natural shading of just that width and place looks the same, so without a
reference only a faint, even drift centred on the overlap counts; a strong one where it ends with
its tile (`drift_ends.py`).

Detail: the energy of the second difference along the line, which a step across does not touch.
Two versions of one texture, averaged, lose it in the band and keep it on both sides. So does a
smooth patch of the scene; but that is seldom in the overlap's place in every piece of its length.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from .boundaries import Boundary
from .controls import normal
from .steps import MOST_Z, Response, along, opponent
from .surroundings import Strip

LEAST_BAND = 8
MOST_STRIP = 64
LEAST_STRIP = 8
PLAIN_BAND = 32
TONE_FLOOR = 0.15
VISIBLE_DRIFT = 1.0
MOST_DRIFT = 12.0
LEAST_RAMP = 0.1  # levels per pixel: a gentler ramp is not seen
STANDS_OUT = 1.5
EVEN = 0.85  # of the segments must show it
OFF_CENTRE = 6  # the peak may lie this fraction of the band off its middle
LEAST_PLACES = 24
FLAT = 0.1  # of the drift: what the picture may change by beside it


def drifts(mean: torch.Tensor, band: int, strip: int) -> torch.Tensor:
    """For every column x of `mean` [..., columns]: the change of tone over a band centred on x that its surroundings do not explain.

    Zero for every straight ramp, d for a change by d that stays within the band; zero within reach of the ends.
    """
    out = torch.zeros_like(mean)
    half, count = band // 2, mean.shape[-1]
    reach = half + 2 * strip
    if count <= 2 * reach:
        return out
    total = torch.nn.functional.pad(mean.double().cumsum(-1), (1, 0))

    def strip_mean(offset: int) -> torch.Tensor:
        """Mean of `strip` columns that begin at x + offset, for x = reach .. count - reach."""
        first = reach + offset
        n = count - 2 * reach + 1
        return (total[..., first + strip : first + strip + n] - total[..., first : first + n]) / strip

    left, right = strip_mean(-half - strip), strip_mean(half)
    slope = (left - strip_mean(-half - 2 * strip) + strip_mean(half + strip) - right) / 2
    found = right - left - slope * ((2 * half + strip) / strip)
    out[..., reach : reach + found.shape[-1]] = found[..., : count - reach].to(out.dtype)
    return out


class Drift(NamedTuple):
    """How the tone changes over an overlap, of N pictures and P planes (lightness and two of colour).

    Attributes:
        finding: what counts as a seam as it stands.
        z: [N, P].
        size: [N, P], in levels.
        where: [N, P, S], the same in every segment.
        shaped: bool [N, P], whether it is centred on the overlap, and flat on both sides of it.
    """

    finding: Response
    z: torch.Tensor
    size: torch.Tensor
    where: torch.Tensor
    shaped: torch.Tensor


def tone_test(strip: Strip, boundary: Boundary, content_free: bool) -> Drift | None:
    """A change of tone spread over the overlap; None where there is no overlap to speak of, or not enough picture around it.

    Args:
        strip: the surroundings.
        boundary: where.
        content_free: whether `strip` is a difference to a reference, so that shading cannot be mistaken for drift.
    """
    a, b = min(boundary.band), max(boundary.band)
    band = b - a
    if band < LEAST_BAND:
        return None
    at = (a + b) // 2 - strip.left
    edges = [edge - strip.left for edge in boundary.edges if not a <= edge <= b]
    width, reach, others = _controls(band, at, edges, strip.mean.shape[-1])
    if not others:
        return None
    planes = opponent(strip.mean)
    per_segment = drifts(planes, band, width)
    values = along(per_segment)
    # In a difference the strongest controls are other boundaries' drifts, and this one's own as it fades out.
    usual = normal(values[..., others], TONE_FLOOR, outer=not content_free)
    size = values[..., at]
    z = ((size - usual.median).abs() / usual.scale).clamp(max=MOST_Z)
    near = values[..., max(at - band // 2, reach) : at + band // 2 + 1].abs()
    off = (near.argmax(-1) + max(at - band // 2, reach) - at).abs()
    same = (per_segment[..., at] * size[..., None].sign() > size[..., None].abs() / 3).float().mean(-1)
    counts = (size.abs() > VISIBLE_DRIFT) & (same >= EVEN)
    stands_out = STANDS_OUT if content_free else 2 * STANDS_OUT
    counts &= size.abs() > stands_out * (values[..., others] - usual.median[..., None]).abs().amax(-1)
    shaped = counts & (size.abs() > LEAST_RAMP * band) & (off <= max(1, band // OFF_CENTRE))
    if not content_free:
        counts = shaped & (size.abs() < MOST_DRIFT)
    shaped &= _flat_beside(along(planes), at, band, width, size)
    drift = (z, size, per_segment[..., at], shaped)
    best = torch.where(counts, z + 2 * MOST_Z, z).argmax(1, keepdim=True)
    where = per_segment[..., at].gather(1, best[..., None].expand(-1, -1, per_segment.shape[2]))[:, 0]
    z, size, counts = (part.gather(1, best)[:, 0] for part in (z, size, counts))
    return Drift(Response("tone drift", z, size, torch.zeros_like(best[:, 0]), counts, where), *drift)


def _flat_beside(mean: torch.Tensor, at: int, band: int, strip: int, size: torch.Tensor) -> torch.Tensor:
    """Whether `mean` [N, P, columns] stays within FLAT of the drift from the overlap's ends outwards, on either side."""
    half = band // 2
    left, right = mean[..., at - half - 2 * strip : at - half], mean[..., at + half : at + half + 2 * strip]
    quarter = max(2, strip // 4)
    flat = torch.ones_like(size, dtype=torch.bool)
    for side in (left, right):
        pieces = torch.stack([piece.mean(-1) for piece in side.split(quarter, -1) if piece.shape[-1] == quarter], -1)
        flat &= pieces.amax(-1) - pieces.amin(-1) < FLAT * size.abs()
    return flat


def _controls(band: int, at: int, edges: list[int], columns: int) -> tuple[int, int, list[int]]:
    """Width of the strips, their reach, and the columns to compare with; none of those where there is too little picture."""
    for width in (min(max(band // 2, LEAST_STRIP), MOST_STRIP), min(max(band // 4, LEAST_STRIP), MOST_STRIP)):
        reach = band // 2 + 2 * width
        if not reach <= at < columns - reach:
            continue
        places = [x for x in range(reach, columns - reach) if all(abs(x - edge) >= band for edge in edges)]
        # A control further off than the reach does not see the drift itself; where tiles are small, one that sees little of it must do.
        for clear in (reach, band):
            others = [x for x in places if abs(x - at) >= clear]
            if len(others) >= LEAST_PLACES:
                return width, reach, others
    return 0, 0, []
