"""Measure Safe Overlap and Tile Size for VRAM: what a model needs of a tile, and how large a tile may be."""

from __future__ import annotations

from math import isfinite

from comfy_api.latest import io

from ..blending.layout.grid import MAX_LENGTH
from ..blending.pixels.picture import LEVELS
from ..host.progress import Watch
from .cures import field_cure, size_cure
from .menu import SIZES
from .types import check_image
from .ui import as_image, ui_value

LEAST_CHANGE = 0.001


def _no_threshold(value: float) -> str:
    return f"threshold {value} is no change between {LEAST_CHANGE} and {LEVELS} levels: use 0.5"


class MeasureReceptiveField(io.ComfyNode):
    """UPSCALE_MODEL or VAE -> radius, overlap, trim, report, picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkReceptiveField",
            display_name="Measure Safe Overlap",
            category=SIZES,
            is_output_node=True,
            description=(
                "Finds out how far a tile's border reaches into the tile, by running the model on probes whose surroundings are "
                "replaced, and suggests overlap and trim. Says whether the model takes statistics from the whole picture, which no "
                "overlap can mend. Measured once per model."
            ),
            search_aliases=[
                "receptive field",
                "overlap",
                "trim",
                "tile padding",
                "which overlap",
                "seams",
                "safe overlap",
                "probe",
                "InstanceNorm",
                "GroupNorm",
            ],
            has_intermediate_output=True,
            inputs=[
                io.Float.Input(
                    "threshold",
                    default=0.5,
                    min=0.01,
                    max=64.0,
                    step=0.01,
                    tooltip="The largest change that may be left, in levels of 255. 0.5 cannot be seen and vanishes when the picture is saved with 8 bits.",
                ),
                io.UpscaleModel.Input("upscale_model", optional=True, tooltip="The upscale model to measure. Connect this or a VAE."),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="The VAE to measure. The outputs are those of its decoder; the report has the encoder, too.",
                ),
            ],
            outputs=[
                io.Int.Output(
                    "radius",
                    display_name="radius",
                    tooltip="So many pixels into a tile its border changes the result by more than the threshold. In pixels of the picture that is tiled.",
                ),
                io.Int.Output("overlap", display_name="overlap", tooltip="Suggested overlap: connect it to Tile Split or Tiled Upscale."),
                io.Int.Output("trim", display_name="trim", tooltip="Suggested trim: connect it to Seam Blend."),
                io.String.Output("report", display_name="report", tooltip="What was found out, in words."),
                io.Image.Output(
                    "influence",
                    display_name="influence",
                    tooltip="A tile coloured by how much its surroundings change it, and the same as curves over the distance from its border.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, threshold: float | None = None) -> bool | str:
        """Refuse what is no threshold before anything runs; None where it comes from another node."""
        # What is no number at all the host has refused.
        return not isinstance(threshold, int | float) or LEAST_CHANGE <= threshold <= LEVELS or _no_threshold(threshold)

    @classmethod
    def execute(cls, threshold, upscale_model=None, vae=None) -> io.NodeOutput:
        """Measure one model."""
        if (upscale_model is None) == (vae is None):
            both = "an upscale model and a VAE are connected" if vae is not None else "nothing is connected"
            raise ValueError(f"{both}: connect one model to measure, upscale_model or vae")
        if not LEAST_CHANGE <= threshold <= LEVELS:
            raise ValueError(_no_threshold(threshold))
        from ..models.receptive_fields import upscaler_field, vae_field
        from ..models.upscaler import Upscaler
        from ..pictures.influence import influence_picture

        change, watch = threshold / LEVELS, Watch()
        found = vae_field(vae, change, watch) if vae is not None else upscaler_field(Upscaler(upscale_model), change, watch)
        picture = influence_picture(found.field, "levels of 255", found.headline)
        note = f"{found.headline[0].upper()}{found.headline[1:]}. {field_cure(found.field, vae is not None)}"
        ui = ui_value(lambda: picture, found.headline, note)
        return io.NodeOutput(found.field.radius, found.field.overlap, found.field.trim, found.report, as_image(picture), ui=ui)


class TileSize(io.ComfyNode):
    """Size of a picture and models -> tile size, overlap, batch, report."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTileSize",
            display_name="Tile Size for VRAM",
            category=SIZES,
            is_output_node=True,
            description=(
                "Works out the tile size that fits the memory and computes the fewest pixels, for the models that are connected. "
                "Shows what is free, what each size would need and why one was chosen. Its outputs go straight into Tile Split, "
                "Tiled Upscale and Latent Tile Denoise."
            ),
            search_aliases=[
                "tile size",
                "VRAM",
                "memory",
                "out of memory",
                "out of vram",
                "OOM",
                "best tile size",
                "auto tile",
                "low VRAM",
                "budget",
            ],
            has_intermediate_output=True,
            inputs=[
                io.Int.Input(
                    "width",
                    default=4096,
                    min=8,
                    max=1048576,
                    step=8,
                    tooltip="Width of the picture that will be tiled; of an upscale, the small one.",
                ),
                io.Int.Input("height", default=4096, min=8, max=1048576, step=8, tooltip="Height of the picture that will be tiled."),
                io.Float.Input(
                    "margin",
                    default=0.1,
                    min=0.0,
                    max=4.0,
                    step=0.01,
                    tooltip="Share that stays free on top of what a tile needs: 0.1 is a tenth. More where other programs use the card.",
                ),
                io.Image.Input("image", optional=True, tooltip="The picture that will be tiled. Overrules width and height."),
                io.Model.Input("model", optional=True, tooltip="A diffusion model: tiles never exceed the size that it was made for."),
                io.Vae.Input("vae", optional=True, tooltip="A VAE that will encode or decode tiles."),
                io.UpscaleModel.Input("upscale_model", optional=True, tooltip="An upscale model that will be run on tiles."),
            ],
            outputs=[
                io.Int.Output("tile_width", display_name="tile_width", tooltip="Width of a tile in image pixels."),
                io.Int.Output("tile_height", display_name="tile_height", tooltip="Height of a tile in image pixels."),
                io.Int.Output(
                    "overlap", display_name="overlap", tooltip="Overlap in image pixels: measured, or an eighth of the tile for diffusion."
                ),
                io.Int.Output("tile_batch", display_name="tile_batch", tooltip="How many tiles fit through the model together."),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="The budget in words: what is free, what each size needs, what was chosen and why.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, width: int | None = None, height: int | None = None, margin: float | None = None) -> bool | str:
        """Takes the check of sizes over from the host, so that execute can say in words what is wrong and how to mend it."""
        # NaN would go into the host's history, which then is no JSON any more.
        return not isinstance(margin, float) or isfinite(margin) or f"margin {margin} is no number: use 0.1 for a tenth"

    @classmethod
    def execute(cls, width, height, margin, image=None, model=None, vae=None, upscale_model=None) -> io.NodeOutput:
        """Plan for all models that are connected."""
        if model is None and vae is None and upscale_model is None:
            raise ValueError("no model is connected, and only a model needs memory for its tiles: connect model, vae or upscale_model")
        for name, value in (("width", width), ("height", height)):
            if not 1 <= value <= MAX_LENGTH:
                raise ValueError(f"{name} is no size of a picture: it is below 1 or above {MAX_LENGTH}; type its size in pixels")
        from ..blending.layout.captions import in_words
        from ..models.tile_budget import budget, demand_of_model, demand_of_upscaler, demand_of_vae, report, table
        from ..models.upscaler import Upscaler
        from ..pictures.budget import budget_picture

        if image is not None:
            _, height, width, _ = check_image(image).shape
        demands = [] if model is None else [demand_of_model(model)]
        if vae is not None:
            demands.append(demand_of_vae(vae, Watch()))
        if upscale_model is not None:
            demands.append(demand_of_upscaler(Upscaler(upscale_model), Watch()))
        found = budget(width, height, demands, margin)
        plan, words = found.plan, report(found, width, height)
        ui = ui_value(
            lambda: budget_picture(plan, table(plan), found.free, margin, in_words(found.free)),
            words,
            f"{words.partition(chr(10))[0]} {size_cure(plan)}",
        )
        return io.NodeOutput(plan.tile_width, plan.tile_height, plan.overlap, plan.tile_batch, words, ui=ui)
