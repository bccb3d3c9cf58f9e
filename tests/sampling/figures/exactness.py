"""Tiled beside untiled: where they must be the same, to the bit or to rounding."""

from __future__ import annotations

from itertools import product

import torch
from tilework.blending.layout.tile_layout import TileLayout
from tilework.sampling.settings import TileSettings
from tilework.sampling.tile_batches import TileBatches
from tilework.sampling.tiled_model import tiled
from tilework.tests.sampling.figures.host_sampling import GRIDS, RULES, off, sample, settings
from tilework_test import models

SAMPLERS = ("euler", "euler_ancestral", "dpmpp_2m", "dpmpp_sde", "uni_pc", "lcm", "res_multistep")
SHAPES = ((1, 4, 96, 160), (2, 16, 97, 131), (1, 16, 1, 64, 96), (1, 16, 5, 40, 72))


def pointwise(everything=False):
    """Tiled against untiled for a model that sees single cells, prompts included: a sample of all combinations, or all."""
    combinations = list(product(RULES, GRIDS))
    figures = {}
    for row, shape in enumerate(SHAPES):
        model = models.conv_denoiser(0, channels=shape[1])
        for column, name in enumerate(SAMPLERS):
            # The samplers all run on the smallest canvas, the other canvases with two of them.
            if not (everything or row == 2 or column in (row, row + 2)):
                continue
            untiled = sample(model, shape, name)
            chosen = combinations if everything or (row == 2 and column == 0) else [combinations[(row + column) % 6]]
            for rule, grid in chosen:
                figures[f"{shape} {name} {rule} {grid}"] = off(sample(tiled(model, settings(fusion=rule, grid=grid)), shape, name), untiled)
            assert float(untiled.std()) > 0.5, "a picture that says nothing"
    return figures


def convolution():
    """The exactness law: a receptive radius R, trim R, overlap 2 R + 8."""
    figures = {}
    shape, radius = (1, 4, 72, 112), 4
    model = models.conv_denoiser(radius)
    untiled = sample(model, shape)
    for rule, grid in product(RULES, GRIDS):
        sizes = {"tile_width": 384, "tile_height": 320, "overlap": (2 * radius + 8) * 8, "fusion": rule, "grid": grid}
        with_trim, without = (off(sample(tiled(model, TileSettings(**sizes, trim=t)), shape), untiled) for t in (radius * 8, 0))
        figures[f"{rule} {grid}"] = {"trim": with_trim, "no trim": without}
    return figures


def one_tile():
    """Bit-identical where one tile covers everything: typed, larger than the canvas, or from a layout."""
    figures = {}
    for name, model, shape in (
        ("unet", models.tiny_unet(), (1, 4, 40, 56)),
        ("inpaint unet", models.tiny_unet(inpaint=True), (1, 4, 40, 56)),
        ("dit", models.tiny_dit(), (1, 16, 41, 57)),
    ):
        mask = torch.ones(1, 1, shape[-2] * 8, shape[-1] * 8) if name == "inpaint unet" else None
        untiled = sample(model, shape, steps=3, mask=mask)
        height, width = shape[-2] * 8, shape[-1] * 8
        layout = TileLayout.grid(height, width, 1024, 1024, 128, 8)
        for how in (settings(tile_width=2048, tile_height=1024), settings(tile_width=width, tile_height=height), settings(layout=layout)):
            again = sample(tiled(model, how), shape, steps=3, mask=mask)
            figures[name] = figures.get(name, True) and torch.equal(again, untiled)
        parts = sample(tiled(model, settings(tile_width=256, tile_height=256, overlap=64)), shape, steps=3, mask=mask)
        figures[name + " differs in tiles"] = not torch.equal(parts, untiled)
    return figures


def batches():
    """How many tiles run at once changes nothing but rounding."""
    figures = {}
    for name, model, shape in (("unet", models.tiny_unet(), (2, 4, 48, 72)), ("dit", models.tiny_dit(), (1, 16, 48, 72))):
        runs = {}
        for count in (1, 4, 0):
            small = settings(tile_width=256, tile_height=256, overlap=64, tile_batch=count)
            runs[count] = sample(tiled(model, small), shape, steps=3)
        figures[name] = {"4": off(runs[4], runs[1]), "auto": off(runs[0], runs[1])}
    counted = {}
    for megabytes in (1, 8000, 100_000):
        estimate = TileBatches(0)
        base = models.conv_denoiser(0)
        base.get_free_memory = lambda device, megabytes=megabytes: megabytes * 2**20
        base.model.current_patcher = base
        prompts = [[{"model_conds": {}}], [{"model_conds": {}}], None]
        estimate.estimate(base.model, lambda prompts=prompts: prompts, (1, 4, 64, 64), 9, "cuda")
        one = base.model.memory_required([2, 4, 64, 64])
        counted[str(megabytes)] = [estimate.limit, max(1, min(9, int(megabytes * 2**20 / 1.5 / one)))]
    figures["counted and expected"] = counted
    figures["even"] = [TileBatches(4).even(left) for left in (9, 6, 3, 4)]
    return figures


def half_precision():
    """A network in bf16: what is fused, and the weights, are float32 all the same."""
    model = models.conv_denoiser(0)
    network = model.model.diffusion_model

    class Coarse(torch.nn.Module):
        dtype = torch.bfloat16

        def forward(self, x, *args, **more):
            return (x.float() * 0 + network.meaning[0, 0]).to(torch.bfloat16)

    model.model.diffusion_model = Coarse()
    shape = (1, 4, 97, 131)
    untiled = sample(model, shape)
    return {
        f"{rule} {grid}": off(sample(tiled(model, settings(fusion=rule, grid=grid)), shape), untiled)
        for rule, grid in product(RULES, GRIDS)
    }
