"""Workflow files: what is in them, where their picture comes in and goes out, and the prompt that a server is sent.

A file is in the form that the editor saves (UI), which has to be converted first, or in the one it exports (API), which is the
prompt itself. The conversion is comfy-cli's and needs the server's list of nodes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .process.host_error import HostError
from .process.json_text import parse_json
from .workflow_shape import graphs_of, is_prompt, link_of, title_of, wrong_in_editors_file

Prompt = dict[str, dict[str, Any]]

LOADER = "LoadImage"
PICTURE_INPUT, PREFIX_INPUT = "image", "filename_prefix"
# Nodes that only write a file or show a picture, and that nobody reads from.
SHOWS = ("PreviewImage", "SaveImage")
UI_ONLY = {"Note", "MarkdownNote", "PrimitiveNode", "Reroute", "GetNode", "SetNode"}
MUTED, BYPASSED = 2, 4
# What decides about the result, of a graph and of a subgraph in the editor's file; of a node all but what is about its looks.
GRAPH = ("id", "nodes", "links", "inputs", "outputs", "widgets")
NODE_LOOKS = {"pos", "size", "flags", "order", "color", "bgcolor", "shape", "showAdvanced"}
NOTES = ("Note", "MarkdownNote")


class WorkflowError(HostError):
    """A workflow that cannot be read, converted, set or run as it was asked."""


@dataclass(frozen=True)
class Workflow:
    """A workflow file: where it lies, and what is in it."""

    path: Path
    saved: dict[str, Any]

    @property
    def is_prompt(self) -> bool:
        """Whether it is in the API form already."""
        return "nodes" not in self.saved

    def canonical(self) -> Any:
        """What of the file decides about the result: without places, sizes, colours and notes."""
        return self.saved if self.is_prompt else _without_looks(self.saved)


@dataclass(frozen=True)
class Setting:
    """One input that is given another value: `node` is an id, a title or a kind of node."""

    node: str
    input: str
    value: Any


def read_workflow(path: Path) -> Workflow:
    """The workflow in the file `path`. Raises WorkflowError where it is none."""
    try:
        # Some editors of Windows put a mark at the beginning of a text.
        saved = parse_json(path.read_text("utf-8-sig"))
    except OSError as error:
        raise WorkflowError(f"The workflow {path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise WorkflowError(f"{path} is no workflow: {error}.") from error
    if isinstance(saved, dict) and isinstance(saved.get("prompt"), dict) and "nodes" not in saved:
        # What a program posts to /prompt, saved as it is.
        saved = saved["prompt"]
    if not isinstance(saved, dict) or not (isinstance(saved.get("nodes"), list) or is_prompt(saved)):
        raise WorkflowError(f"{path} is no workflow: neither what the editor saves nor what its *Export (API)* writes.")
    workflow = Workflow(path, saved)
    wrong = "" if workflow.is_prompt else wrong_in_editors_file(saved)
    if wrong:
        raise WorkflowError(f"{path} is no workflow: {wrong}, which the editor never saves.")
    return workflow


def needs_converter(workflow: Workflow) -> None:
    """Raise WorkflowError where the file has to be converted and comfy-cli is not there to do it."""
    if not workflow.is_prompt:
        _converter(workflow.path)


def to_prompt(workflow: Workflow, object_info: Mapping[str, Any]) -> Prompt:
    """The prompt of a workflow, converted with the server's answer at /object_info; a copy, to change as one likes.

    Raises WorkflowError where it cannot be converted or has nodes that the server does not know.
    """
    if workflow.is_prompt:
        prompt = copy.deepcopy(workflow.saved)
        unknown = {str(part.get("class_type")) for part in prompt.values()} - set(object_info)
    else:
        convert, cannot = _converter(workflow.path)
        try:
            unknown = _unknown_kinds(workflow.saved, object_info)
            prompt = {} if unknown else _as_saved(convert(workflow.saved, dict(object_info)), workflow.saved)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, RecursionError, cannot) as error:
            raise WorkflowError(f"The workflow {workflow.path} cannot be converted: {error}") from error
    if unknown:
        raise WorkflowError(
            f"The server does not know these nodes of the workflow: {', '.join(sorted(unknown))}. Their pack is not installed "
            "or failed to load; the server's log says which."
        )
    return prompt


def parse_setting(text: str) -> Setting:
    """`node.input=value` as a setting; the value is JSON where it can be read as such, else the text itself.

    Raises WorkflowError where the text has another form.
    """
    place, equals, value = text.partition("=")
    node, dot, name = place.rpartition(".")
    if not (equals and dot and node and name):
        raise WorkflowError(f"--set {text!r} is not of the form node.input=value, for instance --set 4.upscale_by=2.")
    try:
        return Setting(node, name, parse_json(value))
    except ValueError:
        return Setting(node, name, value)


def with_settings(prompt: Prompt, settings: Iterable[Setting]) -> Prompt:
    """A copy of `prompt` with inputs set; the last one that sets an input counts.

    Raises WorkflowError for a node or an input that is not there, or a value of another kind than the one that is there.
    """
    prompt = copy.deepcopy(prompt)
    for setting in settings:
        node = find_node(prompt, setting.node)
        inputs = prompt[node]["inputs"]
        if setting.input not in inputs:
            raise WorkflowError(f"{describe(prompt, node)} has no input {setting.input!r}; it has {', '.join(inputs) or 'none'}.")
        before = inputs[setting.input]
        if not _alike(before, setting.value):
            other = f"{json.dumps(setting.value)} is another kind of value"
            raise WorkflowError(f"{describe(prompt, node)}: {setting.input} is {json.dumps(before)}, and {other}.")
        inputs[setting.input] = setting.value
    return prompt


def find_node(prompt: Prompt, named: str) -> str:
    """The id of the one node that `named` is the id, the title or the kind of. Raises WorkflowError for none and for several."""
    if named in prompt:
        return named
    found = [key for key, part in prompt.items() if named in (title_of(part), part.get("class_type"))]
    if len(found) == 1:
        return found[0]
    choice = found or list(prompt)
    why = f"{len(found)} nodes are called {named!r}" if found else f"No node is called {named!r} (by its id, its title or its kind)"
    raise WorkflowError(f"{why}: {'; '.join(describe(prompt, key) for key in choice[:40])}.")


def find_load(prompt: Prompt, named: str | None = None) -> str:
    """The id of the node that the picture comes in by: the one Load Image, or the one that is named.

    Raises WorkflowError where there is no such node, where several are and none is named, or where the named one has no input `image`.
    """
    if named is not None:
        node = find_node(prompt, named)
        if not isinstance(prompt[node]["inputs"].get(PICTURE_INPUT), str):
            raise WorkflowError(f"{describe(prompt, node)} loads no picture: it has no input {PICTURE_INPUT!r} with a file's name in it.")
        return node
    return _only(prompt, [key for key, part in prompt.items() if part.get("class_type") == LOADER], "Load Image", "--load")


def find_save(prompt: Prompt, named: str | None = None) -> str:
    """The id of the node that writes the result: the one with an input `filename_prefix`, or the one that is named.

    Raises WorkflowError where there is no such node, where several are and none is named, or where the named one has no such input.
    """
    saves = [key for key, part in prompt.items() if isinstance(part["inputs"].get(PREFIX_INPUT), str)]
    if named is None:
        return _only(prompt, saves, "Save Image", "--save")
    by_prefix = [key for key in saves if prompt[key]["inputs"][PREFIX_INPUT] == named]
    node = by_prefix[0] if len(by_prefix) == 1 and named not in prompt else find_node(prompt, named)
    if node not in saves:
        raise WorkflowError(f"{describe(prompt, node)} saves nothing: it has no input {PREFIX_INPUT!r}.")
    return node


def for_one_picture(prompt: Prompt, load: str, save: str, picture: str, prefix: str) -> Prompt:
    """A copy of `prompt` that loads `picture` and saves as `prefix`, without the other nodes that save or show pictures."""
    read = {value[0] for part in prompt.values() for value in part["inputs"].values() if link_of(value)}
    aside = {
        key
        for key, part in prompt.items()
        if key != save and key not in read and (part.get("class_type") in SHOWS or isinstance(part["inputs"].get(PREFIX_INPUT), str))
    }
    made = {key: copy.deepcopy(part) for key, part in prompt.items() if key not in aside}
    made[load]["inputs"][PICTURE_INPUT] = picture
    made[save]["inputs"][PREFIX_INPUT] = prefix
    return made


def describe(prompt: Prompt, node: str) -> str:
    """A node for a person: its title or kind, its id, and its file where it loads or saves one."""
    part = prompt[node]
    inputs = part["inputs"]
    file = inputs.get(PREFIX_INPUT) or (inputs.get(PICTURE_INPUT) if part.get("class_type") == LOADER else None)
    return f"{title_of(part) or part.get('class_type')} (node {node}{f', {file}' if isinstance(file, str) else ''})"


def texts(prompt_or_saved: Any) -> Iterable[str]:
    """Every text in a workflow: names of models and files are among them."""
    if isinstance(prompt_or_saved, str):
        yield prompt_or_saved
    elif isinstance(prompt_or_saved, Mapping):
        for value in prompt_or_saved.values():
            yield from texts(value)
    elif isinstance(prompt_or_saved, (list, tuple)):
        for value in prompt_or_saved:
            yield from texts(value)


def _unknown_kinds(saved: Mapping[str, Any], object_info: Mapping[str, Any]) -> set[str]:
    """The kinds of nodes in the editor's file that the server does not know and would have to run."""
    subgraphs = graphs_of(saved)
    known = {*object_info, *UI_ONLY, *(graph["id"] for graph in subgraphs)}
    nodes = [node for graph in (saved, *subgraphs) for node in graph.get("nodes", [])]
    return {str(node.get("type")) for node in nodes if node.get("mode") not in (MUTED, BYPASSED)} - known


def _as_saved(prompt: Prompt, saved: Mapping[str, Any]) -> Prompt:
    """The converted prompt without values for sockets that are left open: comfy-cli gives those the type's default, the editor none."""
    graphs = {graph["id"]: graph for graph in graphs_of(saved)}
    for path, node in _nodes_within(saved, graphs):
        inputs = prompt.get(path, {}).get("inputs", {})
        for socket in node.get("inputs") or []:
            if socket.get("link") is None and "widget" not in socket and not link_of(inputs.get(socket["name"])):
                inputs.pop(socket["name"], None)
    return prompt


def _nodes_within(graph: Mapping[str, Any], graphs: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(id in the prompt, node) of every node, those of subgraphs as often as they stand in the workflow."""
    for node in graph.get("nodes", []):
        path = f"{above}{node['id']}"
        if node.get("type") in graphs:
            # Without itself: a hostile file may put a subgraph into itself.
            others = {name: inner for name, inner in graphs.items() if name != node["type"]}
            yield from _nodes_within(graphs[node["type"]], others, f"{path}:")
        else:
            yield path, node


def _converter(path: Path) -> tuple[Any, type[Exception]]:
    try:
        from comfy_cli.workflow_to_api import WorkflowConversionError, convert_ui_to_api
    except ImportError as error:
        raise WorkflowError(
            f"{path} is in the form that the editor saves, and comfy-cli, which converts that, is not installed. Either export the "
            "workflow in ComfyUI with File > Export (API) and name that file, or install comfy-cli (pip install comfy-cli) in the Python "
            "that runs farm.py."
        ) from error
    return convert_ui_to_api, WorkflowConversionError


def _alike(before: Any, after: Any) -> bool:
    """Whether a value may stand where another one stood; a link may be replaced by any value."""
    numbers = (int, float)
    if isinstance(before, bool) or isinstance(after, bool):
        return isinstance(before, bool) == isinstance(after, bool) or bool(link_of(before))
    if isinstance(before, numbers):
        return isinstance(after, numbers)
    return bool(link_of(before)) or not isinstance(before, str) or isinstance(after, str)


def _only(prompt: Prompt, found: list[str], what: str, option: str) -> str:
    if len(found) == 1:
        return found[0]
    if not found:
        raise WorkflowError(f"The workflow has no {what}: name the node that is meant with {option}.")
    listed = "; ".join(describe(prompt, key) for key in found)
    raise WorkflowError(f"The workflow has {len(found)} nodes that may be meant: name one with {option} (its id, or its title): {listed}.")


def _without_looks(saved: dict[str, Any]) -> list[dict[str, Any]]:
    """The graph and its subgraphs without places, sizes, colours and notes."""
    graphs = [{**saved, "id": None}, *graphs_of(saved)]
    bare = []
    for graph in graphs:
        nodes = [node for node in graph.get("nodes", []) if node.get("type") not in NOTES]
        kept = {name: graph[name] for name in GRAPH if name in graph}
        kept["nodes"] = [{name: value for name, value in node.items() if name not in NODE_LOOKS} for node in nodes]
        bare.append(kept)
    return bare
