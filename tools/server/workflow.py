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
from ..process.loopback import get, get_json, post_json

POLL_SECONDS = 0.05
UI_ONLY = {"Note", "MarkdownNote", "PrimitiveNode", "Reroute", "GetNode", "SetNode"}
MUTED, BYPASSED = 2, 4


class WorkflowError(HostError):
    """A workflow that cannot be read, converted or run."""


def convert(workflow: Path | str | dict[str, Any], object_info: dict[str, Any]) -> dict[str, Any]:
    """A workflow as the editor saves it (a file, or what is in it), as the prompt that the server takes; a prompt stays as it is.

    Raises WorkflowError where it is no workflow, or uses nodes that are not in `object_info`, the server's answer at /object_info.
    """
    # Part of comfy-cli, which only the virtual environment has.
    from comfy_cli.workflow_to_api import WorkflowConversionError, convert_ui_to_api

    try:
        saved = workflow if isinstance(workflow, dict) else json.loads(Path(workflow).read_text("utf-8"))
        subgraphs = saved.get("definitions", {}).get("subgraphs", [])
        known = {*object_info, *UI_ONLY, *(graph.get("id") for graph in subgraphs)}
        # None for a prompt, which has no list of nodes.
        nodes = [node for graph in [saved, *subgraphs] for node in graph.get("nodes", [])]
        unknown = {str(node.get("type")) for node in nodes if node.get("mode") not in (MUTED, BYPASSED)} - known
        if not unknown:
            return convert_ui_to_api(saved, object_info)
    except (ValueError, TypeError, AttributeError, WorkflowConversionError) as error:
        raise WorkflowError(f"This is no workflow, or one that cannot be converted ({error}): {workflow}"[:600]) from error
    raise WorkflowError(
        f"The server does not know these nodes of the workflow: {', '.join(sorted(unknown))}. Their pack is not "
        "installed or failed to load; the server's log says which."
    )


def run(url: str, prompt: dict[str, Any], timeout: float = 120) -> dict[str, Any]:
    """Run `prompt` on the server at `url` and return its entry in the server's history.

    Raises WorkflowError where the server refused the prompt, a node failed, or `timeout` seconds passed.
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
    prompt_id, give_up = accepted["prompt_id"], time.monotonic() + timeout
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
        return _node_errors(answer.get("node_errors") or {}, prompt) or f"The server refused the workflow: {answer['error']['message']}."
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"The server refused the workflow (status {error.code}): {body[:300]}"


def _node_errors(node_errors: dict[str, Any], prompt: dict[str, Any]) -> str:
    """Every fault that the server found, "" where it names none."""
    said = [
        f"{prompt.get(number, {}).get('class_type', '?')} (node {number}): {one.get('message')}: {one.get('details')}"
        for number, report in node_errors.items()
        for one in report.get("errors", [])
    ]
    return f"The server refused the workflow. {'; '.join(dict.fromkeys(said))}." if said else ""


def _failure(entry: dict[str, Any]) -> str:
    for kind, said in entry.get("status", {}).get("messages", []):
        if kind in ("execution_error", "execution_interrupted"):
            what = f"failed: {said.get('exception_message', '').strip()}" if kind == "execution_error" else "was interrupted"
            return f"{said.get('node_type')} (node {said.get('node_id')}) {what}"
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
