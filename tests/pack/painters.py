"""A node that paints as a model does that goes on from what it knows."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from .convolution import seeded
from .sources import CATEGORY, seed_input


class FadingTone(io.ComfyNode):
    """IMAGE, MASK -> one tone of its own, fading to the picture's where the mask says that it is known."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestFadingTone",
            display_name="Test Fading Tone",
            category=CATEGORY,
            description="Paints a random tone from left to right, and begins with the tone of the columns whose mask is 0.",
            inputs=[
                io.Image.Input("image", tooltip="The picture."),
                io.Mask.Input("mask", tooltip="0 where the picture is known."),
                seed_input(),
            ],
            outputs=[io.Image.Output("result", display_name="image")],
        )

    @classmethod
    def execute(cls, image, mask, seed) -> io.NodeOutput:
        """Paint."""
        known = int((mask[0] == 0).all(0).sum())
        own = torch.full_like(image, float(torch.rand(1, generator=seeded(seed))))
        if not known:
            return io.NodeOutput(own)
        fade = torch.linspace(0, 1, image.shape[2] - known)[:, None]
        context = image[:, :, known - 1 : known]
        return io.NodeOutput(torch.cat((image[:, :, :known], context.lerp(own[:, :, known:], fade)), 2))
