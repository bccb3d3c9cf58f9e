"""A server's queue: hand in a prompt, follow it to its end, say in words what went wrong.

    entry = QueueClient("http://127.0.0.1:8188").run(prompt, on_progress=print)  # its entry in the server's history

Progress comes over a websocket of the standard library (websocket.py); without it a run is followed by its history alone.
"""

from __future__ import annotations

import http.client
import math
import time
import urllib.error
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .process.host_error import HostError
from .process.json_text import as_list, as_table, parse_json
from .process.loopback import get_json, post_json

if TYPE_CHECKING:
    from .websocket import Listener

# The history is asked so often: at once for a run of a second, less for one of minutes, and seldom where the server says by itself
# that a run is over. Each answer takes time from the run.
POLL_SECONDS, SLOW_POLL_SECONDS, POLL_SHARE = 0.05, 0.5, 0.02
# A server that is busy loading a model answers late; one that refuses connections for so long is gone.
SILENT_SECONDS = 60
OUT_OF_MEMORY = ("OutOfMemoryError", "OOM_EXCEPTION", "MemoryError")
SAID_DISK_FULL = ("no space left on device", "disk quota exceeded", "not enough space on the disk")
SAID_OUT_OF_MEMORY = ("out of memory", "not enough memory", "cannot allocate memory", "failed to allocate")


class ServerLostError(HostError):
    """The server has ended or does not answer any more: the picture may well be fine."""


class RunRefusedError(HostError):
    """The server did not take the prompt: a node or an input of it is wrong."""


class RunFailedError(HostError):
    """A node failed.

    Attributes:
        node, node_type: which one.
        exception: the name of the exception's class.
    """

    def __init__(self, message: str, node: str = "", node_type: str = "", exception: str = "") -> None:
        super().__init__(message)
        self.node, self.node_type, self.exception = node, node_type, exception

    @property
    def out_of_memory(self) -> bool:
        """Whether it was the memory that did not suffice."""
        said = self.message.lower()
        return self.exception.split(".")[-1] in OUT_OF_MEMORY or any(words in said for words in SAID_OUT_OF_MEMORY)


class DiskFullError(HostError):
    """A disk of the server's machine is full: the picture may well be fine."""


class RunCancelledError(HostError):
    """Somebody interrupted the run or took it from the queue."""


class RunTooLongError(HostError):
    """The time that was given has passed; the run has been cancelled."""


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        node, node_type: the node at work.
        done, total: of its own steps, 0 of 0 where it does not count any.
        nodes_done, nodes: of the whole prompt.
    """

    node: str
    node_type: str
    done: float
    total: float
    nodes_done: int
    nodes: int


OnProgress = Callable[[Progress], object]


class QueueClient:
    """The queue of the server at `address` ("http://HOST:PORT"); several threads may use one."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._object_info: dict[str, Any] | None = None

    def object_info(self) -> dict[str, Any]:
        """What the server knows about its nodes, asked once. Raises ServerLostError where it does not answer."""
        if self._object_info is None:
            try:
                told = get_json(self.address + "/object_info")
            except (OSError, ValueError) as error:
                raise ServerLostError(f"The server at {self.address} does not answer: {error}") from error
            if not all(isinstance(about, dict) for about in told.values()):
                raise ServerLostError(f"The server at {self.address} tells nothing of its nodes: is it a ComfyUI?")
            self._object_info = told
        return self._object_info

    def run(
        self,
        prompt: Mapping[str, Any],
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        check: Callable[[], object] = lambda: None,
        workflow: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Run `prompt` and return its entry in the server's history.

        Args:
            on_progress: takes a Progress for each step that the server tells; called from this thread.
            timeout: in seconds, from now; None for as long as it takes.
            check: called over and over; what it raises ends the wait (for instance `server.check_alive`).
            workflow: what the editor saved, which goes into the files that are written, as from the editor.

        Raises RunRefusedError, RunFailedError, RunCancelledError, RunTooLongError or ServerLostError.
        Whatever ends the wait, Ctrl-C too, cancels the run.
        """
        from .websocket import Listener

        client_id = uuid.uuid4().hex
        with Listener(self.address, client_id, prompt, on_progress) as listener:
            prompt_id = self.submit(prompt, client_id, workflow)
            try:
                return self._wait(prompt_id, listener, timeout, check)
            except RunFailedError:
                raise
            except BaseException:
                self.cancel(prompt_id)
                raise

    def submit(self, prompt: Mapping[str, Any], client_id: str = "", workflow: Mapping[str, Any] | None = None) -> str:
        """Hand in `prompt`; returns its id. Raises RunRefusedError, with every fault that the server found, or ServerLostError."""
        asked: dict[str, Any] = {"prompt": prompt, "client_id": client_id or uuid.uuid4().hex}
        if workflow is not None:
            asked["extra_data"] = {"extra_pnginfo": {"workflow": workflow}}
        try:
            accepted = post_json(self.address + "/prompt", asked)
        except urllib.error.HTTPError as error:
            raise RunRefusedError(_refusal(error, prompt)) from error
        except (OSError, ValueError) as error:
            raise ServerLostError(f"The server at {self.address} does not answer: {error}") from error
        prompt_id = accepted.get("prompt_id")
        if not isinstance(prompt_id, str):
            raise ServerLostError(f"The server at {self.address} took the workflow and did not say under which name: is it a ComfyUI?")
        if accepted.get("node_errors"):
            # The server runs the outputs that are sound and would leave the others out in silence.
            self.cancel(prompt_id)
            raise RunRefusedError(_node_errors(accepted["node_errors"], prompt) or "The server refused the workflow.")
        return prompt_id

    def cancel(self, prompt_id: str) -> None:
        """Take a run out of the queue, or interrupt it where it is at work; others are left alone. Never raises."""
        for path, said in (("/queue", {"delete": [prompt_id]}), ("/interrupt", {"prompt_id": prompt_id})):
            try:
                self._post(path, said)
            except OSError:
                return

    def forget(self, prompt_id: str) -> None:
        """Delete a run from the server's history, which would grow for ever. Never raises."""
        try:
            self._post("/history", {"delete": [prompt_id]})
        except OSError:
            return

    def _post(self, path: str, value: Any) -> None:
        # These answers have no body, so there is no JSON to read.
        try:
            post_json(self.address + path, value)
        except ValueError:
            return

    def _wait(self, prompt_id: str, listener: Listener, timeout: float | None, check: Callable[[], object]) -> dict[str, Any]:
        """The history entry of a run that has ended well."""
        begun = heard = time.monotonic()
        over = False
        while True:
            check()
            now = time.monotonic()
            if timeout is not None and now - begun > timeout:
                raise RunTooLongError(f"The run was not done after {timeout:g} seconds and has been cancelled.")
            try:
                entry = get_json(f"{self.address}/history/{prompt_id}").get(prompt_id)
                heard = now
            except (OSError, ValueError) as error:
                entry = None
                if now - heard > SILENT_SECONDS:
                    raise ServerLostError(f"The server at {self.address} stopped answering during the run: {error}") from error
            if entry:
                entry = {**as_table(entry), "prompt_id": prompt_id}
                status = entry.get("status")
                # What is in the history is over; not every server says how.
                if not isinstance(status, dict) or status.get("completed"):
                    return entry
                if status.get("status_str") == "error":
                    raise _failure(status)
            # The history may lag behind the end of the run.
            pause = POLL_SECONDS if over else SLOW_POLL_SECONDS if listener.hears else max(POLL_SECONDS, POLL_SHARE * (now - begun))
            over = listener.listen(min(pause, SLOW_POLL_SECONDS, max(0.0, begun + (timeout or math.inf) - now))) or over


def written(entry: Mapping[str, Any], node: str) -> list[dict[str, Any]]:
    """The records of the files that `node` wrote in a run, previews left out, in the order it wrote them."""
    output = as_table(as_table(entry.get("outputs")).get(node))
    files = [one for value in output.values() for one in as_list(value) if isinstance(one, dict) and isinstance(one.get("filename"), str)]
    return [one for one in files if one.get("type") == "output" and isinstance(one.get("subfolder") or "", str)]


def shown_texts(entry: Mapping[str, Any]) -> dict[str, list[str]]:
    """The texts that nodes showed in a run (Seam Check's and Fidelity Check's tables among them), by node id."""
    outputs = as_table(entry.get("outputs"))
    shown = {node: as_list(as_table(output).get("text")) for node, output in outputs.items()}
    return {node: [str(text) for text in texts] for node, texts in shown.items() if texts}


def _refusal(error: urllib.error.HTTPError, prompt: Mapping[str, Any]) -> str:
    try:
        body = error.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        body = ""
    try:
        answer = as_table(parse_json(body))
        return _node_errors(answer.get("node_errors"), prompt) or f"The server refused the workflow: {answer['error']['message']}."
    except (ValueError, KeyError, TypeError):
        return f"The server refused the workflow (status {error.code}): {body[:300]}"


def _node_errors(node_errors: Any, prompt: Mapping[str, Any]) -> str:
    """Every fault that the server found, "" where it names none."""
    said = [
        f"{prompt.get(number, {}).get('class_type', '?')} (node {number}): {one.get('message')}: {one.get('details')}"
        for number, report in as_table(node_errors).items()
        for one in map(as_table, as_list(as_table(report).get("errors")))
    ]
    return f"The server refused the workflow. {'; '.join(dict.fromkeys(said))}." if said else ""


def _failure(status: Mapping[str, Any]) -> HostError:
    for message in as_list(status.get("messages")):
        kind, said = (message[0], as_table(message[1])) if isinstance(message, list) and len(message) == 2 else ("", {})
        where = f"{said.get('node_type')} (node {said.get('node_id')})"
        if kind == "execution_interrupted":
            return RunCancelledError(f"{where} was interrupted.")
        if kind == "execution_error":
            words = str(said.get("exception_message", "")).strip()
            if any(full in words.lower() for full in SAID_DISK_FULL):
                return DiskFullError(
                    f"A disk is full: {where} failed: {words}. Free some space, or name a larger disk for ComfyUI with --work."
                )
            return RunFailedError(
                f"{where} failed: {words}", str(said.get("node_id")), str(said.get("node_type")), str(said.get("exception_type"))
            )
    return RunFailedError("The run failed, and the server did not say why; its log does.")
