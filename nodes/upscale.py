"""Tiled Upscale: a picture of any size through an upscale model, in one node."""

from __future__ import annotations

from comfy_api.latest import io

from ..models.choices import IMAGE, TILE
from .menu import START
from .types import Layout, SizesAndOverlapInWords, check_grid, check_image
from .ui import show


class TiledUpscale(SizesAndOverlapInWords):
    """UPSCALE_MODEL, IMAGE -> IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTiledUpscale",
            display_name="Tiled Upscale",
            category=START,
            description=(
                "Upscales a picture of any size with an upscale model, tile by tile and without a seam. Tile and overlap are planned "
                "for your card and measured for your model unless you type them. RGB, RGBA and grey, batches of frames. Where the "
                "memory runs out it goes on with smaller pieces and keeps what is done."
            ),
            search_aliases=[
                "upscale", "tiled upscale", "ultimate upscale", "upscale image (using model)", "super resolution", "ESRGAN", "enlarge",
                "hires", "large image", "8k", "16k", "upscale with alpha", "out of memory", "SD upscale",
                "ultimate sd upscale", "big picture", "big image", "big", "4x", "upscale with model",
            ],
            has_intermediate_output=True,
            inputs=[
                io.UpscaleModel.Input("upscale_model", tooltip="The model, from Load Upscale Model. Any scale, also x1 restorers."),
                io.Image.Input("image", tooltip="The picture, or batch of frames, to upscale. RGB, RGBA (alpha is upscaled with it) or grey."),
                io.Int.Input(
                    "tile_width", default=0, min=0, max=32768, step=8,
                    tooltip="Width of a tile in image pixels, at most. 0 plans the largest that fits the memory. Takes the output of Tile Size for VRAM.",
                ),
                io.Int.Input(
                    "tile_height", default=0, min=0, max=32768, step=8,
                    tooltip="Height of a tile in image pixels, at most. 0 is the same as the width, or planned if both are 0.",
                ),
                io.Int.Input(
                    "overlap", default=-1, min=-1, max=16384,
                    tooltip="Neighbouring tiles share at least this many image pixels. -1 measures how far the model sees (once per model) and takes what makes tiled equal untiled.",
                ),
                io.Combo.Input(
                    "statistics", options=[TILE, IMAGE], default=TILE,
                    tooltip="For models that look at all of the picture at once (InstanceNorm, GroupNorm, squeeze-and-excite, global pooling). tile: each tile by itself, fast; such models then differ in tone from tile to tile. image: they see the whole picture's statistics, so tiled equals untiled; the tiles are gone over several times first (usually 2 to 8, at most once per such layer). No use, and one needless pass, for models that have none: the node says which those are.",
                ),
                io.Int.Input(
                    "tile_batch", default=0, min=0, max=64, advanced=True,
                    tooltip="How many tiles go through the model at once. 0 takes up to four where the memory does; more is hardly faster.",
                ),
                Layout.Input(
                    "layout", optional=True,
                    tooltip="Use exactly these tiles: the layout of a Tile Split. Overrules tile_width, tile_height and overlap.",
                ),
            ],
            outputs=[io.Image.Output("image", display_name="image", tooltip="The upscaled picture, with the channels it had, 0 to 1.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, upscale_model, image, tile_width, tile_height, overlap, statistics, tile_batch=0, layout=None) -> io.NodeOutput:
        """Plan and upscale."""
        from ..models.tiled_upscale import Request, upscale

        check_image(image)
        given = None if layout is None else check_grid(layout, "Tiled Upscale", wraps=True)
        request = Request(tile_width, tile_height, overlap, statistics, tile_batch, given)
        result, plan, lines = upscale(upscale_model, image, request)
        return io.NodeOutput(result, ui=show(image, plan, lines))
