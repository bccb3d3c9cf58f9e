"""Take One Tile, Put Tile Back: a picture through a loop, tile after tile, each seeing the finished ones."""

from __future__ import annotations

from comfy_api.latest import io

from ..blending.layout.grid import MAX_TILES
from ..blending.regions.turns import PUT_METHODS
from .menu import REPAIR
from .types import Layout, check_image, check_layout

INDEX_TIP = "Which tile, counted from 0, row by row as Tile Split numbers them. In a loop: the loop's number."


def _index_input() -> io.Input:
    return io.Int.Input("index", default=0, min=0, max=MAX_TILES - 1, tooltip=INDEX_TIP)


class TakeOneTile(io.ComfyNode):
    """IMAGE, layout, index -> tile, mask."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTileAt",
            display_name="Take One Tile",
            category=REPAIR,
            description=(
                "Cuts one tile out of a picture in which the tiles before it are finished, so that whatever works on it sees its finished "
                "neighbours. Put Tile Back blends it in again; then comes the next tile."
            ),
            search_aliases=[
                "tile at index",
                "get tile",
                "crop one tile",
                "tile loop",
                "sequential tiles",
                "tile by index",
                "tile with context",
                "for each tile",
                "outpaint tile by tile",
            ],
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip="The picture as it is by now: your picture for tile 0, then what Put Tile Back made of it. RGB, RGBA or grey, batches.",
                ),
                Layout.Input("layout", tooltip="The layout output of a Tile Split over this picture. The picture may have another scale."),
                _index_input(),
                io.Image.Input(
                    "original",
                    optional=True,
                    tooltip="Your picture before any tile was put back. Connect it for nodes that change every pixel by itself (colour, sharpness, upscale and shrink): the part that is still to be painted comes from here, so that nothing is worked on twice. Leave it open for samplers that go on from what they find.",
                ),
            ],
            outputs=[
                io.Image.Output("tile", display_name="tile", tooltip="The tile, with its finished neighbours in the overlap."),
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="What of the tile is new: 1 where no tile before it has painted, 0 over the first half of the overlap, rising smoothly over the second. Ready for Set Latent Noise Mask or an inpaint node.",
                ),
            ],
        )

    @classmethod
    def execute(cls, image, layout, index, original=None) -> io.NodeOutput:
        """Cut it out."""
        from ..blending.regions.one_tile import take_tile  # here, because it is most of what this file would load

        before = None if original is None else check_image(original, "original")
        return io.NodeOutput(*take_tile(check_image(image), check_layout(layout), index, before))


class PutTileBack(io.ComfyNode):
    """IMAGE, tile, layout, index -> IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkPutTile",
            display_name="Put Tile Back",
            category=REPAIR,
            description=(
                "Blends one tile back into the picture that Take One Tile took it from, against the tiles before it alone. All else of the "
                "picture stays as it is, bit for bit."
            ),
            search_aliases=[
                "put tile",
                "paste tile",
                "insert tile",
                "place tile",
                "tile loop",
                "sequential tiles",
                "blend one tile",
                "replace tile",
            ],
            inputs=[
                io.Image.Input("image", tooltip="The picture that the tile was taken from: the same that went into Take One Tile's image."),
                io.Image.Input("tile", tooltip="The tile, worked on by any nodes; of the size, batch and channels that were taken."),
                Layout.Input("layout", tooltip="The same layout as at Take One Tile."),
                _index_input(),
                io.Combo.Input(
                    "method",
                    options=list(PUT_METHODS),
                    default=PUT_METHODS[0],
                    tooltip="How the tile takes over in the second half of the overlap. hann: smooth at both ends, the right choice nearly always; linear: a straight ramp; optimal seam: detail is cut where tile and picture differ least (texture, hair, chains), tone changes over softly.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "image", display_name="image", tooltip="The picture with this tile finished: the input of the next Take One Tile."
                )
            ],
        )

    @classmethod
    def execute(cls, image, tile, layout, index, method) -> io.NodeOutput:
        """Blend it in."""
        from ..blending.regions.one_tile import put_tile  # here, because it is most of what this file would load

        return io.NodeOutput(put_tile(check_image(image), check_image(tile, "tile"), check_layout(layout), index, method))
