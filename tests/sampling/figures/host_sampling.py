"""The host's own sampling, shared by the figures: from noise to latent, and what is heard and seen on the way."""

from __future__ import annotations

import logging

import comfy.patcher_extension
import comfy.sample
import torch
from tilework.sampling.settings import TileSettings
from tilework_test import models

Wrappers = comfy.patcher_extension.WrappersMP
RULES = ("hann", "gaussian", "average")
GRIDS = ("fixed", "jitter")
# 64 x 48 cells, overlap 16.
TILES = {"tile_width": 512, "tile_height": 384, "overlap": 128}


def noise(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sample(model, shape, sampler="euler", steps=5, seed=5, latent=None, mask=None, positive=None, cfg=3.0, scheduler="normal", denoise=1.0):
    """The host's whole way from noise to latent."""
    latent = 0.5 * noise(shape, 1) if latent is None else latent
    with torch.inference_mode():
        return comfy.sample.sample(
            model, comfy.sample.prepare_noise(latent, seed), steps, cfg, sampler, scheduler,
            positive if positive is not None else models.conditioning(1), models.conditioning(2), latent,
            denoise=denoise, noise_mask=mask, disable_pbar=True, seed=seed,
        )  # fmt: skip


def off(a, b):
    """The largest difference, as a share of the largest value."""
    return float((a - b).abs().max() / b.abs().max())


def settings(**changes):
    return TileSettings(**{**TILES, **changes})


class Heard(logging.Handler):
    """What is logged meanwhile."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())

    def __enter__(self):
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *error):
        logging.getLogger().removeHandler(self)


def look(seen):
    """Another pack's wrapper: writes down what it is given and passes it on."""

    def wrapper(executor, model, conds, x, timestep, options):
        seen.append(tuple(x.shape))
        return executor(model, conds, x, timestep, options)

    return wrapper
