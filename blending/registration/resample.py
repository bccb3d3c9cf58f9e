"""Reading a picture between its pixels, along straight rows and columns."""

from __future__ import annotations

import torch

from ..layout.placement import KERNEL_RADIUS, cubic_convolution
from ..pixels.alpha import weighted_by_alpha
from ..pixels.taps import weighted_taps


def sampled_at(pixels: torch.Tensor, ys: torch.Tensor, xs: torch.Tensor) -> torch.Tensor:
    """`pixels` read at every row position `ys` and column position `xs`, by cubic convolution with six points a side.

    Positions count from the centre of the first pixel: whole numbers give the very pixels back. Beyond the ends the
    outermost pixels are repeated. Nothing becomes brighter or darker than the picture is, channel by channel.

    Args:
        pixels: floating point [P, h, w, C]; with C = 4 colour is weighted by alpha.
        ys: float64 [n], rows to read at, in pixels.
        xs: float64 [m], columns to read at, in pixels.

    Returns:
        float32 (float64 for float64) [P, n, m, C]; one tap is held beside the result at a time, with alpha seven planes.

    Raises:
        ValueError: for positions that are not finite, or not one line of them.
    """
    for name, at in (("ys", ys), ("xs", xs)):
        if at.ndim != 1 or not torch.isfinite(at).all():
            raise ValueError(f"{name} has the shape {tuple(at.shape)} or holds NaN or Inf: expected finite positions [n]")

    def both(part: torch.Tensor) -> torch.Tensor:
        return _along(_along(part, ys, 1), xs, 2)

    pixels = pixels if pixels.dtype == torch.float64 else pixels.float()
    return weighted_by_alpha(pixels, both) if pixels.shape[-1] == 4 else both(pixels)


def _along(pixels: torch.Tensor, at: torch.Tensor, dim: int) -> torch.Tensor:
    at, size = at.double().cpu(), pixels.shape[dim]
    base = torch.floor(at)
    if bool((base == at).all()):  # whole pixels need no weights
        return pixels.index_select(dim, base.long().clamp(0, size - 1).to(pixels.device))
    steps = torch.arange(1 - KERNEL_RADIUS, KERNEL_RADIUS + 1, dtype=torch.float64)[:, None]
    places = (base + steps).long().clamp(0, size - 1)
    out = weighted_taps(pixels, places, cubic_convolution(at - base - steps), dim)
    if not pixels.numel():
        return out
    # The kernel overshoots at hard edges.
    others = tuple(range(pixels.ndim - 1))
    return out.clamp_(pixels.amin(others), pixels.amax(others))
