"""A control network that answers with the mean of its hint over each cell, and a node that puts it on a prompt."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

UNIT = 8


class HintMean(torch.nn.Module):
    """[B, 3, 8 h, 8 w] hints -> what a model adds to its answer, [B, 1, h, w]."""

    dtype = torch.float32

    def forward(self, x: torch.Tensor, hint: torch.Tensor | None = None, **unused: Any) -> dict[str, list]:
        """As the host's control networks answer."""
        planes = torch.nn.functional.avg_pool2d(hint, UNIT).mean(dim=1, keepdim=True)
        return {"input": [], "middle": [], "output": [planes.clone()]}


class TestControl(io.ComfyNode):
    """CONDITIONING, IMAGE -> CONDITIONING with a ControlNet."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestControl",
            display_name="Test Control",
            category="Tilework/test",
            description="A ControlNet of the host's kind; heard by the patched denoiser.",
            inputs=[io.Conditioning.Input("conditioning", tooltip="The prompt."), io.Image.Input("image", tooltip="The hint.")],
            outputs=[io.Conditioning.Output("conditioning", display_name="conditioning")],
        )

    @classmethod
    def execute(cls, conditioning, image) -> io.NodeOutput:
        """Put it on every entry."""
        import comfy.controlnet

        control = comfy.controlnet.ControlNet(HintMean(), load_device=torch.device("cpu"))
        control.set_cond_hint(image.movedim(-1, 1)[:, :3], 0.5)
        return io.NodeOutput([[entry, {**options, "control": control}] for entry, options in conditioning])
