"""Which nodes of a workflow are the work of one tile.

A workflow in API form is a dict of nodes, {id: {"class_type": ..., "inputs": {...}}}; a link is [node id, output]. The work of one
tile is what lies between Tile Split and the first node that takes or gives lists, or that uses the layout: only plain nodes, which
ComfyUI runs once per tile anyway, so that they give the same for a tile by itself. What feeds them from outside (models, prompts)
goes along. All else is run where all tiles are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .process.host_error import HostError
from .workflow_shape import Link, link_of, title_of

Workflow = dict[str, dict[str, Any]]

SPLIT, BLEND, SAVE = "TileworkTileSplit", "TileworkSeamBlend", "SaveImage"
TILES, LAYOUT, COUNT = 0, 1, 2
IMAGE = "IMAGE"
# Methods of Seam Blend that take tiles one after the other, and let each go.
STREAMED = ("hann", "linear", "gaussian", "average", "none", "optimal seam", "multiband")
# Whose tiles are one at every step of sampling.
FUSED = {
    "TileworkLatentTileDenoise": "Latent Tile Denoise works on all tiles at every step of sampling",
    "TileworkTiledModel": "Tiled Model works on all tiles at every step of sampling",
}


class CannotSplitError(HostError):
    """A workflow whose tiles cannot be given out, with the reason in words."""


@dataclass(frozen=True)
class BlendSettings:
    """A Seam Blend that can take its tiles from files, one after the other.

    Attributes:
        node: its id.
        method, trim, scale, cut_feather: its settings.
        saved: whether nothing but the Save Image comes after it.
    """

    node: str
    method: str
    trim: int
    scale: float
    cut_feather: float
    saved: bool


@dataclass(frozen=True)
class TileWork:
    """What of a workflow can be given out tile by tile.

    Attributes:
        splits: the Tile Splits whose tiles are worked on; they share one layout.
        nodes: the nodes that are the work of one tile.
        results: outputs of them that other nodes take: these are kept as files.
        save: the node that saves the picture.
        blend: the Seam Blend that can be run as a stream, None where the rest is run where all tiles are.
        why_not: why it is None, in words.
        left_out: nodes that do not lead to the saved picture, and are not run.
    """

    splits: tuple[str, ...]
    nodes: tuple[str, ...]
    results: tuple[Link, ...]
    save: str
    blend: BlendSettings | None
    why_not: str
    left_out: tuple[str, ...]


def links(node: dict[str, Any], workflow: Workflow) -> Iterator[tuple[str, Link]]:
    """(input's name, link) of every input of `node` that is one."""
    for name, value in node["inputs"].items():
        link = link_of(value)
        if link is not None and link[0] in workflow:
            yield name, link


def needed_by(workflow: Workflow, *ends: str) -> list[str]:
    """The nodes `ends` and all before them, each after those it takes from. Raises CannotSplitError for a circle."""
    order: list[str] = []
    state: dict[str, bool] = {}  # False while its sources are gone through
    stack = [(end, False) for end in reversed(ends)]
    while stack:
        node, entered = stack.pop()
        if entered:
            state[node] = True
            order.append(node)
        elif node not in state:
            state[node] = False
            stack.append((node, True))
            stack += [(source, False) for _, (source, _) in links(workflow[node], workflow)]
        elif not state[node]:
            raise CannotSplitError(f"the workflow goes in a circle at {named(workflow, node)}")
    return order


def named(workflow: Workflow, node: str, object_info: dict[str, Any] | None = None) -> str:
    """A node for people: its title or name, and its number."""
    kind = workflow[node].get("class_type", "?")
    title = title_of(workflow[node]) or (object_info or {}).get(kind, {}).get("display_name") or kind
    return f"{title} (node {node})"


class Reading:
    """What is known of every node that leads to the saved picture, gone through from the sources on."""

    def __init__(self, workflow: Workflow, object_info: dict[str, Any], save: str) -> None:
        self.workflow, self.object_info, self.save = workflow, object_info, save
        self.needed = needed_by(workflow, save)
        unknown = sorted({workflow[node]["class_type"] for node in self.needed} - set(object_info))
        if unknown:
            raise CannotSplitError(
                f"the server does not know these nodes: {', '.join(unknown)}; their pack is not installed or failed to load"
            )
        self.lists: dict[str, list[bool]] = {}
        for node in self.needed:
            self.lists[node] = self._gives_list(node)

    def info(self, node: str) -> dict[str, Any]:
        """What the server says of the node's kind."""
        return self.object_info[self.workflow[node]["class_type"]]

    def kind(self, node: str) -> str:
        """Its class."""
        return self.workflow[node]["class_type"]

    def words(self, node: str) -> str:
        """The node for people."""
        return named(self.workflow, node, self.object_info)

    def inputs(self, node: str) -> list[tuple[str, Link]]:
        """Its links."""
        return list(links(self.workflow[node], self.workflow))

    def _gives_list(self, node: str) -> list[bool]:
        """Of every output, whether it is a list: by itself, or because the node runs once for each item of one."""
        info = self.info(node)
        each = not info.get("is_input_list") and any(self.is_list(link) for _, link in self.inputs(node))
        return [bool(listed) or each for listed in info.get("output_is_list", ())]

    def is_list(self, link: Link) -> bool:
        """Whether a list comes over this link."""
        source, slot = link
        return self.lists[source][slot] if slot < len(self.lists[source]) else False

    def plain(self, node: str) -> bool:
        """Whether the node neither takes nor gives lists by itself."""
        info = self.info(node)
        return not info.get("is_input_list") and not any(info.get("output_is_list", ()))


def tile_work(workflow: Workflow, object_info: dict[str, Any], save: str) -> TileWork:
    """Find the work of one tile.

    Args:
        workflow: in API form.
        object_info: the server's answer at /object_info.
        save: id of the node that saves the picture.

    Raises:
        CannotSplitError: where nothing of it can be given out, with the reason and what to do.
    """
    read = Reading(workflow, object_info, save)
    _check_numbers(read)
    splits = _splits(read)
    nodes = _work(read, splits)
    nodes, results = _kept(read, nodes)
    if not nodes:
        raise CannotSplitError(_nothing(read, splits))
    blend, why_not = _stream(read, splits, results)
    ends = [node for node in workflow if object_info.get(workflow[node].get("class_type"), {}).get("output_node")]
    left_out = tuple(node for node in ends if node not in read.needed)
    return TileWork(tuple(splits), tuple(nodes), tuple(results), save, blend, why_not, left_out)


def _check_numbers(read: Reading) -> None:
    """The server would say it of a node behind the tiles when all of them are done, and we blend by ourselves."""
    for node in read.needed:
        for name, kind, limits in _numbers(read.info(node)):
            value = read.workflow[node]["inputs"].get(name)
            if name not in read.workflow[node]["inputs"] or link_of(value) is not None:
                continue
            number = _as_number(value, kind)
            if number is None:
                raise CannotSplitError(f"{read.words(node)}: {name} is {str(value)[:40]!r}, which is no number")
            least, most = limits.get("min"), limits.get("max")
            if read.kind(node) == BLEND and not (_at_most(least, number) and _at_most(number, most)):
                raise CannotSplitError(f"{read.words(node)}: {name} is {value}: use {least} to {most}")


def _numbers(info: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(name, INT or FLOAT, limits) of every input of a node that is a number."""
    given = info.get("input")
    for group in given.values() if isinstance(given, dict) else ():
        for name, about in group.items() if isinstance(group, dict) else ():
            if isinstance(about, list) and about and about[0] in ("INT", "FLOAT"):
                yield name, about[0], about[1] if len(about) > 1 and isinstance(about[1], dict) else {}


def _as_number(value: Any, kind: str) -> float | None:
    """The number that ComfyUI makes of a value; None where it cannot."""
    try:
        return int(value) if kind == "INT" else float(value)
    except (ValueError, TypeError, OverflowError):
        return None


def _at_most(number: Any, limit: Any) -> bool:
    return not isinstance(number, int | float) or not isinstance(limit, int | float) or number <= limit


def _splits(read: Reading) -> list[str]:
    """The Tile Splits that share one layout and come first."""
    found = [node for node in read.needed if read.kind(node) == SPLIT]
    if not found:
        fused = [words for node in read.needed for words in [FUSED.get(read.kind(node))] if words]
        why = f"{fused[0]}, so they are not independent" if fused else "there is no Tile Split before the saved picture"
        raise CannotSplitError(f"{why}: run the workflow without --split-tiles")
    first: list[str] = []
    for split in found:
        if not any(other in needed_by(read.workflow, split)[:-1] and not _by_layout(read, split, other) for other in found):
            first.append(split)
    one = _layout_of(read, first[0], found)
    apart = [split for split in first if _layout_of(read, split, found) != one]
    if apart:
        raise CannotSplitError(
            f"{read.words(first[0])} and {read.words(apart[0])} cut by layouts of their own, so their tiles do not go together: connect "
            "the layout of the one to the other, or run the workflow without --split-tiles"
        )
    for split in first:
        for name, link in read.inputs(split):
            if read.is_list(link):
                raise CannotSplitError(f"{read.words(split)} gets a list at {name}: give one picture at a time, or leave out --split-tiles")
    return first


def _by_layout(read: Reading, split: str, other: str) -> bool:
    """Whether `split` depends on `other` by taking its layout alone."""
    rest = [link[0] for name, link in read.inputs(split) if (name, link) != ("layout", (other, LAYOUT))]
    return not any(other in needed_by(read.workflow, node) for node in rest)


def _layout_of(read: Reading, split: str, splits: list[str]) -> Link:
    """Where the layout comes from by which `split` cuts."""
    while True:
        given = dict(read.inputs(split)).get("layout")
        if given is None or given[0] not in splits or given[1] != LAYOUT:
            return given or (split, LAYOUT)
        split = given[0]


def _work(read: Reading, splits: list[str]) -> list[str]:
    """The plain nodes that tiles go through, each of which takes tiles, what these nodes give, or what does not depend on the split."""
    of_tile: list[str] = []
    beyond: set[str] = set()  # what needs the layout, all tiles, or something of that
    for node in read.needed:
        if node in splits:
            continue
        takes_tiles = False
        alone = read.plain(node)
        for _, (source, slot) in read.inputs(node):
            if source in splits:
                takes_tiles |= slot == TILES
                alone &= slot in (TILES, COUNT)
            elif source in of_tile:
                takes_tiles = True
            elif source in beyond or read.is_list((source, slot)):
                alone = False
        depends = takes_tiles or any(source in splits or source in beyond for _, (source, _) in read.inputs(node))
        if takes_tiles and alone and node != read.save:
            of_tile.append(node)
        elif depends:
            # A node that takes the count alone is not beyond: the count is a number.
            counted = all(source not in beyond and (source not in splits or slot == COUNT) for _, (source, slot) in read.inputs(node))
            if not counted or takes_tiles:
                beyond.add(node)
    return of_tile


def _kept(read: Reading, nodes: list[str]) -> tuple[list[str], list[Link]]:
    """The nodes of the work whose results can be kept as pictures, and these results."""
    nodes = list(nodes)
    while True:
        results: list[Link] = []
        for node in read.needed:
            if node not in nodes:
                results += [link for _, link in read.inputs(node) if link[0] in nodes and link not in results]
        others = {source for source, slot in results if _type(read, source, slot) != IMAGE}
        if not others:
            leads = {node for source, _ in results for node in needed_by(read.workflow, source)}
            return [node for node in nodes if node in leads], results
        nodes = [node for node in nodes if node not in others]


def _type(read: Reading, node: str, slot: int) -> str:
    kinds = read.info(node).get("output", ())
    return kinds[slot] if slot < len(kinds) else ""


def _nothing(read: Reading, splits: list[str]) -> str:
    """Why no node is the work of one tile."""
    after = [node for node in read.needed if any(link[0] in splits and link[1] == TILES for _, link in read.inputs(node))]
    if not after:
        return "no node takes the tiles of Tile Split: run the workflow without --split-tiles"
    node = after[0]
    if read.kind(node) in FUSED:
        why = FUSED[read.kind(node)]
    elif not read.plain(node):
        why = "takes all tiles, or gives a list"
    elif any(link[0] in splits and link[1] == LAYOUT for _, link in read.inputs(node)):
        why = "uses the layout"
    else:
        why = "takes a list from elsewhere, or gives what is no picture"
    return (
        f"{read.words(node)} comes right after {read.words(splits[0])} and {why}: nothing between them and the blend is the work of one "
        "tile alone; run the workflow without --split-tiles"
    )


def _stream(read: Reading, splits: list[str], results: list[Link]) -> tuple[BlendSettings | None, str]:
    """The Seam Blend that takes the kept tiles, if it can be run as a stream; else why not."""
    takers = [node for node in read.needed if any(link in results for _, link in read.inputs(node))]
    if len(takers) != 1 or len(results) != 1 or read.kind(takers[0]) != BLEND:
        names = ", ".join(read.words(node) for node in takers)
        return None, f"{names} {'takes' if len(takers) == 1 else 'take'} all tiles"
    node = takers[0]
    inputs, given = read.workflow[node]["inputs"], dict(read.inputs(node))
    words = read.words(node)
    if given.get("layout", ("", -1)) not in [(split, LAYOUT) for split in splits]:
        return None, f"{words} has a layout that is not the split's own"
    for name in ("base", "mask"):
        if name in given:
            return None, f"{words} has a {name}"
    settings = {"method": "", "trim": 0, "scale": 0.0, "cut_feather": 0.0}
    settings.update({name: inputs[name] for name in settings if name in inputs})
    if any(isinstance(value, list | dict) for value in settings.values()):
        return None, f"a setting of {words} comes from another node"
    # As the server would read them: a number may be written as a text.
    settings |= {name: _as_number(settings[name], kind) for name, kind, _ in _numbers(read.info(node)) if name in settings}
    if settings["method"] not in STREAMED:
        return None, f"{words} with method {settings['method']} goes over all tiles more than once"
    after = [(other, link[1]) for other in read.needed for _, link in read.inputs(other) if link[0] == node]
    if any(slot != 0 for _, slot in after):
        return None, f"the seams of {words} are used"
    ends = [other for other, _ in after]
    saved = ends == [read.save] and read.kind(read.save) == SAVE and len(read.inputs(read.save)) == 1
    return BlendSettings(node, saved=saved, **settings), ""
