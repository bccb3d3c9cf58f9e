"""Tile Split and its latent twin: one picture in, a list of equal tiles and their layout out."""

from __future__ import annotations

from comfy_api.latest import io

from ..blending.layout.captions import describe_split
from ..blending.layout.cutting import cut, cut_cells
from ..blending.layout.grid import MAX_TILES
from ..blending.layout.tile_layout import TileLayout
from .menu import CUT
from .types import Layout, SizesInWords, check_grid, check_image, check_layout, downscale_ratio, latent_mask, latent_samples, size_inputs
from .ui import show

NONE = "none"
# Whether (y, x) are joined.
WRAPS = {NONE: (False, False), "horizontal": (False, True), "both": (True, True)}
STAND_IN = 64

ALIASES = [
    "tile",
    "split",
    "split image into tiles",
    "crop tiles",
    "slice",
    "cut image",
    "cut into tiles",
    "grid",
    "large image",
    "big image",
    "overlap",
    "upscale tiles",
]


def _size_inputs() -> list[io.Input]:
    return [
        *size_inputs(
            "Width of every tile in image pixels. Take the size your model was made for (512 to 1024 for most); smaller tiles need less VRAM.",
            "Neighbouring tiles share at least this many image pixels. An eighth of the tile is a good start; more hides larger differences and costs time.",
        ),
        io.Int.Input(
            "multiple_of",
            default=8,
            min=1,
            max=1024,
            advanced=True,
            tooltip="Every tile starts on a multiple of this many pixels. 8 suits most models and keeps x1.5, x2 and x4 exact; the last tile may reach over the image by less than this, mirrored.",
        ),
    ]


def _later_inputs() -> list[io.Input]:
    """Added later, and optional so that prompts saved before still run."""
    return [
        io.Combo.Input(
            "wrap",
            options=list(WRAPS),
            default=NONE,
            optional=True,
            advanced=True,
            tooltip="Whether the picture goes on at its other side. none: it ends at its borders; horizontal: left and right are joined, as in a 360 degree panorama; both: top and bottom as well, as in a texture that is laid side by side. Tiles then reach over the border, and blending, Color Match and Seam Check treat it as any other place where tiles meet.",
        ),
        io.Int.Input(
            "columns",
            default=0,
            min=0,
            max=MAX_TILES,
            optional=True,
            advanced=True,
            tooltip="How many tiles lie side by side. The tile's width then follows from this and the overlap, and tile_width is not used. 0 goes by tile_width.",
        ),
        io.Int.Input(
            "rows",
            default=0,
            min=0,
            max=MAX_TILES,
            optional=True,
            advanced=True,
            tooltip="How many tiles lie one above the other. The tile's height then follows from this and the overlap, and tile_height is not used. 0 goes by tile_height.",
        ),
    ]


def _layout_input(of: str) -> io.Input:
    return Layout.Input(
        "layout",
        optional=True,
        tooltip=f"Cut exactly as another {of} was cut (a depth map beside its photograph): connect that Tile Split's layout. Overrules the sizes above.",
    )


class TileSplit(SizesInWords):
    """IMAGE -> list of tiles, layout, count."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTileSplit",
            display_name="Tile Split",
            category=CUT,
            description=(
                "Cuts a picture of any size into equal, evenly spread tiles. Every node between here and Seam Blend runs once "
                "per tile; the layout tells Seam Blend where they belong."
            ),
            search_aliases=[*ALIASES, "360", "panorama", "seamless texture", "wrap around", "tileable", "rows and columns"],
            has_intermediate_output=True,
            inputs=[
                io.Image.Input("image", tooltip="The picture, or batch of pictures, to cut. RGB, RGBA or grey."),
                *_size_inputs(),
                _layout_input("picture"),
                *_later_inputs(),
            ],
            outputs=[
                io.Image.Output(
                    "tiles",
                    display_name="tiles",
                    is_output_list=True,
                    tooltip="The tiles as a list, row by row: the next node runs once for each.",
                ),
                Layout.Output(
                    "layout",
                    display_name="layout",
                    tooltip="Where each tile belongs. Connect it to Seam Blend, and to anything else that must be cut the same way.",
                ),
                io.Int.Output("count", display_name="count", tooltip="How many tiles there are."),
            ],
        )

    @classmethod
    def execute(cls, image, tile_width, tile_height, overlap, multiple_of, layout=None, wrap=NONE, columns=0, rows=0) -> io.NodeOutput:
        """Plan and cut."""
        batch, height, width, _ = check_image(image).shape
        if layout is not None:
            plan = check_layout(layout).fit(height, width, batch)
        else:
            sizes = (height, width, tile_height, tile_width, overlap, multiple_of, batch)
            plan = TileLayout.grid(*sizes, wrap=WRAPS[wrap], counts=(rows, columns))
        # The host takes no empty list: a small piece stands in for the tiles of an empty mask, and Seam Blend knows it.
        tiles = list(cut(image, plan)) or [image[:, :STAND_IN, :STAND_IN]]
        ui = show(image, plan, describe_split(plan, None if layout is not None else multiple_of))
        return io.NodeOutput(tiles, plan, len(plan), ui=ui)


class LatentTileSplit(SizesInWords):
    """LATENT -> list of tiles, layout, count."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkLatentTileSplit",
            display_name="Latent Tile Split",
            category=CUT,
            description=(
                "Cuts a latent into equal, evenly spread tiles, its noise mask along with it. Sizes are given in image pixels, "
                "as in Tile Split. Works for images and video (frames stay together)."
            ),
            search_aliases=["latent tile", "split latent", *(word for word in ALIASES if word != "tile")],
            has_intermediate_output=True,
            inputs=[
                io.Latent.Input(
                    "samples", tooltip="The latent to cut. A noise mask is cut in proportion; everything else it carries is kept."
                ),
                *_size_inputs(),
                io.Int.Input(
                    "downscale",
                    default=0,
                    min=0,
                    max=128,
                    advanced=True,
                    tooltip="Image pixels per latent cell (8 for SD, SDXL and Flux, 16 for Flux.2, 32 for SANA). 0 takes it from the latent where it says so, else 8; what was used is shown in the node.",
                ),
                _layout_input("picture or latent"),
            ],
            outputs=[
                io.Latent.Output(
                    "tiles",
                    display_name="tiles",
                    is_output_list=True,
                    tooltip="The latent tiles as a list, row by row: the next node runs once for each.",
                ),
                Layout.Output("layout", display_name="layout", tooltip="Where each tile belongs. Connect it to Latent Seam Blend."),
                io.Int.Output("count", display_name="count", tooltip="How many tiles there are."),
            ],
        )

    @classmethod
    def execute(cls, samples, tile_width, tile_height, overlap, multiple_of, downscale, layout=None) -> io.NodeOutput:
        """Plan and cut."""
        cells = latent_samples(samples)
        given = None if layout is None else check_grid(layout, "Latent Tile Split", wraps=True)
        unit = downscale_ratio(samples, downscale, given)
        batch, height, width = cells.shape[0], cells.shape[-2], cells.shape[-1]
        mask = latent_mask(samples)
        mask_size = None if mask is None else (mask.shape[-2], mask.shape[-1])
        if given is not None:
            plan = given.fit(height, width, batch, unit, mask_size)
        else:
            plan = TileLayout.grid(height * unit, width * unit, tile_height, tile_width, overlap, multiple_of, batch, unit, mask_size)
        tiles = [{**samples, "samples": tile} for tile in cut_cells(cells, plan)]
        if mask is not None:
            from ..blending.layout.noise_mask import cut_mask  # here, because few latents have a mask and it loads the whole of blending

            for tile, part in zip(tiles, cut_mask(mask, plan), strict=True):
                tile["noise_mask"] = part
        ui = show(cells, plan, describe_split(plan, None if given is not None else multiple_of))
        return io.NodeOutput(tiles, plan, len(plan), ui=ui)
