"""Keep Tiles: a list of tiles that was stopped goes on where it stopped; and the nodes that it puts into the graph for it."""

from __future__ import annotations

import logging

from comfy_api.latest import io

from .menu import CUT
from .types import Layout, check_layout

WHILE, DISK = "while ComfyUI runs", "on disk"


class KeepTiles(io.ComfyNode):
    """keep, list of tiles, layout -> the same list, each tile made in a branch of its own."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkKeepTiles",
            display_name="Keep Tiles",
            category=CUT,
            description=(
                "Keeps every tile as soon as it is finished: a run that was cancelled, or failed, after tile 60 of 81 goes on at tile 61. "
                "Stands behind the last node that works on the tiles, before Seam Blend."
            ),
            search_aliases=[
                "resume tiles",
                "continue after cancel",
                "checkpoint tiles",
                "cache tiles",
                "keep finished tiles",
                "crash recovery",
                "tile cache",
                "for each tile",
                "tile by tile",
            ],
            is_input_list=True,
            enable_expand=True,
            hidden=[io.Hidden.dynprompt, io.Hidden.unique_id],
            inputs=[
                io.Combo.Input(
                    "keep",
                    options=[WHILE, DISK],
                    default=WHILE,
                    tooltip="while ComfyUI runs: in main memory, over a cancel and over an error; on disk: as files in ComfyUI's user folder, over a crash and a new start too. The oldest files go when all take more than 32 GB.",
                ),
                io.Image.Input(
                    "tiles",
                    lazy=True,
                    raw_link=True,
                    tooltip="The finished tiles, from the last node that works on them. All nodes from the split to here run tile after tile; none of them may take or give whole lists.",
                ),
                Layout.Input("layout", tooltip="The layout output of the node that cut the tiles: it says how many there are."),
            ],
            outputs=[io.Image.Output("tiles", display_name="tiles", is_output_list=True, tooltip="The same tiles, in the same order.")],
        )

    @classmethod
    def execute(cls, keep, tiles, layout) -> io.NodeOutput:
        """Put a branch of nodes per tile into the graph."""
        import nodes as host_nodes

        from ..host.kept_tiles import keep_tiles
        from ..host.restless_nodes import restless
        from ..host.tile_branches import KEEP, Prompt, as_link, branches, check_no_other_use, work_of_one_tile

        count = sum(len(check_layout(plan)) for plan in layout)
        finished = as_link(tiles[0])
        if finished is None:
            raise ValueError(f"tiles is {type(tiles[0]).__name__}, not a connection: connect the last node that works on the tiles")
        if count == 0:
            return io.NodeOutput([])
        prompt, own = cls.hidden.dynprompt, cls.hidden.unique_id
        workflow = Prompt(prompt.get_node, host_nodes.NODE_CLASS_MAPPINGS.__getitem__)
        split = workflow.links(own)["layout"][0]
        work = work_of_one_tile(workflow, finished, split)
        check_no_other_use(workflow, work, list(prompt.all_node_ids()), own)
        before = workflow.upstream(work.result[0])
        changing = restless(workflow, before)
        if changing is not None:
            raise ValueError(
                f"{changing} says that it gives something else at every run, so that no tile can be taken as kept: replace it, or bypass Keep Tiles"
            )
        stamp = _made_with(workflow, before, keep[0])
        keep_tiles(KEEP, on_disk=keep[0] == DISK)
        graph, joined = branches(workflow, work, count, stamp, keep[0])
        return io.NodeOutput(joined, expand=graph)


def _made_with(workflow, before: list[str], keep: str) -> str:
    """All that the tiles depend on and the prompt does not say, as a short text."""
    from ..host.used_files import changed_files, made_with, named_files

    files = named_files(value for node_id in before for value in workflow.node_of(node_id)["inputs"].values())
    changed = changed_files(files)
    if changed and keep == DISK:
        raise ValueError(
            f"{changed[0]} has changed since it was first used here, and ComfyUI may still hold it as it was: start ComfyUI again, so that "
            "no tile is kept under the name of another file"
        )
    if changed:
        logging.warning(
            "Tilework: %s has changed since it was first used here; ComfyUI may hold the old one until it starts again", changed[0]
        )
    return made_with(files, {workflow.kind(node_id) for node_id in before})


class _InsideKeepTiles(io.ComfyNode):
    """What Keep Tiles puts into the graph; nobody finds it in the menu, and no saved workflow has it."""

    @classmethod
    def schema(cls, node_id: str, inputs: list[io.Input], outputs: list[io.Output], **more: bool) -> io.Schema:
        """The part that is the same for all of them."""
        about = "A part of Keep Tiles, which puts it where it is needed."
        name = f"Keep Tiles: {node_id.removeprefix('KeepTiles')}"
        return io.Schema(node_id, name, CUT, inputs, outputs, description=about, is_dev_only=True, **more)


def _place_inputs() -> list[io.Input]:
    return [
        io.Int.Input("index", default=0, min=0, tooltip="Which tile, from 0."),
        io.Int.Input("count", default=1, min=1, tooltip="Of how many."),
        io.String.Input("made_with", default="", tooltip="Stands for files and versions."),
    ]


class TakeFromList(_InsideKeepTiles):
    """The beginning of a branch: of a list, what belongs to this tile."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host has it."""
        item = io.AnyType.Output("item", tooltip="What belongs to this tile.")
        inputs = [io.AnyType.Input("items", tooltip="One for each tile."), *_place_inputs()]
        return cls.schema("KeepTilesTake", inputs, [item], is_input_list=True)

    @classmethod
    def execute(cls, items, index, count, made_with) -> io.NodeOutput:
        """One of them; a list of one is for all tiles, as everywhere in ComfyUI."""
        if len(items) not in (1, count[0]):
            raise ValueError(
                f"a list of {len(items)} came for a layout of {count[0]} tiles: connect the layout of the node that cut these tiles to Keep Tiles"
            )
        return io.NodeOutput(items[index[0] if len(items) > 1 else 0])


class KeepOneTile(_InsideKeepTiles):
    """The end of a branch: the finished tile, which is kept."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host has it."""
        inputs = [
            io.Image.Input("tile", lazy=True, tooltip="The finished tile."),
            *_place_inputs(),
            io.Combo.Input("keep", options=[WHILE, DISK], tooltip="Where."),
        ]
        outputs = [io.Image.Output("kept", tooltip="The same tile.")]
        return cls.schema("KeepTilesKeep", inputs, outputs)

    @classmethod
    def check_lazy_status(cls, tile=None, **more) -> list[str]:
        """It is asked for only where it is not kept: ComfyUI looks this up before it comes here."""
        from comfy_execution.utils import get_executing_context

        from ..host.progress import is_waiting

        if tile is not None:
            return []
        is_waiting(get_executing_context().node_id)
        return ["tile"]

    @classmethod
    def execute(cls, tile, index, count, made_with, keep) -> io.NodeOutput:
        """Keep it, and tell the user."""
        from comfy_execution.utils import get_executing_context

        from ..host.kept_tiles import put
        from ..host.progress import tell_maker

        own = get_executing_context().node_id
        put(own, tile, keep == DISK)
        tell_maker(own, index + 1, count)
        return io.NodeOutput(tile)


class JoinTiles(_InsideKeepTiles):
    """Behind all branches: the list of finished tiles as one value, which Keep Tiles gives as a list."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host has it."""
        return cls.schema("KeepTilesJoin", [], [io.AnyType.Output("joined", tooltip="All tiles.")], accept_all_inputs=True)

    @classmethod
    def execute(cls, **tiles) -> io.NodeOutput:
        """In the order of their numbers."""
        from comfy_execution.utils import get_executing_context

        from ..host.kept_tiles import all_are_done

        all_are_done(get_executing_context().node_id.removesuffix("joined"))
        return io.NodeOutput([tiles[f"tile_{index}"] for index in range(len(tiles))])
