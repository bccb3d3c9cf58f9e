"""A stand-in for the node of newer hosts that joins a picture's opposite sides, for hosts that do not have it yet.

File, class and variables are named as the host's are, for that is what it is recognised by.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from comfy_api.latest import io

CATEGORY = "Tilework/test"


def _near_the_side(length: int, width: int) -> torch.Tensor:
    """1 at both ends of a line, falling to 0 over `width` cells."""
    from_side = torch.minimum(torch.arange(length), length - 1 - torch.arange(length))
    return 1 - (from_side / width).clamp(max=1)


class ModelPatchSeamlessTiling(io.ComfyNode):
    """MODEL -> MODEL whose answers near a side are those for the picture rolled by half."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestSeamlessTiling",
            display_name="Test Seamless Tiling",
            category=CATEGORY,
            description="Joins the opposite sides of what the model is called with.",
            inputs=[
                io.Model.Input("model", tooltip="The model."),
                io.Int.Input("context_size", default=8, min=1, max=256, tooltip="How far from a side the answers change, in cells."),
            ],
            outputs=[io.Model.Output("model", display_name="model")],
        )

    @classmethod
    def execute(cls, model, context_size) -> io.NodeOutput:
        """Patch a clone."""
        model = model.clone()
        old_wrapper = model.model_options.get("model_function_wrapper")

        def model_function_wrapper(apply_model: Any, args: dict[str, Any]) -> torch.Tensor:
            if args["c"].get("control") is not None:
                raise ValueError("a ControlNet cannot be rolled")
            x = args["input"]
            height, width = x.shape[-2:]
            sides = _near_the_side(height, context_size).unsqueeze(1), _near_the_side(width, context_size)
            total = 0
            for turned in product((False, True), repeat=2):
                shifts = tuple(side // 2 if turn else 0 for turn, side in zip(turned, (height, width), strict=True))
                c = dict(args["c"])
                if c.get("c_concat") is not None:
                    c["c_concat"] = torch.roll(c["c_concat"], shifts, dims=(-2, -1))
                given = {**args, "input": torch.roll(x, shifts, dims=(-2, -1)), "c": c}
                said = apply_model(given["input"], given["timestep"], **c) if old_wrapper is None else old_wrapper(apply_model, given)
                down, across = (side if turn else 1 - side for turn, side in zip(turned, sides, strict=True))
                total = total + torch.roll(said, tuple(-shift for shift in shifts), dims=(-2, -1)) * (down * across)
            return total

        model.set_model_unet_function_wrapper(model_function_wrapper)
        return io.NodeOutput(model)
