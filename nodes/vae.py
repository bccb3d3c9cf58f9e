"""Tiled VAE Encode and Tiled VAE Decode: pictures larger than the memory, and the same as untiled."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..models.choices import MODES
from .menu import START
from .types import SizesAndOverlapInWords, check_image, latent_samples
from .ui import show

ALIASES = ["vae", "tiled vae", "vae tiled", "large image", "high resolution", "out of memory", "low vram", "4k", "8k"]


def _tile_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "mode",
            options=list(MODES),
            default=MODES[0],
            tooltip="exact: tiled equals untiled; holds whole stages beside the picture, up to about 1 GB per megapixel in 16 bits and 2 GB in 32. statistics: holds an eighth to a quarter of that; brightness and contrast are those of the whole picture, estimated and corrected twice over all of it. fast: the same, estimated only; one go. VAEs that are not known, video among them, are run in blended tiles whatever the mode, and the node says so.",
        ),
        io.Int.Input(
            "tile_width",
            default=0,
            min=0,
            max=32768,
            step=8,
            tooltip="Width of every tile in image pixels, a multiple of the VAE's cell (8 for most, 16 for Flux.2). 0 plans it from the free memory. A smaller one needs less VRAM; in mode exact the picture does not depend on it.",
        ),
        io.Int.Input(
            "tile_height",
            default=0,
            min=0,
            max=32768,
            step=8,
            tooltip="Height of every tile in image pixels. 0 plans it from the free memory.",
        ),
        io.Int.Input(
            "overlap",
            default=-1,
            min=-1,
            max=4096,
            advanced=True,
            tooltip="Image pixels that two neighbouring tiles share. -1 takes it from the VAE: as far as its convolutions see, or 16 latent cells where it is not known. Less is faster and less exact in modes statistics and fast; mode exact takes its own always.",
        ),
    ]


class TiledVAEEncode(SizesAndOverlapInWords):
    """IMAGE -> LATENT."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTiledVAEEncode",
            display_name="Tiled VAE Encode (Seamless)",
            category=START,
            description=(
                "VAE Encode for pictures of any size: tile by tile, with the statistics of the whole picture, so that the latent is "
                "the one an untiled encode would give."
            ),
            search_aliases=[*ALIASES, "vae encode tiled", "image to latent", "encode"],
            has_intermediate_output=True,
            inputs=[
                io.Image.Input(
                    "pixels",
                    tooltip="The picture, or batch of pictures, to encode. Sides are cropped to whole latent cells, as in VAE Encode.",
                ),
                io.Vae.Input("vae", tooltip="The VAE of your model."),
                *_tile_inputs(),
            ],
            outputs=[io.Latent.Output("latent", display_name="latent", tooltip="The latent, for a sampler or Latent Tile Denoise.")],
        )

    @classmethod
    def execute(cls, pixels, vae, mode, tile_width, tile_height, overlap) -> io.NodeOutput:
        """Encode."""
        from ..models.vae.tiling import VAETiles, encode  # here, because it is most of what this file would load

        samples, outcome = encode(vae, check_image(pixels, "pixels"), VAETiles(mode, tile_width, tile_height, overlap))
        return io.NodeOutput({"samples": samples}, ui=_shown(pixels, outcome))


class TiledVAEDecode(SizesAndOverlapInWords):
    """LATENT -> IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTiledVAEDecode",
            display_name="Tiled VAE Decode (Seamless)",
            category=START,
            description=(
                "VAE Decode for latents of any size: tile by tile, with the statistics of the whole picture, so that the picture is "
                "the one an untiled decode would give."
            ),
            search_aliases=[*ALIASES, "vae decode tiled", "latent to image", "decode"],
            has_intermediate_output=True,
            inputs=[
                io.Latent.Input("samples", tooltip="The latent to decode, of images or of video (frames become a batch)."),
                io.Vae.Input("vae", tooltip="The VAE of the model that made the latent."),
                *_tile_inputs(),
            ],
            outputs=[io.Image.Output("image", display_name="image", tooltip="The picture, or the batch of them.")],
        )

    @classmethod
    def execute(cls, samples, vae, mode, tile_width, tile_height, overlap) -> io.NodeOutput:
        """Decode."""
        from ..models.vae.tiling import VAETiles, decode  # here, because it is most of what this file would load

        image, outcome = decode(vae, latent_samples(samples), VAETiles(mode, tile_width, tile_height, overlap))
        return io.NodeOutput(image, ui=_shown(image, outcome))


def _shown(image: torch.Tensor, outcome: Any) -> dict[str, Any]:
    """The picture with the grid over it, and what was done in words."""
    return show(image[:1], outcome.layout, outcome.lines)
