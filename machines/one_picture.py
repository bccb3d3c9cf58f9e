"""One picture through a workflow on a server: handed in, followed, and its result put where it belongs."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .comfy_server import AnyServer
from .one_job import Job
from .picture_file import check_is_whole
from .process.host_error import HostError
from .queue_client import DiskFullError, OnProgress, RunFailedError, ServerLostError, shown_texts, written
from .result_file import check_name, is_there, place, what_changed, write_refused
from .work_key import WorkKey, named_inputs
from .workflow_file import WorkflowError

MADE, THERE, REFUSED = "made", "there", "refused"
FOLDER = "tilework-farm"
# What the nodes that come with ComfyUI write; what others do is seen when they have.
SAVED_AS = {"SaveImage": ".png", "SaveAnimatedPNG": ".png", "SaveAnimatedWEBP": ".webp"}
LAST_WORDS_SECONDS = 5.0


@dataclass(frozen=True)
class PictureOutcome:
    """What became of a picture.

    Attributes:
        state: "made", "there" (it was made before, nothing was done) or "refused".
        result: the file that there is now, or was to be.
        reason: why it was refused, or why it was made anew; "" where there is nothing to say.
        seconds: what it took.
        out_of_memory: whether it was refused for want of memory.
        texts: what nodes showed, by node id: Seam Check's and Fidelity Check's tables among them.
        nodes: kind of each node of `texts`.
    """

    state: str
    result: Path
    reason: str = ""
    seconds: float = 0.0
    out_of_memory: bool = False
    texts: dict[str, list[str]] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)


def find_result(result: Path, key: WorkKey) -> PictureOutcome | None:
    """The outcome where `result` is there already, made by the work of `key`: nothing has to be done, no server started."""
    return PictureOutcome(THERE, result) if is_there(result, key) else None


def check_paths(picture: Path, result: Path) -> None:
    """Raise HostError where there is no picture to read, or its result would take its place."""
    if not picture.is_file():
        raise HostError(f"There is no picture {picture}.")
    if result.is_dir():
        raise HostError(f"{result} is a folder: --out names the file that is made.")
    if not result.suffix:
        raise HostError(f"{result} has no ending: name it as Save Image writes it, for instance {result.name}.png.")
    check_name(result)
    if result.resolve() == picture.resolve():
        raise HostError(f"{result} is the picture itself: name another file for the result.")


def run_one(
    server: AnyServer,
    job: Job,
    picture: Path,
    result: Path,
    key: WorkKey | None = None,
    on_progress: OnProgress | None = None,
    timeout: float | None = None,
) -> PictureOutcome:
    """Run `job` for `picture` on `server` and put what it saves to `result`; never asks whether that is there already.

    Several threads may do so on one server. What is wrong with the picture or the workflow is an outcome, written down beside the
    result; `texts` of the outcome go into its key file.

    Args:
        key: of this work, None where it is not known: then no later call takes the result for done.
        on_progress: takes a Progress for each step.
        timeout: in seconds; None for as long as it takes.
    Raises ServerLostError where the server is gone, DiskFullError or OSError where a disk is full or refuses, HostError where a path
    cannot be used.
    """
    check_paths(picture, result)
    begun = time.monotonic()
    why = what_changed(result, key) if key else ""
    try:
        texts, nodes = _run(server, job, picture, result, key, on_progress, timeout)
    except DiskFullError:
        # Of the machine, and no picture's.
        raise
    except ServerLostError:
        # Its own last words say more than a connection that broke.
        server.check_alive(LAST_WORDS_SECONDS)
        raise
    except HostError as error:
        server.check_alive()
        full = isinstance(error, RunFailedError) and error.out_of_memory
        write_refused(result, picture, str(error), key, out_of_memory=full)
        return PictureOutcome(REFUSED, result, str(error), time.monotonic() - begun, full)
    return PictureOutcome(MADE, result, why, time.monotonic() - begun, False, texts, nodes)


def _run(
    server: AnyServer,
    job: Job,
    picture: Path,
    result: Path,
    key: WorkKey | None,
    on_progress: OnProgress | None,
    timeout: float | None,
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """What the nodes showed, and their kinds, once `result` is there."""
    begun, mark = time.monotonic(), uuid.uuid4().hex[:16]
    check_is_whole(picture)
    prepared = job.prepare(server.queue.object_info())
    check_ending(prepared.save_kind, result)
    _give_other_inputs(server, job)
    given = server.give(picture, mark + picture.suffix.lower())
    try:
        prompt = prepared.for_picture(given, f"{FOLDER}/{mark}")
        entry = server.queue.run(prompt, on_progress, timeout, server.check_alive, prepared.saved)
        record = _only_result(entry, prepared.save, result)
        texts = shown_texts(entry)
        nodes = {node: prompt[node]["class_type"] for node in texts if node in prompt}
        try:
            with server.read(record) as stream:
                place(stream, result, key, seconds=round(time.monotonic() - begun, 2), texts=texts, nodes=nodes)
        except (ConnectionError, TimeoutError) as error:
            raise ServerLostError(f"The server at {server.address} was gone before the whole result had come: {error}.") from error
        server.discard(record)
        if server.started_by_us:
            server.queue.forget(entry["prompt_id"])
        return texts, nodes
    finally:
        server.take_back(given)


def _give_other_inputs(server: AnyServer, job: Job) -> None:
    """Give a server of ours the other files of ComfyUI's input folder that the workflow names."""
    if server.started_by_us:
        for name, path in named_inputs(set(job.texts()), server.installation):
            server.give_once(path, name)


def _only_result(entry: dict[str, Any], save: str, result: Path) -> dict[str, Any]:
    """The record of the one file that the run saved. Raises WorkflowError for none, for several, and for another kind of file."""
    records = written(entry, save)
    if len(records) != 1:
        raise WorkflowError(f"The run saved {len(records)} files where one was expected: a workflow for one picture is meant to give one.")
    _check_ending(Path(records[0]["filename"]).suffix, result)
    return records[0]


def check_ending(save_kind: str, result: Path) -> None:
    """Raise WorkflowError where a node of this kind is known to save another kind of file than `result` is named for."""
    ending = SAVED_AS.get(save_kind)
    if ending is not None:
        _check_ending(ending, result)


def _check_ending(ending: str, result: Path) -> None:
    if ending.lower() != result.suffix.lower():
        raise WorkflowError(f"The workflow saves a {ending} file: name the result {result.with_suffix(ending).name} and not {result.name}.")
