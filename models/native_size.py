"""The picture size that a diffusion model was made for, and the lattice that its tiles lie on."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..host.latents import cells_per_patch, pixels_per_cell

# By the name of the host's model config, from the class itself to its bases: all of the SD 1 and SD 2 families, and those
# that were trained at 1024. What is not here is taken for one of the latter, as nearly all newer ones are.
SIDES = {
    "SD15": 512,
    "SD20": 512,
    "LotusD": 512,
    "SDXLRefiner": 1024,
    "SDXL": 1024,
    "SSD1B": 1024,
    "Stable_Cascade_C": 1024,
    "Stable_Cascade_B": 1024,
    "SD3": 1024,
    "AuraFlow": 1024,
    "PixArtAlpha": 1024,
    "HunyuanDiT": 1024,
    "Flux": 1024,
    "Flux2": 1024,
    "QwenImage": 1024,
    "Lumina2": 1024,
    "HiDream": 1024,
    "Chroma": 1024,
}
USUAL_SIDE = 1024
# Stable Diffusion 2 comes in two sizes; the one that predicts velocities is the larger.
VELOCITY_SIDE = 768


class NativeSize(NamedTuple):
    """Side in image pixels, and how it is known."""

    side: int
    reason: str


def native_size(model: Any) -> NativeSize:
    """Of a diffusion MODEL, by what the host has recognised it as."""
    inner = model.model
    config = type(getattr(inner, "model_config", None))
    for base in config.__mro__:
        if base.__name__ in SIDES:
            side, name = SIDES[base.__name__], config.__name__
            if base.__name__ == "SD20" and getattr(getattr(inner, "model_type", None), "name", "") == "V_PREDICTION":
                side = VELOCITY_SIDE
            return NativeSize(side, f"ComfyUI has recognised it as {name}, made for {side} px")
    return NativeSize(USUAL_SIDE, f"how large a picture {config.__name__} was made for is not known here; {USUAL_SIDE} px as for most")


def lattice(model: Any) -> int:
    """Image pixels that sides of tiles should be multiples of: latent cells that the model halves or joins evenly."""
    inner = model.model
    cells = cells_per_patch(inner)
    levels = getattr(getattr(inner, "model_config", None), "unet_config", {}).get("channel_mult")
    if isinstance(levels, tuple | list) and levels:
        cells = math.lcm(cells, 2 ** (len(levels) - 1))  # a U-Net halves once between two levels
    return pixels_per_cell(inner) * cells
