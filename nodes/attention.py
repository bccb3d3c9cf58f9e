"""Tiled Attention: a model's attention over a large picture in parts of the size that it was trained on."""

from __future__ import annotations

from math import isfinite

from comfy_api.latest import io

from ..sampling.attention.settings import METHODS
from .menu import COHERENCE
from .types import Least, share_of_run

ALIASES = [
    "scalediff",
    "freescale",
    "sliding tile attention",
    "neighborhood attention",
    "patch attention",
    "window attention",
    "self attention",
    "high resolution",
    "large image",
    "global context",
]


class TiledAttention(io.ComfyNode):
    """MODEL -> MODEL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTiledAttention",
            display_name="Tiled Attention",
            category=COHERENCE,
            description=(
                "Lets a model paint a picture larger than it was made for in one piece: every part of the picture attends to as many "
                "neighbours as the model is used to. It does not know what belongs where on a large picture, so give it a guide "
                "(Keep Composition), too."
            ),
            search_aliases=ALIASES,
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="The model, with its LoRAs and other patches. A model out of Tiled Attention may be given again: the last settings count.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default=METHODS[0],
                    tooltip="neighbourhood (ScaleDiff): each patch of the picture sees a window of the model's own size around it; no tiles are needed, and it is faster than tiles. scale fusion (FreeScale): what is coarse from such windows, what is fine from the whole picture; slow, for its time grows with the square of the picture. global tokens: tiles of Tiled Sampling see the whole picture at small size beside themselves; horizons and tone agree better, doubled objects stay, and beside Keep Composition it brings nothing.",
                ),
                io.Int.Input(
                    "native_width",
                    default=0,
                    min=0,
                    max=16384,
                    step=8,
                    tooltip="Width of the pictures that the model was made for, in image pixels. 0 takes it from the model: 512 for SD 1.5, 1024 for SDXL, SD3, Flux and most others.",
                ),
                io.Int.Input(
                    "native_height",
                    default=0,
                    min=0,
                    max=16384,
                    step=8,
                    tooltip="Height of the pictures that the model was made for, in image pixels. 0 takes it from the model.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=Least(0.0),
                    max=1.0,
                    step=0.01,
                    tooltip="1: the method alone. Between 0 and 1, neighbourhood and scale fusion are mixed with plain attention (neighbourhood then also takes its time), and of global tokens it is the weight that a token of the whole picture has beside one of the tile. 0: the model as it was.",
                ),
                share_of_run("start", 0.0, "Share of the sampling at which it begins: 0 from the first step on."),
                share_of_run("end", 1.0, "Share of the sampling at which it ends: 1 up to the last step."),
                io.Boolean.Input(
                    "jitter",
                    default=True,
                    advanced=True,
                    tooltip="The windows lie elsewhere in every attention, so that none of their borders stays in one place. The same seed gives the same picture. Off: fixed windows, whose borders may show.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    "model", display_name="model", tooltip="The same model; connect it to any sampler or guider, or to Tiled Sampling."
                )
            ],
        )

    @classmethod
    def execute(cls, model, method, native_width, native_height, strength, start, end, jitter) -> io.NodeOutput:
        """Patch a clone."""
        from ..models.native_size import native_size  # here, because it is most of what this file would load
        from ..sampling.attention.settings import AttentionSettings
        from ..sampling.attention.tiled_attention import with_tiled_attention
        from ..sampling.sampling_range import SamplingRange

        for name, value in (("strength", strength), ("start", start), ("end", end)):
            if not isfinite(value):
                raise ValueError(f"{name} {value} is no number: use 0 to 1")
        side = native_size(model).side if 0 in (native_width, native_height) else 0
        native = native_height or side, native_width or side
        return io.NodeOutput(with_tiled_attention(model, AttentionSettings(native, method, strength, SamplingRange(start, end), jitter)))
