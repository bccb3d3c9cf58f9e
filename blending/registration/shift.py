"""By how much one block of a picture is shifted against another, to a part of a pixel, and whether that can be known.

Where to look comes from phase correlation (Kuglin and Hines, "The phase correlation image alignment method", 1975): the
normalised cross power of both blocks, its peak found within the shifts that are allowed. From there the shift is refined by
least squares on the pixels themselves (Lucas and Kanade 1981), with the mean of both blocks' gradients, so that the answer is
the same whichever block is warped, and with a gain and an offset, so that a tone step is no shift.

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
_AT_ONCE = 1 << 22  # pixels of a batch that are worked on together

# Detail of an 8-bit gradient alone has a gradient of at most 0.14 levels per pixel, in both directions together.
_LEAST_GRADIENT = 0.2 / 255
_LEAST_LIKENESS = 0.5
_MOST_ERROR = 0.12  # px, one standard error in the worst direction
_MOST_RETURN = 0.15  # px by which there and back may differ
_MOST_HALVES = 0.6  # px by which two halves may contradict the whole
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


def least_side(max_shift: float) -> int:
    """The smallest side of a block, in pixels, in which shifts up to `max_shift` can be looked for."""
    return max(LEAST_SIDE, 2 * math.ceil(max_shift) + 12)


def find_shifts(fixed: torch.Tensor, moving: torch.Tensor, max_shift: float) -> Shifts:
    """The shift of each block of `moving` against that of `fixed`: moving(y + dy, x + dx) = fixed(y, x).

    On blocks of photographs 64 px wide it is right to 0.1 px, with grain of two levels in 255 on both to 0.3 px. It is never
    sure of flat grain, of stripes, of an 8-bit gradient's bands, or of different content.

    Args:
        fixed, moving: floating point [N, h, w], one channel (lightness, luma), 0..1; the same places, as they are in both.
        max_shift: pixels, above 0; no larger shift is looked for. Both sides must be at least `least_side(max_shift)`.

    Returns:
        `Shifts`, on the processor. About 30 planes of at most `_AT_ONCE` pixels, or of one block, are held.

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
        return Shifts(none, none, none, torch.zeros(0, dtype=torch.bool))
    return Shifts(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _find(fixed: torch.Tensor, moving: torch.Tensor, max_shift: float) -> Shifts:
    fixed, moving = (_detail(block.float()) for block in (fixed, moving))
    start, rival = _peaks(fixed, moving, max_shift)
    there = _refined(fixed, moving, start, max_shift)
    back = _refined(moving, fixed, -there, max_shift)
    seen = _judge(fixed, moving, there)
    returns = (there + back).norm(dim=1)
    inside = (there.abs() <= max_shift + 0.25).all(1)
    sure = (
        (seen.gradient >= _LEAST_GRADIENT)
        & (seen.likeness >= _LEAST_LIKENESS)
        & (seen.error <= _MOST_ERROR)
        & (seen.halves <= _MOST_HALVES)
        & seen.better
        & (returns <= _MOST_RETURN)
        & (rival < _RIVAL)
        & inside
    )
    confidence = seen.likeness.clamp(0, 1) / (1 + (seen.error / _MOST_ERROR).square())
    return Shifts(*(column.cpu() for column in (there[:, 0], there[:, 1], confidence.nan_to_num(0.0), sure)))


def _detail(blocks: torch.Tensor) -> torch.Tensor:
    """Blocks without what is finer than reading between pixels allows, and without tone: [N, h, w]."""
    from kornia.filters import gaussian_blur2d

    def blurred(sigma: float) -> torch.Tensor:
        side = 2 * min(math.ceil(3 * sigma), min(blocks.shape[1:]) - 1) + 1
        return gaussian_blur2d(blocks[:, None], (side, side), (sigma, sigma), border_type="reflect")[:, 0]

    return blurred(_SMOOTH) - blurred(min(max(min(blocks.shape[1:]) / 8, 4.0), 12.0))


def _peaks(fixed: torch.Tensor, moving: torch.Tensor, max_shift: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Where to begin, and how high the best rival is.

    Returns:
        (float64 [N, 2], whole pixels; float64 [N], the second peak of the plain correlation as a share of the first).
    """
    _, height, width = fixed.shape
    window = (_hann(height)[:, None] * _hann(width)).to(fixed)
    first, second = (torch.fft.rfft2(block * window) for block in (fixed, moving))
    cross = first.conj() * second
    strength = cross.abs()
    # Frequencies that hold next to nothing hold noise, and count by what they hold.
    whitened = cross / (strength + strength.mean((1, 2), keepdim=True))
    reach = math.ceil(max_shift) + 1
    lags = torch.arange(-reach, reach + 1, device=fixed.device)

    def within(spectrum: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft2(spectrum, s=(height, width))[:, lags[:, None], lags]

    start = _places(_allowed(within(whitened)), lags)
    plain = within(cross)
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
    """The shift of least squares near `start`, float64 [N, 2]."""
    at = start.clone()
    gradient = _gradients(fixed)
    for _ in range(_ROUNDS):
        pair = _Pair(fixed, gradient, moving, at)
        step = torch.linalg.solve(_safe(pair.tensor(pair.slopes, pair.slopes)), pair.sums(pair.slopes * pair.left[..., None])[..., None])
        step = step[..., 0].nan_to_num(0.0)
        # A step longer than a pixel is beyond what slopes can tell.
        step = step / step.norm(dim=1, keepdim=True).clamp_min(1)
        at = (at + step).clamp(-max_shift - 0.5, max_shift + 0.5)
        if float(step.abs().max()) < 1e-3:
            break
    return at


class _Pair:
    """Two blocks, one of them read at a shift.

    Attributes:
        weight: float32 [N, h, w], 1 where both have pixels, 0 at the sides.
        warped: `moving` at the shift, with the gain and offset that bring it nearest to `fixed`.
        left: what is left of `fixed` after that.
        slopes: float32 [N, h, w, 2], the mean of both blocks' gradients.
        own, other: the gradients of `fixed` and of `warped`.
    """

    def __init__(self, fixed: torch.Tensor, gradient: torch.Tensor, moving: torch.Tensor, at: torch.Tensor) -> None:
        height, width = fixed.shape[1:]
        rows, columns = (_inside(at[:, dim], size, fixed) for dim, size in ((0, height), (1, width)))
        self.weight = rows[:, :, None] * columns[:, None, :]
        warped = _shifted(_shifted(moving, at[:, 0], 1), at[:, 1], 2)
        total = self.sums(torch.ones_like(fixed))
        means = [self.sums(block) / total for block in (fixed, warped)]
        fixed, warped = (block - mean.to(block)[:, None, None] for block, mean in zip((fixed, warped), means, strict=True))
        self.powers = self.sums(fixed.square()), self.sums(warped.square())
        self.common = self.sums(fixed * warped)
        # The gain that keeps the power: that of a regression would shrink where there is grain.
        gain = (self.powers[0] / self.powers[1].clamp_min(1e-20)).sqrt().clamp(0.25, 4)
        self.warped = warped * gain.to(warped)[:, None, None]
        self.left = fixed - self.warped
        self.own, self.other = gradient, _gradients(self.warped)
        self.slopes = (self.own + self.other) / 2
        self.total = total

    def sums(self, values: torch.Tensor) -> torch.Tensor:
        """Weighted sums over the pixels of [N, h, w, ...], float64."""
        weight = self.weight if values.ndim == 3 else self.weight[..., None]
        return (values * weight).sum((1, 2), dtype=torch.float64)

    def tensor(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The symmetric part of the sum of products of two gradients, float64 [N, 2, 2]."""
        yy, xx = self.sums(a * b).unbind(1)
        yx = self.sums(a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0]) / 2
        return torch.stack((torch.stack((yy, yx), 1), torch.stack((yx, xx), 1)), 1)


class _Seen(NamedTuple):
    """What speaks for a shift, each [N].

    Attributes:
        gradient: rms gradient that both blocks share, in the direction that has least of it, per pixel.
        likeness: correlation of both blocks' detail at the shift.
        error: pixels, standard error in the worst direction.
        halves: pixels by which one half of the block contradicts the whole, beyond that.
        better: whether less is left at the shift than without it.
    """

    gradient: torch.Tensor
    likeness: torch.Tensor
    error: torch.Tensor
    halves: torch.Tensor
    better: torch.Tensor


def _judge(fixed: torch.Tensor, moving: torch.Tensor, at: torch.Tensor) -> _Seen:
    pair = _Pair(fixed, _gradients(fixed), moving, at)
    shared = pair.tensor(pair.own, pair.other)
    values, vectors = torch.linalg.eigh(shared)
    least = values[:, 0].clamp_min(1e-20)
    inverse = vectors @ torch.diag_embed(1 / torch.stack((least, values[:, 1].clamp_min(1e-20)), 1)) @ vectors.mT
    votes = _votes(pair)
    spread = votes.mT @ votes * (votes.shape[1] / (votes.shape[1] - 2))
    error = torch.linalg.eigvalsh(inverse @ spread @ inverse)[:, 1].clamp_min(0).sqrt()
    still = _Pair(fixed, pair.own, moving, torch.zeros_like(at))
    left, before = (one.sums(one.left.square()) / one.total for one in (pair, still))
    likeness = pair.common / (pair.powers[0] * pair.powers[1]).sqrt().clamp_min(1e-20)
    halves = (_halves(pair, inverse) - 3 * error).clamp_min(0)
    return _Seen((least / pair.total).sqrt(), likeness, error, halves, left <= before * (1 + 1e-6) + 1e-12)


def _votes(pair: _Pair) -> torch.Tensor:
    """What each part of a block would add to the sum that is zero at the shift, float64 [N, parts, 2].

    Grain is alike over a few pixels, a part is larger: parts are independent of each other where pixels are not.
    """
    values = pair.slopes * (pair.left * pair.weight)[..., None]
    _, height, width, _ = values.shape
    side = max(8, min(height, width) // _PARTS)
    rows, columns = max(height // side, 2), max(width // side, 2)
    parts = torch.nn.functional.adaptive_avg_pool2d(values.permute(0, 3, 1, 2), (rows, columns))
    return parts.flatten(2).mT.double() * (height * width / (rows * columns))


def _halves(pair: _Pair, inverse: torch.Tensor) -> torch.Tensor:
    """Pixels by which either half along the longer side would move the block, if the other said the same; [N]."""
    values = pair.slopes * (pair.left * pair.weight)[..., None]
    dim = 1 if values.shape[1] >= values.shape[2] else 2
    half = values.shape[dim] // 2
    votes = [part.sum((1, 2), dtype=torch.float64) * 2 for part in (values.narrow(dim, 0, half), values.narrow(dim, half, half))]
    return torch.stack([(inverse @ vote[..., None])[..., 0].norm(dim=1) for vote in votes]).amax(0)


def _gradients(blocks: torch.Tensor) -> torch.Tensor:
    """Central differences, [N, h, w] -> [N, h, w, 2]: along y, along x."""
    return torch.stack(torch.gradient(blocks, dim=(1, 2)), -1)


def _safe(tensor: torch.Tensor) -> torch.Tensor:
    """A structure tensor [N, 2, 2] that can be inverted: a part in a million of its trace is added to both directions."""
    ridge = tensor.diagonal(dim1=1, dim2=2).sum(1) * 1e-6 + 1e-20
    return tensor + torch.diag_embed(ridge[:, None].expand(-1, 2))


def _inside(at: torch.Tensor, size: int, like: torch.Tensor) -> torch.Tensor:
    """[N, size]: 1 for the pixels that both blocks have, away from what the filters' borders reach; softly, so that sums are smooth."""
    line = torch.arange(size, dtype=torch.float64, device=at.device) + 0.5
    moved = line + at[:, None]
    room = torch.minimum(torch.minimum(line, size - line)[None], torch.minimum(moved, size - moved))
    return ((room - _EDGE + 0.5).clamp(0, 1)).to(like)


def _shifted(blocks: torch.Tensor, at: torch.Tensor, dim: int) -> torch.Tensor:
    """Each block read `at` pixels further along `dim`, by cubic convolution; [N, h, w], `at` [N]."""
    base = torch.floor(at)
    size = blocks.shape[dim]
    shape = [-1, 1, 1]
    line = torch.arange(size, device=blocks.device).view([1, -1, 1] if dim == 1 else [1, 1, -1])
    out = torch.zeros_like(blocks)
    for tap in range(1 - KERNEL_RADIUS, KERNEL_RADIUS + 1):
        weight = cubic_convolution(at - base - tap).to(blocks).view(shape)
        places = (line + (base + tap).long().view(shape)).clamp(0, size - 1).expand_as(blocks)
        out.addcmul_(blocks.gather(dim, places), weight)
    return out
