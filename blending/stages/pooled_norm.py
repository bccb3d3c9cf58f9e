"""Group normalisation with statistics that were pooled over tiles."""

from __future__ import annotations

import torch

from ..whole_picture.pooled_moments import PooledMoments
from .steps import Norm


def add_core(moments: PooledMoments, core: torch.Tensor, groups: int) -> None:
    """Add a tile's core [1, C, h, w] to the moments [groups] of the picture. Add every cell once."""
    if not core.numel():
        return
    # Within a tile float32 is exact enough, and far faster than float64 on a graphics card. In two steps, because
    # torch.var_mean takes seven times as long on a CPU; subtracting the mean first is what keeps it exact.
    values = core.reshape(groups, -1)
    mean = values.mean(1, dtype=torch.float32)
    variance = (values.float() - mean[:, None]).square_().mean(1)
    moments.merge(values.shape[1], mean.cpu(), variance.cpu())


def normalise(x: torch.Tensor, norm: Norm, moments: PooledMoments) -> torch.Tensor:
    """What the normalisation makes of `x` [1, C, h, w] with the statistics of the whole picture; a new tensor.

    Raises:
        ValueError: where the statistics are not finite.
    """
    if moments.mean is None or moments.variance is None:
        raise ValueError("a normalisation has no statistics: nothing was added to them")
    if not (torch.isfinite(moments.mean).all() and torch.isfinite(moments.variance).all()):
        raise ValueError(
            f"the network's values overflowed in {str(x.dtype).removeprefix('torch.')} (NaN or Inf at a normalisation): "
            "run it in bfloat16 or float32"
        )
    spread = (moments.variance + norm.eps).rsqrt()
    each = x.shape[1] // norm.groups
    gain = spread.repeat_interleave(each).float().to(x.device)
    shift = (-moments.mean * spread).repeat_interleave(each).float().to(x.device)
    weight, bias = norm.affine(x)
    if weight is not None:
        gain, shift = gain * weight, shift * weight
    if bias is not None:
        shift = shift + bias
    gain, shift = gain.reshape(1, -1, 1, 1), shift.reshape(1, -1, 1, 1)
    return (x.float() * gain).add_(shift).to(x.dtype)
