"""The shape of a workflow's parts: what is a node, a link, a title; and which part of a file is none of what it stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Link = tuple[str, int]


def link_of(value: Any) -> Link | None:
    """(node id, output) where an input's value is a link, which ComfyUI writes as [id, output]."""
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)):
        return None
    slot = value[1]
    whole = type(slot) is int or (isinstance(slot, float) and slot.is_integer())
    return (value[0], int(slot)) if whole and slot >= 0 else None


def title_of(node: Mapping[str, Any]) -> str | None:
    """The title that a person gave to a node of a prompt."""
    about = node.get("_meta")
    title = about.get("title") if isinstance(about, Mapping) else None
    return title if isinstance(title, str) else None


def is_prompt(saved: Any) -> bool:
    """Whether it is what ComfyUI runs (its API form): a table of nodes, at least one, each with its kind and its inputs."""
    return (
        isinstance(saved, dict)
        and bool(saved)
        and all(
            isinstance(part, dict) and isinstance(part.get("class_type"), str) and isinstance(part.get("inputs"), dict)
            for part in saved.values()
        )
    )


def wrong_in_editors_file(saved: Mapping[str, Any]) -> str:
    """The first part of the form that the editor saves that is not what it stands for, in words; "" where all are."""
    return next(_faults(saved), "")


def graphs_of(saved: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The subgraphs that the editor's file defines."""
    return (saved.get("definitions") or {}).get("subgraphs") or []


def _faults(saved: Mapping[str, Any]) -> Iterator[str]:
    definitions = saved.get("definitions") or {}
    if not isinstance(definitions, dict):
        yield f"definitions is {_short(definitions)}"
        return
    yield from _faults_of_nodes(saved, "")
    subgraphs = definitions.get("subgraphs") or []
    if not isinstance(subgraphs, list):
        yield f"definitions.subgraphs is {_short(subgraphs)}"
        return
    for index, graph in enumerate(subgraphs):
        place = f"definitions.subgraphs[{index}]"
        if not (isinstance(graph, dict) and isinstance(graph.get("id"), str)):
            yield f"{place} is {_short(graph)}"
        else:
            yield from _faults_of_nodes(graph, f"{place}.")


def _faults_of_nodes(graph: Mapping[str, Any], above: str) -> Iterator[str]:
    nodes = graph.get("nodes", [])
    if not isinstance(nodes, list):
        yield f"{above}nodes is {_short(nodes)}"
        return
    for index, node in enumerate(nodes):
        place = f"{above}nodes[{index}]"
        if not (isinstance(node, dict) and type(node.get("id")) in (int, str) and isinstance(node.get("type"), str)):
            yield f"{place} is {_short(node)}"
            continue
        sockets = node.get("inputs") or []
        if not isinstance(sockets, list) or not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in sockets):
            yield f"{place}.inputs is {_short(sockets)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
