"""The pictures of Picture to Noise: a drawn scene, its noise, and what a small model makes of that noise again."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path

import torch

from .composition import bed
from .sheet import apart, write

STEPS, SEED, COUNT, PICTURE = 20, 91, 4, 1


@functools.cache
def there_and_back() -> dict[str, torch.Tensor]:
    """The scene, its noise, and two pictures made of it by Euler's sampler, with no and with one correction; [h, w, 3] each."""
    bed()
    models, scenes = (importlib.import_module(f"tilework_test.coherence.{name}") for name in ("models", "scenes"))
    inversion, samplers = importlib.import_module("tilework.sampling.inversion"), importlib.import_module("comfy.samplers")
    model, told = models.scene_model("dit"), models.scene_prompt("day", "scene")
    scene = scenes.drawn(COUNT, SEED, kind="day")
    sigmas = samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", STEPS)
    found = {"scene": scene}
    with torch.inference_mode():
        for corrections in (0, 1):
            _, noise, _ = inversion.invert(model, told, scene, sigmas, corrections)
            found["noise"] = noise.generate_noise({"samples": scene})
            guider = samplers.CFGGuider(model)
            guider.inner_set_conds({"positive": told})
            sampler = samplers.sampler_object("euler")
            found[f"back {corrections}"] = guider.sample(found["noise"], scene, sampler, sigmas, disable_pbar=True, seed=0)
    return {name: scenes.rgb(latent.clone()).movedim(1, -1)[PICTURE] for name, latent in found.items()}


def inversion(_: torch.Tensor, folder: Path) -> None:
    """Picture to Noise."""
    found = there_and_back()
    rows = (("the picture, and its noise", ("scene", "noise")), ("back: no correction, and one", ("back 0", "back 1")))
    panels = [
        (title, apart([found[name].repeat_interleave(8, 0).repeat_interleave(8, 1)[None] for name in names], 2, 6)) for title, names in rows
    ]
    write(folder, "TileworkInvert", panels)
