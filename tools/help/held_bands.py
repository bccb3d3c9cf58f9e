"""The pictures of Hold Bands to Reference: a run of the small model that knows one scene, held to a small picture."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path

import torch

from .composition import LARGER, SEED, bed, runs
from .sheet import write


@functools.cache
def held_average() -> torch.Tensor:
    """The scene in tiles, LARGER times the size; its averages are held to the small picture; [1, h, w, 3]."""
    made = bed()
    models, scenes = (importlib.import_module(f"tilework_test.coherence.{name}") for name in ("models", "scenes"))
    hold = importlib.import_module("tilework.sampling.hold_bands")
    ranges = importlib.import_module("tilework.sampling.sampling_range")
    model = models.scene_model("dit")
    small, large = (made.Job(scale=scale, count=1, seed=SEED, steps=8) for scale in (1, LARGER))
    to = hold.BandHold(made.sample(model, small), "haar", 1, 9.0, 1.0, hold.AVERAGED, ranges.SamplingRange(0.0, 0.8))
    return scenes.rgb(made.sample(made.in_tiles(hold.held_to(model, to), large), large)).movedim(1, -1)


def held_bands(_: torch.Tensor, folder: Path) -> None:
    """All of them."""
    found = runs()
    panels = [("the small picture", found["small"]), ("3 times larger, plain tiles", found["plain"])]
    panels.append(("its averages held to the small one", held_average()))
    write(folder, "TileworkFrequencyGuidance", [(title, one[0]) for title, one in panels])
