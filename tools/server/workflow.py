"""Running a saved workflow on a server, over HTTP as any other program would."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import uuid
from pathlib import Path
from typing import Any

from ..process.host_error import HostError
from .loopback import get, get_json, post_json

POLL_SECONDS = 0.05
UI_ONLY = {"Note", "MarkdownNote", "PrimitiveNode", "Reroute", "GetNode", "SetNode"}
MUTED, BYPASSED = 2, 4


class WorkflowError(HostError):
    """A workflow that cannot be read, converted or run."""


def convert(workflow: Path | str | dict[str, Any], object_info: dict[str, Any]) -> dict[str, Any]:
    """A workflow as the editor saves it, as the prompt that the server takes.

    Args:
        workflow: the saved file, or what is in it. A prompt is returned as it is.
        object_info: what the server answers at /object_info.

    Raises:
        WorkflowError: the file is no workflow, or uses nodes that the server does not know.
    """
    # Part of comfy-cli, which only the virtual environment has.
    from comfy_cli.workflow_to_api import WorkflowConversionError, convert_ui_to_api

    saved = workflow if isinstance(workflow, dict) else _read(Path(workflow))
    known = {*object_info, *UI_ONLY, *(graph.get("id") for graph in _subgraphs(saved))}
    unknown = {str(node.get("type")) for node in _running_nodes(saved)} - known
    if unknown:
        raise WorkflowError(
            f"The server does not know these nodes of the workflow: {', '.join(sorted(unknown))}. Their pack is not "
            "installed or failed to load; the server's log says which."
        )
    try:
        return convert_ui_to_api(saved, object_info)
    except WorkflowConversionError as error:
        raise WorkflowError(f"The workflow cannot be converted: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        saved = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise WorkflowError(f"The workflow {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise WorkflowError(f"The workflow {path} is not JSON: {error}") from error
    if not isinstance(saved, dict):
        raise WorkflowError(f"The workflow {path} is JSON, but not a workflow.")
    return saved


def _running_nodes(saved: dict[str, Any]) -> list[dict[str, Any]]:
    """The nodes that would run, also those inside subgraphs; none for a prompt."""
    nodes = [node for graph in [saved, *_subgraphs(saved)] for node in _dicts(graph.get("nodes"))]
    return [node for node in nodes if node.get("mode") not in (MUTED, BYPASSED)]


def _subgraphs(saved: dict[str, Any]) -> list[dict[str, Any]]:
    definitions = saved.get("definitions")
    return _dicts(definitions.get("subgraphs")) if isinstance(definitions, dict) else []


def _dicts(values: Any) -> list[dict[str, Any]]:
    """The dicts in a list; files are untrusted, so it may not even be one."""
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def run(url: str, prompt: dict[str, Any], timeout: float = 120) -> dict[str, Any]:
    """Run `prompt` on the server at `url` and return its entry in the server's history.

    Raises:
        WorkflowError: the server refused the prompt, a node failed, or `timeout` seconds passed.
    """
    try:
        accepted = post_json(url + "/prompt", {"prompt": prompt, "client_id": uuid.uuid4().hex})
    except urllib.error.HTTPError as error:
        raise WorkflowError(_refusal(error, prompt)) from error
    except OSError as error:
        raise WorkflowError(f"The server at {url} does not answer: {error}") from error
    if accepted.get("node_errors"):
        # The server runs the outputs that are sound and would leave the others out in silence.
        raise WorkflowError(_node_errors(accepted["node_errors"], prompt))
    return _wait(url, accepted["prompt_id"], timeout)


def _wait(url: str, prompt_id: str, timeout: float) -> dict[str, Any]:
    give_up = time.monotonic() + timeout
    while time.monotonic() < give_up:
        try:
            # The history may lag behind the end of the run, so it is asked until it knows.
            entry = get_json(f"{url}/history/{prompt_id}").get(prompt_id)
        except OSError as error:
            raise WorkflowError(f"The server at {url} stopped answering during the run: {error}") from error
        if entry and entry.get("status", {}).get("completed"):
            return entry
        if entry and entry.get("status", {}).get("status_str") == "error":
            raise WorkflowError(_failure(entry))
        time.sleep(POLL_SECONDS)
    raise WorkflowError(f"The workflow was not done after {timeout:g} seconds.")


def _refusal(error: urllib.error.HTTPError, prompt: dict[str, Any]) -> str:
    body = error.read().decode("utf-8", "replace")
    try:
        answer = json.loads(body)
        node_errors = answer.get("node_errors")
        summary = answer["error"]["message"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"The server refused the workflow (status {error.code}): {body[:300]}"
    return _node_errors(node_errors, prompt) if node_errors else f"The server refused the workflow: {summary}."


def _node_errors(node_errors: dict[str, Any], prompt: dict[str, Any]) -> str:
    said = []
    for number, report in node_errors.items():
        kind = prompt.get(number, {}).get("class_type", "?")
        said += [f"{kind} (node {number}): {one.get('message')}: {one.get('details')}" for one in report.get("errors", [])]
    return "The server refused the workflow. " + "; ".join(dict.fromkeys(said)) + "."


def _failure(entry: dict[str, Any]) -> str:
    for kind, said in entry.get("status", {}).get("messages", []):
        if kind == "execution_error":
            return f"{said.get('node_type')} (node {said.get('node_id')}) failed: {said.get('exception_message', '').strip()}"
        if kind == "execution_interrupted":
            return f"The run was interrupted at {said.get('node_type')} (node {said.get('node_id')})."
    return "The run failed, and the server did not say why; its log does."


def images(entry: dict[str, Any]) -> list[dict[str, str]]:
    """The pictures that a run wrote to its output folder, in the order of their nodes."""
    written = [image for output in entry.get("outputs", {}).values() for image in output.get("images", [])]
    return [image for image in written if image.get("type") == "output"]


def fetch(url: str, image: dict[str, str]) -> bytes:
    """A picture of a history entry, as the file the server wrote."""
    wanted = {name: image[name] for name in ("filename", "subfolder", "type")}
    try:
        return get(f"{url}/view?{urllib.parse.urlencode(wanted)}")
    except OSError as error:
        raise WorkflowError(f"The server did not give {image.get('filename')}: {error}") from error
