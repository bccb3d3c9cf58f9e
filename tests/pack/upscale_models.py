"""The untrained upscalers as UPSCALE_MODELs, and the node that makes them."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from .sources import CATEGORY, tell
from .upscalers import SCALE, OverflowingUpscaler, PlainUpscaler, SlowUpscaler, TightUpscaler, WholeImageUpscaler


def described(network: torch.nn.Module, patched: bool = True, **more: Any) -> Any:
    """What the host's Load Upscale Model makes of a file: spandrel's description, with a patcher unless for an older host."""
    import comfy.model_management as management
    import comfy.model_patcher
    from spandrel import ImageModelDescriptor
    from spandrel.architectures.Compact import CompactArch

    channels = {"input_channels": 3, "output_channels": 3, **more}
    model = ImageModelDescriptor(
        network,
        network.state_dict(),
        CompactArch(),
        purpose="SR",
        tags=[],
        supports_half=False,
        supports_bfloat16=False,
        scale=SCALE,
        **channels,
    )
    if patched:
        device, offload = management.get_torch_device(), management.unet_offload_device()
        model.patcher = comfy.model_patcher.ModelPatcher(network, load_device=device, offload_device=offload)
    return model


class TestUpscaler(io.ComfyNode):
    """Choice -> UPSCALE_MODEL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        kinds = ["plain", "whole image", "slow", "tight", "overflowing"]
        return io.Schema(
            node_id="TileworkTestUpscaler",
            display_name="Test Upscaler",
            category=CATEGORY,
            description="A tiny untrained x2 upscale model.",
            inputs=[
                io.Combo.Input("kind", options=kinds, tooltip="Which network."),
                io.Int.Input("seed", default=0, min=0, max=2**32 - 1, tooltip="Of all weights; another one makes another model."),
            ],
            outputs=[io.UpscaleModel.Output("upscale_model", display_name="upscale_model")],
        )

    @classmethod
    def execute(cls, kind, seed) -> io.NodeOutput:
        """Build it."""
        kinds = {"plain": PlainUpscaler, "whole image": WholeImageUpscaler, "tight": TightUpscaler, "overflowing": OverflowingUpscaler}
        network = SlowUpscaler(tell) if kind == "slow" else kinds[kind](seed=seed)
        return io.NodeOutput(described(network))
