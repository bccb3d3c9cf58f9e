"""Runs on the test bed: ComfyUI's own sampling with one of the two small models, and what came of it.

The small picture that a large one is made from is a drawn scene, as when a photograph is enlarged. ComfyUI must be set up
before this is used, and Tilework loaded as `tilework`.
"""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from . import scenes
from .figures import Figures, mean_figures
from .models import scene_prompt

PIXELS = 8  # image pixels per cell
SCHEDULERS = {"unet": "karras", "dit": "simple"}
CHOSEN, HELD_OUT = 0, 1  # seeds: parameters are chosen on one set of scenes and reported on the other


@dataclass(frozen=True)
class Job:
    """What is sampled: `count` pictures of `scale` times the native size, with tiles of the native size.

    Attributes:
        kind: of the model, see models.KINDS.
        scale: of the canvas' sides.
        count: pictures, in one batch.
        seed: of the scenes and of the noise.
        steps, sampler, cfg, denoise: as a KSampler has them.
        overlap: of the tiles, in cells.
        prompt: kind and scope of the scene.
    """

    kind: str = "dit"
    scale: int = 3
    count: int = 16
    seed: int = CHOSEN
    steps: int = 10
    sampler: str = "dpmpp_2m"
    cfg: float = 1.0
    denoise: float = 1.0
    overlap: int = 8
    prompt: tuple[str, ...] = ("day", "scene")

    @property
    def side(self) -> int:
        """Of the canvas, in cells."""
        return scenes.NATIVE * self.scale

    def small(self) -> torch.Tensor:
        """The pictures at native size, [count, 4, 32, 32]."""
        return scenes.drawn(self.count, 90 + self.seed, kind=self.prompt[0])

    def enlarged(self) -> torch.Tensor:
        """They at the canvas' size, as ComfyUI's Upscale Latent makes them (bicubic)."""
        return F.interpolate(self.small(), size=(self.side, self.side), mode="bicubic", align_corners=False)

    def empty(self) -> torch.Tensor:
        """A latent of nothing, [count, 4, side, side]."""
        return torch.zeros(self.count, scenes.CHANNELS, self.side, self.side)

    def noise(self) -> torch.Tensor:
        """Of the canvas."""
        shape = (self.count, scenes.CHANNELS, self.side, self.side)
        return torch.randn(shape, generator=torch.Generator().manual_seed(1000 * self.seed + 17))


def sigmas_of(model: Any, job: Job) -> torch.Tensor:
    """As a KSampler makes them."""
    samplers = importlib.import_module("comfy.samplers")
    sampling = model.get_model_object("model_sampling")
    steps = job.steps if job.denoise >= 1 else int(job.steps / job.denoise)
    return samplers.calculate_sigmas(sampling, SCHEDULERS[job.kind], steps)[-(job.steps + 1) :]


def sample(model: Any, job: Job, start: torch.Tensor | None = None, noise: torch.Tensor | None = None, positive: list | None = None):
    """Latents [count, 4, side, side] from `start` (an empty latent where there is none)."""
    samplers, comfy_sample = (importlib.import_module(f"comfy.{name}") for name in ("samplers", "sample"))
    with torch.inference_mode():
        made = comfy_sample.sample_custom(
            model,
            job.noise() if noise is None else noise,
            job.cfg,
            samplers.ksampler(job.sampler),
            sigmas_of(model, job),
            scene_prompt(*job.prompt) if positive is None else positive,
            scene_prompt(),
            (job.empty() if start is None else start).clone(),
            disable_pbar=True,
            seed=job.seed,
        )
    return made.clone()


def in_tiles(model: Any, job: Job, **settings: Any) -> Any:
    """The pack's Tiled Sampling over a MODEL: tiles of the native size, one at a time."""
    tiled, kind = (importlib.import_module(f"tilework.sampling.{name}") for name in ("tiled_model", "settings"))
    side = scenes.NATIVE * PIXELS
    settings = {"tile_width": side, "tile_height": side, "overlap": job.overlap * PIXELS, "tile_batch": 1, **settings}
    return tiled.tiled(model, kind.TileSettings(**settings))


def native_texture() -> float:
    """What `Figures.texture` is of drawn scenes at native size: sharpness is told as a share of it."""
    return mean_figures(scenes.drawn(64, 5), 1).texture


def timed(call: Any) -> tuple[torch.Tensor, float]:
    """What a call gives, and the processor's seconds it took."""
    begun = time.process_time()
    made = call()
    return made, time.process_time() - begun


def told(name: str, found: Figures, native: float, seconds: float = float("nan"), plain: float = float("nan")) -> str:
    """A row of the table: shares with one sun and one house, both counts, horizons too many, drift, sharpness, time over plain."""
    return (
        f"| {name} | {found.one_sun:.0%} | {found.one_house:.0%} | {found.suns:.2f} | {found.houses:.2f} | {found.horizons:.2f} | "
        f"{found.drift:.1f} | {found.texture / native:.2f} | {seconds / plain:.2f} |"
    )
