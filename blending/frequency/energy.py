"""How much fine detail a picture has at every place: the energy of its wavelet bands, smoothed.

After Latent Wavelet Diffusion (arXiv 2506.00433), which takes the finest Haar band of a noisy latent, from its least to its
greatest value. Here it is the picture, several levels of the stationary transform, so that the map does not depend on where a
tile lies, and percentiles, so that one bright spot does not decide what all the others are. No number of the paper's holds for it.

The square of a wave of length L rises and falls with L / 2. The smoothing is a cascade of B-splines (1, 4, 6, 4, 1) / 16 with gaps
of 1, 2, 4 ... pixels, whose response is nothing at lengths of 2, 4, 8 ... pixels and small between them: so the map is even inside
a texture whose waves the levels see.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

from ..pixels.hidden_color import REACH as HIDDEN_REACH
from ..pixels.hidden_color import visible_mean, without_hidden
from ..pixels.memory import empty
from ..pixels.percentiles import percentiles
from ..pixels.picture import check_finite, check_pixels, colours
from ..pixels.taps import mirrored

WAVELETS = ("db4", "haar", "sym4")
MOST_LEVELS = 5
TILE = 1024
SPLINE = (0.0625, 0.25, 0.375, 0.25, 0.0625)
# The longest waves that n levels hold are of 2^(n + 1) pixels, and the last of n stages evens just those out; with fewer
# levels waves of 32 pixels are evened out as well.
LEAST_STAGES = 4
# Under this a picture has no detail but rounding: a thousandth of an 8-bit step, squared, is 1.5e-11.
NOTHING = 2e-11
# With a smaller share of a neighbourhood in sight there is nothing to tell of it.
LEAST_SEEN = 1e-6


def detail_energy(
    image: torch.Tensor, wavelet: str = "db4", levels: int = 4, tell: Callable[[int, int], None] | None = None, tile: int = TILE
) -> torch.Tensor:
    """The energy of the finest `levels` octaves around every pixel, summed over bands and colour channels.

    In units of the colour's square: where the picture has waves of an amplitude a in every of C channels, about C * a^2 / 2. A
    tone that is added everywhere changes nothing. Where a picture with alpha is transparent there is no energy, and what colour
    lies there changes nothing beside it.

    Memory: the result, and under 300 MB for a tile and one channel of it, whatever the size of the picture.

    Args:
        image: floating point [B, H, W, C], C = 1, 3 or 4, finite.
        wavelet: one of WAVELETS.
        levels: 1 (waves of about 2 to 4 pixels) to MOST_LEVELS (2 to 64).
        tell: is told (tiles done, tiles in all).
        tile: side of a tile, in pixels. The result does not depend on it.

    Returns:
        float32 [B, H, W], 0 or more, on the device of `image`.

    Raises:
        ValueError: for another wavelet or number of levels, or values that are not finite.
        RuntimeError: where the packages for wavelets are missing, with the mend.
    """
    from .stationary import radius

    image = check_pixels(image, "image")
    check_detail(wavelet, levels)
    check_finite(image, "image")
    batch, height, width = image.shape[:3]
    margin = radius(wavelet, levels) + smoothing_reach(levels)
    backdrops = None
    if image.shape[-1] == 4:
        # What lies under transparent pixels is no detail of what can be seen beside them.
        backdrops = [visible_mean(picture) for picture in image]
        margin += HIDDEN_REACH
    corners = [(b, y, x) for b in range(batch) for y in range(0, height, tile) for x in range(0, width, tile)]
    out = empty((batch, height, width), torch.float32, image.device)
    for done, (b, y, x) in enumerate(corners):
        if tell is not None:
            tell(done, len(corners))
        bottom, right = min(y + tile, height), min(x + tile, width)
        top, left = max(y - margin, 0), max(x - margin, 0)
        part = image[b, top : bottom + margin, left : right + margin]
        if backdrops is None:
            smooth = smoothed(_energy(colours(part), wavelet, levels), levels)
        else:
            smooth = _of_what_is_seen(part.float(), backdrops[b], wavelet, levels)
        out[b, y:bottom, x:right] = smooth[y - top : bottom - top, x - left : right - left]
        if not bool(torch.isfinite(out[b, y:bottom, x:right]).all()):
            raise ValueError(f"image has values of up to {float(part.abs().max()):g}, whose energy is no number any more: bring it to 0..1")
    if tell is not None:
        tell(len(corners), len(corners))
    return out


def detail_mask(
    image: torch.Tensor,
    wavelet: str = "db4",
    levels: int = 4,
    low: float = 1.0,
    high: float = 99.0,
    tell: Callable[[int, int], None] | None = None,
) -> torch.Tensor:
    """Where a picture has fine detail: the root of `detail_energy`, 0 at its percentile `low` and under, 1 at `high` and over.

    The root, because that is how strong a texture looks: half its contrast is a half in the mask and not a quarter. Every
    picture of a batch has percentiles of its own. A picture that is one flat tone is 0 everywhere.

    Memory: the result, and what a tile takes.

    Args:
        image, wavelet, levels, tell: as `detail_energy` has them.
        low, high: percentiles of the energy, 0 to 100, low under high.

    Returns:
        float32 [B, H, W], 0..1.

    Raises:
        ValueError: as `detail_energy`, or where low is not under high.
    """
    if not 0 <= low < high <= 100:
        raise ValueError(
            f"low {low:g} and high {high:g} are no range of percentiles: use 0 to 100, low under high (1 and 99 suit most pictures)"
        )
    out = detail_energy(image, wavelet, levels, tell)
    for plane in out:
        least, most = (end**0.5 for end in percentiles(plane, (low, high)))
        plane.sqrt_()
        if most - least <= NOTHING**0.5:
            # All alike, or nearly so: what is over the higher percentile has detail, and nothing else.
            plane.copy_(plane > max(most, NOTHING**0.5))
        else:
            plane.sub_(least).div_(most - least).clamp_(0, 1)
    return out


def check_detail(wavelet: str, levels: int) -> None:
    """Refuse what is not among the choices, with ValueError."""
    if wavelet not in WAVELETS:
        raise ValueError(f"wavelet {wavelet!r} is not known here: use one of {', '.join(WAVELETS)}")
    if not 1 <= levels <= MOST_LEVELS:
        raise ValueError(f"levels {levels} is not how many octaves are looked at: use 1 (the finest alone) to {MOST_LEVELS}")


def smoothing_reach(levels: int) -> int:
    """How many pixels to each side `smoothed` looks."""
    return 2 * (2 ** _stages(levels) - 1)


def smoothed(plane: torch.Tensor, levels: int) -> torch.Tensor:
    """A plane [h, w] under the cascade of splines that suits so many levels, mirrored at its borders; a new tensor."""
    reach = smoothing_reach(levels)
    for dim in (0, 1):
        places = mirrored(torch.arange(-reach, plane.shape[dim] + reach, device=plane.device), plane.shape[dim])
        plane = plane.index_select(dim, places)
        for stage in range(_stages(levels)):
            plane = _spline(plane, 2**stage, dim)
    return plane


def _stages(levels: int) -> int:
    return max(levels, LEAST_STAGES)


def _spline(plane: torch.Tensor, gap: int, dim: int) -> torch.Tensor:
    """Weighted sums of five pixels that stand `gap` apart; four gaps shorter."""
    length = plane.shape[dim] - 4 * gap
    out = plane.narrow(dim, 0, length) * SPLINE[0]
    for index, weight in enumerate(SPLINE[1:], 1):
        out.add_(plane.narrow(dim, index * gap, length), alpha=weight)
    return out


def _of_what_is_seen(part: torch.Tensor, backdrop: torch.Tensor, wavelet: str, levels: int) -> torch.Tensor:
    """Smoothed, [h, w] of RGBA [h, w, 4]: the mean of what can be seen, so that texture is as strong at a rim as inside; nothing where
    nothing can be seen."""
    seen = part[..., 3].clamp(0, 1)
    energy = _energy(without_hidden(part, backdrop), wavelet, levels)
    return smoothed(energy * seen, levels) / smoothed(seen, levels).clamp_min(LEAST_SEEN) * seen


def _energy(pixels: torch.Tensor, wavelet: str, levels: int) -> torch.Tensor:
    """Not smoothed, [h, w] of [h, w, C], one channel at a time. The bands are brought to a gain of one."""
    from .stationary import stationary

    (height, width), shifts = pixels.shape[:2], _shifts(wavelet, levels)
    out = torch.zeros((height, width), dtype=torch.float32, device=pixels.device)
    for channel in pixels.unbind(-1):
        bands = stationary(channel.float(), wavelet, levels)
        for level, (details, (low, high)) in enumerate(zip(bands.details, shifts, strict=True), 1):
            for band, along in zip(details, ((high, low), (low, high), (high, high)), strict=True):
                inside = bands.inside(band, along)
                out.addcmul_(inside, inside, value=4.0**-level)
    return out


@functools.cache
def _shifts(wavelet: str, levels: int) -> tuple[tuple[int, int], ...]:
    """By how many pixels what each level's (low, high) filter gives lies beside what it is of, finest level first.

    From the middle of a point's energy. Filters that are not symmetric (db4) have another one for low than for high.
    """
    from .stationary import radius, stationary

    found = []
    for level in range(1, levels + 1):
        reach = radius(wavelet, level)
        point = torch.zeros(1, 2 * reach + 1)
        point[0, reach] = 1
        bands, places = stationary(point, wavelet, level), torch.arange(-reach, reach + 1.0)
        energies = [bands.inside(band)[0].square() for band in (bands.low, bands.details[-1][1])]
        found.append(tuple(round(float((energy * places).sum() / energy.sum())) for energy in energies))
    return tuple(found)
