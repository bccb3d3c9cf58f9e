"""Where tiles lie: what position-aware models are told of it, and grids that move from step to step."""

from __future__ import annotations

from pathlib import Path

import comfy
import torch
from tilework.sampling import positions, tiled_model
from tilework.sampling.run_state import SamplingRun, step_of
from tilework.sampling.settings import TileSettings
from tilework.sampling.tiled_model import tiled
from tilework.tests.sampling.figures.host_sampling import GRIDS, Heard, noise, sample, settings
from tilework_test import models


def position_ids():
    """What a Flux transformer is told of where each tile lies, beside what the whole canvas is told."""
    shape = (1, 16, 64, 96)

    def ids(model, how):
        given = []
        model = model.clone()
        model.set_model_post_input_patch(lambda said: (given.append(said["img_ids"][0].clone()), said)[1])
        sample(model if how is None else tiled(model, how), shape, steps=1, cfg=1.0, scheduler="simple")
        return given

    figures = {}
    scaled = models.tiny_dit()
    scaled.set_model_rope_options(0.5, 3.0, 0.75, 2.0, 1.0, 1.0)
    for name, model in (("plain", models.tiny_dit()), ("on top of others", scaled)):
        (canvas,) = ids(model, None)
        canvas = canvas.reshape(32, 48, 3)
        for grid in GRIDS:
            small = settings(tile_width=256, tile_height=256, overlap=64, grid=grid)
            told = ids(model, TileSettings(**{**small.__dict__, "positions": "canvas", "tile_batch": 4}))
            run = SamplingRun(small, 5)
            views = run.canvas(model.model, shape).views(0, "cpu")
            assert len(told) == len(views)
            worst = 0.0
            for view, tile in zip(views, told, strict=True):
                here = canvas[view.rect.y // 2 : (view.rect.y + 32) // 2, view.rect.x // 2 : (view.rect.x + 32) // 2]
                worst = max(worst, float((tile.reshape(16, 16, 3) - here).abs().max()))
            figures[f"{name}, {grid}"] = worst
            figures[f"{name}, {grid}, origins"] = len({(view.rect.y, view.rect.x) for view in views})
        local = ids(model, settings(tile_width=256, tile_height=256, overlap=64))
        figures[f"{name}, local alike"] = all(torch.equal(one, local[0]) for one in local)
    figures["whole reference"] = whole_reference_ids()
    heard = Heard()
    with heard:
        unheeding = sample(
            tiled(models.tiny_unet(), settings(tile_width=256, tile_height=256, positions="canvas")), (1, 4, 48, 48), steps=2
        )
    local = sample(tiled(models.tiny_unet(), settings(tile_width=256, tile_height=256)), (1, 4, 48, 48), steps=2)
    figures["warnings"] = [line for line in heard.lines if "Tilework" in line]
    figures["unheeding is local"] = torch.equal(unheeding, local)
    figures["heeded"] = heeded()
    (package,) = comfy.__path__
    reads = {path for path in Path(package, "ldm").rglob("*.py") if "rope_options" in path.read_text(encoding="utf-8")}
    figures["modules that read them"] = sorted(".".join(path.relative_to(Path(package).parent).with_suffix("").parts) for path in reads)
    # Older hosts lack some of them.
    figures["modules known"] = sorted(
        name for name in positions.HEEDED_BY if Path(package).parent.joinpath(*name.split(".")).with_suffix(".py").exists()
    )
    return figures


def heeded():
    """By family: what it is called in the warning, and whether its network takes position shifts."""
    from types import SimpleNamespace

    from comfy import supported_models as families
    from comfy.ldm.flux.model import Flux
    from comfy.ldm.lumina.model import NextDiT
    from comfy.ldm.modules.diffusionmodules.mmdit import OpenAISignatureMMDITWrapper
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel
    from comfy.ldm.wan.model import VaceWanModel

    said = {}
    for family, network in (
        (families.SD15, UNetModel), (families.SDXL, UNetModel), (families.SD3, OpenAISignatureMMDITWrapper),
        (families.QwenImage, QwenImageTransformer2DModel), (families.Flux, Flux), (families.Lumina2, NextDiT),
        (families.WAN21_Vace, VaceWanModel),
    ):  # fmt: skip
        model = SimpleNamespace(diffusion_model=network.__new__(network), model_config=family.__new__(family))
        said[positions.model_name(model)] = positions.heeds_positions(model)
    return said


def whole_reference_ids():
    """A reference that every tile sees whole stays where the untiled run has it: the largest difference of its ids."""
    shape = (1, 16, 48, 64)
    positive = models.conditioning(1)
    positive[0][1]["reference_latents"] = [noise((1, 16, 20, 28), 3)]
    references = 10 * 14

    def ids(how):
        model, given = models.tiny_dit(), []
        model.model.diffusion_model.pe_embedder.register_forward_pre_hook(
            lambda module, args: given.append(args[0][0, -references:].clone())
        )
        sample(model if how is None else tiled(model, how), shape, steps=1, cfg=1.0, scheduler="simple", positive=positive)
        return given

    (untiled,) = ids(None)
    how = {"tile_width": 256, "tile_height": 256, "overlap": 64, "positions": "canvas", "reference_latents": "whole"}
    told = ids(TileSettings(**how))
    assert len(told) == 6 and float(untiled.abs().max()) > 10
    return max(float((one - untiled).abs().max()) for one in told)


def jitter():
    """The same seed gives the same picture to the bit; another another grid; one grid within a step."""
    shape = (1, 4, 48, 72)
    model = models.tiny_unet()
    moving = tiled(model, TileSettings(256, 256, 64, grid="jitter"))
    first = sample(moving, shape, "dpmpp_sde", steps=3)
    fixed = sample(tiled(model, TileSettings(256, 256, 64)), shape, "dpmpp_sde", steps=3)
    places = []

    class Noted(SamplingRun):
        def canvas(self, *args):
            tiles = super().canvas(*args)
            return Note(tiles)

    class Note:
        def __init__(self, tiles):
            self.tiles = tiles

        def __getattr__(self, name):
            return getattr(self.tiles, name)

        def views(self, step, device):
            views = self.tiles.views(step, device)
            places.append((step, tuple(view.rect for view in views)))
            return views

    tiled_model.SamplingRun = Noted
    try:
        again = sample(moving, shape, "dpmpp_sde", steps=3)
    finally:
        tiled_model.SamplingRun = SamplingRun
    schedule = torch.tensor([10.0, 5.0, 1.0, 0.0])
    options = {"transformer_options": {"sample_sigmas": schedule}}
    return {
        "same": torch.equal(first, again), "moves": not torch.equal(first, fixed),
        "calls": len(places), "steps": len({step for step, _ in places}), "grids": len(set(places)),
        "steps of 12, 10, 7, 5, 5 and a bit, 2, 1, 0.1": [
            step_of(torch.tensor([level]), options) for level in (12.0, 10.0, 7.0, 5.0, 5.0 * (1 + 1e-6), 2.0, 1.0, 0.1)
        ],
        "without a schedule": step_of(torch.tensor([5.0]), {}) != step_of(torch.tensor([4.0]), {}),
    }  # fmt: skip
