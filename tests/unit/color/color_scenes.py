"""Pictures and figures that the tests of colour matching share."""

import torch
from tilework.blending.color.settings import MATCH_METHODS
from tilework.blending.pixels.lab import rgb_to_lab

PLAIN = MATCH_METHODS[:-1]
STATISTICS = PLAIN[:-1]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def scene(seed, height=300, width=340, channels=3, batch=1, low=0.1, high=0.9, noise=0.03):
    """Smooth colours that go together a little, with fine noise."""
    generator = seeded(seed)
    coarse = torch.rand(batch, channels, 7, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").movedim(1, -1)
    smooth = smooth + 0.3 * smooth.flip(-1)
    smooth = (smooth - smooth.amin()) / (smooth.amax() - smooth.amin())
    return (low + (high - low) * smooth + noise * torch.randn(smooth.shape, generator=generator)).contiguous()


def gradient(height=777, width=1000):
    """Red from left to right, green from top to bottom, blue against both."""
    y, x = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    return torch.stack((x.expand(height, -1), y.expand(-1, width), (1 - (x + y) / 2)), -1)[None].contiguous()


def rows(image, weight=None):
    values = image[..., :3].reshape(-1, min(image.shape[-1], 3)).double()
    return values if weight is None else values[weight.reshape(-1) > 0]


def covariance(image):
    return torch.cov(rows(image).T, correction=0)


def lab_of(image):
    return rgb_to_lab(rows(image).T)
