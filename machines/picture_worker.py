"""A worker of a folder: owns a ComfyUI of its own and makes one picture after the other. Knows no Ray."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .comfy_server import ComfyServer
from .folder_pictures import FolderPictures
from .installation import Installation
from .kept_server import KeptServer
from .one_job import Job
from .one_picture import REFUSED, PictureOutcome, check_paths, find_result, run_one
from .process.host_error import HostError, disk_is_full, from_os_error
from .queue_client import Progress, ServerLostError
from .record import BEGUN, ENDED, HELPED, LOST, Record
from .result_file import check_place, refused_because
from .small_pictures import SmallPictures
from .split_tiles import VARIABLE, TilesRun
from .work_key import Surroundings, WorkKey, surroundings_of, work_key
from .workflow_file import Prompt, Setting, Workflow, to_prompt

# Beside those of a picture: it was put aside in an earlier run; this machine could not even try.
ASIDE, BROKEN = "aside", "broken"
MOST_REFUSALS = 2
TILE_SIZES = ("tile_width", "tile_height", "tile_size")
SMALLEST_TILE = 256


@dataclass(frozen=True)
class FolderPlan:
    """What every worker is told: plain values, which go to other machines as they are.

    Attributes:
        folders: with the pictures and for the results; every machine has them under these paths.
        job: what is done with each picture.
        installation: the ComfyUI to start; every machine has it under this path.
        work: below which servers have their folders; None for the system's temporary folder.
        timeout: seconds after which a picture is given up; None for never.
        restart_after: pictures after which ComfyUI is started anew.
        threads: that ComfyUI may use; 0 for as many as it likes.
        split_tiles: whether a picture's tiles are given out, so that several workers can work on it.
    """

    folders: FolderPictures
    job: Job
    installation: Installation
    work: Path | None = None
    timeout: float | None = None
    restart_after: int = 200
    threads: int = 0
    split_tiles: bool = False


@dataclass(frozen=True)
class WorkerOutcome:
    """What became of a picture on a worker.

    Attributes:
        picture: its path below the folder.
        state: "made", "there", "refused", "aside", "lost" or "broken".
        reason: in words, "" where there is nothing to say.
        seconds: what it took.
        smaller: the tile sizes that it was made with after the memory did not suffice, by node and input.
        earlier: how often it had been refused with this key in earlier runs.
    """

    picture: str
    state: str
    reason: str = ""
    seconds: float = 0.0
    smaller: dict[str, int] = field(default_factory=dict)
    earlier: int = 0


class PictureWorker:
    """Makes pictures, two at a time from two threads: while one is at work, the next one is read and handed in.

    Args:
        plan: what all workers are told.
        name: of this worker, in the record.
    """

    def __init__(self, plan: FolderPlan, name: str) -> None:
        self.plan, self.name = plan, name
        self.record = Record(plan.folders.out, name)
        self.server = KeptServer(self._start, plan.restart_after)
        self.small = SmallPictures(plan.installation.python)
        self._around: Surroundings | None = None
        self._lock = threading.Lock()
        self._tiles = 0
        self._now: dict[str, str] = {}

    def make(self, picture: str, attempt: int = 0, refused_keys: Sequence[str] = (), helping: bool = False) -> WorkerOutcome:
        """Make one picture, unless its result is there already or it was refused twice before.

        Args:
            picture: its path below the folder.
            attempt: how often it was tried in this run.
            refused_keys: the work keys that it was refused with in earlier runs.
            helping: whether another worker has it, and the tiles are shared.
        """
        begun = time.monotonic()
        try:
            around = self._surroundings()
        except (OSError, HostError) as error:
            return WorkerOutcome(picture, BROKEN, str(error))
        try:
            source, result = self.plan.folders.picture(picture), self.plan.folders.result(picture)
            check_paths(source, result)
            key = work_key(source, around)
            if find_result(result, key) is not None:
                self.small.ask_for(result, self.plan.folders.small(picture))
                return WorkerOutcome(picture, "there")
            check_place(result)
        except (OSError, HostError) as error:
            if isinstance(error, OSError) and disk_is_full(error):
                return WorkerOutcome(picture, BROKEN, from_os_error(error).message)
            return WorkerOutcome(picture, REFUSED, f"The picture cannot be read, or its result has no place: {error}")
        earlier = list(refused_keys).count(key.digest)
        if earlier >= MOST_REFUSALS:
            why = refused_because(result)
            reason = f"It was put aside in an earlier run{f' ({why})' if why else ''}; --again tries it once more."
            return WorkerOutcome(picture, ASIDE, reason, earlier=earlier)
        try:
            outcome, smaller = self._work(picture, source, result, key, None if helping else attempt)
        except ServerLostError as error:
            return WorkerOutcome(picture, LOST, str(error), time.monotonic() - begun)
        except (OSError, HostError) as error:
            words = from_os_error(error) if isinstance(error, OSError) else error
            return WorkerOutcome(picture, BROKEN, str(words), time.monotonic() - begun)
        finally:
            self._now.pop(picture, None)
        if outcome.state != REFUSED:
            self.small.ask_for(result, self.plan.folders.small(picture), anew=True)
        return WorkerOutcome(picture, outcome.state, outcome.reason, time.monotonic() - begun, smaller, earlier)

    def state(self) -> dict[str, Any]:
        """How far it is: tiles done since it began, what is at work, how often ComfyUI was started."""
        return {"tiles": self._tiles, "now": dict(self._now), "starts": self.server.starts}

    def where(self) -> dict[str, Any]:
        """Which machine and process it is."""
        return {"machine": socket.gethostname(), "pid": os.getpid(), "name": self.name}

    def warm_up(self) -> float:
        """Start ComfyUI now, and read what every work key has in it; returns the seconds. Raises HostError where it does not come up."""
        begun = time.monotonic()
        with self.server.use() as server:
            server.queue.object_info()
            self._surroundings()
            return time.monotonic() - begun

    def close(self) -> None:
        """End ComfyUI, let the small pictures be finished and let go of the record."""
        self.server.close()
        self.small.close()
        self.record.close()

    def _work(self, picture: str, source: Path, result: Path, key: WorkKey, attempt: int | None) -> tuple[PictureOutcome, dict[str, int]]:
        """`attempt` None: another worker has the picture, and writes down what becomes of it."""
        with self.server.use() as server:
            if attempt is None:
                self.record.note(HELPED, picture, key=key.digest)
            else:
                self.record.note(BEGUN, picture, attempt=attempt, key=key.digest)
            ended, smaller = {"state": LOST}, {}
            try:
                outcome = self._run(server, self.plan.job, picture, source, result, key)
                if outcome.out_of_memory and (made := self._with_smaller_tiles(server)) is not None:
                    job, smaller = made
                    outcome = self._run(server, job, picture, source, result, key)
                ended = {"state": outcome.state, "reason": outcome.reason, "seconds": round(outcome.seconds, 2)}
                return outcome, smaller if outcome.state != REFUSED else {}
            finally:
                if attempt is not None:
                    self.record.note(ENDED, picture, attempt=attempt, key=key.digest, **ended, **({"smaller": smaller} if smaller else {}))

    def _run(self, server: ComfyServer, job: Job, picture: str, source: Path, result: Path, key: WorkKey) -> PictureOutcome:
        if self.plan.split_tiles:
            return self._run_tiles(server, job, picture, source, result, key)
        seen = {"node": "", "done": 0.0}

        def follow(progress: Progress) -> None:
            self._now[picture] = f"{progress.node_type} {progress.done:g}/{progress.total:g}"
            before = seen["done"] if seen["node"] == progress.node else 0.0
            if progress.node_type.startswith("Tilework") and progress.done > before:
                with self._lock:
                    self._tiles += int(progress.done - before)
            seen.update(node=progress.node, done=progress.done)

        return run_one(server, job, source, result, key, follow, self.plan.timeout)

    def _run_tiles(self, server: ComfyServer, job: Job, picture: str, source: Path, result: Path, key: WorkKey) -> PictureOutcome:
        def count() -> None:
            with self._lock:
                self._tiles += 1

        tiles = self.plan.folders.tiles
        return TilesRun([server], job, source, result, key, timeout=self.plan.timeout, root=tiles, mark=picture, on_tile=count).go()

    def _with_smaller_tiles(self, server: ComfyServer) -> tuple[Job, dict[str, int]] | None:
        prompt = to_prompt(self.plan.job.workflow, server.queue.object_info())
        return with_smaller_tiles(self.plan.job, prompt)

    def _surroundings(self) -> Surroundings:
        with self._lock:
            self._around = self._around or surroundings_of(self.plan.job, self.plan.installation)
            return self._around

    def _start(self) -> ComfyServer:
        told = {"OMP_NUM_THREADS": str(self.plan.threads)} if self.plan.threads else {}
        if self.plan.split_tiles:
            told[VARIABLE] = str(self.plan.folders.tiles)
        return ComfyServer(self.plan.installation, self.plan.work, told)


def with_smaller_tiles(job: Job, prompt: Prompt) -> tuple[Job, dict[str, int]] | None:
    """The job with every tile size in the workflow halved, and the new sizes; None where it has none that can be halved.

    Sizes stay multiples of 8 where they were, and no size goes below SMALLEST_TILE. A size of 0 is planned by the node itself.
    """
    given = {(one.node, one.input): one.value for one in job.settings}
    settings, sizes = [], {}
    for node, part in prompt.items():
        for name, value in part["inputs"].items():
            value = given.get((node, name), value)
            if name in TILE_SIZES and isinstance(value, int) and not isinstance(value, bool) and value // 2 >= SMALLEST_TILE:
                step = 8 if value % 8 == 0 else 1
                settings.append(Setting(node, name, value // 2 // step * step))
                sizes[f"{node}.{name}"] = settings[-1].value
    return (replace(job, settings=(*job.settings, *settings)), sizes) if settings else None


def plan_as_json(plan: FolderPlan) -> dict[str, Any]:
    """A plan as plain values: what goes to another machine is paths and words, no object of ours."""
    return _plain(asdict(plan))


def plan_from_json(said: Mapping[str, Any]) -> FolderPlan:
    """The plan that `plan_as_json` gave."""
    folders, job, made = said["folders"], said["job"], said["installation"]
    workflow = Workflow(Path(job["workflow"]["path"]), job["workflow"]["saved"])
    settings = tuple(Setting(**one) for one in job["settings"])
    installation = Installation(Path(made["folder"]), Path(made["python"]), Path(made["base"]), tuple(made["arguments"]))
    return FolderPlan(
        FolderPictures(Path(folders["source"]), Path(folders["out"]), folders["ending"]),
        Job(workflow, job["load"], job["save"], settings),
        installation,
        Path(said["work"]) if said["work"] else None,
        said["timeout"],
        said["restart_after"],
        said["threads"],
        said["split_tiles"],
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value
