"""ComfyUI inside the test's own process, with models and controls that write down what they are given.

For what happens below the nodes, between the host's sampler and the model: the conditions of a run are made by the
host itself, and its own `calc_cond_batch` runs the model.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from tilework.blending import TileLayout, compose
from tilework.blending.layout.cutting import crop as crop_cells
from tilework.blending.layout.grid import Rect
from tilework.tools.setup.environment import find_host


def _import_host() -> None:
    """Set ComfyUI up before anything of it is imported: without --cpu it asks for a graphics card."""
    said, sys.argv = sys.argv, ["comfy", "--cpu"]
    sys.path.insert(0, str(find_host().comfy))
    try:
        import comfy.options

        comfy.options.enable_args_parsing()
        import comfy.samplers
    finally:
        sys.argv = said


_import_host()

import comfy.context_windows  # noqa: E402
import comfy.controlnet  # noqa: E402
import comfy.latent_formats  # noqa: E402
import comfy.model_base  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.model_sampling  # noqa: E402
import comfy.sample  # noqa: E402
import comfy.sampler_helpers  # noqa: E402
import comfy.samplers  # noqa: E402
import comfy.supported_models  # noqa: E402
import comfy.utils  # noqa: E402

# For tests, which may import them only from here.
from tilework.sampling import (  # noqa: E402
    canvas_guide,  # noqa: F401
    guide_reference,  # noqa: F401
    hold_bands,  # noqa: F401
    positions,  # noqa: F401
    sampler_states,  # noqa: F401
    sampling_range,  # noqa: F401
    sequential,  # noqa: F401
)
from tilework.sampling import recording as runs  # noqa: E402, F401
from tilework.sampling.attention_maps import AttentionMaps, attention_maps  # noqa: E402, F401
from tilework.sampling.conditions import cropping, whole_views  # noqa: E402, F401
from tilework.sampling.conditions.tile_prompts import TILE_KEY  # noqa: E402, F401
from tilework.sampling.left_out_words import left_out_maps, spaced_words  # noqa: E402, F401
from tilework.sampling.prompt_words import prompt_words  # noqa: E402, F401
from tilework.sampling.run_state import SamplingRun  # noqa: E402, F401
from tilework.sampling.settings import TileSettings  # noqa: E402, F401
from tilework.sampling.sync_tiles import SyncSettings, synchronised  # noqa: E402, F401
from tilework.sampling.tile_context import ContextSettings, in_context  # noqa: E402, F401
from tilework.sampling.tile_words import captioned, tile_words  # noqa: E402, F401
from tilework.sampling.tiled_model import tiled as tiled_model  # noqa: E402, F401

ConditionCropper = cropping.ConditionCropper
CPU = torch.device("cpu")
UNIT = 8
SIGMA = 3.0


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def ramp(height, width, channels=3, batch=1, frames=0):
    """A picture that says where each pixel is: y and x from 0 to 1, then noise; [batch, channels, (frames,) h, w]."""
    y = torch.linspace(0, 1, height).view(1, 1, -1, 1).expand(batch, 1, height, width)
    x = torch.linspace(0, 1, width).view(1, 1, 1, -1).expand(batch, 1, height, width)
    picture = torch.cat([y, x, noise(batch, max(channels - 2, 1), height, width, seed=9)], dim=1)[:, :channels]
    return picture if not frames else picture.unsqueeze(2).repeat(1, 1, frames, 1, 1)


class Pointwise(torch.nn.Module):
    """Each cell of the clean latent depends on the noisy cell, on what else lies there, and on the prompt; on no neighbour.

    `seen` has one record per call: the shape of x, everything else by its name.
    """

    dtype = torch.float32

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.seen: list[dict[str, Any]] = []

    def forward(self, x, timesteps=None, context=None, control=None, transformer_options=None, **extra):
        x, concat = x[:, : self.channels], x[:, self.channels :]
        self.seen.append({"x": x, "context": context, "concat": concat, "control": control, **extra})
        level = context.mean(dim=(1, 2)).view(-1, *[1] * (x.ndim - 1))
        # Gentle, so that eight steps do not make much of a rounding.
        clean = torch.sin(0.5 * x + level) + 0.4 * level * torch.cos(0.5 * x)
        if concat.shape[1]:
            clean = clean + concat.sum(dim=1, keepdim=True)
        for name in ("denoise_mask", "vace"):
            if name in extra:
                clean = clean + extra[name]
        for part in (control or {}).get("output", []):
            clean = clean + part if part.ndim == x.ndim else clean + part.unsqueeze(2)
        return clean


def make_model(channels: int = 4):
    """A host model around `Pointwise`, ready for `calc_cond_batch` without a sampling run."""

    class CleanPrediction(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.X0):
        pass

    config = comfy.supported_models.SD15({"disable_unet_model_creation": True})
    config.set_inference_dtype(torch.float32, None)
    model = comfy.model_base.BaseModel(config, device=CPU)
    model.diffusion_model = Pointwise(channels)
    model.model_sampling = CleanPrediction(config)
    # What the host puts in one call must not depend on the memory that happens to be free.
    model.memory_usage_factor = 0.0
    model.current_patcher = comfy.model_patcher.ModelPatcher(model, load_device=CPU, offload_device=CPU)
    return model


def prompt(seed: int, **options):
    """A CONDITIONING of one entry."""
    return [[noise(1, 7, 16, seed=seed) + 0.3 * seed, options]]


def prepare(model, x, positive, negative=None, **options):
    """The conditions as the host hands them to CALC_COND_BATCH."""
    conds = {"positive": comfy.sampler_helpers.convert_cond(positive)}
    if negative is not None:
        conds["negative"] = comfy.sampler_helpers.convert_cond(negative)
    conds = comfy.samplers.process_conds(model, x, conds, CPU, latent_image=torch.zeros_like(x), seed=1, **options)
    return [conds["positive"], conds.get("negative")]


def predict(model, conds, x):
    """One call of the host's `calc_cond_batch`."""
    with torch.inference_mode():
        return comfy.samplers.calc_cond_batch(model, conds, x, torch.full((x.shape[0],), SIGMA), {"transformer_options": {}})


def plan(x, tile=(48, 64), overlap=16, lattice=1):
    """A layout of tiles of `tile` cells over latent x; with a coarser lattice the last ones run over the canvas."""
    height, width = x.shape[-2:]
    tile = (min(tile[0], height), min(tile[1], width))
    overlap = min(overlap, min(tile) // 2)
    return TileLayout.grid(height * UNIT, width * UNIT, *(side * UNIT for side in tile), overlap * UNIT, lattice * UNIT, x.shape[0], UNIT)


def views(layout):
    return [Rect(*(length // UNIT for length in rect)) for rect in layout.tiles]


def at(plane, view, scale=1):
    """What of `plane`, `scale` pixels to a cell, lies in a tile."""
    return crop_cells(plane, Rect(*(round(length * scale) for length in view)), (-2, -1))


def tiled(model, conds, x, layout, cropper=None, crop=None):
    """One prediction tile by tile, put together with Hann windows; one result per list of conditions."""
    cropper = cropper or ConditionCropper(x.shape[2:], UNIT)
    crop = crop or cropper.crop
    per_tile = [predict(model, crop(conds, view), at(x, view)) for view in views(layout)]
    return [put_together(tiles, layout, x.shape) for tiles in zip(*per_tile, strict=True)]


def put_together(tiles, layout, shape):
    flat = TileLayout.grid(*layout.canvas, *layout.tile_size, 0, UNIT, 1, UNIT) if len(layout) == 1 else layout
    out = compose((tile.reshape(layout.batch, -1, *tile.shape[-2:]).movedim(1, -1) for tile in tiles), flat, "hann")
    return out.movedim(-1, 1).reshape(shape)


def relative(a, b):
    """Largest difference over the largest value of b."""
    return float((a - b).abs().max() / b.abs().max())
