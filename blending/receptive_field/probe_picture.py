"""A picture to probe models with: spectrum, contrast and edges like a photograph's, drawn from a seed."""

from __future__ import annotations

import torch

EDGES = 48
MEAN, SPREAD = 0.5, 0.2
GREY_SHARE = 0.8


def probe_picture(height: int, width: int, channels: int = 3, seed: int = 0) -> torch.Tensor:
    """1/f noise with rectangles over it, whose edges are hard and soft.

    The amplitudes of photographs fall off as 1 / frequency (Field 1987); edges are what networks answer to most strongly.

    Args:
        height, width, channels: of the picture.
        seed: what it is drawn from, on the CPU, so that it is the same everywhere.

    Returns:
        float32 [1, channels, height, width], 0..1.
    """
    generator = torch.Generator().manual_seed(seed)
    frequency = (torch.fft.fftfreq(height)[:, None].square() + torch.fft.rfftfreq(width)[None].square()).sqrt()
    falloff = 1 / frequency.clamp_min(1 / max(height, width))

    def clouds(count: int) -> torch.Tensor:
        noise = torch.fft.irfft2(torch.fft.rfft2(torch.randn(count, height, width, generator=generator)) * falloff, s=(height, width))
        return (noise - noise.mean((1, 2), keepdim=True)) / noise.std((1, 2), keepdim=True).clamp_min(1e-6)

    picture = GREY_SHARE * clouds(1) + (1 - GREY_SHARE**2) ** 0.5 * clouds(channels)
    draws = torch.rand(EDGES, 5, generator=generator)
    tones = torch.randn(EDGES, channels, 1, 1, generator=generator)
    ys, xs = torch.arange(height)[:, None], torch.arange(width)[None]
    for (top, left, tall, wide, soft), tone in zip(draws.tolist(), tones, strict=True):
        y, x = (top * height - ys, left * width - xs)
        half_height, half_width = (0.02 + 0.25 * tall) * height, (0.02 + 0.25 * wide) * width
        inside = torch.minimum(half_height - y.abs(), half_width - x.abs())
        picture = torch.lerp(picture, tone.expand_as(picture), 0.6 * (inside / (0.25 + 3 * soft) + 0.5).clamp(0, 1))
    return (MEAN + SPREAD * picture).clamp(0, 1)[None]
