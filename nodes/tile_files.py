"""Read Tile File, Write Tile File: tiles as files, for work that is given out to many machines."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..blending.layout.grid import MAX_TILES
from ..host.tile_folder import tile_folder
from .menu import CUT
from .types import Layout, check_image, check_layout

NAME = "tile"
LAYOUT_RECORD = "layout.json"


def _name_inputs(name_tip: str, first_tip: str) -> list[io.Input]:
    return [
        io.String.Input("name", default=NAME, tooltip=name_tip),
        io.Int.Input("first", default=0, min=0, max=MAX_TILES - 1, tooltip=first_tip),
    ]


class ReadTileFile(io.ComfyNode):
    """name, first, count -> list of tiles."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkReadTile",
            display_name="Read Tile File",
            category=CUT,
            description=(
                "Reads tiles that Write Tile File has written, as a list. farm.py puts it into workflows whose tiles it gives out to several "
                "machines; by hand it brings tiles of an earlier run back. Only files below one folder are read, and no program in them."
            ),
            search_aliases=[
                "load tile",
                "tile from file",
                "npy",
                "resume tiles",
                "numpy array",
                "load tiles from disk",
                "checkpoint tiles",
            ],
            inputs=[
                *_name_inputs(
                    "What the files are called, as it was given to Write Tile File: tile reads tile_00000.npy and so on. A / stands between folders, picture7/tile. Files lie in tilework_tiles in ComfyUI's output folder, or where the environment variable TILEWORK_TILES says.",
                    "Number of the first tile to read.",
                ),
                io.Int.Input("count", default=1, min=1, max=MAX_TILES, tooltip="How many tiles to read, one number after the other."),
            ],
            outputs=[
                io.Image.Output(
                    "tiles", display_name="tiles", is_output_list=True, tooltip="The tiles as a list, exactly as they were written."
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **values: Any) -> Any:
        """Files that were written anew are read anew."""
        return _seen(**values)

    @classmethod
    def execute(cls, name, first, count) -> io.NodeOutput:
        """Read them."""
        from ..blending.pixels.tile_file import read_tile, tile_path

        folder = tile_folder()
        return io.NodeOutput([read_tile(tile_path(folder, name, number)) for number in range(first, first + count)])


def _seen(name: Any = None, first: Any = None, count: Any = None) -> Any:
    """When the files were written and how large they are; NaN, which is never as it was, where that cannot be known."""
    from ..blending.pixels.tile_file import tile_path

    try:
        paths = [tile_path(tile_folder(), name, number) for number in range(first, first + min(count, MAX_TILES))]
        return [(found.st_mtime_ns, found.st_size) for found in (path.stat() for path in paths)]
    except (TypeError, ValueError, OSError):
        return float("nan")


class WriteTileFile(io.ComfyNode):
    """List of tiles, name, first -> files, and the tiles."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkWriteTile",
            display_name="Write Tile File",
            category=CUT,
            description=(
                "Writes tiles to files, float32 and without any loss, for Read Tile File. farm.py puts it into workflows whose tiles it gives "
                "out to several machines. A file appears when it is whole; one of the same name is replaced."
            ),
            search_aliases=["save tile", "tile to file", "npy", "keep tiles", "numpy array", "save tiles to disk", "float32"],
            is_input_list=True,
            is_output_node=True,
            inputs=[
                io.Image.Input("tiles", tooltip="The tiles to write: RGB, RGBA or grey, batches."),
                *_name_inputs(
                    "What the files are to be called: tile writes tile_00000.npy and so on. Letters, digits, _, - and .; a / stands between folders, picture7/tile. Files lie in tilework_tiles in ComfyUI's output folder, or where the environment variable TILEWORK_TILES says.",
                    "Number of the first tile; the others of the list follow.",
                ),
                Layout.Input(
                    "layout",
                    optional=True,
                    tooltip="Written beside the tiles, when all of them are: tile_layout.json. Whoever puts them together elsewhere needs it.",
                ),
            ],
            outputs=[io.Image.Output("tiles", display_name="tiles", is_output_list=True, tooltip="The tiles as they came.")],
        )

    @classmethod
    def fingerprint_inputs(cls, **values: Any) -> Any:
        """Never as it was: somebody may have removed the files since."""
        return float("nan")

    @classmethod
    def execute(cls, tiles, name, first, layout=()) -> io.NodeOutput:
        """Write them."""
        from ..blending.pixels.tile_file import beside_tiles, tile_path, write_record, write_tile

        folder, name, first = tile_folder(), name[0], first[0]
        items = [check_image(tile, f"item {i} of tiles") for i, tile in enumerate(tiles)]
        plans = [check_layout(plan) for plan in layout or () if plan is not None]
        if len(plans) > 1:
            raise ValueError(f"{len(plans)} layouts came: write the tiles of one picture at a time")
        for number, tile in enumerate(items, first):
            write_tile(tile_path(folder, name, number), tile)
        if plans:
            write_record(beside_tiles(folder, name, LAYOUT_RECORD), plans[0].to_json())
        return io.NodeOutput(items)
