"""Tiling beside other packs' wrappers and under every guider; its state, its memory, and what it refuses."""

from __future__ import annotations

import gc
import weakref

import comfy.nested_tensor
import comfy.sample
import comfy.samplers
import torch
from tilework.blending.layout.tile_layout import TileLayout
from tilework.sampling import tiled_model
from tilework.sampling.patch_order import TILES
from tilework.sampling.run_state import SamplingRun
from tilework.sampling.settings import TileSettings
from tilework.sampling.tiled_model import tiled
from tilework.tests.sampling.figures.host_sampling import Heard, Wrappers, look, noise, off, sample, settings
from tilework_test import models
from tilework_test.awkward import TightDenoiser


def composing():
    """Before and after other wrappers; applied twice; the memory that is reserved; every guider."""
    shape = (1, 4, 72, 96)
    model = models.conv_denoiser(0)
    untiled = sample(model, shape, steps=3)
    small = TileSettings(256, 256, 64, tile_batch=2)
    outside, inside, reserved, slot = [], [], [], []
    patched = model.clone()
    patched.add_wrapper_with_key(Wrappers.CALC_COND_BATCH, "before", look(outside))
    patched = tiled(tiled(patched, TileSettings(128, 128, 32)), small)
    patched.add_wrapper_with_key(Wrappers.CALC_COND_BATCH, "after", look(inside))
    patched.add_wrapper_with_key(
        Wrappers.PREPARE_SAMPLING,
        "after",
        lambda executor, m, shape, *args, **more: (reserved.append(list(shape)), executor(m, shape, *args, **more))[1],
    )
    patched.set_model_unet_function_wrapper(
        lambda call, given: (slot.append(len(given["input"])), call(given["input"], given["timestep"], **given["c"]))[1]
    )
    error = off(sample(patched, shape, steps=3), untiled)
    return {
        "error": error,
        "outside": sorted(set(outside)),
        "outside calls": len(outside),
        "inside": sorted(set(inside)),
        "inside calls": len(inside),
        "tiles": len(small.plan(shape[-2:], 1, 8, 1)),
        "reserved": reserved,
        "slot": len(slot),
        "wrappers": [
            len(patched.get_wrappers(kind, TILES)) for kind in (Wrappers.OUTER_SAMPLE, Wrappers.PREPARE_SAMPLING, Wrappers.CALC_COND_BATCH)
        ],
    }


def guiders():
    """SamplerCustomAdvanced's way, with guiders of one, two and three prompts and of two models."""
    from comfy_extras.nodes_custom_sampler import Guider_Basic, Guider_DualCFG, Guider_DualModel
    from comfy_extras.nodes_perpneg import Guider_PerpNeg

    shape = (1, 4, 64, 96)
    model = models.conv_denoiser(0)
    prompts = [models.conditioning(seed) for seed in (1, 2, 3)]

    def guided(name, patched):
        guider = {
            "basic": lambda: Guider_Basic(patched), "cfg": lambda: comfy.samplers.CFGGuider(patched),
            "dual cfg": lambda: Guider_DualCFG(patched), "perp neg": lambda: Guider_PerpNeg(patched),
            "dual model": lambda: Guider_DualModel(patched, models.conv_denoiser(0, seed=4)),
        }[name]()  # fmt: skip
        if name == "basic":
            guider.set_conds(prompts[0])
        elif name == "dual cfg":
            guider.set_conds(*prompts)
            guider.set_cfg(3.0, 2.0)
        elif name == "perp neg":
            guider.set_conds(*prompts)
            guider.set_cfg(3.0, 1.0)
        else:
            guider.set_conds(*prompts[:2])
            guider.set_cfg(3.0)
        sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", 3)
        latent = 0.5 * noise(shape, 1)
        with torch.inference_mode():
            return guider.sample(comfy.sample.prepare_noise(latent, 5), latent, comfy.samplers.sampler_object("euler"), sigmas, seed=5)

    return {
        name: off(guided(name, tiled(model, settings())), guided(name, model))
        for name in ("basic", "cfg", "dual cfg", "perp neg", "dual model")
    }


def state():
    """A run's state dies with it, also where the run fails, and clones share none."""
    born = []

    class Watched(SamplingRun):
        def __init__(self, *args):
            super().__init__(*args)
            born.append(weakref.ref(self))

    model = models.conv_denoiser(0)
    one, other = tiled(model, settings()), tiled(model, settings(tile_width=256, grid="jitter"))
    tiled_model.SamplingRun = Watched
    try:
        first = sample(one, (1, 4, 64, 96), steps=2)
        between = sample(other, (1, 4, 72, 80), steps=2)
        again = sample(one, (1, 4, 64, 96), steps=2)
        failing = tiled(models.conv_denoiser(0, kind=TightDenoiser, room=0), settings())
        try:
            sample(failing, (1, 4, 64, 96), steps=1)
            failed = False
        except torch.OutOfMemoryError:
            failed = True
    finally:
        tiled_model.SamplingRun = SamplingRun
    gc.collect()
    left = [key for patched in (one, other, failing) for key in patched.model_options if "tilework" in key]
    return {
        "runs": len(born), "alive": sum(ref() is not None for ref in born), "again": torch.equal(first, again),
        "shape": list(between.shape), "failed": failed, "left": left,
    }  # fmt: skip


def out_of_memory():
    """A chunk that does not fit is halved, and stays halved."""
    shape = (1, 4, 72, 96)
    roomy = models.conv_denoiser(0)
    untiled = sample(roomy, shape, steps=3)
    tight = models.conv_denoiser(0, kind=TightDenoiser, room=4)
    heard = Heard()
    small = TileSettings(256, 256, 64, tile_batch=8)
    tiles = len(small.plan(shape[-2:], 1, 8, 1))
    with heard:
        error = off(sample(tiled(tight, small), shape, steps=3), untiled)
    none = models.conv_denoiser(0, kind=TightDenoiser, room=1)
    try:
        sample(tiled(none, TileSettings(256, 256, 64, tile_batch=2)), shape, steps=1, cfg=3.0)
        gave_up = ""
    except torch.OutOfMemoryError as caught:
        gave_up = str(caught)
    return {"error": error, "tiles": tiles, "sizes": tight.model.diffusion_model.sizes, "log": heard.lines, "gave up": gave_up}


def refusals():
    """What cannot be tiled is refused in words, before anything runs."""

    def words(call):
        try:
            call()
        except ValueError as error:
            return str(error)
        return "nothing was refused"

    dit, conv = models.tiny_dit(), models.conv_denoiser(0)
    plain = (1, 4, 96, 96)
    packed = comfy.nested_tensor.NestedTensor([noise((1, 4, 64, 64)), noise((1, 4, 8))])

    def sample_packed():
        guider = comfy.samplers.CFGGuider(tiled(conv, settings()))
        guider.set_conds(models.conditioning(1), models.conditioning(2))
        guider.sample(packed, packed, comfy.samplers.sampler_object("euler"), torch.tensor([1.0, 0.0]))

    class EasyCacheHolder:
        pass

    def cached():
        model = tiled(conv, settings())
        model.model_options["transformer_options"]["easycache"] = EasyCacheHolder()
        sample(model, plain)

    return {
        "patch": words(lambda: sample(tiled(dit, settings(tile_width=8, overlap=0)), (1, 16, 64, 64))),
        "lattice": words(lambda: sample(tiled(dit, settings(tile_width=264)), (1, 16, 64, 64))),
        "layout lattice": words(lambda: sample(tiled(dit, settings(layout=TileLayout.grid(512, 520, 256, 256, 64, 8))), (1, 16, 64, 65))),
        "packed": words(sample_packed),
        "sound": words(lambda: sample(tiled(conv, settings()), (1, 4, 96))),
        "canvas": words(lambda: sample(tiled(conv, settings(layout=TileLayout.grid(512, 512, 256, 256, 64, 8))), (1, 4, 96, 160))),
        "trim": words(lambda: sample(tiled(conv, settings(trim=128)), plain)),
        "trim cells": words(lambda: sample(tiled(conv, settings(trim=12)), plain)),
        "rule": words(lambda: settings(fusion="linear")),
        "batch": words(lambda: settings(tile_batch=-1)),
        "easycache": words(cached),
    }
