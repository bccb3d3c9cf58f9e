"""By how much one block of a picture is shifted against another, to a part of a pixel, and whether that can be known.

Where to look comes from phase correlation (Kuglin and Hines, "The phase correlation image alignment method", 1975): the
normalised cross power of both blocks, its peak found within the shifts that are allowed. From there the shift is refined by
least squares on the pixels themselves (Lucas and Kanade 1981), at last with the mean of both blocks' gradients, and with a gain
and without tone, so that a tone step is no shift.

A peak is always found, also where nothing can be known; so what was found is judged. Gradients that only one block has are
its grain, and drop out of the products of both blocks' gradients. What is left must be there in every direction (a stripe
shows no shift along itself) and stronger than the steps of an 8-bit gradient, which lie where rounding and tone put them.
How far the answer may be wrong is taken from how parts of the block contradict it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from ..layout.placement import KERNEL_RADIUS, cubic_convolution

LEAST_SIDE = 16
_SMOOTH = 1.0  # px, Gaussian: what the six-point kernel reads between pixels without loss
_ROUNDS = 16
_EDGE = 3  # px at each side that the filters' borders reach
_PARTS = 4  # parts along the shorter side whose contradictions are the error
_AT_ONCE = 1 << 21  # pixels of a batch that are worked on together

# Detail of an 8-bit gradient alone has a gradient of at most 0.14 levels per pixel, in both directions together.
_LEAST_GRADIENT = 0.2 / 255
_LEAST_SHARE = 0.02  # what reading between pixels leaves of a stripe's gradient along itself is less
_LEAST_LIKENESS = 0.5
_MOST_ERROR = 0.12  # px, one standard error in the worst direction
_MOST_RETURN = 0.15  # px by which there and back may differ
_MOST_HALVES = 0.6  # px by which two halves may contradict the whole
_BEYOND = 0.5  # px past max_shift that are searched, so that what lies at it is found and what lies past it is known
_RIVAL = 0.9  # a second peak as high as this share of the first makes the first a guess


class Shifts(NamedTuple):
    """What was found for each block; moving(y + dy, x + dx) = fixed(y, x).

    Attributes:
        dy, dx: float64 [N], pixels; 0 where even the search found nothing.
        confidence: float64 [N], 0..1: how alike the blocks are once shifted, less where the error is likely to be large.
            As a weight of least squares it is in place.
        sure: bool [N], whether the shift can be relied on to about 0.3 px. Where it is false, dy and dx mean nothing.
    """

    dy: torch.Tensor
    dx: torch.Tensor
    confidence: torch.Tensor
    sure: torch.Tensor


# What keeps a shift from being sure, in the order in which they are told.
SURE, FEATURELESS, DIFFERENT, AMBIGUOUS = 0, 1, 2, 3


def least_side(max_shift: float) -> int:
    """The smallest side of a block, in pixels, in which shifts up to `max_shift` can be looked for."""
    return max(LEAST_SIDE, 2 * math.ceil(max_shift) + 12)


def find_shifts(fixed: torch.Tensor, moving: torch.Tensor, max_shift: float) -> Shifts:
    """`judged_shifts` without the reasons: moving(y + dy, x + dx) = fixed(y, x)."""
    return judged_shifts(fixed, moving, max_shift)[0]


def judged_shifts(fixed: torch.Tensor, moving: torch.Tensor, max_shift: float) -> tuple[Shifts, torch.Tensor]:
    """The shift of each block of `moving` against that of `fixed`: moving(y + dy, x + dx) = fixed(y, x).

    On blocks of photographs 64 px wide it is right to 0.1 px, with grain of two levels in 255 on both to 0.3 px. It is never
    sure of flat grain, of stripes, of an 8-bit gradient's bands, or of different content.

    Args:
        fixed, moving: floating point [N, h, w], one channel (lightness, luma), 0..1; the same places, as they are in both.
        max_shift: pixels, above 0; no larger shift is looked for. Both sides must be at least `least_side(max_shift)`.

    Returns:
        (`Shifts`, on the processor; int64 [N], SURE or what keeps it from being sure: FEATURELESS, both show too little in one
        direction at least; DIFFERENT, they show other things; AMBIGUOUS, more than one shift would do, or one past max_shift).
        About 30 planes of at most `_AT_ONCE` pixels, or of one block, are held.

    Raises:
        ValueError: for blocks that differ in shape, are too small for `max_shift`, or hold NaN or Inf.
    """
    if fixed.ndim != 3 or fixed.shape != moving.shape or not (fixed.is_floating_point() and moving.is_floating_point()):
        raise ValueError(
            f"blocks of shape {tuple(fixed.shape)} ({fixed.dtype}) and {tuple(moving.shape)} ({moving.dtype}) came to be compared: "
            "expected floating point [N, h, w], both alike"
        )
    if not 0 < max_shift < math.inf:
        raise ValueError(f"max_shift {max_shift} is not a number of pixels: use a number above 0, for example 4")
    count, height, width = fixed.shape
    if min(height, width) < least_side(max_shift):
        raise ValueError(
            f"blocks of {width} x {height} px are too small to look for shifts of up to {max_shift:g} px: use blocks of at least "
            f"{least_side(max_shift)} px, or a smaller max_shift"
        )
    if not (torch.isfinite(fixed).all() and torch.isfinite(moving).all()):
        raise ValueError("the blocks to be compared hold NaN or Inf: a model in fp16 that overflows is the usual cause")
    step = max(1, _AT_ONCE // (height * width))
    with torch.no_grad():
        parts = [_find(f, m, max_shift) for f, m in zip(fixed.split(step), moving.split(step), strict=True) if count]
    if not parts:
        none = torch.zeros(0, dtype=torch.float64)
        return Shifts(none, none, none, none.bool()), none.long()
    *shifts, doubts = (torch.cat(column) for column in zip(*parts, strict=True))
    return Shifts(*shifts), doubts


def _find(fixed: torch.Tensor, moving: torch.Tensor, max_shift: float) -> tuple[torch.Tensor, ...]:
    """The columns of `Shifts`, and the doubts."""
    fixed, moving = (_smoothed(block.float(), _SMOOTH) for block in (fixed, moving))
    start, rival = _peaks(fixed, moving, max_shift)
    there, seen = _judge(fixed, moving, _refined(fixed, moving, start, max_shift))
    back = _refined(moving, fixed, -there, max_shift)
    alike = (seen.likeness >= _LEAST_LIKENESS) & (seen.halves <= _MOST_HALVES) & seen.better
    shown = (seen.gradient >= _LEAST_GRADIENT) & (seen.share >= _LEAST_SHARE) & (seen.error <= _MOST_ERROR)
    one = ((there + back).norm(dim=1) <= _MOST_RETURN) & (rival < _RIVAL) & (there.abs() <= max_shift + _BEYOND / 2).all(1)
    doubts = torch.full_like(alike, SURE, dtype=torch.int64)
    for doubt, where in ((AMBIGUOUS, ~one), (DIFFERENT, ~alike), (FEATURELESS, ~shown & (alike | ~seen.detailed))):
        doubts[where] = doubt
    doubts[~shown & (doubts == SURE)] = FEATURELESS
    confidence = seen.likeness.clamp(0, 1) / (1 + (seen.error / _MOST_ERROR).square())
    return tuple(column.cpu() for column in (there[:, 0], there[:, 1], confidence.nan_to_num(0.0), doubts == SURE, doubts))


def _smoothed(blocks: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blocks [N, h, w] under a Gaussian, mirrored at their sides."""
    from kornia.filters import gaussian_blur2d

    side = 2 * min(math.ceil(3 * sigma), min(blocks.shape[1:]) - 1) + 1
    return gaussian_blur2d(blocks[:, None], (side, side), (sigma, sigma), border_type="reflect")[:, 0]


def _coarse(blocks: torch.Tensor) -> float:
    """Pixels on either side beyond which structure is tone, which tiles need not agree in."""
    return min(max(min(blocks.shape[1:3]) / 8, 4.0), 12.0)


def _peaks(fixed: torch.Tensor, moving: torch.Tensor, max_shift: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Where to begin, and how high the best rival is.

    Returns:
        (float64 [N, 2], whole pixels; float64 [N], the second peak of the plain correlation as a share of the first).
    """
    _, height, width = fixed.shape
    window = (_hann(height)[:, None] * _hann(width)).to(fixed)
    planes = torch.stack((fixed, moving))
    first, second = torch.fft.rfft2(_without_tone(planes, torch.ones_like(planes[:1])) * window)
    cross = first.conj() * second
    strength = cross.abs()
    # Frequencies that hold next to nothing hold noise, and count by what they hold.
    whitened = cross / (strength + strength.mean((1, 2), keepdim=True))
    reach = math.ceil(max_shift) + 1
    lags = torch.arange(-reach, reach + 1, device=fixed.device)

    def within(spectrum: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft2(spectrum, s=(height, width))[:, lags[:, None], lags]

    start = _places(_allowed(within(whitened)), lags)
    # What two windows have in common grows less with the lag: that is no reason to trust the nearer of two peaks.
    common = within(torch.fft.rfft2(window[None]).abs().square())
    plain = within(cross) / common.clamp_min(1e-3 * float(common.max()))
    best = _allowed(plain).flatten(1).amax(1).clamp_min(1e-30)
    peaks = torch.nn.functional.max_pool2d(plain[:, None], 3, 1, 1)[:, 0] == plain
    away = torch.maximum((lags[None, :, None] - start[:, 0, None, None]).abs(), (lags[None, None, :] - start[:, 1, None, None]).abs()) > 1.5
    rivals = torch.where(_allowed(peaks) & away, plain, torch.zeros_like(plain))
    return start, (rivals.flatten(1).amax(1) / best).double()


def _allowed(surface: torch.Tensor) -> torch.Tensor:
    """A surface of lags without its outermost ones, which only tell what a peak is."""
    out = torch.zeros_like(surface)
    out[:, 1:-1, 1:-1] = surface[:, 1:-1, 1:-1]
    return out


def _places(surface: torch.Tensor, lags: torch.Tensor) -> torch.Tensor:
    at = surface.flatten(1).argmax(1)
    return torch.stack((lags[at // len(lags)], lags[at % len(lags)]), 1).double()


def _hann(size: int) -> torch.Tensor:
    return torch.hann_window(size + 2, periodic=False)[1:-1]


def _refined(fixed: torch.Tensor, moving: torch.Tensor, start: torch.Tensor, max_shift: float) -> torch.Tensor:
    """The shift of least squares near `start`, float64 [N, 2], by the slopes of `fixed` alone, which need not be worked out again."""
    at = start.clone()
    limit = max_shift + _BEYOND
    weight = _weight(fixed, start, _EDGE + 1)
    slopes = _without_tone(_gradients(fixed), weight[None]) * weight
    powers = [(_without_tone(block[None], weight[None])[0].square() * weight).sum((1, 2)) for block in (fixed, moving)]
    gain = _gain(*powers)
    tensor = _safe(_tensor(slopes, slopes))
    for _ in range(_ROUNDS):
        left = fixed - gain[:, None, None] * _moved(moving, at)
        left = left - ((left * weight).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1e-6))[:, None, None]
        step = _step(tensor, _sums(slopes * left))
        at = (at + step).clamp(-limit, limit)
        if float(step.abs().max()) < 2e-3:
            break
    return at


def _step(tensor: torch.Tensor, votes: torch.Tensor) -> torch.Tensor:
    """What a structure tensor [N, 2, 2] makes of the sums [2, N]; a step longer than a pixel is beyond what slopes can tell."""
    step = torch.linalg.solve(tensor, votes.T[..., None])[..., 0].nan_to_num(0.0)
    return step / step.norm(dim=1, keepdim=True).clamp_min(1)


class _Pair:
    """Two blocks, one of them read at a shift, both without tone.

    Attributes:
        weight: float32 [N, h, w], 1 where both have pixels, 0 at the sides.
        total: float64 [N], pixels that count.
        left: [N, h, w], what is left of `fixed` when `moving` is taken off, in one gain.
        own, other: [2, N, h, w], the gradients of `fixed` and of `moving` as it was read.
        slopes: their mean.
        likeness: float64 [N], their correlation.
        before: float64 [N], the mean square of what is left where nothing is shifted.
    """

    def __init__(self, fixed: torch.Tensor, moving: torch.Tensor, at: torch.Tensor) -> None:
        self.weight = weight = _weight(fixed, at, _EDGE)
        self.total = weight.sum((1, 2), dtype=torch.float64)
        warped = _moved(moving, at)
        planes = torch.cat((fixed[None], warped[None], moving[None], _gradients(fixed), _gradients(warped)))
        # Not of the blocks but of what is compared, so that at the shift nothing is left whatever lies beyond their sides.
        planes = _without_tone(planes, weight[None])
        fixed, warped, moving = planes[:3]
        powers = _sums(fixed.square() * weight), _sums(warped.square() * weight)
        self.likeness = _sums(fixed * warped * weight) / (powers[0] * powers[1]).sqrt().clamp_min(1e-20)
        gain = _gain(*powers).to(warped)[:, None, None]
        self.left = fixed - gain * warped
        self.before = _sums((fixed - gain * moving).square() * weight) / self.total
        self.own, self.other = planes[3:5], planes[5:7] * gain
        self.slopes = (self.own + self.other) / 2


class _Seen(NamedTuple):
    """What speaks for a shift, each [N].

    Attributes:
        gradient: rms gradient that both blocks share, in the direction that has least of it, per pixel.
        share: that, over the same in the direction that has most.
        likeness: correlation of both blocks' detail at the shift.
        error: pixels, standard error in the worst direction.
        halves: pixels by which one half of the block contradicts the whole, beyond that.
        better: whether less is left at the shift than without it.
        detailed: whether each of them shows detail in every direction, the same or not.
    """

    gradient: torch.Tensor
    share: torch.Tensor
    likeness: torch.Tensor
    error: torch.Tensor
    halves: torch.Tensor
    better: torch.Tensor
    detailed: torch.Tensor


def _judge(fixed: torch.Tensor, moving: torch.Tensor, at: torch.Tensor) -> tuple[torch.Tensor, _Seen]:
    """The shift with the last step taken, which uses both blocks' slopes, and what speaks for it."""
    pair = _Pair(fixed, moving, at)
    weighted = pair.slopes * pair.weight
    values, vectors = torch.linalg.eigh(_tensor(pair.own * pair.weight, pair.other))
    least, most = values.clamp_min(1e-20).unbind(1)
    inverse = vectors @ torch.diag_embed(1 / torch.stack((least, most), 1)) @ vectors.mT
    step = _step(_safe(_tensor(weighted, pair.slopes)), _sums(weighted * pair.left))
    # The parts contradict what is left after that step.
    left = (pair.left - (pair.slopes * step.T.to(pair.left)[:, :, None, None]).sum(0)) * pair.weight
    votes = _votes(pair.slopes * left)
    spread = votes.mT @ votes * (votes.shape[1] / (votes.shape[1] - 2))
    error = torch.linalg.eigvalsh(inverse @ spread @ inverse)[:, 1].clamp_min(0).sqrt()
    better = _sums(left.square()) / pair.total <= pair.before * (1 + 1e-6) + 1e-12
    halves = (_halves(pair.slopes * left, inverse) - 3 * error).clamp_min(0)
    alone = torch.stack([torch.linalg.eigvalsh(_tensor(slopes * pair.weight, slopes))[:, 0] for slopes in (pair.own, pair.other)]).amin(0)
    detailed = alone / pair.total >= _LEAST_GRADIENT**2
    return at + step, _Seen((least / pair.total).sqrt(), (least / most).sqrt(), pair.likeness, error, halves, better, detailed)


def _votes(values: torch.Tensor) -> torch.Tensor:
    """Sums of [2, N, h, w] over parts of the blocks, float64 [N, parts, 2].

    Each is what one part would add to the sum that is zero at the shift. Grain is alike over a few pixels and a part is
    larger, so parts are independent of each other where pixels are not.
    """
    height, width = values.shape[2:]
    side = max(8, min(height, width) // _PARTS)
    rows, columns = max(height // side, 2), max(width // side, 2)
    parts = torch.nn.functional.adaptive_avg_pool2d(values, (rows, columns))
    return parts.flatten(2).permute(1, 2, 0).double() * (height * width / (rows * columns))


def _halves(values: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
    """Pixels by which either half along the longer side would move the block, if the other said the same; [N]."""
    dim = 2 if values.shape[2] >= values.shape[3] else 3
    half = values.shape[dim] // 2
    votes = [2 * _sums(part).T[..., None] for part in (values.narrow(dim, 0, half), values.narrow(dim, half, half))]
    return torch.stack([(inverse @ vote)[..., 0].norm(dim=1) for vote in votes]).amax(0)


def _sums(values: torch.Tensor) -> torch.Tensor:
    """Sums over the pixels of [..., h, w], float64."""
    return values.sum((-2, -1), dtype=torch.float64)


def _tensor(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The symmetric part of the sum of products of two gradients [2, N, h, w], float64 [N, 2, 2]."""
    yy, xx, yx = _sums(a[0] * b[0]), _sums(a[1] * b[1]), _sums(a[0] * b[1] + a[1] * b[0]) / 2
    return torch.stack((torch.stack((yy, yx), 1), torch.stack((yx, xx), 1)), 1)


def _gain(wanted: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """The gain that makes one power the other: that of a regression would shrink where there is grain."""
    return (wanted / power.clamp_min(1e-20)).sqrt().clamp(0.25, 4)


def _gradients(blocks: torch.Tensor) -> torch.Tensor:
    """Central differences, [N, h, w] -> [2, N, h, w]: along y, along x."""
    return torch.stack(torch.gradient(blocks, dim=(1, 2)))


def _without_tone(planes: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Planes [K, N, h, w] less their weighted means over squares around each pixel; weight [1, N, h, w]."""
    reach = round(_coarse(planes[0]))
    return planes - _square_sums(planes * weight, reach) / _square_sums(weight, reach).clamp_min(1e-3)


def _square_sums(planes: torch.Tensor, reach: int) -> torch.Tensor:
    """Sums of [..., h, w] over what lies up to `reach` pixels away along both axes."""
    for dim in (-1, -2):
        size = planes.shape[dim]
        running = planes.cumsum(dim)
        planes = torch.empty_like(planes)
        inner = size - 2 * reach - 1
        planes.narrow(dim, 0, reach + 1).copy_(running.narrow(dim, reach, reach + 1))
        torch.sub(running.narrow(dim, 2 * reach + 1, inner), running.narrow(dim, 0, inner), out=planes.narrow(dim, reach + 1, inner))
        ends = running.narrow(dim, size - 1, 1) - running.narrow(dim, inner, reach)
        planes.narrow(dim, size - reach, reach).copy_(ends)
    return planes


def _safe(tensor: torch.Tensor) -> torch.Tensor:
    """A structure tensor [N, 2, 2] that can be inverted: a part in a million of its trace is added to both directions."""
    ridge = tensor.diagonal(dim1=1, dim2=2).sum(1) * 1e-6 + 1e-20
    return tensor + torch.diag_embed(ridge[:, None].expand(-1, 2))


def _weight(blocks: torch.Tensor, at: torch.Tensor, edge: int) -> torch.Tensor:
    """[N, h, w]: 1 for pixels that both blocks have, `edge` away from their sides; softly, so that sums are smooth."""

    def along(size: int, shift: torch.Tensor) -> torch.Tensor:
        line = torch.arange(size, dtype=torch.float64, device=at.device) + 0.5
        moved = line + shift[:, None]
        room = torch.minimum(torch.minimum(line, size - line)[None], torch.minimum(moved, size - moved))
        return ((room - edge + 0.5).clamp(0, 1)).to(blocks)

    return along(blocks.shape[1], at[:, 0])[:, :, None] * along(blocks.shape[2], at[:, 1])[:, None, :]


def _moved(blocks: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Each block [N, h, w] read `at` [N, 2] pixels further, by cubic convolution; the outermost pixels are repeated."""
    for dim in (1, 2):
        size, shift = blocks.shape[dim], at[:, dim - 1]
        base = torch.floor(shift)
        line = torch.arange(size, device=blocks.device).view([1, -1, 1] if dim == 1 else [1, 1, -1])
        out = torch.zeros_like(blocks)
        for tap in range(1 - KERNEL_RADIUS, KERNEL_RADIUS + 1):
            weight = cubic_convolution(shift - base - tap).to(blocks).view(-1, 1, 1)
            places = (line + (base + tap).long().view(-1, 1, 1)).clamp(0, size - 1).expand_as(blocks)
            out.addcmul_(blocks.gather(dim, places), weight)
        blocks = out
    return blocks
