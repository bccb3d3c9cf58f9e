"""Untrained x2 upscalers: one of known radius, one that looks at the whole picture, and ones that give their caller trouble.

Plain torch: no ComfyUI.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.nn import functional

from .convolution import ConvolutionStack, seeded

SCALE = 2
NAP = 0.02
WHITE = 16


class PlainUpscaler(torch.nn.Module):
    """The picture twice as large, bilinear, with detail of a network of a known radius. [B, 3, h, w] in 0..1 both ways.

    Args:
        radius: receptive radius in source pixels.
        detail: how much of the network's own there is.
    """

    def __init__(self, radius: int = 4, seed: int = 0, detail: float = 0.1) -> None:
        super().__init__()
        self.stack, self.detail = ConvolutionStack(3, 3 * SCALE**2, radius, seed), detail
        self.requires_grad_(False).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale."""
        return (self.plain(x) + self.detail * functional.pixel_shuffle(self.stack(2 * x - 1), SCALE)).clamp(0, 1)

    def plain(self, x: torch.Tensor) -> torch.Tensor:
        """Bilinear, the border repeated."""
        return functional.interpolate(x, scale_factor=SCALE, mode="bilinear")


class WholeImageUpscaler(PlainUpscaler):
    """Detail that an InstanceNorm has evened out, and colour that a squeeze-and-excite decides on: both see the whole picture."""

    def __init__(self, radius: int = 4, seed: int = 0, detail: float = 0.05) -> None:
        super().__init__(radius, seed, detail)
        self.norm = torch.nn.InstanceNorm2d(3)
        self.squeeze = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Conv2d(3, 3, 1), torch.nn.Sigmoid())
        with torch.no_grad():
            self.squeeze[1].weight.copy_(torch.randn(3, 3, 1, 1, generator=seeded(seed + 1)) * 2)
            self.squeeze[1].bias.zero_()
        self.requires_grad_(False).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale."""
        detail = functional.pixel_shuffle(self.stack(self.norm(x)), SCALE)
        return (self.plain(x) * (0.75 + 0.25 * self.squeeze(x)) + self.detail * detail).clamp(0, 1)


class SlowUpscaler(PlainUpscaler):
    """Takes its time for every call, and says that it was called with so large a tile."""

    def __init__(self, tell: Callable[[tuple[int, ...]], None], seconds: float = 0.3) -> None:
        super().__init__(1)
        self.tell, self.seconds = tell, seconds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale, slowly."""
        self.tell(tuple(x.shape))
        for _ in range(round(self.seconds / NAP)):
            time.sleep(NAP)
        return super().forward(x)


class TightUpscaler(PlainUpscaler):
    """Has memory for so many pixels at once and no more."""

    def __init__(self, room: int = 150 * 150, seed: int = 0) -> None:
        super().__init__(4, seed)
        self.room = room

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale, if there is room."""
        if x.shape[0] * x.shape[2] * x.shape[3] > self.room:
            raise torch.OutOfMemoryError(f"fake: no memory for {tuple(x.shape)}")
        return super().forward(x)


class OverflowingUpscaler(PlainUpscaler):
    """Gives NaN where there is a white patch of WHITE x WHITE pixels, as a network in half precision may."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale, or overflow."""
        white = functional.avg_pool2d(x, WHITE, 1).amax() >= 0.99999
        return super().forward(x) * (float("nan") if white else 1.0)
