"""Running a saved workflow on a server, over HTTP as any other program would."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import Any

from .. import queue_client, workflow_file
from ..process.host_error import HostError
from ..process.loopback import get


class WorkflowError(HostError):
    """A workflow that cannot be read, converted or run."""


def convert(workflow: Path | str | dict[str, Any], object_info: dict[str, Any]) -> dict[str, Any]:
    """A workflow as the editor saves it (a file, or what is in it), as the prompt that the server takes; a prompt stays as it is.

    Raises WorkflowError where it is no workflow, or uses nodes that are not in `object_info`, the server's answer at /object_info.
    """
    try:
        if isinstance(workflow, dict):
            return workflow_file.to_prompt(workflow_file.Workflow(Path("the workflow"), workflow), object_info)
        return workflow_file.to_prompt(workflow_file.read_workflow(Path(workflow)), object_info)
    except workflow_file.WorkflowError as error:
        raise WorkflowError(error.message) from error


def run(url: str, prompt: dict[str, Any], timeout: float = 120) -> dict[str, Any]:
    """Run `prompt` on the server at `url` and return its entry in the server's history.

    Raises WorkflowError where the server refused the prompt, a node failed, or `timeout` seconds passed.
    """
    try:
        return queue_client.QueueClient(url).run(prompt, timeout=timeout)
    except HostError as error:
        raise WorkflowError(error.message) from error


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
