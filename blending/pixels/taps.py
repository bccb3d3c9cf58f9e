"""Reading between pixels and beyond the ends of a picture: mirrored places, and sums of weighted taps along one side."""

from __future__ import annotations

import torch


def mirrored(at: torch.Tensor, size: int) -> torch.Tensor:
    """Places on a line of `size` pixels that is mirrored at its ends without end; int64, of the shape of `at`.

    The end pixel is not doubled; a line of one pixel is repeated.
    """
    period = max(2 * (size - 1), 1)
    at = at % period
    return torch.minimum(at, (period - at) % period) if size > 1 else torch.zeros_like(at)


def continued(at: torch.Tensor, size: int, wraps: bool) -> torch.Tensor:
    """Places on a line of `size` pixels that goes on at its beginning behind its end where it `wraps`, and is `mirrored` where not."""
    return at % size if wraps else mirrored(at, size)


def weighted_taps(pixels: torch.Tensor, places: torch.Tensor, weights: torch.Tensor, dim: int) -> torch.Tensor:
    """Along `dim`, the sum over the taps of `pixels` at the tap's places times its weights.

    Args:
        pixels: floating point, any shape.
        places: int64 [taps, n], indices along `dim`.
        weights: [taps, n].

    Returns:
        the shape of `pixels` with n along `dim`; one tap is held at a time.
    """
    kind = pixels.dtype
    if kind not in (torch.float32, torch.float64):
        pixels = pixels.float()  # weights in half precision do not sum to one, in whole numbers they are nothing
    shape = [1] * pixels.ndim
    shape[dim] = -1
    out = None
    for tap, weight in zip(places.to(pixels.device), weights.to(pixels.device, pixels.dtype), strict=True):
        part = pixels.index_select(dim, tap).mul_(weight.view(shape))
        out = part if out is None else out.add_(part)
    return out.to(kind) if kind.is_floating_point else out
