"""What the pixels of a picture are: checked, with alpha told from colour, and as a weight."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from .counted import counted

LEVELS = 255  # from black to white in 8 bits
REC_709 = (0.2126, 0.7152, 0.0722)
# What weights that sum to one leave over in float32 is no value outside of the range.
ROUNDING = 1e-6
ROWS_AT_ONCE = 256


class Outside(NamedTuple):
    """Values of a picture that lie outside of 0..1.

    Attributes:
        count, of: how many do, and of how many.
        lowest: the smallest, None where none is below 0.
        highest: the largest, None where none is above 1.
    """

    count: int
    of: int
    lowest: float | None
    highest: float | None

    def __str__(self) -> str:
        share = 100 * self.count / self.of
        words = f"{share:.2g} %" if share >= 0.001 else "less than 0.001 %"
        low, high = (None if end is None else f"{end:.5g}" for end in (self.lowest, self.highest))
        ends = f"up to {high}" if low is None else f"down to {low}" if high is None else f"from {low} to {high}"
        return f"{counted(self.count, 'value')} ({words}), {ends}"


def outside(pixels: torch.Tensor) -> Outside | None:
    """What of `pixels` [B, H, W, C] lies outside of 0..1 by more than rounding, NaN not counted; None where nothing does."""
    count, lowest, highest = 0, 0.0, 1.0
    for rows in (part for picture in pixels for part in picture.split(ROWS_AT_ONCE)):
        low, high = (float(end) for end in rows.aminmax())
        if low >= -ROUNDING and high <= 1 + ROUNDING:
            continue  # which NaN is not
        off = rows[(rows < -ROUNDING) | (rows > 1 + ROUNDING)]
        if off.numel():
            low, high = (float(end) for end in off.aminmax())
            count, lowest, highest = count + off.numel(), min(lowest, low), max(highest, high)
    if not count:
        return None
    return Outside(count, pixels.numel(), lowest if lowest < 0 else None, highest if highest > 1 else None)


def is_finite(pixels: torch.Tensor) -> bool:
    """Whether no value is NaN or Inf: one of them makes the sum one, and only such a sum is worth looking at closely."""
    total = pixels.sum() if pixels.dtype == torch.float32 else pixels.sum(dtype=torch.float32)
    return math.isfinite(float(total)) or bool(torch.isfinite(pixels).all())


def check_finite(
    pixels: torch.Tensor,
    name: str,
    who: str = "the node that made it",
    mend: str = "a model in fp16 that overflows is the usual cause, try it in fp32 or bf16",
) -> None:
    """Refuse NaN and Inf by the name of the picture.

    Args:
        pixels: of any shape.
        name: of what is looked at, in the words of the user.
        who: what made them.
        mend: what to change.

    Raises:
        ValueError: which says all of this.
    """
    if not is_finite(pixels):
        what = "NaN" if torch.isnan(pixels).any() else "Inf"
        raise ValueError(f"{name} has {what} in it ({counted(int((~torch.isfinite(pixels)).sum()), 'value')}): {who} broke it; {mend}")


def check_mask(mask: torch.Tensor, name: str = "the mask") -> torch.Tensor:
    """A mask [B, h, w] as float, finite and not part of any graph, or ValueError."""
    if not isinstance(mask, torch.Tensor) or mask.ndim != 3 or mask.is_complex() or 0 in mask.shape:
        what = f"{mask.dtype} of shape {tuple(mask.shape)}" if isinstance(mask, torch.Tensor) else type(mask).__name__
        raise ValueError(f"{name} is {what}: expected floating point [batch, height, width]")
    mask = mask.detach().float()
    check_finite(mask, name)
    return mask


def colours(pixels: torch.Tensor) -> torch.Tensor:
    """The colour channels of [..., C]: all but a fourth."""
    return pixels[..., :3] if pixels.shape[-1] == 4 else pixels


def visible(pixels: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor | None:
    """How much each pixel of [..., C] counts: alpha times mask [...], None where all count alike."""
    alpha = pixels[..., 3].clamp_min(0) if pixels.shape[-1] == 4 else None
    if alpha is None or mask is None:
        return mask if alpha is None else alpha
    return alpha * mask


def joint_weight(a: torch.Tensor | None, b: torch.Tensor | None) -> torch.Tensor | None:
    """The product of two weights; None is one everywhere."""
    if a is None or b is None:
        return b if a is None else a
    return a * b


def in_channels(pixels: torch.Tensor, count: int) -> torch.Tensor:
    """Pixels [..., C] with `count` colour channels, alpha kept: grey is repeated, colour becomes its luma (Rec. 709)."""
    colour = colours(pixels)
    if colour.shape[-1] == count:
        return pixels
    made = (
        colour.expand(*colour.shape[:-1], 3) if count == 3 else (colour.float() * colour.new_tensor(REC_709).float()).sum(-1, keepdim=True)
    )
    # One channel and alpha is no picture of the host: the weight is worked out before, and alpha goes.
    return torch.cat((made, pixels[..., 3:]), -1) if pixels.shape[-1] == 4 and count == 3 else made


def check_pixels(pixels: torch.Tensor, name: str) -> torch.Tensor:
    """Floating point [B, h, w, C] with C = 1, 3 or 4, not part of any graph, or ValueError."""
    if not isinstance(pixels, torch.Tensor):
        raise ValueError(
            f"{name} is {'missing' if pixels is None else type(pixels).__name__}: expected a picture, "
            "floating point [batch, height, width, channels]"
        )
    if pixels.ndim != 4 or not pixels.is_floating_point() or pixels.shape[-1] not in (1, 3, 4) or 0 in pixels.shape:
        raise ValueError(
            f"{name} is {pixels.dtype} of shape {tuple(pixels.shape)}: expected floating point [batch, height, width, channels], "
            "with 1 channel (grey), 3 (RGB) or 4 (RGBA)"
        )
    return pixels.detach() if pixels.requires_grad else pixels
