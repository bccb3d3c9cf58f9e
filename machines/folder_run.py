"""The driver of a folder: hands pictures to workers, sees to what is lost, tells how far it is. Its only state are files.

A driver that dies is started again with the same command. What has a result with the right key is passed over by the worker
that looks; what was refused twice with its key stays aside (machines/record.py); all else is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from .one_picture import THERE
from .picture_worker import ASIDE, BROKEN, FolderPlan, WorkerOutcome, plan_as_json
from .process.host_error import HostError
from .ray_actors import gone_errors, start_actor
from .record import LOST, MADE, REFUSED
from .schedule import Schedule, Try

# The driver asks each worker how far it is; all answers together take at most a twentieth of its time.
ANSWER_SECONDS, ASKING_SHARE = 0.001, 0.05
CLOSE_SECONDS = 20
STAFF_SECONDS = 5.0
# With so many pictures put aside and none made, it is the workflow and not the pictures.
HOPELESS = 10


@dataclass
class RunState:
    """How far a run is, for whoever shows it.

    Attributes:
        total: pictures in the folder.
        made, there: with a result from this run, from an earlier one.
        aside: picture -> reason.
        losses: what was lost in this run, in words: workers and servers.
        workers: that are at work.
        tiles: done by them, as far as nodes tell.
        begun: when the run began, by the monotonic clock.
        first: when the first worker was ready, None until then.
        outcomes: the last outcome of each picture.
        by: the worker that ended it.
    """

    total: int
    made: int = 0
    there: int = 0
    aside: dict[str, str] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)
    workers: int = 0
    tiles: int = 0
    begun: float = field(default_factory=time.monotonic)
    first: float | None = None
    last: float | None = None
    outcomes: dict[str, WorkerOutcome] = field(default_factory=dict)
    by: dict[str, str] = field(default_factory=dict)
    machines: dict[str, str] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Pictures without an end."""
        return self.total - self.made - self.there - len(self.aside)

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self.begun

    @property
    def start_up(self) -> float:
        """Seconds until the first worker was ready."""
        return (self.first or time.monotonic()) - self.begun

    @property
    def working(self) -> float:
        """Seconds from the first worker's being ready to the last picture's end."""
        return max(0.0, (self.last or time.monotonic()) - (self.first or time.monotonic()))

    @property
    def per_hour(self) -> float:
        """Pictures made per hour of work; 0 while none is."""
        return self.made / self.working * 3600 if self.made and self.working else 0.0


@dataclass
class _Slot:
    name: str
    handle: Any
    ready: Any  # the reference of its answer, None once it is there
    flying: dict[Any, Try] = field(default_factory=dict)
    asked: Any = None
    tiles: int = 0


class FolderRun:
    """One run over a folder on a Ray that is connected.

    Args:
        ray: from `machines.ray_actors.cluster`.
        plan: what is done, and where.
        pictures: their paths below the folder.
        refused: picture -> the work keys that it was refused with in earlier runs.
        workers: on processors; 0 for one per GPU of the cluster.
        warm: whether ComfyUI is started at once, and not with the first picture that needs it.
        show: called with the state about once a second.
        say: takes a line for a person.
        check: called about once a second; what it raises ends the run.
    """

    def __init__(
        self,
        ray: ModuleType,
        plan: FolderPlan,
        pictures: Sequence[str],
        refused: dict[str, list[str]],
        workers: int = 0,
        warm: bool = True,
        show: Callable[[RunState], object] = lambda state: None,
        say: Callable[[str], object] = print,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self.ray, self.plan, self.refused, self.workers, self.warm = ray, plan, refused, workers, warm
        self.show, self.say, self.check = show, say, check
        self.schedule = Schedule(pictures, shared=plan.split_tiles)
        self.state = RunState(len(pictures))
        self._told = plan_as_json(plan)
        self._gone = gone_errors(ray)
        self._slots: dict[str, _Slot] = {}
        self._by_helpers: dict[str, tuple[str, WorkerOutcome]] = {}
        self._numbers = self._deaths = 0
        self._retired_tiles = 0
        self._next_staff = self._next_ask = 0.0

    def run(self) -> RunState:
        """Until every picture has its result or is put aside.

        Raises HostError where nobody can work any more. Workers and their servers are ended in any case.
        """
        try:
            while not self.schedule.finished:
                self.check()
                self._let_go_of_retired()
                self._staff()
                self._fill()
                self._hear()
                self._ask()
                self.show(self.state)
            return self.state
        finally:
            self._dismiss()

    def _staff(self) -> None:
        """As many workers as are wanted, new ones for lost ones."""
        now = time.monotonic()
        if now < self._next_staff:
            return
        self._next_staff = now + STAFF_SECONDS
        wanted = self.workers or int(self.ray.cluster_resources().get("GPU", 0))
        if not wanted and not self._slots:
            raise HostError("Ray knows of no GPU: name a number of workers on processors with --workers, for instance --workers 2.")
        retired = len(self.schedule.retired)
        for _ in range(self.schedule.useful(wanted - retired) - len(self._slots)):
            self._numbers += 1
            name = f"worker-{self._numbers}"
            handle = start_actor(self.ray, self._told, name, not self.workers, self.plan.threads)
            self._slots[name] = _Slot(name, handle, handle.ready.remote(self.warm))
        if retired and not self._slots:
            reasons = "; ".join(sorted(set(self.schedule.retired.values())))
            raise HostError(f"No worker is left that could work: {reasons}")

    def _fill(self) -> None:
        for slot in self._slots.values():
            while slot.ready is None and (task := self.schedule.take(slot.name)) is not None:
                ref = slot.handle.make.remote(task.picture, task.attempt, self.refused.get(task.picture, []), task.helping)
                slot.flying[ref] = task

    def _hear(self) -> None:
        """Wait for whatever comes next, at most a second, and see to all that has come."""
        owners = {ref: slot for slot in self._slots.values() for ref in (*slot.flying, slot.ready, slot.asked) if ref is not None}
        if not owners:
            time.sleep(0.2)
            return
        came, _ = self.ray.wait(list(owners), num_returns=1, timeout=1.0)
        if came:
            came, _ = self.ray.wait(list(owners), num_returns=len(owners), timeout=0)
        for ref in came:
            if owners[ref].name in self._slots:
                self._see_to(owners[ref], ref)

    def _see_to(self, slot: _Slot, ref: Any) -> None:
        try:
            answer = self.ray.get(ref)
        except self._gone as error:
            self._lost(slot, f"{slot.name} is gone: {_first_line(error)}")
            return
        except self.ray.exceptions.RayTaskError as error:
            self._broken(slot, ref, _first_line(getattr(error, "cause", None) or error))
            return
        if ref == slot.ready:
            self._is_ready(slot, answer)
        elif ref == slot.asked:
            slot.asked, slot.tiles = None, answer["tiles"]
        else:
            self._ended(slot, slot.flying.pop(ref), WorkerOutcome(**answer))

    def _is_ready(self, slot: _Slot, answer: dict[str, Any]) -> None:
        slot.ready = None
        self._deaths = 0
        self.state.first = self.state.first or time.monotonic()
        self.state.machines[slot.name] = answer["machine"]
        self.say(f"{slot.name} is ready on {answer['machine']} (ComfyUI in {answer['seconds']:.1f} s).")

    def _ended(self, slot: _Slot, task: Try, outcome: WorkerOutcome) -> None:
        state, schedule = self.state, self.schedule
        if outcome.state == LOST:
            state.losses.append(f"ComfyUI of {slot.name}, with {task.picture}: {_first_line(outcome.reason)}")
            self.say(state.losses[-1])
            if schedule.lost_one(slot.name, task, outcome.reason):
                self._aside(slot, outcome)
            return
        if outcome.state == BROKEN:
            self._broken_down(slot, task, outcome.reason)
            return
        if task.helping:
            self._helped(slot, task, outcome)
            return
        state.last = time.monotonic()
        state.by[task.picture], state.outcomes[task.picture] = slot.name, outcome
        if outcome.state == ASIDE:
            schedule.put_aside(slot.name, task, outcome.reason)
            self._aside(slot, outcome)
        elif outcome.state == REFUSED:
            if schedule.failed(slot.name, task, outcome.reason, outcome.earlier):
                self._aside(slot, outcome)
        else:
            schedule.succeeded(slot.name, task)
            state.made += outcome.state == MADE
            state.there += outcome.state != MADE
            self._count_helper(task.picture)

    def _helped(self, slot: _Slot, task: Try, outcome: WorkerOutcome) -> None:
        """What becomes of the picture is what its own worker says."""
        self.schedule.helped(slot.name, task)
        if outcome.state == MADE:
            self._by_helpers[task.picture] = (slot.name, outcome)
            self._count_helper(task.picture)

    def _count_helper(self, picture: str) -> None:
        """A picture that its own worker found there was made in this run, where a helper put the last piece in its place."""
        state = self.state
        ended = state.outcomes.get(picture)
        if picture in self._by_helpers and ended is not None and ended.state == THERE:
            state.by[picture], state.outcomes[picture] = self._by_helpers[picture]
            state.made += 1
            state.there -= 1

    def _aside(self, slot: _Slot, outcome: WorkerOutcome) -> None:
        state = self.state
        state.aside[outcome.picture] = outcome.reason
        state.by[outcome.picture], state.outcomes[outcome.picture] = slot.name, outcome
        self.say(f"Put aside: {outcome.picture}: {_first_line(outcome.reason)}")
        if len(state.aside) >= HOPELESS and not state.made + state.there:
            raise HostError(f"The first {HOPELESS} pictures were all put aside, the last one because: {outcome.reason}")

    def _lost(self, slot: _Slot, reason: str) -> None:
        """The worker's process or machine is gone."""
        tasks = self.schedule.lost(slot.name, reason)
        self._let_go(slot)
        self.state.losses.append(f"{reason} ({len(tasks)} pictures were with it)")
        self.say(self.state.losses[-1])
        for task in tasks:
            if task.picture in self.schedule.aside:
                self._aside(slot, WorkerOutcome(task.picture, LOST, f"Lost twice while it was alone on its worker: {reason}"))
        self._deaths += 1
        if self._deaths > 3 * (self.workers or 1) + 3:
            raise HostError(f"Workers die before they are ready, the last one: {reason}")

    def _broken(self, slot: _Slot, ref: Any, reason: str) -> None:
        """A call ended in an error that is none of a picture."""
        if ref in slot.flying:
            self._broken_down(slot, slot.flying.pop(ref), reason)
        elif ref == slot.asked:
            slot.asked = None
        else:
            self.schedule.retired[slot.name] = reason
            self.say(f"{slot.name} cannot work: {reason}")
            self._let_go(slot)

    def _broken_down(self, slot: _Slot, task: Try, reason: str) -> None:
        self.say(f"{slot.name} could not try {task.picture}: {_first_line(reason)}")
        self.schedule.broke_down(slot.name, task, reason)

    def _let_go_of_retired(self) -> None:
        """Those that get no more, once they have ended what they had."""
        for slot in [one for one in self._slots.values() if one.name in self.schedule.retired and not one.flying]:
            self._let_go(slot)

    def _let_go(self, slot: _Slot) -> None:
        self._slots.pop(slot.name, None)
        self._retired_tiles += slot.tiles
        self._next_staff = 0.0
        self.ray.kill(slot.handle)

    def _ask(self) -> None:
        now = time.monotonic()
        at_work = [slot for slot in self._slots.values() if slot.ready is None]
        self.state.workers = len(at_work)
        self.state.tiles = self._retired_tiles + sum(slot.tiles for slot in self._slots.values())
        if now >= self._next_ask:
            self._next_ask = now + max(1.0, len(at_work) * ANSWER_SECONDS / ASKING_SHARE)
            for slot in at_work:
                slot.asked = slot.asked if slot.asked is not None else slot.handle.state.remote()

    def _dismiss(self) -> None:
        """End all workers: politely, so that each ends its server, then by force."""
        closing = [slot.handle.close.remote() for slot in self._slots.values() if slot.ready is None]
        if closing:
            self.ray.wait(closing, num_returns=len(closing), timeout=CLOSE_SECONDS)
        for slot in self._slots.values():
            self.ray.kill(slot.handle)


def _first_line(error: object) -> str:
    said = str(getattr(error, "message", "") or error).strip()
    return said.splitlines()[0][:300] if said else type(error).__name__
