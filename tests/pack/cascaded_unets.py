"""A tiny untrained network of the kind of Real-CUGAN and waifu2x: two U-Nets in a row, padded once, convolved without padding.

Plain torch: no ComfyUI. The picture is reflected by 18 px on each side (14 where it is enlarged by three), and everything after
that gives away what it would have to make up: 3 x 3 convolutions two cells, transposed ones their rim, shortcuts are cropped. So
the maps have sides a * side + b, with a b of their own at each depth (12 at a half, then 14, 3 and 2).

At the right and at the bottom the picture is filled up to sides that all depths take: multiples of 2, and of 4 where it is
enlarged by three, which is seen in the second network only, whose quarter has three cells for four pixels.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from .convolution import seeded

SCALE = 2
RIM = 20
# Enlarged by -> pixels reflected on each side, what sides are filled up to, and the enlarging convolution's kernel and padding.
PLANS = {2: (18, 2, 4, 3), 3: (14, 4, 5, 2)}


class SqueezeExcite(nn.Module):
    """Every channel times a gate that the means of all channels decide on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, channels // 2, 1), nn.Conv2d(channels // 2, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Gate it."""
        means = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(4 * self.conv2(functional.relu(self.conv1(means))))


class UNet(nn.Module):
    """Two convolutions at full size, two at a half, and for `deep` two at a quarter and two more at a half; squeezed below full size.

    Args:
        into, out: channels.
        width: of every map.
        deep: whether there is a quarter, as in the second network.
        enlarge: how many times larger the result is, as that of the first one; 1 for no larger.
    """

    def __init__(self, into: int, out: int, width: int, deep: bool, enlarge: int) -> None:
        super().__init__()
        self.top = self._double(into, width)
        self.halves = nn.ModuleList(self._double(width, width, True) for _ in range(1 + deep))
        self.quarter = self._double(width, width, True) if deep else None
        self.down = nn.ModuleList(nn.Conv2d(width, width, 2, 2) for _ in range(1 + deep))
        self.up = nn.ModuleList(nn.ConvTranspose2d(width, width, 2, 2) for _ in range(1 + deep))
        self.last = nn.Conv2d(width, width, 3)
        self.bottom = nn.Conv2d(width, out, 3)
        if enlarge > 1:
            self.bottom = nn.ConvTranspose2d(width, out, PLANS[enlarge][2], enlarge, PLANS[enlarge][3])

    @staticmethod
    def _double(into: int, out: int, squeeze: bool = False) -> nn.Sequential:
        layers = [nn.Conv2d(into, out, 3), nn.LeakyReLU(0.1), nn.Conv2d(out, out, 3), nn.LeakyReLU(0.1)]
        return nn.Sequential(*layers, *[SqueezeExcite(out)] * squeeze)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, into, h, w] -> [N, out, h - 16, 2 h - 32 or 3 h - 44, ...] for the shallow one, [N, out, h - 40, ...] for the deep one."""
        x = full = self.top(x)
        x = half = self.halves[0](functional.leaky_relu(self.down[0](x), 0.1))
        if self.quarter is not None:
            x = self.quarter(functional.leaky_relu(self.down[1](x), 0.1))
            x = self.halves[1](_cropped(half, 4) + functional.leaky_relu(self.up[1](x), 0.1))
        x = _cropped(full, 4 if self.quarter is None else 16) + functional.leaky_relu(self.up[0](x), 0.1)
        return self.bottom(functional.leaky_relu(self.last(x), 0.1))


class CascadedUNets(nn.Module):
    """[B, 3, h, w] in 0..1 -> [B, 3, scale * h, scale * w] in 0..1, sides of any length from 24.

    Args:
        seed: of the weights.
        width: channels.
        scale: 2 or 3.
    """

    def __init__(self, seed: int = 0, width: int = 8, scale: int = SCALE) -> None:
        super().__init__()
        self.scale = scale
        self.first, self.second = UNet(3, 3, width, False, scale), UNet(3, 3, width, True, 1)
        generator = seeded(seed)
        for parameter in self.requires_grad_(False).eval().parameters():
            gain = math.sqrt(2 / parameter[0].numel()) if parameter.ndim > 1 else 0.1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * gain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale."""
        height, width = x.shape[2:]
        padding, step = PLANS[self.scale][:2]
        x = functional.pad(2 * x - 1, (padding, padding + -width % step, padding, padding + -height % step), "reflect")
        x = self.first(x)
        x = _cropped(x, RIM) + self.second(x)
        return 0.5 + 0.25 * torch.tanh(x[:, :, : self.scale * height, : self.scale * width])


def _cropped(x: torch.Tensor, cells: int) -> torch.Tensor:
    return functional.pad(x, (-cells,) * 4)
