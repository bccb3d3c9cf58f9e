"""Photographs, and what an edit model does to them: a drift of tone, a frame that moves, a changed patch, noise."""

import importlib.util
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tilework.blending.pixels.delta_e import ciede2000
from tilework.blending.pixels.lab import from_f, lab_map, rgb_to_lab

PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "coffee": "coffee.png",
    "chelsea": "chelsea.png",
    "rocket": "rocket.jpg",
    "motorcycle": "motorcycle_left.png",
    "camera": "camera.png",
}
SIDE = 40  # of the changed patch


def photograph(name, side=None):
    """A photograph out of scikit-image, [H, W, 3], or its middle."""
    file = Path(importlib.util.find_spec("skimage").origin).parent / "data" / PHOTOGRAPHS[name]
    pixels = torch.from_numpy(np.array(Image.open(file).convert("RGB"))).float() / 255
    if side is None:
        return pixels
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side].contiguous()


def to_lab(pixels):
    return rgb_to_lab(pixels.reshape(-1, 3).T)


def from_lab(lab, shape):
    matrix, shift = lab_map(3)
    return from_f(torch.linalg.solve(matrix.float(), lab - shift.float()[:, None])).T.reshape(shape)


def lighter(pixels, by=2.0):
    """Every lightness higher by so much."""
    lab = to_lab(pixels)
    lab[0] += by
    return from_lab(lab, pixels.shape)


def noisy(pixels, sd=1.0, seed=0):
    """Noise in lightness, a and b."""
    lab = to_lab(pixels)
    return from_lab(lab + sd * torch.randn(lab.shape, generator=torch.Generator().manual_seed(seed)), pixels.shape)


def eight_bit(pixels):
    return (pixels.clamp(0, 1) * 255).round() / 255


def moved(pixels, dy=3.4, dx=-3.4, scale=0.005):
    """The frame moved and scaled, read by torch's own bicubic sampler."""
    axes = [
        2 * ((torch.arange(side) - (side - 1) / 2) / (1 + scale) + (side - 1) / 2 - by + 0.5) / side - 1
        for side, by in zip(pixels.shape[:2], (dy, dx), strict=True)
    ]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], -1).float()
    read = torch.nn.functional.grid_sample(
        pixels.movedim(-1, 0)[None], grid[None], mode="bicubic", padding_mode="border", align_corners=False
    )
    return read[0].movedim(0, -1)


def patched(pixels, top, left, delta_e=10.0, side=SIDE):
    """A square of another colour: a mean CIEDE2000 of so much, and the same structure."""
    out, part = pixels.clone(), pixels[top : top + side, left : left + side]
    lab, way = to_lab(part), torch.tensor([[-0.5], [1.0], [-0.8]])
    low, high = 0.0, 80.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if ciede2000(lab.T, (lab + middle * way).T).mean() < delta_e else (low, middle)
    out[top : top + side, left : left + side] = from_lab(lab + middle * way, part.shape)
    return out


def square(pixels, top, left, side=SIDE):
    out = torch.zeros(pixels.shape[:2], dtype=torch.bool)
    out[top : top + side, left : left + side] = True
    return out


def overlap_over_union(found, truth):
    return float((found & truth).sum()) / max(1.0, float((found | truth).sum()))
