"""The part of a workflow that is the work of one tile, and the graph in which every tile has a branch of its own.

ComfyUI runs a node that is given a list as one piece of work, so that of a list that was stopped nothing is kept. Where every
tile has a branch of nodes instead, ComfyUI's own cache keeps each branch that was finished.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# The nodes that stand at the beginning and the end of each branch, and behind them all; they are in nodes/keep_tiles.py.
TAKE, KEEP, JOIN = "KeepTilesTake", "KeepTilesKeep", "KeepTilesJoin"
KEEP_TILES = "TileworkKeepTiles"
TILES = "tiles"
PICTURES = ("IMAGE", "LATENT")

Link = tuple[str, int]


@dataclass(frozen=True)
class BranchWork:
    """What is done to one tile.

    Attributes:
        result: (node id, output) that gives the finished tiles.
        nodes: the ids of the nodes that run once per tile.
        lists: the (node id, output) that give one value per tile: the tiles that were cut, prompts, and so on; and what nodes give that
            are run for all tiles in any case, because they save or show something.
    """

    result: Link
    nodes: tuple[str, ...]
    lists: tuple[Link, ...]


@dataclass
class Prompt:
    """The nodes of a prompt and their classes, as ComfyUI has them.

    Args:
        node_of: node id -> {"class_type": ..., "inputs": {...}}.
        class_of: class_type -> the node's class.
    """

    node_of: Callable[[str], dict[str, Any]]
    class_of: Callable[[str], Any]

    def links(self, node_id: str) -> dict[str, Link]:
        """Input name -> where it comes from, of the inputs that are connected."""
        return {name: link for name, value in self.node_of(node_id)["inputs"].items() if (link := as_link(value)) is not None}

    def kind(self, node_id: str) -> Any:
        """The class of a node."""
        return self.class_of(self.node_of(node_id)["class_type"])

    def gives_list(self, link: Link) -> bool:
        """Whether this output is a list."""
        flags = getattr(self.kind(link[0]), "OUTPUT_IS_LIST", None) or ()
        return link[1] < len(flags) and bool(flags[link[1]])

    def takes_list(self, node_id: str) -> bool:
        """Whether a node is given whole lists."""
        return bool(getattr(self.kind(node_id), "INPUT_IS_LIST", False))

    def title(self, node_id: str) -> str:
        """A node as it is called in messages."""
        schema = getattr(self.kind(node_id), "GET_SCHEMA", None)
        name = schema().display_name if schema is not None else None
        return f"{name or self.node_of(node_id)['class_type']} (node {node_id})"

    def type_of(self, link: Link) -> str:
        """What an output gives: IMAGE, STRING and so on; "" where that is not known."""
        kinds = getattr(self.kind(link[0]), "RETURN_TYPES", None) or ()
        return str(kinds[link[1]]) if link[1] < len(kinds) else ""

    def is_output(self, node_id: str) -> bool:
        """Whether ComfyUI runs a node for its own sake, because it saves or shows something."""
        return bool(getattr(self.kind(node_id), "OUTPUT_NODE", False))

    def upstream(self, node_id: str) -> list[str]:
        """A node and all that it depends on, nearest first."""
        found, waiting = {node_id: None}, [node_id]
        while waiting:
            for source, _ in self.links(waiting.pop()).values():
                if source not in found:
                    found[source] = None
                    waiting.append(source)
        return list(found)


def as_link(value: Any) -> Link | None:
    """(node id, output) where a value of a prompt is a connection."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) in (int, float):
        return value[0], int(value[1])
    return None


def work_of_one_tile(workflow: Prompt, tiles: Link, split: str) -> BranchWork:
    """The nodes between the split and `tiles`: all on which `tiles` depends and which themselves depend on a list.

    Args:
        workflow: the whole prompt.
        tiles: where the finished tiles come from.
        split: the node that gives the layout; what it gives as lists are the tiles as they were cut.

    Raises:
        ValueError: no list leads to `tiles`, a node between takes or gives lists, or saves what was made of the tiles.
    """
    walk = _Walk(workflow, split)
    if not walk.judge(tiles)[0]:
        raise ValueError(
            f"what {workflow.title(tiles[0])} gives depends on no list of tiles: connect the nodes that work on the tiles to the tiles "
            "output of Tile Split, and the last of them to Keep Tiles"
        )
    made: dict[str, None] = {}
    lists: dict[Link, None] = {}
    waiting = [tiles]
    while waiting:
        link = waiting.pop()
        if workflow.gives_list(link):
            lists[link] = None
        elif link[0] not in made and walk.judge(link)[0]:
            if workflow.is_output(link[0]):
                _check_shows_only(workflow, walk, link)
                # It is run with its whole list in any case: a copy of it would be a second time.
                lists[link] = None
                continue
            made[link[0]] = None
            waiting.extend(workflow.links(link[0]).values())
    return BranchWork(tiles, tuple(made), tuple(lists))


def _check_shows_only(workflow: Prompt, walk: _Walk, link: Link) -> None:
    """A node that shows something of the tiles as they were cut may stand between, and one that saves what was made of them not."""
    made_before = any(walk.judge(source)[0] and not workflow.gives_list(source) for source in workflow.links(link[0]).values())
    if workflow.type_of(link) in PICTURES or made_before:
        raise ValueError(
            f"{workflow.title(link[0])} saves or shows something by itself, so that ComfyUI runs it, and what leads to it, for all tiles "
            "at once, and none of that is kept: put it behind Keep Tiles, or bypass it"
        )


class _Walk:
    """Goes back from the finished tiles, each node once."""

    def __init__(self, workflow: Prompt, split: str) -> None:
        self.workflow, self.split = workflow, split
        self._inputs: dict[str, tuple[bool, bool]] = {}

    def judge(self, link: Link) -> tuple[bool, bool]:
        """Whether an output has one value per tile, and whether it depends on tiles that were cut and not kept since."""
        node_id, workflow = link[0], self.workflow
        gives = workflow.gives_list(link)
        if node_id == self.split:
            return gives, gives
        if workflow.node_of(node_id)["class_type"] == KEEP_TILES:
            return gives, False
        listed, of_tiles = self._of_inputs(node_id)
        takes = workflow.takes_list(node_id)
        if of_tiles and (gives or takes):
            raise ValueError(_between(workflow.title(node_id), gives))
        return gives or (listed and not takes), of_tiles

    def _of_inputs(self, node_id: str) -> tuple[bool, bool]:
        if node_id not in self._inputs:
            found = [self.judge(link) for link in self.workflow.links(node_id).values()]
            self._inputs[node_id] = any(listed for listed, _ in found), any(of_tiles for _, of_tiles in found)
        return self._inputs[node_id]


def _between(title: str, gives: bool) -> str:
    does = "gives a list" if gives else "takes the whole list of tiles"
    return (
        f"{title} stands between the split and Keep Tiles, and {does}: its work cannot be done tile by tile. Put Keep Tiles before it (a "
        "second one may stand behind it); or, where it is what cuts the tiles, connect its layout to Keep Tiles"
    )


def check_no_other_use(workflow: Prompt, work: BranchWork, everything: list[str], own: str) -> None:
    """The nodes of the branches are copies: who else takes what the originals give has all of it computed a second time.

    Raises:
        ValueError: names such a node, where what it makes is shown or saved.
    """
    takers: dict[str, list[str]] = {}
    for node_id in everything:
        kept = workflow.node_of(node_id)["class_type"] == KEEP_TILES
        for name, link in workflow.links(node_id).items():
            # What Keep Tiles has as its tiles is never asked for.
            if not (kept and name == TILES):
                takers.setdefault(link[0], []).append(node_id)
    for source in work.nodes:
        for taker in takers.get(source, ()):
            if taker not in work.nodes and taker != own and _leads_to_an_output(workflow, taker, takers):
                raise ValueError(
                    f"{workflow.title(taker)} takes what {workflow.title(source)} gives before Keep Tiles, so that all tiles would be "
                    "computed twice: connect it to the tiles output of Keep Tiles, or bypass it"
                )


def _leads_to_an_output(workflow: Prompt, node_id: str, takers: dict[str, list[str]]) -> bool:
    seen, waiting = {node_id}, [node_id]
    while waiting:
        now = waiting.pop()
        if workflow.is_output(now):
            return True
        fresh = [taker for taker in takers.get(now, ()) if taker not in seen]
        seen.update(fresh)
        waiting.extend(fresh)
    return False


def branches(workflow: Prompt, work: BranchWork, count: int, made_with: str, keep: str) -> tuple[dict[str, Any], list[Any]]:
    """The graph of one branch per tile, and the link to the one value in it that is the list of finished tiles.

    Args:
        workflow: the whole prompt.
        work: what is done to one tile.
        count: how many tiles there are.
        made_with: stands for all that the tiles depend on and the prompt does not say; where it is another one, nothing is taken as kept.
        keep: for the nodes at the end of the branches.
    """
    from comfy_execution.graph_utils import GraphBuilder

    graph = GraphBuilder()
    ends = []
    for index in range(count):
        place = {"index": index, "count": count}
        finished = _Branch(graph, workflow, work, place, made_with).value(list(work.result))
        ends.append(_node(graph, KEEP, f"kept.{index}", {"tile": finished, **place, "made_with": made_with, "keep": keep}).out(0))
    # ComfyUI takes up first what stands last.
    joined = _node(graph, JOIN, "joined", {f"tile_{index}": ends[index] for index in reversed(range(count))})
    return graph.finalize(), joined.out(0)


class _Branch:
    """The copies of the nodes that make one tile."""

    def __init__(self, graph: Any, workflow: Prompt, work: BranchWork, place: dict[str, int], made_with: str) -> None:
        self.graph, self.workflow, self.work = graph, workflow, work
        self.place, self.made_with = place, made_with

    def value(self, given: Any) -> Any:
        """What stands in the place of an input's value."""
        link = as_link(given)
        if link in self.work.lists:
            inputs = {"items": list(link), **self.place, "made_with": self.made_with}
            return _node(self.graph, TAKE, f"{link[0]}.{link[1]}.{self.place['index']}", inputs).out(0)
        if link is not None and link[0] in self.work.nodes:
            return self._copy(link[0]).out(link[1])
        return given

    def _copy(self, node_id: str) -> Any:
        name = f"{node_id}.{self.place['index']}"
        there = self.graph.lookup_node(name)
        if there is not None:
            return there
        node = self.workflow.node_of(node_id)
        copy = _node(self.graph, node["class_type"], name, {key: self.value(value) for key, value in node["inputs"].items()})
        # Progress and previews show where the user put the node.
        copy.set_override_display_id(node_id)
        return copy


def _node(graph: Any, class_type: str, name: str, inputs: dict[str, Any]) -> Any:
    """A node of the graph. Not with inputs as keywords, because a node may have an input that is called `id`."""
    node = graph.node(class_type, name)
    node.inputs.update(inputs)
    return node
