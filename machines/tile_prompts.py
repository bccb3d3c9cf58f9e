"""The prompts that a workflow is taken apart into: cut, one tile, and the rest; between them tiles are files."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from .tile_graph import COUNT, LAYOUT, TILES, TileWork, Workflow, links, needed_by
from .workflow_shape import Link, link_of

READ, WRITE = "TileworkReadTile", "TileworkWriteTile"
# Ids that neither the editor nor a subgraph gives to a node.
READER, WRITER = "tilework read {}", "tilework write {}"
CUT_NAME, TILE_NAME, PICTURE_NAME = "cut{}", "tile{}", "picture"
LAYOUT_RECORD = "layout.json"


def cut_prompt(workflow: Workflow, work: TileWork, folder: str) -> Workflow:
    """What leads to the tiles, which are written to `folder`, the layout beside those of the first split."""
    prompt = _part(workflow, work.splits, {})
    for number, split in enumerate(work.splits):
        prompt[WRITER.format(number)] = _writer([split, TILES], f"{folder}/{CUT_NAME.format(number)}", 0, [split, LAYOUT])
    return prompt


def tile_prompt(workflow: Workflow, work: TileWork, folder: str, number: int, count: int) -> Workflow:
    """The work of tile `number` of `count`, from file to file."""
    known: dict[Link, Any] = {}
    readers: Workflow = {}
    for index, split in enumerate(work.splits):
        known[split, TILES] = [READER.format(index), 0]
        known[split, COUNT] = count
        readers[READER.format(index)] = _reader(f"{folder}/{CUT_NAME.format(index)}", number, 1)
    prompt = _part(workflow, [node for node, _ in work.results], known)
    used = {link[0] for node in prompt.values() for value in node["inputs"].values() if (link := link_of(value)) is not None}
    prompt.update({name: node for name, node in readers.items() if name in used})
    for index, link in enumerate(work.results):
        prompt[WRITER.format(index)] = _writer(list(link), f"{folder}/{TILE_NAME.format(index)}", number)
    return prompt


def rest_prompt(workflow: Workflow, work: TileWork, folder: str, count: int) -> Workflow:
    """All that comes after the work of one tile, from the files of all `count` tiles to the saved picture."""
    known, readers = {}, {}
    for index, link in enumerate(work.results):
        known[link] = [READER.format(index), 0]
        readers[READER.format(index)] = _reader(f"{folder}/{TILE_NAME.format(index)}", 0, count)
    return {**_part(workflow, [work.save], known), **readers}


def after_blend_prompt(workflow: Workflow, work: TileWork, folder: str) -> Workflow:
    """What comes after Seam Blend, from the file of the blended picture to the saved one."""
    known: dict[Link, Any] = {(work.blend.node, 0): [READER.format(0), 0]}
    return {**_part(workflow, [work.save], known), READER.format(0): _reader(f"{folder}/{PICTURE_NAME}", 0, 1)}


def _part(workflow: Workflow, ends: Iterable[str], known: dict[Link, Any]) -> Workflow:
    """A copy of `ends` and all that leads to them, where links that are `known` are replaced and not followed."""
    changed: Workflow = {}
    for name, node in workflow.items():
        changed[name] = copied = copy.deepcopy(node)
        for key, link in links(node, workflow):
            if link in known:
                copied["inputs"][key] = copy.deepcopy(known[link])
    return {name: changed[name] for name in needed_by(changed, *dict.fromkeys(ends))}


def _reader(name: str, first: int, count: int) -> dict[str, Any]:
    return {"class_type": READ, "inputs": {"name": name, "first": first, "count": count}}


def _writer(tiles: list[Any], name: str, first: int, layout: list[Any] | None = None) -> dict[str, Any]:
    inputs = {"tiles": tiles, "name": name, "first": first}
    return {"class_type": WRITE, "inputs": inputs if layout is None else {**inputs, "layout": layout}}
