"""Photographs out of the scikit-image wheel, and pieces of them shifted by known parts of a pixel."""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import shift as moved

NAMES = ("astronaut.png", "coffee.png", "chelsea.png", "motorcycle_left.png", "ihc.png", "gravel.png")
MARGIN = 8  # px around a piece, so that what a shift brings in is there


@cache
def photograph(name):
    """float64 [H, W, 3]; the file is opened directly, skimage.data would offer to download what is missing."""
    folder = Path(importlib.util.find_spec("skimage").origin).parent / "data"
    return np.asarray(Image.open(folder / name).convert("RGB"), np.float64) / 255


def grainy(pixels, rng, levels):
    """In 8 bits, with independent grain."""
    return np.round((pixels + rng.standard_normal(pixels.shape) * levels / 255).clip(0, 1) * 255) / 255


def piece(picture, y, x, height, width, shift=(0.0, 0.0)):
    """[height, width, ...] of a picture at (y, x), such that piece(p + shift) shows what the unshifted one shows at p."""
    room = [(MARGIN, MARGIN)] * 2 + [(0, 0)] * (picture.ndim - 2)
    part = np.pad(picture, room, mode="symmetric")[y : y + height + 2 * MARGIN, x : x + width + 2 * MARGIN]
    if any(shift):
        planes = part.reshape(*part.shape[:2], -1)
        part = np.stack([moved(planes[..., i], shift, order=5, mode="mirror") for i in range(planes.shape[2])], -1).reshape(part.shape)
    return part[MARGIN:-MARGIN, MARGIN:-MARGIN]


def tensor(pieces):
    return torch.from_numpy(np.stack(pieces)).float()


def shifted_pairs(name, height, width, count, most, levels, seed):
    """(fixed, moving [count, height, width], shifts float64 [count, 2]) out of one photograph."""
    rng = np.random.default_rng(seed)
    grey = photograph(name).mean(2)
    pairs, shifts = [], rng.uniform(-most, most, (count, 2))
    for shift in shifts:
        y, x = (int(rng.integers(0, side - part + 1)) for side, part in zip(grey.shape, (height, width), strict=True))
        pairs.append([grainy(piece(grey, y, x, height, width, by), rng, levels) for by in ((0.0, 0.0), shift)])
    fixed, moving = zip(*pairs, strict=True)
    return tensor(fixed), tensor(moving), torch.from_numpy(shifts)
