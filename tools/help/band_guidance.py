"""The pictures of Guidance by Bands: a small model that knows one scene, guided in three ways from one noise."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path

import torch

from .composition import bed
from .sheet import write

SEED, COUNT, PICTURE = 5, 4, 3
CFG = 7.5


@functools.cache
def three_ways() -> dict[str, torch.Tensor]:
    """One picture [h, w, 3] without guidance, with plain guidance, and with as much of it in the fine alone."""
    made = bed()
    model = importlib.import_module("tilework_test.coherence.models").scene_model("dit")
    bands = importlib.import_module("tilework.sampling.band_guidance")
    rgb = importlib.import_module("tilework_test.coherence.scenes").rgb
    by_bands = bands.guided_by_bands(model, bands.BandWeights(high=CFG))
    ways = {"cfg 1": (model, 1.0), f"cfg {CFG}": (model, CFG), f"by bands: low 1, high {CFG}": (by_bands, 1.0)}
    runs = {name: made.sample(one, made.Job(scale=1, count=COUNT, seed=SEED, steps=8, cfg=cfg)) for name, (one, cfg) in ways.items()}
    return {name: rgb(latents)[PICTURE].movedim(0, -1) for name, latents in runs.items()}


def band_guidance(folder: Path) -> None:
    """Guidance by Bands."""
    write(folder, "TileworkBandGuidance", list(three_ways().items()))
