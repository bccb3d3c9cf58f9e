"""Gradient-domain composition: the picture whose gradients are the tiles' own.

A window hides a tone step in a ramp, and the ramp is a gradient that no tile has. Each tile
knows the gradient everywhere inside itself, so in an overlap the windowed mean of the tiles'
gradients is known, and how far the gradient of the blended picture is from it: the jump
field. It is zero but for where windows change. One screened Poisson solve for the whole
mosaic finds the smooth correction that takes the jumps away; only the correction is solved
for, so that float32 is enough and equal tiles come back as they are.

Pérez, Gangnet and Blake, "Poisson image editing", SIGGRAPH 2003; Agarwala et al.,
"Interactive digital photomontage", SIGGRAPH 2004, for mosaics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from ..layout.mosaic import Mosaic
from ..layout.reference import same_shape
from ..pixels.memory import empty
from .jump_field import AlphaJumpField, Flags, JumpField
from .poisson import screening, solve

Tiles = Callable[[], Iterable[torch.Tensor]]


COLOR_CHANNELS = 3


def correction_rounds(pictures: int, channels: int) -> int:
    """How often `correct` goes over the tiles: once for each channel of colour of each picture."""
    return pictures * min(channels, COLOR_CHANNELS)


def correct(
    out: torch.Tensor,
    tiles: Tiles,
    mosaic: Mosaic,
    length: float,
    reference: torch.Tensor | None = None,
    flags: Flags | None = None,
) -> torch.Tensor:
    """Correct a blended picture, in place, so that its gradients are the tiles' own.

    One channel at a time: beside `out` this takes two planes [H, W] (the field and what its transform needs), three more for RGBA.

    Args:
        out: float32 [P, H, W, C], blended by the windows of `mosaic`. Alpha (of C = 4) is left as it is.
        tiles: gives a new iterator of the tiles [P, h, w, C] each time it is called.
        mosaic: the geometry.
        length: output pixels; structure longer than this is kept from the reference, or from `out` where there is none.
        reference: [P or 1, h, w, C'] of any size (`check_reference`).
        flags: which overlaps are corrected; None for all.

    Returns:
        `out`.
    """
    lam = screening(length)
    mosaic = mosaic.around()
    field = AlphaJumpField(mosaic, out, flags) if out.shape[3] == 4 else JumpField(mosaic, flags)
    plane = empty(out.shape[1:3])
    for channel in range(min(out.shape[3], COLOR_CHANNELS)):
        for picture in range(out.shape[0]):
            _pull(plane, out[picture, ..., channel], _plane_of(reference, picture, channel, plane.shape), lam)
            # A divergence adds up to nothing, but for rounding, which a small lam would make a tint of.
            mean = float(plane.mean(dtype=torch.float64)) / lam if reference is not None else 0.0
            field.add_to(plane, tiles(), picture, channel)
            plane = solve(plane, lam, mean, mosaic.layout.wrap)
            out[picture, ..., channel] += plane.to(out.device)
    return out


def check_reference(reference: torch.Tensor | None, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `reference` can be one for a picture of `shape` (P, H, W, C)."""
    if reference is None:
        return
    if reference.ndim != 4 or not reference.is_floating_point() or 0 in reference.shape:
        raise ValueError(f"the reference is {reference.dtype} of shape {tuple(reference.shape)}: expected a picture [B, h, w, C]")
    batch, height, width, channels = shape
    if reference.shape[0] not in (1, batch):
        raise ValueError(f"the reference has {reference.shape[0]} pictures and {batch} are blended: give one for all, or one for each")
    if reference.shape[3] not in (1, 3, 4) or (channels == 1 and reference.shape[3] != 1):
        raise ValueError(f"the reference has {reference.shape[3]} channels and the tiles have {channels}: convert one of them")
    h, w = reference.shape[1:3]
    if not same_shape((h, w), (height, width)):
        raise ValueError(f"the reference is {w} x {h}, which is not the shape of the {width} x {height} picture: resize or crop it first")
    if not torch.isfinite(reference).all():
        raise ValueError("the reference has NaN or Inf in it: look at the node that made it")


def _plane_of(reference: torch.Tensor | None, picture: int, channel: int, size: tuple[int, int]) -> torch.Tensor | None:
    if reference is None:
        return None
    plane = reference[picture % reference.shape[0], ..., channel if reference.shape[3] > 1 else 0].to("cpu", torch.float32)
    if plane.shape == size:
        return plane
    return F.interpolate(plane[None, None], size=tuple(size), mode="bicubic", antialias=True)[0, 0]


def _pull(plane: torch.Tensor, blended: torch.Tensor, reference: torch.Tensor | None, lam: float) -> None:
    if reference is None:
        plane.zero_()
        return
    torch.sub(reference, blended.cpu(), out=plane)
    plane *= lam
