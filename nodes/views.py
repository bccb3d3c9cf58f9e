"""Whole-Canvas Views and Hide Patch Grid: patches of a model that look at the picture in another way at every step."""

from __future__ import annotations

from comfy_api.latest import io

from .menu import COHERENCE
from .types import Least


def _end_input(tooltip: str) -> io.Input:
    return io.Float.Input("end", default=1.0, min=Least(0.0), max=1.0, step=0.01, tooltip=tooltip)


class DilatedViews(io.ComfyNode):
    """MODEL -> MODEL that is shown the whole canvas in small as well."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        side = "{} of the picture that the model was made for, in image pixels; 0 for what ComfyUI recognises it as. The canvas is looked at in as many small pictures as come nearest to this size."
        return io.Schema(
            node_id="TileworkDilatedViews",
            display_name="Whole-Canvas Views",
            category=COHERENCE,
            description=(
                "At every step the model is also shown the whole canvas in small: every 2nd, 3rd or 4th pixel of the latent is a "
                "picture of the whole scene at the model's own size. What it says of these views counts most at the beginning, so that "
                "tiles do not each paint a scene of their own (DemoFusion's dilated sampling)."
            ),
            search_aliases=[
                "demofusion",
                "dilated sampling",
                "dilated views",
                "accdiffusion",
                "global views",
                "repeated objects",
                "coherence",
            ],
            inputs=[
                io.Model.Input(
                    "model", tooltip="The model, before or after Tiled Sampling and other patches: the order makes no difference."
                ),
                io.Int.Input("native_width", default=0, min=0, max=32768, step=8, tooltip=side.format("Width")),
                io.Int.Input("native_height", default=0, min=0, max=32768, step=8, tooltip=side.format("Height")),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=Least(0.0),
                    max=1.0,
                    step=0.01,
                    tooltip="How much the views count at the first step; it falls to nothing at the last, as a cosine. 1 is DemoFusion's; 0 leaves the model as it is.",
                ),
                _end_input(
                    "Where in the sampling range it stops: 1 at the end of the run, 0.5 half-way. Every step without it costs a third less."
                ),
                io.Boolean.Input(
                    "interaction",
                    default=False,
                    advanced=True,
                    tooltip="Deal the cells to the views anew at every step (AccDiffusion), so that the views do not drift apart. Off is DemoFusion. Turn it on where the views work alone, without Keep Composition.",
                ),
            ],
            outputs=[io.Model.Output("model", display_name="model", tooltip="The same model; connect it to any sampler or guider.")],
        )

    @classmethod
    def execute(cls, model, native_width, native_height, strength, end, interaction) -> io.NodeOutput:
        """Patch a clone."""
        from ..sampling.dilated_views import with_dilated_views  # here, because it is most of what this file would load

        return io.NodeOutput(with_dilated_views(model, native_width, native_height, strength, end, interaction))


class PatchShift(io.ComfyNode):
    """MODEL -> MODEL whose patches lie elsewhere at every second step."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkPatchShift",
            display_name="Hide Patch Grid",
            category=COHERENCE,
            description=(
                "Against the faint grid of lines that Flux, Qwen-Image and other transformer models draw at high resolution: at every "
                "second step the picture is moved by half a patch under the model's patches, and back. Costs nothing to speak of."
            ),
            search_aliases=["grid lines", "grid artifacts", "checkerboard", "patch shift", "flux lines", "i-max"],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="The model, before or after Tiled Sampling. One without patches (SD 1.5, SDXL) is left as it is, and the log says so.",
                ),
                _end_input("Where in the sampling range it stops: 1 at the end of the run. 0 leaves the model as it is."),
            ],
            outputs=[io.Model.Output("model", display_name="model", tooltip="The same model; connect it to any sampler or guider.")],
        )

    @classmethod
    def execute(cls, model, end) -> io.NodeOutput:
        """Patch a clone."""
        from ..sampling.patch_shift import with_patch_shift

        return io.NodeOutput(with_patch_shift(model, end))
