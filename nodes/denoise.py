"""Tiled Sampling and Latent Tile Denoise: one picture sampled in tiles that are fused at every step."""

from __future__ import annotations

from math import isfinite
from typing import Any

import comfy.samplers
from comfy_api.latest import io

from ..blending.fusion.fuse import RULES
from ..sampling.settings import GRIDS, ORDERS, POSITIONS, REFERENCE_LATENTS, TileSettings
from .menu import SAMPLING
from .types import Layout, Least, SizesInWords, check_grid, latent_samples, size_inputs

ALIASES = [
    "tiled diffusion",
    "multidiffusion",
    "mixture of diffusers",
    "tiled sampler",
    "tiled ksampler",
    "high resolution",
    "large image",
    "spotdiffusion",
    "ultimate sd upscale",
    "latent tile",
]


def _size_inputs() -> list[io.Input]:
    return size_inputs(
        "Width of every tile in image pixels: the size your model was made for (512 for SD 1.5, 1024 for SDXL, SD3 and Flux). A multiple of 8; of 16 for Flux and most newer models. A tile larger than the picture is cut down to it.",
        "Neighbouring tiles share at least this many image pixels. An eighth of the tile is a good start; a quarter to a half makes tiles agree better at a high denoise and costs time.",
    )


def _fusion_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "fusion",
            options=list(RULES),
            default=RULES[0],
            tooltip="How the tiles' predictions are averaged at every step. hann: smooth ramps where tiles overlap, the right choice nearly always; gaussian: Mixture of Diffusers' bell over the whole tile, the middle counts most (not the gaussian ramp of Seam Blend); average: all alike, as in MultiDiffusion.",
        ),
        io.Int.Input(
            "trim",
            default=0,
            min=0,
            max=4096,
            step=8,
            advanced=True,
            tooltip="Image pixels to disregard along every side that faces another tile, because the model could not see past it there. Needs an overlap of at least twice this plus one cell. 0 is right for most.",
        ),
        io.Combo.Input(
            "grid",
            options=list(GRIDS),
            default=GRIDS[0],
            advanced=True,
            tooltip="fixed: the same tiles at every step. jitter: the grid moves at every step, so that no tile border stays in one place; good with a small overlap, from about 12 steps on; costs up to one more row and column of tiles. The same seed gives the same picture.",
        ),
    ]


def _order_input() -> io.Input:
    return io.Combo.Input(
        "order",
        options=list(ORDERS),
        default=ORDERS[0],
        advanced=True,
        tooltip="fused: all tiles together, step by step. sequential: tile by tile, each seeing its finished neighbours as known content; needs grid fixed and a wide overlap.",
    )


def _model_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "positions",
            options=list(POSITIONS),
            default=POSITIONS[0],
            advanced=True,
            tooltip="For models with rotary positions (Flux, Lumina and Z-Image, Wan, Ernie, Kandinsky 5, PixelDiT). local: every tile counts from its own corner, as the model was trained; leave it there. canvas: a tile is told where it lies on the picture; inside a tile this changes only how text and image relate, and far from the corner it weakens the prompt. Tiles then run one at a time. Other models (SD 1.5, SDXL, SD3, Qwen-Image) ignore it, and the log says so.",
        ),
        io.Combo.Input(
            "reference_latents",
            options=list(REFERENCE_LATENTS),
            default=REFERENCE_LATENTS[0],
            advanced=True,
            tooltip="For edit models (Flux Kontext, Qwen-Image-Edit). crop: each tile sees its own part of a reference picture that has the canvas' shape. whole: each tile sees all of it.",
        ),
        io.Int.Input(
            "tile_batch",
            default=0,
            min=0,
            max=64,
            advanced=True,
            tooltip="Tiles that go through the model together. 0 takes as many as ComfyUI's own estimate says fit in memory (one on a CPU). The picture is the same up to rounding; a cancel waits for the tiles that are running.",
        ),
    ]


def _layout_input() -> io.Input:
    return Layout.Input(
        "layout",
        optional=True,
        tooltip="Tiles exactly as a Tile Split cut them, for per-tile work on the same places. Overrules tile_width, tile_height and overlap; for Flux and newer models set multiple_of 16 in Tile Split.",
    )


def _settings(layout: Any, tiling: dict[str, Any]) -> TileSettings:
    """The inputs that both nodes have are named as the settings are."""
    return TileSettings(layout=None if layout is None else check_grid(layout, "sampling in tiles", wraps=True), **tiling)


class TiledModel(SizesInWords):
    """MODEL -> MODEL that samples in tiles."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTiledModel",
            display_name="Tiled Sampling (Model Patch)",
            category=SAMPLING,
            description=(
                "Makes any model sample pictures of any size in tiles that are fused at every step, so that they become one picture. "
                "Works with every sampler and guider; masks, areas, ControlNets and context windows keep working."
            ),
            search_aliases=ALIASES,
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="The model, with its LoRAs and other patches. A model out of Tiled Sampling may be given again: the last settings count.",
                ),
                *_size_inputs(),
                *_fusion_inputs(),
                *_model_inputs(),
                _layout_input(),
            ],
            outputs=[io.Model.Output("model", display_name="model", tooltip="The same model; connect it to any sampler or guider.")],
        )

    @classmethod
    def execute(cls, model, layout=None, **tiling) -> io.NodeOutput:
        """Patch a clone."""
        settings = _settings(layout, tiling)
        from ..sampling.tiled_model import tiled  # here, because it is most of what this file would load

        return io.NodeOutput(tiled(model, settings))


class LatentTileDenoise(SizesInWords):
    """The host's KSampler, in tiles."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkLatentTileDenoise",
            display_name="Latent Tile Denoise",
            category=SAMPLING,
            description=(
                "The KSampler for pictures larger than the model: at every step the latent is cut into tiles, the model denoises each, "
                "and the tiles are fused. The noise is drawn once for the whole picture."
            ),
            search_aliases=[*ALIASES, "ksampler", "denoise", "img2img", "upscale"],
            inputs=[
                io.Model.Input("model", tooltip="The model used for denoising the latent."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="The random seed of the noise. The same as in a KSampler.",
                ),
                io.Int.Input("steps", default=20, min=1, max=10000, tooltip="The number of steps used in the denoising process."),
                io.Float.Input(
                    "cfg",
                    default=8.0,
                    min=Least(0.0),
                    max=100.0,
                    step=0.1,
                    round=0.01,
                    tooltip="Classifier-free guidance: higher follows the prompt more closely, too high hurts the picture.",
                ),
                io.Combo.Input(
                    "sampler_name", options=comfy.samplers.KSampler.SAMPLERS, tooltip="The sampling algorithm; every one works."
                ),
                io.Combo.Input("scheduler", options=comfy.samplers.KSampler.SCHEDULERS, tooltip="How noise is gradually removed."),
                io.Conditioning.Input(
                    "positive",
                    tooltip="What you want to see. Every tile gets it, so describe what is true everywhere; for a prompt per tile use Tile Prompts.",
                ),
                io.Conditioning.Input("negative", tooltip="What you do not want to see."),
                io.Latent.Input(
                    "latent_image", tooltip="The latent to denoise: a picture encoded by the VAE, or an empty latent of any size."
                ),
                io.Float.Input(
                    "denoise",
                    default=1.0,
                    min=Least(0.0),
                    max=1.0,
                    step=0.01,
                    tooltip="How much of the picture is painted anew. 0.2 to 0.5 adds detail to an upscaled picture; at 1.0 tiles invent the scene, each from the same prompt.",
                ),
                *_size_inputs(),
                *_fusion_inputs(),
                _order_input(),
                *_model_inputs(),
                _layout_input(),
            ],
            outputs=[io.Latent.Output("latent", display_name="latent", tooltip="The denoised latent, for VAE Decode.")],
        )

    @classmethod
    def execute(
        cls, model, seed, steps, cfg, sampler_name, scheduler, positive, negative, latent_image, denoise, layout=None, **tiling
    ) -> io.NodeOutput:
        """Sample."""
        # From another node any number may come; the host looks only at those that are typed.
        if not isfinite(cfg):
            raise ValueError(f"cfg {cfg} is no number: use 1 (no guidance) to about 10")
        if not 0 <= denoise <= 1:
            raise ValueError(f"denoise {denoise} is not how much to paint anew: use 0 (nothing) to 1 (everything)")
        latent_samples(latent_image, "latent_image")
        settings = _settings(layout, tiling)
        # The host's module of that name; ours are only ever imported relatively.
        from nodes import common_ksampler

        from ..sampling.tiled_model import tiled

        patched = tiled(model, settings)
        (sampled,) = common_ksampler(patched, seed, steps, cfg, sampler_name, scheduler, positive, negative, latent_image, denoise=denoise)
        return io.NodeOutput(sampled)
