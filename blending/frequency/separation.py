"""Frequency separation: a picture as bands, from fine to coarse, that sum to it; and joined again.

The bands are relative to a face's (or the picture's) height, so one setting means the same skin at 2,000 and at 15,000 px. The
widths are those that were measured to part texture, blemishes, shapes and lighting; dyadic ones in pixels do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from ..pixels.counted import counted
from ..pixels.memory import empty
from ..pixels.picture import check_finite, check_pixels
from .smoothing import Smoother, gaussian

SPLINE, GAUSSIAN = "spline", "gaussian"
MODES = (SPLINE, GAUSSIAN)
# Standard deviation of the first smoothing as a share of the face's height, and of each next one over the one before.
FINEST, RATIO = 0.0025, 3
MOST_BANDS = 6
MOST_GAIN = 1000.0


def band_edges(bands: int, face: float) -> list[float]:
    """Where one band ends and the next begins.

        >>> [round(sigma, 2) for sigma in band_edges(4, 1000)]
        [2.5, 7.5, 22.5, 67.5]

    Args:
        bands: how many there are, 1 to 6.
        face: height of the face in pixels, over 0.

    Returns:
        the standard deviation of the smoothing in pixels for each band, finest first.

    Raises:
        ValueError: for other numbers.
    """
    if not 1 <= bands <= MOST_BANDS:
        raise ValueError(f"bands {bands} cannot be had: use 1 to {MOST_BANDS}, the sixth is 61 % of the face wide already")
    if not (math.isfinite(face) and face > 0):
        raise ValueError(f"face {face:g} is no height: use that of the face in pixels, or 0 for the picture's")
    return [FINEST * RATIO**index * face for index in range(bands)]


def read_gains(text: str) -> list[float]:
    """Gains as they are typed, finest band first, the residual last.

        >>> read_gains("1, 0.5; 0")
        [1.0, 0.5, 0.0]

    Raises:
        ValueError: where one is no number, or not finite, or where there are none for a band and a residual.
    """
    words = text.replace(";", ",").replace("\n", ",").strip(", ").split(",")
    try:
        gains = [float(word) for word in words]
    except ValueError:
        raise ValueError(
            f'gains "{text}" are no numbers with commas between them: write one for each band and one more, as 0, 1, 1, 0, 0'
        ) from None
    check_gains(gains)
    if not 2 <= len(gains) <= MOST_BANDS + 1:
        raise ValueError(
            f"{counted(len(gains), 'gain')} cannot be shared out: write one for each band, finest first, and one for the residual, "
            f"2 to {MOST_BANDS + 1} in all"
        )
    return gains


def check_gains(gains: Sequence[float]) -> None:
    """Raises ValueError where a gain is not finite, or so large that a picture would leave the numbers that there are."""
    for gain in gains:
        if not abs(gain) <= MOST_GAIN:
            raise ValueError(f"gain {gain:g} is none: 0 leaves a band out, 1 takes it, 2 takes it twice, and {MOST_GAIN:g} is the most")


def separate(
    image: torch.Tensor, bands: int, face: float = 0, mode: str = SPLINE, told: Callable[[int, int], None] | None = None
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """A picture as bands and a residual, whose sum it is.

        >>> bands, residual = separate(torch.rand(1, 5, 4, 3), 4)
        >>> len(bands), residual.shape
        (4, torch.Size([1, 5, 4, 3]))

    spline: the differences of ever wider B-spline smoothings. gaussian: the two layers that retouchers know, so one band alone,
    what a Gaussian blur takes away; the blur is as wide as the last of `bands` edges.
    Memory: the picture, the bands, the residual, and two planes of one channel.

    Args:
        image: floating point [B, h, w, C], C 1, 3 or 4. Alpha is not split: the residual has it, the bands have 0 there.
        bands: 1 to 6.
        face: height in pixels of what the bands are relative to; 0 for the picture's.
        mode: one of MODES.
        told: is given (done, of) after each plane.

    Returns:
        bands, finest first, and the residual: float32 of the picture's shape. Bands are signed, around 0.

    Raises:
        ValueError: for what is no picture, has NaN or Inf, or settings that are not known.
    """
    image = check_pixels(image, "image")
    check_finite(image, "image")
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is not known: use one of {', '.join(MODES)}")
    edges = band_edges(bands, face or image.shape[1])
    edges = edges if mode == SPLINE else edges[-1:]
    made = [empty(tuple(image.shape), device=image.device) for _ in edges]
    residual = empty(tuple(image.shape), device=image.device)
    colour = min(image.shape[-1], 3)
    for index in range(len(image) * colour):
        picture, channel = divmod(index, colour)
        _separate_plane(
            image[picture, ..., channel], [band[picture, ..., channel] for band in made], residual[picture, ..., channel], edges, mode
        )
        if told is not None:
            told(index + 1, len(image) * colour)
    if image.shape[-1] == 4:
        residual[..., 3] = image[..., 3]
        for band in made:
            band[..., 3] = 0
    return made, residual


def _separate_plane(plane: torch.Tensor, bands: list[torch.Tensor], residual: torch.Tensor, edges: list[float], mode: str) -> None:
    """One channel [h, w] into its bands and residual; each band holds what it is cut from until the smoother is known."""
    if mode == GAUSSIAN:
        residual.copy_(gaussian(plane, edges[0]))
        torch.sub(plane, residual, out=bands[0])
        return
    smoother = Smoother(plane)
    for band, edge in zip(bands, edges, strict=True):
        band.copy_(smoother.plane)
        band.sub_(smoother.to(edge))
    residual.copy_(smoother.plane)


def join_bands(bands: Sequence[torch.Tensor], residual: torch.Tensor, gains: Sequence[float]) -> torch.Tensor:
    """The sum of bands and residual, each by its gain.

        >>> join_bands([torch.full((1, 1, 1, 1), 0.25)], torch.full((1, 1, 1, 1), 0.5), [2, 1]).item()
        1.0

    Args:
        bands: floating point [B, h, w, C] each, finest first.
        residual: the same shape.
        gains: one for each band, then one for the residual. Alpha has none: it is the residual's.

    Returns:
        float32 [B, h, w, C], not clipped.

    Raises:
        ValueError: for what is no picture, sizes or counts that do not fit, NaN or Inf.
    """
    residual = check_pixels(residual, "residual")
    check_finite(residual, "residual")
    if len(gains) != len(bands) + 1:
        raise ValueError(
            f"{counted(len(gains), 'gain')} for {counted(len(bands), 'band')} and the residual: write {len(bands) + 1}, "
            "finest first, the residual's last"
        )
    check_gains(gains)
    colour = min(residual.shape[-1], 3)
    joined = empty(tuple(residual.shape), device=residual.device).copy_(residual)
    joined[..., :colour] *= gains[-1]
    for index, (band, gain) in enumerate(zip(bands, gains[:-1], strict=True)):
        band = check_pixels(band, f"band {index + 1}")
        check_finite(band, f"band {index + 1}")
        if band.shape != residual.shape:
            raise ValueError(
                f"band {index + 1} is {tuple(band.shape)} and the residual {tuple(residual.shape)} [batch, height, width, channels]: "
                "connect both from one Frequency Separation, and change size, batch and channels of neither between; another residual, "
                "as a grey one to look at a band, has to be alike in all four"
            )
        if gain:
            joined[..., :colour].add_(band[..., :colour].to(joined), alpha=gain)
    return joined
