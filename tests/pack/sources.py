"""Nodes that make something out of a seed: models, pictures, latents."""

from __future__ import annotations

import math
import re
import zlib

import torch
from comfy_api.latest import io

from . import models
from .awkward import SlowDenoiser, TightDenoiser
from .convolution import seeded
from .patched import FORMS, PatchedDenoiser, apply

CATEGORY = "Tilework/test"
FOREIGN_KEY = "tilework_test"
FOREIGN_VALUE = "kept"
# Not 0, 1, 2: those are what a node would make up that had lost them.
FIRST_BATCH_INDEX = 5


def seed_input() -> io.Input:
    """The seed that everything random is drawn from."""
    return io.Int.Input("seed", default=0, min=0, max=2**32 - 1, tooltip="All that is random is drawn from it.")


def tell(shape: tuple[int, ...]) -> None:
    """Tell whoever listens on the server's websocket that a model was called."""
    from server import PromptServer

    PromptServer.instance.send_sync("tilework_test_called", {"shape": list(shape)})


class TestModel(io.ComfyNode):
    """Choice -> MODEL, two CONDITIONINGs, VAE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestModel",
            display_name="Test Model",
            category=CATEGORY,
            description="A tiny untrained model with two prompts and a VAE that fit it.",
            inputs=[
                io.Combo.Input(
                    "kind",
                    options=["conv denoiser", "unet", "dit", "slow denoiser", "tight denoiser", "patched denoiser"],
                    tooltip="Which model.",
                ),
                io.Int.Input("radius", default=2, min=0, max=64, optional=True, tooltip="Receptive radius of the conv denoiser, in cells."),
                io.Int.Input("seed", default=0, min=0, max=2**32 - 1, optional=True, tooltip="Of all weights and prompts."),
            ],
            outputs=[
                io.Model.Output("model", display_name="model"),
                io.Conditioning.Output("positive", display_name="positive"),
                io.Conditioning.Output("negative", display_name="negative"),
                io.Vae.Output("vae", display_name="vae"),
            ],
        )

    @classmethod
    def execute(cls, kind, radius=2, seed=0) -> io.NodeOutput:
        """Build the model."""
        channels = models.DIT_CHANNELS if kind == "dit" else 4
        if kind == "conv denoiser":
            model = models.conv_denoiser(radius, seed)
        elif kind == "slow denoiser":
            model = models.conv_denoiser(radius, seed, kind=SlowDenoiser, tell=tell)
        elif kind == "tight denoiser":
            model = models.conv_denoiser(radius, seed, kind=TightDenoiser)
        elif kind == "patched denoiser":
            model = models.conv_denoiser(radius, seed, kind=PatchedDenoiser)
        else:
            model = models.tiny_unet(seed) if kind == "unet" else models.tiny_dit(seed)
        positive, negative = models.conditioning(seed + 1), models.conditioning(seed + 2)
        return io.NodeOutput(model, positive, negative, models.tiny_vae(seed, channels))


class TestPatch(io.ComfyNode):
    """MODEL, MASK -> MODEL with an attention patch that holds the mask."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestPatch",
            display_name="Test Patch",
            category=CATEGORY,
            description="An attention patch of the form that another pack gives its own; heard by the patched denoiser.",
            inputs=[
                io.Model.Input("model", tooltip="The model."),
                io.Mask.Input("mask", tooltip="Where the patch counts."),
                io.Combo.Input("form", options=list(FORMS), tooltip="How it holds the mask."),
            ],
            outputs=[io.Model.Output("model", display_name="model")],
        )

    @classmethod
    def execute(cls, model, mask, form) -> io.NodeOutput:
        """Patch a clone."""
        return io.NodeOutput(apply(model, form, mask))


def noise_picture(batch: int, height: int, width: int, channels: int, seed: int) -> torch.Tensor:
    """Independent values in 0..1; a fourth channel has as many zeros as ones as values in between."""
    picture = torch.rand(batch, height, width, channels, generator=seeded(seed))
    if channels == 4:
        picture[..., 3] = (3 * picture[..., 3] - 1).clamp(0, 1)
    return picture


def smooth_picture(batch: int, height: int, width: int, channels: int, seed: int) -> torch.Tensor:
    """Slow waves in 0.05..0.95, one to three over the picture each way; a different one per image and channel."""
    generator = seeded(seed)
    across, down, start = torch.rand(3, batch, 1, 1, channels, generator=generator).unbind(0)
    y = torch.linspace(0, 1, height).reshape(1, -1, 1, 1)
    x = torch.linspace(0, 1, width).reshape(1, 1, -1, 1)
    turns = (1 + 2 * down) * y + (1 + 2 * across) * x + start
    return 0.5 + 0.45 * torch.sin(2 * math.pi * turns)


def grey_picture(batch: int, height: int, width: int, channels: int, seed: int) -> torch.Tensor:
    """0.5 everywhere, opaque."""
    picture = torch.full((batch, height, width, channels), 0.5)
    if channels == 4:
        picture[..., 3] = 1.0
    return picture


KINDS = {"noise": noise_picture, "smooth": smooth_picture, "grey": grey_picture}


class TestImage(io.ComfyNode):
    """Sizes, seed -> IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestImage",
            display_name="Test Image",
            category=CATEGORY,
            description="A float32 picture made from a seed.",
            inputs=[
                io.Int.Input("width", default=512, min=1, max=32768, tooltip="In pixels."),
                io.Int.Input("height", default=512, min=1, max=32768, tooltip="In pixels."),
                io.Int.Input("batch", default=1, min=1, max=64, tooltip="Number of images."),
                io.Int.Input("channels", default=3, min=1, max=4, tooltip="1, 3 or 4; the fourth is alpha."),
                seed_input(),
                io.Combo.Input("kind", options=list(KINDS), tooltip="What is on it."),
            ],
            outputs=[io.Image.Output("image", display_name="image")],
        )

    @classmethod
    def execute(cls, width, height, batch, channels, seed, kind) -> io.NodeOutput:
        """Draw the picture."""
        return io.NodeOutput(KINDS[kind](batch, height, width, channels, seed))


class TestImageList(io.ComfyNode):
    """Sizes as text -> list of IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestImageList",
            display_name="Test Image List",
            category=CATEGORY,
            description="A list of noise pictures, one per size.",
            inputs=[
                io.String.Input("sizes", default="640x480,333x777", tooltip="Width x height of each picture, with commas in between."),
                seed_input(),
            ],
            outputs=[io.Image.Output("images", display_name="images", is_output_list=True)],
        )

    @classmethod
    def execute(cls, sizes, seed) -> io.NodeOutput:
        """Draw the pictures, each from a seed of its own."""
        pairs = [size_pair(text) for text in sizes.split(",")]
        return io.NodeOutput([noise_picture(1, height, width, 3, seed + i) for i, (width, height) in enumerate(pairs)])


def size_pair(text: str) -> tuple[int, int]:
    """The two numbers of "640x480"."""
    match = re.fullmatch(r"\s*(\d+)x(\d+)\s*", text)
    if match is None:
        raise ValueError(f"{text!r} is not a size: write two numbers with an x in between, like 640x480")
    return int(match[1]), int(match[2])


def mask_size(text: str, height: int, width: int) -> tuple[int, int]:
    """Height and width of the mask that `text` asks for: "8x" is 8 times the latent's, "77x100" is 77 high and 100 wide."""
    times = re.fullmatch(r"\s*(\d+)x\s*", text)
    return (height * int(times[1]), width * int(times[1])) if times else size_pair(text)


class TestLatent(io.ComfyNode):
    """Sizes, seed -> LATENT with everything a latent can carry."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestLatent",
            display_name="Test Latent",
            category=CATEGORY,
            description=f"A latent of noise with a batch_index, a key of another pack ({FOREIGN_KEY}), and a mask and ratio if asked for.",
            inputs=[
                io.Int.Input("width", default=64, min=1, max=8192, tooltip="In latent cells."),
                io.Int.Input("height", default=64, min=1, max=8192, tooltip="In latent cells."),
                io.Int.Input("batch", default=1, min=1, max=64, tooltip="Number of latents."),
                io.Int.Input("channels", default=4, min=1, max=256, tooltip="Channels per cell."),
                io.Int.Input("frames", default=0, min=0, max=256, tooltip="0 for a picture (4 dimensions), else frames of a video (5)."),
                seed_input(),
                io.Int.Input("downscale_ratio", default=0, min=0, max=64, tooltip="Image pixels per cell that it carries; 0 = none."),
                io.String.Input("mask", default="", tooltip="Noise mask: nothing, 1x or 8x the latent's size, or HEIGHTxWIDTH."),
                io.Int.Input("mask_batch", default=1, min=1, max=64, tooltip="Number of masks."),
            ],
            outputs=[io.Latent.Output("latent", display_name="latent")],
        )

    @classmethod
    def execute(cls, width, height, batch, channels, frames, seed, downscale_ratio, mask, mask_batch) -> io.NodeOutput:
        """Draw the latent."""
        generator = seeded(seed)
        depth = (frames,) if frames else ()
        latent = {
            "samples": torch.randn(batch, channels, *depth, height, width, generator=generator),
            "batch_index": list(range(FIRST_BATCH_INDEX, FIRST_BATCH_INDEX + batch)),
            FOREIGN_KEY: FOREIGN_VALUE,
        }
        if downscale_ratio:
            latent["downscale_ratio_spacial"] = downscale_ratio
        if mask.strip():
            latent["noise_mask"] = torch.rand(mask_batch, 1, *mask_size(mask, height, width), generator=generator)
        return io.NodeOutput(latent)


class TestPrompt(io.ComfyNode):
    """Text -> CONDITIONING, in place of a text encoder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestPrompt",
            display_name="Test Prompt",
            category=CATEGORY,
            description="A prompt that fits the test models; the same text always gives the same.",
            inputs=[io.String.Input("text", default="", tooltip="Any text.")],
            outputs=[io.Conditioning.Output("conditioning", display_name="conditioning")],
        )

    @classmethod
    def execute(cls, text) -> io.NodeOutput:
        """Draw it from the text."""
        return io.NodeOutput(models.conditioning(zlib.crc32(text.encode())))


class TestCaption(io.ComfyNode):
    """IMAGE -> text, in place of a captioner."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestCaption",
            display_name="Test Caption",
            category=CATEGORY,
            description="Says which colour a picture is on average.",
            inputs=[io.Image.Input("image", tooltip="The picture.")],
            outputs=[io.String.Output("text", display_name="text")],
        )

    @classmethod
    def execute(cls, image) -> io.NodeOutput:
        """Look at it."""
        return io.NodeOutput("mostly " + " ".join(f"{value:.2f}" for value in image.mean((0, 1, 2)).tolist()))
