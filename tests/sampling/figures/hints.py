"""What a model is given beside the latent: noise masks, areas and masks of prompts, windows over frames."""

from __future__ import annotations

import comfy.context_windows
import torch
from tilework.sampling.tiled_model import tiled
from tilework.tests.sampling.figures.host_sampling import GRIDS, Wrappers, look, noise, off, sample, settings
from tilework_test import models


def noise_mask():
    """Outside of a noise mask the source stays."""
    shape = (1, 4, 64, 96)
    model = models.conv_denoiser(0)
    source = noise(shape, 9)
    mask = torch.zeros(1, 1, 512, 768)
    mask[..., 100:300, 200:500] = 1
    kept = torch.nn.functional.interpolate(mask, (64, 96), mode="bilinear") == 0
    figures = {}
    for name in ("euler", "dpmpp_2m", "euler_ancestral", "uni_pc"):
        untiled = sample(model, shape, name, latent=source, mask=mask)
        run = sample(tiled(model, settings()), shape, name, latent=source, mask=mask)
        outside = kept.expand_as(run)
        figures[name] = {
            "untiled": off(run, untiled),
            "source": float((run - source)[outside].abs().max() / run.abs().max()),
            "inside": float((run - source)[~outside].abs().max()),
        }
    return figures


def areas_and_masks():
    """Areas, masks and both together: a pointwise model that hears its prompt, tiled and untiled."""
    shape = (1, 4, 64, 96)
    model = models.conv_denoiser(0)
    figures = {}
    mask = torch.linspace(0, 1, 96 * 8).expand(1, 512, -1).clone()
    parts = {
        "area": {"area": (40, 50, 10, 20), "strength": 0.8},
        "mask": {"mask": mask, "mask_strength": 1.0, "set_area_to_bounds": False},
        "both": {"area": (40, 50, 10, 20), "mask": mask},
    }
    for name, part in parts.items():
        special = models.conditioning(7)
        positive = [*models.conditioning(1), [special[0][0], {**special[0][1], **part}]]
        untiled = sample(model, shape, positive=positive)
        for grid in GRIDS:
            figures[f"{name} {grid}"] = off(sample(tiled(model, settings(grid=grid, tile_batch=2)), shape, positive=positive), untiled)
        figures[f"{name} matters"] = off(sample(model, shape), untiled)
    return figures


def context_windows():
    """Windows over the frames, tiles inside each of them."""
    shape = (1, 16, 9, 40, 72)
    model = models.conv_denoiser(0, channels=16)
    windows = comfy.context_windows
    model.model_options["context_handler"] = windows.IndexListContextHandler(
        context_schedule=windows.get_matching_context_schedule(windows.ContextSchedules.STATIC_STANDARD),
        fuse_method=windows.get_matching_fuse_method(windows.ContextFuseMethods.PYRAMID),
        context_length=5, context_overlap=2, dim=2, causal_window_fix=False,
    )  # fmt: skip
    windows.create_prepare_sampling_wrapper(model)
    seen = []
    shapes = []
    looked = tiled(model, settings(tile_width=256, tile_height=256, overlap=64))
    looked.add_wrapper_with_key(Wrappers.CALC_COND_BATCH, "look", look(seen))
    looked.add_wrapper_with_key(
        Wrappers.PREPARE_SAMPLING,
        "look",
        lambda executor, m, shape, *args, **more: (shapes.append(list(shape)), executor(m, shape, *args, **more))[1],
    )
    error = off(sample(looked, shape, steps=3), sample(model, shape, steps=3))
    return {"error": error, "sizes": sorted({tuple(size[2:]) for size in seen}), "reserved": shapes}
