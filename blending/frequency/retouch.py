"""Transfer of a retouch: which bands of the difference between a picture and its retouched version are taken.

Inspired by the band-wise merge of face retouching networks (FSR and MRF, ICCV 2025), without their networks, and with widths and
gains that were measured here, not the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from ..pixels.memory import empty
from ..pixels.picture import LEVELS, check_finite, check_mask, check_pixels, in_channels, outside
from .separation import band_edges, check_gains
from .smoothing import Smoother

LIGHTING, BLEMISHES, TEXTURE = "lighting", "blemishes", "keep texture"
# Of bands at 0.25, 0.75, 2.25 and 6.75 % of the face, and of what is coarser.
PRESETS = {LIGHTING: (0.0, 0.0, 0.0, 1.0, 1.0), BLEMISHES: (0.0, 1.0, 1.0, 0.0, 0.0), TEXTURE: (0.0, 0.0, 1.0, 1.0, 1.0)}


def transfer_retouch(
    original: torch.Tensor,
    retouched: torch.Tensor,
    gains: Sequence[float],
    face: float = 0,
    quiet: float = 0,
    mask: torch.Tensor | None = None,
    told: Callable[[int, int], None] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The original and, of what was retouched, the bands that are asked for: original + sum of gain times band of the difference.

        >>> image, _ = transfer_retouch(torch.zeros(1, 4, 4, 3), torch.full((1, 4, 4, 3), 0.5), (0, 0, 0, 0, 1))
        >>> image.mean().round(decimals=5).item()
        0.5

    Bands are those of `separate` with mode spline. Memory: both pictures, both results, and four planes of one channel.

    Args:
        original: floating point [B, h, w, C], 0..1, C 1, 3 or 4. Its alpha is kept.
        retouched: the same size, a batch of B or 1, or any batch for one original; alpha in it is not taken.
        gains: one for each band, finest first, then one for the residual; 2 to 7. All 0: the original, bit for bit.
        face: height in pixels of the face; 0 for the picture's height.
        quiet: in levels of 255, for each band and the residual: what differs by less is dropped, and this much taken off the rest
            (a soft threshold), so that changes too small to see are left out.
        mask: [1 or as many as come out, h, w] in 0..1, how much of the change is taken at each place.
        told: is given (done, of) after each plane.

    Returns:
        float32, one picture for each original or retouched one, not clipped, and what was changed as a picture: 0.5 where nothing
        was, half of the change around it.

    Raises:
        ValueError: for what is no picture, has NaN or Inf, sizes or batches that do not fit, or settings that are not known.
    """
    original, retouched, mask = _checked(original, retouched, mask)
    edges = band_edges(len(gains) - 1, face or original.shape[1])
    check_gains(gains)
    if not 0 <= quiet < math.inf:
        raise ValueError(f"quiet {quiet:g} is no height of a change: use 0 to take every change, or some levels of 255")
    image = empty((max(len(original), len(retouched)), *original.shape[1:]), device=original.device).copy_(original)
    difference = torch.full_like(image, 0.5)
    if image.shape[-1] == 4:
        difference[..., 3] = 1
    colour = min(image.shape[-1], 3)
    planes = len(image) * colour if any(gains) else 0
    for index in range(planes):
        picture, channel = divmod(index, colour)
        other = retouched[picture % len(retouched), ..., channel].to(image.device).float()
        change = _taken(other - image[picture, ..., channel], gains, edges, quiet / LEVELS)
        if mask is not None:
            change *= mask[picture % len(mask)].to(change.device)
        image[picture, ..., channel] += change
        difference[picture, ..., channel].add_(change, alpha=0.5)
        if told is not None:
            told(index + 1, planes)
    return image, difference


def _taken(change: torch.Tensor, gains: Sequence[float], edges: list[float], quiet: float) -> torch.Tensor:
    """What of a change [h, w] is taken."""
    smoother = Smoother(change)
    rest, taken = change, torch.zeros_like(change)
    for gain, edge in zip(gains[:-1], edges, strict=True):
        smoother.to(edge)
        if gain:
            taken.add_(_loud(rest - smoother.plane, quiet), alpha=gain)
        rest.copy_(smoother.plane)
    return taken.add_(_loud(rest, quiet), alpha=gains[-1])


def _loud(band: torch.Tensor, quiet: float) -> torch.Tensor:
    """The band under a soft threshold."""
    return torch.nn.functional.softshrink(band, quiet) if quiet else band


def _checked(
    original: torch.Tensor, retouched: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    original, retouched = check_pixels(original, "original"), check_pixels(retouched, "retouched")
    check_finite(original, "original")
    check_finite(retouched, "retouched")
    height, width = original.shape[1:3]
    if tuple(retouched.shape[1:3]) != (height, width) or (len(retouched) != len(original) and 1 not in (len(retouched), len(original))):
        raise ValueError(
            f"retouched is {retouched.shape[2]} x {retouched.shape[1]}, a batch of {len(retouched)}, and original is {width} x {height}, "
            f"a batch of {len(original)}: connect pictures of one size, as many of each, or one of either for all of the other"
        )
    batch = max(len(original), len(retouched))
    retouched = in_channels(retouched, min(original.shape[-1], 3))
    if mask is None:
        return original, retouched, None
    mask = check_mask(mask, "mask")
    if tuple(mask.shape[1:]) != (height, width) or len(mask) not in (1, batch):
        raise ValueError(
            f"mask is {mask.shape[2]} x {mask.shape[1]}, a batch of {len(mask)}, and original is {width} x {height}, of which a batch of "
            f"{batch} comes out: connect a mask of the original's size, one or one for each; or none, to take the change everywhere"
        )
    beyond = outside(mask[..., None])
    if beyond is not None:
        raise ValueError(f"mask has values outside of 0 to 1: {beyond}; a mask is 0 to 1, so bring it there first, as a threshold does")
    return original, retouched, mask
