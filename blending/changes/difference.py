"""How different two pictures of one scene look, place by place, and how much of that is noise.

CIEDE2000 of both pictures' Lab after a slight smoothing, because the eye does not see single pixels, and half of a textured
picture would differ by more than one can see. What registration, resampling and a VAE leave over grows with the structure of
the place, so the noise is measured for each degree of structure by itself: edges may differ more than a plain wall.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from ..layout.reference import sample
from ..pixels.delta_e import ciede2000
from ..pixels.lab import rgb_to_lab
from ..pixels.picture import colours, in_channels
from .edited_view import EditedView
from .tone import Tone

_SIGMA = 1.0  # pixels, or cells where cells are compared
_RADIUS = 3
_HALO = _RADIUS + 3  # and what the structure looks at
_PIXELS_AT_ONCE = 1 << 18
# CIEDE2000 is at most this many times the distance in Lab: a and b may be stretched by 1.5, hue and chroma twist by 1.37.
_STEEPEST = 2.06
_HIDDEN = 1 / 1024
_ALPHA_LAB = 100.0  # Delta-E between there and not there

DEGREES = 16
_LOWEST, _HIGHEST = 0.25, 40.0  # Lab units per pixel
_SAMPLES = 1 << 18
_FEW = 64
_QUIET = 0.3  # of the pixels of one structure that are taken to be unchanged, at least
_TAIL = 6.0  # times that quantile: as far as noise reaches
_MOST_RAISED = 4.0
_EDGE = 0.4
_CLEARLY = 1.5


class Difference(NamedTuple):
    """What was compared, in cells of the original.

    Attributes:
        delta_e: float32 [n, m]; 0 where it is surely below the least threshold, and where one of the pictures has nothing.
        degree: uint8 [n, m], how much structure there is, 0 to DEGREES - 1.
        quiet: float64 [DEGREES], Delta-E of the quieter pixels of each degree; NaN where there are too few.
    """

    delta_e: torch.Tensor
    degree: torch.Tensor
    quiet: torch.Tensor


def compare(
    original: torch.Tensor, view: EditedView, tone: Tone, cell: int, least: float, step: Callable[[int, int], None] | None = None
) -> Difference:
    """Compare a picture with its edited view, strip by strip.

    Args:
        original: [H, W, C].
        view: the edited picture over it.
        tone: the drift to leave out.
        cell: side of the squares of pixels that are compared by their means; 1 for single pixels.
        least: the least threshold; a smaller Delta-E need not be known.
        step: told the rows that are done, and of how many.

    Returns:
        the difference; it is a plane and a quarter of the cells.
    """
    height, width = (-(-side // cell) for side in original.shape[:2])
    plane = original.new_zeros(height, width, dtype=torch.float32)
    degree = torch.zeros(height, width, dtype=torch.uint8, device=original.device)
    rows, columns = ([-(-first // cell), end // cell] for first, end in (view.covered(0), view.covered(1)))
    rows[1], columns[1] = (
        count if end == side else last
        for count, side, last, (_, end) in zip(
            (height, width), original.shape[:2], (rows[1], columns[1]), (view.covered(0), view.covered(1)), strict=True
        )
    )
    limits = tuple(
        min(0.0, float(end)) if low else max(1.0, float(end)) for low, end in zip((True, False), torch.aminmax(view.pixels), strict=True)
    )
    stride = max(1, height * width // _SAMPLES)
    samples: list[tuple[torch.Tensor, torch.Tensor]] = []
    strip = max(1, _PIXELS_AT_ONCE // width)
    for top in range(0, height, strip):
        end = min(top + strip, height)
        first, last = max(0, top - _HALO), min(height, end + _HALO)
        own = _cells(original, first, last, width, cell)
        other = view.part((first, last), (0, width), cell)
        lab, edited, gone = _pair(own, other, tone, limits)
        inner = slice(top - first, top - first + end - top)
        structure = _degree(lab)[inner]
        lab, edited = lab[:, inner], edited[:, inner]
        degree[top:end] = structure
        seen = torch.zeros_like(structure, dtype=torch.bool)
        seen[max(0, rows[0] - top) : max(0, rows[1] - top), columns[0] : columns[1]] = True
        quick = (lab - edited).square_().sum(0).sqrt_()
        if gone is not None:
            seen &= gone[inner] < 1
        picked = torch.zeros_like(seen).view(-1)
        picked[(-top * width) % stride :: stride] = True
        picked = picked.view(seen.shape) & seen
        samples.append((_delta_e(lab[:, picked], edited[:, picked]).float(), structure[picked]))
        worth = seen & (_STEEPEST * quick >= least)
        target = plane[top:end]
        target[worth] = _delta_e(lab[:, worth], edited[:, worth]).float()
        if gone is not None:
            _count_alpha(target, own, other, inner, seen)
        if step is not None:
            step(end, height)
    return Difference(plane, degree, _quiet(samples))


def thresholds(difference: Difference, least: float) -> torch.Tensor:
    """The Delta-E from which on a place of each degree of structure has changed, float32 [DEGREES], `least` or more.

    Raised where the noise outside the edit asks for it, and then at most to four times `least`: where more than two thirds of
    all places of a degree were edited, what looks like noise is the edit.
    """
    quiet = difference.quiet.clone()
    known = ~quiet.isnan()
    if not bool(known.any()):
        return torch.full((DEGREES,), least)
    order = torch.arange(DEGREES)
    nearest = (order[:, None] - order[known]).abs().argmin(1)
    quiet = quiet[known][nearest]
    # Structure only adds to noise: a plain place that seems noisier than an edge has been edited.
    quiet = quiet.flip(0).cummin(0).values.flip(0)
    return (_TAIL * quiet).clamp(least, _MOST_RAISED * least).float()


class ChangedPlaces(NamedTuple):
    """Where the pictures differ by more than the limit of the place's structure, `changed`, and by clearly more, `clear`.

    Both bool [n, m].
    """

    changed: torch.Tensor
    clear: torch.Tensor


def changed_places(difference: Difference, limits: torch.Tensor) -> ChangedPlaces:
    """The places that have changed.

    Smoothing carries a change over its edge; what is less than `_EDGE` of the most within two pixels is that, and left out.
    """
    out = ChangedPlaces(*(torch.empty_like(difference.delta_e, dtype=torch.bool) for _ in range(2)))
    height, width = out.changed.shape
    strip = max(1, _PIXELS_AT_ONCE // width)
    for top in range(0, height, strip):
        end, first = min(top + strip, height), max(0, top - 2)
        near = _most_near(difference.delta_e[first : end + 2])[top - first :][: end - top]
        delta = difference.delta_e[top:end]
        limit = limits.to(delta.device)[difference.degree[top:end].long()]
        out.changed[top:end] = (delta >= limit) & (delta >= _EDGE * near)
        out.clear[top:end] = delta >= _CLEARLY * limit
    return out


def _cells(original: torch.Tensor, first: int, last: int, width: int, cell: int) -> torch.Tensor:
    if cell == 1:
        return original[first:last]
    return sample(original[None], (first * cell, 0, (last - first) * cell, width * cell), (last - first, width))[0]


def _pair(
    own: torch.Tensor, other: torch.Tensor, tone: Tone, limits: tuple[float, float]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Both pictures' smoothed Lab [C, h, w] with the same drift, and where nothing is to be seen (1) for RGBA.

    The original is given the edited picture's drift, and is cut off where that one was: highlights that a lighter tone has
    pushed out of the range cannot be had back, and are no change.
    """
    size = own.shape[:2]
    other = in_channels(other, colours(own).shape[-1])
    drifted = tone.given(_planar(own)).clamp_(*limits) if tone.works else _planar(own)
    planes = [rgb_to_lab(plane).view(-1, *size) for plane in (drifted, _planar(other))]
    if own.shape[-1] != 4 and other.shape[-1] != 4:
        return _smooth(planes[0]), _smooth(planes[1]), None
    weight = torch.ones(size, device=own.device)
    for pixels in (own, other):
        if pixels.shape[-1] == 4:
            weight = weight * pixels[..., 3].float().clamp(0, 1)
    spread = _smooth(weight[None]).clamp_min(_HIDDEN)
    smooth = [_smooth(plane * weight) / spread for plane in planes]
    return smooth[0], smooth[1], (weight < _HIDDEN).float()


def _planar(pixels: torch.Tensor) -> torch.Tensor:
    colour = colours(pixels)
    return colour.reshape(-1, colour.shape[-1]).T.float()


def _smooth(planes: torch.Tensor) -> torch.Tensor:
    from kornia.filters import gaussian_blur2d  # here, because loading it takes longer than the rest of the pack

    side = 2 * _RADIUS + 1
    return gaussian_blur2d(planes[None], (side, side), (_SIGMA, _SIGMA), border_type="replicate")[0]


def _most_near(plane: torch.Tensor) -> torch.Tensor:
    """The largest value within two pixels along both axes, [h, w]."""
    return F.max_pool2d(F.max_pool2d(plane[None], (5, 1), 1, (2, 0)), (1, 5), 1, (0, 2))[0]


def _degree(lab: torch.Tensor) -> torch.Tensor:
    """How steep lightness and colour are near each pixel, as a step of a logarithmic scale, uint8 [h, w]."""
    padded = F.pad(lab[None], (1, 1, 1, 1), mode="replicate")[0]
    along = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]).square().sum(0)
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]).square().sum(0)
    slope = (along + across).sqrt_().mul_(0.5)
    slope = _most_near(slope)
    share = (slope.clamp_min(_LOWEST) / _LOWEST).log_() / math.log(_HIGHEST / _LOWEST)
    return (share * (DEGREES - 1)).round_().clamp_(0, DEGREES - 1).byte()


def _delta_e(lab: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """CIEDE2000 of [C, n] and [C, n]; grey has no a and b."""
    if lab.shape[0] == 1:
        lab, other = (torch.cat((plane, plane.new_zeros(2, plane.shape[1]))) for plane in (lab, other))
    return ciede2000(lab.T, other.T)


def _count_alpha(target: torch.Tensor, own: torch.Tensor, other: torch.Tensor, inner: slice, seen: torch.Tensor) -> None:
    """Where both pictures have alpha and it differs, the place has changed, whatever its colour."""
    target *= seen
    if own.shape[-1] == 4 and other.shape[-1] == 4:
        change = _smooth((own[..., 3].float() - other[..., 3].float())[None])[0, inner].abs()
        torch.maximum(target, _ALPHA_LAB * change, out=target)


def _quiet(samples: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    values = torch.cat([value for value, _ in samples])
    degrees = torch.cat([degree for _, degree in samples])
    quiet = torch.full((DEGREES,), float("nan"), dtype=torch.float64)
    for degree in range(DEGREES):
        own = values[degrees == degree]
        if len(own) >= _FEW:
            quiet[degree] = float(own.double().sort().values[int(_QUIET * (len(own) - 1))])
    return quiet
