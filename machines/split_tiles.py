"""One picture, its tiles given out to several ComfyUIs: farm.py run --split-tiles, and farm.py folder --split-tiles.

1. One server cuts the picture and writes the tiles to files.
2. Every server works on tiles, from file to file; a tile is done when its file is there, and no other record is kept.
3. Seam Blend takes the files: as a stream in a process of its own (stream_blend.py) where its method goes over the tiles once; else on
   one server, with all that needs all tiles.

All files lie in a folder beside the result, which goes when the result is there. What is in it has the key of its work in its name, so
that a run that was killed goes on from what is there, and one with other settings does not. Several commands, on several machines
that share the folder, work on one picture together: each tile is claimed by a lock, and cutting and blending are done by one of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .comfy_server import ComfyServer
from .finished_tiles import WAIT_SECONDS, FinishedTiles, tiles_beside
from .installation import PACK
from .one_job import Job, PreparedJob
from .one_picture import MADE, REFUSED, PictureOutcome, check_ending, check_paths, find_result, run_one
from .picture_file import check_is_whole
from .process.child import Child, program_environment
from .process.host_error import HostError, log_end
from .process.links import remove_tree
from .process.loopback import post_json
from .queue_client import DiskFullError, RunFailedError, ServerLostError
from .result_file import place, what_changed, write_refused
from .tile_graph import CannotSplitError, TileWork, named, tile_work
from .tile_prompts import CUT_NAME, PICTURE_NAME, TILE_NAME, after_blend_prompt, cut_prompt, rest_prompt, tile_prompt
from .work_key import WorkKey, named_inputs

# Of one server: the next tile is handed in while it works on this one.
IN_FLIGHT = 2
MOST_FAILURES = 2
VARIABLE = "TILEWORK_TILES"


class TilesRun:
    """One picture's tiles through `job` on `servers`, which know the folder of the tile files.

    Args:
        key: of the work.
        say: takes lines for people.
        timeout: in seconds, for each tile and each of the other steps; None for as long as it takes.
        keep: whether the tile files stay when the result is there.
        root: the folder of the tile files; None for `tiles_beside(result)`, which is of this picture alone.
        mark: tells this picture from others in one `root`.
        on_tile: called after each tile that was made here.
    """

    def __init__(
        self,
        servers: Sequence[ComfyServer],
        job: Job,
        picture: Path,
        result: Path,
        key: WorkKey,
        say: Callable[[str], object] = lambda line: None,
        timeout: float | None = None,
        keep: bool = False,
        root: Path | None = None,
        mark: str = "",
        on_tile: Callable[[], object] = lambda: None,
    ) -> None:
        self.servers, self.job, self.picture, self.result, self.key = list(servers), job, picture, result, key
        self.say, self.timeout, self.keep = say, timeout, keep
        self.root, self.mark, self.on_tile = root, mark, on_tile
        self.files: FinishedTiles | None = None

    def go(self) -> PictureOutcome:
        """Do all that is not done yet, and put the result where it belongs.

        What is wrong with the picture or the workflow is an outcome, written down beside the result. Raises ServerLostError where no
        server is left, DiskFullError or OSError where a file cannot be written.
        """
        check_paths(self.picture, self.result)
        begun = time.monotonic()
        why = what_changed(self.result, self.key)
        try:
            made = self._steps(begun)
        except (ServerLostError, DiskFullError):
            raise
        except HostError as error:
            # Another command may have made it, so that the tile files went.
            made = find_result(self.result, self.key)
            if made is None:
                full = isinstance(error, RunFailedError) and error.out_of_memory
                write_refused(self.result, self.picture, str(error), self.key, out_of_memory=full)
                return PictureOutcome(REFUSED, self.result, str(error), time.monotonic() - begun, full)
        if made.state != REFUSED and not self.keep:
            # What another command still holds there goes with that one.
            with contextlib.suppress(OSError):
                if self.root is None:
                    remove_tree(tiles_beside(self.result))
                elif self.files is not None:
                    remove_tree(self.files.folder)
        return PictureOutcome(made.state, made.result, made.reason or why, time.monotonic() - begun, False, made.texts, made.nodes)

    def _steps(self, begun: float) -> PictureOutcome:
        check_is_whole(self.picture)
        info = self.servers[0].queue.object_info()
        self.prepared = self.job.prepare(info)
        check_ending(self.prepared.save_kind, self.result)
        plan = self.prepared.for_picture("picture", "result")
        self.work = tile_work(plan, info, self.prepared.save)
        self.files = FinishedTiles(self.root or tiles_beside(self.result), self._name(plan))
        self.files.make()
        self._tell_plan(plan)
        for server in self.servers:
            for name, path in named_inputs(set(self.job.texts()), server.installation):
                server.give_once(path, name)
        alive = self.servers[0].check_alive
        with self.files.alone(alive):
            count = self.files.count(len(self.work.splits))
            if count and self._has_odd(CUT_NAME, len(self.work.splits), count):
                count = None
            if count is None:
                # Where another command has made the result meanwhile, the tiles went with that.
                made = find_result(self.result, self.key)
                if made is not None:
                    return made
                self._cut(self.servers[0])
                count = self.files.count(len(self.work.splits))
        if not count:
            raise CannotSplitError("The picture was cut into no tile: run the workflow without --split-tiles.")
        self._tiles(count)
        with self.files.alone(alive):
            return find_result(self.result, self.key) or self._end(count, begun)

    def _name(self, plan: dict[str, Any]) -> str:
        """The key of the tiles: of all that decides about them, and of nothing that comes after them."""
        around = {name: value for name, value in self.key.parts.items() if name != "workflow"}
        told = [around, cut_prompt(plan, self.work, ""), tile_prompt(plan, self.work, "", 0, 0), *([self.mark] if self.mark else [])]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]

    def _tell_plan(self, plan: dict[str, Any]) -> None:
        nodes = ", ".join(plan[node]["class_type"] for node in self.work.nodes)
        self.say(f"The work of one tile: {nodes}.")
        if self.work.why_not:
            self.say(f"All that comes after it runs where all tiles are: {self.work.why_not}.")
        if self.work.left_out:
            self.say(
                f"Left out, because the saved picture does not need them: {', '.join(named(plan, node) for node in self.work.left_out)}."
            )

    def _cut(self, server: ComfyServer) -> None:
        with _given(server, self.picture) as picture:
            prompt = cut_prompt(self.prepared.for_picture(picture, "result"), self.work, self.files.name)
            server.queue.run(prompt, None, self.timeout, server.check_alive)
        # The whole picture and its tiles, which the server would keep for a next time.
        with contextlib.suppress(OSError, ValueError):
            post_json(server.address + "/free", {"free_memory": True})

    def _tiles(self, count: int) -> None:
        self._has_odd(TILE_NAME, len(self.work.results), count)
        missing = [number for number in range(count) if not self.files.has(number, len(self.work.results))]
        self.say(f"{count} tiles: {count - len(missing)} are there, {len(missing)} to do on {len(self.servers)} ComfyUI(s).")
        results = len(self.work.results)

        def one(server: ComfyServer, number: int, check: Callable[[], object]) -> bool:
            with self.files.claimed(number) as mine:
                # Where another command has made the result, the tiles went, and nobody needs them.
                if mine and not self.files.has(number, results) and find_result(self.result, self.key) is None:
                    self._one_tile(server, number, count, pictures[server], check)
                return mine or self.files.has(number, results)

        plan = self.prepared.for_picture("picture", "result")
        whole = self.prepared.load in tile_prompt(plan, self.work, "", 0, count)  # a tile's work may look at the whole picture
        with contextlib.ExitStack() as stack:
            pictures = {server: stack.enter_context(_given(server, self.picture)) if whole else "picture" for server in self.servers}
            give_out(self.servers, missing, one)

    def _has_odd(self, name: str, kinds: int, count: int) -> bool:
        """Whether files were there that cannot be what a run has left; they are removed, so that they are made anew."""
        odd = self.files.remove_odd(map(name.format, range(kinds)), count) if self.files.is_grid() else []
        for path in odd:
            self.say(f"{path} is of another size than the others: it is made anew.")
        return bool(odd)

    def _one_tile(self, server: ComfyServer, number: int, count: int, picture: str, check: Callable[[], object]) -> None:
        self.files.note("begun", number)
        prompt = tile_prompt(self.prepared.for_picture(picture, "result"), self.work, self.files.name, number, count)
        entry = server.queue.run(prompt, None, self.timeout, check)
        server.queue.forget(entry["prompt_id"])
        if not self.files.has(number, len(self.work.results)):
            raise HostError(f"Tile {number} was worked on and its file is not in {self.files.root}: is that folder shared by all machines?")
        self.files.note("ended", number)
        self.on_tile()

    def _end(self, count: int, begun: float) -> PictureOutcome:
        blend = self.work.blend
        if blend is None or not self.files.is_grid():
            rest = RestOfWork(self.job, self.work, self.files.name, count)
        else:
            done = self._blend(count)
            if blend.saved and done["pictures"] == 1:
                with self._png.open("rb") as stream:
                    place(stream, self.result, self.key, seconds=round(time.monotonic() - begun, 2), texts={}, nodes={})
                return PictureOutcome(MADE, self.result)
            rest = RestOfWork(self.job, self.work, self.files.name, 0)
        return run_one(self.servers[0], rest, self.picture, self.result, self.key, None, self.timeout)

    @property
    def _png(self) -> Path:
        return self.files.folder / "picture.png"

    def _blend(self, count: int) -> dict[str, Any]:
        """Blend as a stream in a child; what it says that it did."""
        self.files.make()  # once more: tiles were made in between, on other machines perhaps
        blend, folder = self.work.blend, self.files.folder
        job = {
            "tiles": [str(self.files.path(TILE_NAME.format(0), number)) for number in range(count)],
            "layout": str(self.files.layout()),
            "method": blend.method,
            "trim": blend.trim,
            "scale": blend.scale,
            "cut_feather": blend.cut_feather,
            "picture": str(self.files.path(PICTURE_NAME, 0)),
        }
        if blend.saved:
            text = {"prompt": json.dumps(self.prepared.for_picture(self.picture.name, self.result.stem))}
            if self.prepared.saved is not None:
                text["workflow"] = json.dumps(self.prepared.saved)
            job |= {"png": str(self._png), "text": text}
        (folder / "blend.json").write_text(json.dumps(job), "utf-8")
        self.say(f"Blending {count} tiles.")
        python = self.servers[0].installation.python
        log = folder / "blend.log"
        with Child(
            [str(python), str(PACK / "farm.py"), "blend", str(folder / "blend.json")], log, program_environment(), cwd=PACK
        ) as child:
            while child.poll() is None:
                time.sleep(0.05)
            status = child.poll()
        said = log_end(log)
        if status:
            why = " ".join(said[-6:]) or f"status {status}"
            raise HostError(f"The tiles could not be blended: {why} (They are in {folder}; a file that is removed is made anew.)")
        return json.loads(said[-1])


@dataclass(frozen=True)
class RestOfWork:
    """What is left of a job when the tiles are files; stands in for the job. `count` 0: when the blended picture is a file."""

    job: Job
    work: TileWork
    folder: str
    count: int

    def texts(self) -> Iterator[str]:
        """As the job has them."""
        return self.job.texts()

    def prepare(self, object_info: dict[str, Any]) -> PreparedRest:
        """As the job is prepared."""
        return PreparedRest(self, self.job.prepare(object_info))


@dataclass(frozen=True)
class PreparedRest:
    """Stands in for the prepared job."""

    rest: RestOfWork
    whole: PreparedJob

    @property
    def save(self) -> str:
        """The node that saves."""
        return self.whole.save

    @property
    def save_kind(self) -> str:
        """Its kind."""
        return self.whole.save_kind

    @property
    def saved(self) -> dict[str, Any] | None:
        """What the editor saved: of the whole workflow."""
        return self.whole.saved

    def for_picture(self, picture: str, prefix: str) -> dict[str, Any]:
        """The prompt of the rest."""
        plan, rest = self.whole.for_picture(picture, prefix), self.rest
        if rest.count:
            return rest_prompt(plan, rest.work, rest.folder, rest.count)
        return after_blend_prompt(plan, rest.work, rest.folder)


@contextlib.contextmanager
def _given(server: ComfyServer, picture: Path) -> Iterator[str]:
    """The picture in the server's input folder, for a while."""
    name = server.give(picture, uuid.uuid4().hex[:16] + picture.suffix.lower())
    try:
        yield name
    finally:
        server.take_back(name)


class _Stopped(Exception):  # noqa: N818 - no error, it ends a wait
    """Somebody else failed: nobody needs this tile any more."""


def give_out(servers: Sequence[Any], numbers: Sequence[int], one: Callable[[Any, int, Callable[[], object]], object]) -> None:
    """Have `one(server, number, check)` done for all numbers, IN_FLIGHT at once on each server.

    Where it returns False somebody else is at work on that number, and it is asked again when the others have been.
    A number that fails is tried once more; one that fails again ends the whole. A server that is lost gives its numbers to the others.
    `check` is to be called now and then, and raises where the work is not needed any more.

    Raises the HostError of the number that failed, or ServerLostError where no server is left.
    """
    waiting, failures = deque(numbers), dict.fromkeys(numbers, 0)
    lost: dict[int, ServerLostError] = {}
    failed: list[HostError] = []
    stop = threading.Event()

    def check_of(server: Any) -> Callable[[], None]:
        def check() -> None:
            if stop.is_set():
                raise _Stopped
            server.check_alive()

        return check

    def work(index: int) -> None:
        server = servers[index]
        while not stop.is_set() and index not in lost:
            try:
                number = waiting.popleft()
            except IndexError:
                return
            try:
                if one(server, number, check_of(server)) is False:
                    waiting.append(number)
                    time.sleep(WAIT_SECONDS)
            except _Stopped:
                return
            except ServerLostError as error:
                lost[index] = error
                waiting.appendleft(number)
            except HostError as error:
                failures[number] += 1
                if failures[number] < MOST_FAILURES:
                    waiting.append(number)
                else:
                    failed.append(error)
                    stop.set()
            except BaseException:
                stop.set()
                raise

    while waiting and not failed and len(lost) < len(servers):
        with ThreadPoolExecutor(len(servers) * IN_FLIGHT) as pool:
            running = [pool.submit(work, index) for index in range(len(servers)) if index not in lost for _ in range(IN_FLIGHT)]
            try:
                for one_of_them in running:
                    one_of_them.result()
            except BaseException:
                stop.set()
                raise
    if failed:
        raise failed[0]
    if waiting:
        raise next(iter(lost.values()))
