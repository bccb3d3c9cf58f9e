"""Which worker makes which picture next, and what is done about failures; knows neither Ray nor ComfyUI.

Three things can go wrong, and they are told apart:

- the picture fails: the workflow ran and refused it, in words. It is tried once more, and after `most_failures` failures put aside;
- its worker is lost in the middle (killed, crashed, machine gone). Nobody knows which of the pictures that were with it was to
  blame, so each of them is tried again *alone*: only a picture that is lost while it is alone has failed;
- the worker's machine is broken (ComfyUI does not start, the disk is full): no picture is blamed. A worker that is broken
  `most_breakdowns` times in a row gets no more work.

Where several workers can share one picture, whoever has nothing else helps with one that another worker has. What becomes of
the picture is what its own worker says; a helper is never to blame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Try:
    """One try at one picture.

    Attributes:
        picture: its path below the input folder.
        attempt: how often it was tried before, from 0.
        alone: whether its worker has nothing else until it has ended.
        helping: whether another worker has the picture, and this one helps.
    """

    picture: str
    attempt: int = 0
    alone: bool = False
    helping: bool = False


@dataclass
class _Worker:
    flying: list[Try] = field(default_factory=list)
    breakdowns: int = 0


class Schedule:
    """The pictures that are still to be made, and with whom they are.

    Args:
        pictures: their paths, in the order in which they are begun.
        in_flight: how many a worker has at once: the next one is read while the first one is made.
        most_failures: with so many a picture is put aside.
        most_breakdowns: so many in a row, and a worker gets no more.
        shared: whether several workers can work on one picture.

    Attributes:
        done: pictures that have a result.
        aside: picture -> the reason of its last failure.
        retired: worker -> the reason of its last breakdown.
    """

    def __init__(
        self, pictures: Iterable[str], in_flight: int = 2, most_failures: int = 2, most_breakdowns: int = 3, shared: bool = False
    ) -> None:
        self.shared = shared
        self.in_flight, self.most_failures, self.most_breakdowns = in_flight, most_failures, most_breakdowns
        self.done: set[str] = set()
        self.aside: dict[str, str] = {}
        self.retired: dict[Hashable, str] = {}
        self._waiting: deque[str] = deque(pictures)
        self._suspects: deque[str] = deque()
        self._workers: dict[Hashable, _Worker] = {}
        self._attempts: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._helped: set[tuple[Hashable, str, int]] = set()

    @property
    def finished(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return not (self._waiting or self._suspects or self.flying)

    @property
    def left(self) -> int:
        """How many pictures wait or are in flight."""
        return len(self._waiting) + len(self._suspects) + self.flying

    def useful(self, workers: int) -> int:
        """How many of so many workers have something to do."""
        return workers if self.shared and self.left else min(workers, self.left)

    @property
    def flying(self) -> int:
        """How many pictures are with workers, once for each worker that has them."""
        return sum(len(worker.flying) for worker in self._workers.values())

    def flying_with(self, worker: Hashable) -> list[Try]:
        """What a worker has."""
        return list(self._worker(worker).flying)

    def take(self, worker: Hashable) -> Try | None:
        """The next task for a worker, or None where it is to have no more for now."""
        mine = self._worker(worker)
        if worker in self.retired or len(mine.flying) >= self.in_flight or any(task.alone for task in mine.flying):
            return None
        if self._suspects and not mine.flying:
            return self._give(mine, self._suspects.popleft(), alone=True)
        if self._suspects and self._emptying(worker) < len(self._suspects):
            # It ends what it has, and then takes a suspect that must be alone.
            return None
        if self._waiting:
            return self._give(mine, self._waiting.popleft())
        return self._give_help(worker, mine) if self.shared else None

    def succeeded(self, worker: Hashable, task: Try) -> None:
        """The picture has its result."""
        self._landed(worker, task).breakdowns = 0
        self.done.add(task.picture)

    def helped(self, worker: Hashable, task: Try) -> None:
        """A helper has done what it could."""
        self._landed(worker, task).breakdowns = 0

    def failed(self, worker: Hashable, task: Try, reason: str, earlier: int = 0) -> bool:
        """The workflow refused the picture, `earlier` times in earlier runs; returns whether it is put aside now."""
        self._landed(worker, task).breakdowns = 0
        self._failures[task.picture] = max(self._failures.get(task.picture, 0), earlier)
        return self._blame(task.picture, reason, self._waiting)

    def put_aside(self, worker: Hashable, task: Try, reason: str) -> None:
        """The picture was put aside in an earlier run."""
        self._landed(worker, task)
        self.aside[task.picture] = reason

    def lost_one(self, worker: Hashable, task: Try, reason: str) -> bool:
        """The worker's ComfyUI was lost with this picture; returns whether that puts the picture aside."""
        self._landed(worker, task)
        if task.helping:
            return False
        if task.alone:
            return self._blame(task.picture, reason, self._suspects)
        self._suspects.append(task.picture)
        return False

    def lost(self, worker: Hashable, reason: str) -> list[Try]:
        """The worker is gone with all that it had; returns those that were with it."""
        tasks = self.flying_with(worker)
        for task in tasks:
            self.lost_one(worker, task, reason)
        self._workers.pop(worker, None)
        return tasks

    def broke_down(self, worker: Hashable, task: Try, reason: str) -> bool:
        """The worker could not try at all; returns whether it gets no more from now on."""
        mine = self._landed(worker, task)
        if not task.helping:
            (self._suspects if task.alone else self._waiting).appendleft(task.picture)
        mine.breakdowns += 1
        if mine.breakdowns >= self.most_breakdowns:
            self.retired[worker] = reason
        return worker in self.retired

    def _worker(self, worker: Hashable) -> _Worker:
        return self._workers.setdefault(worker, _Worker())

    def _emptying(self, worker: Hashable) -> int:
        """How many other workers are free of ordinary work by now and may take suspects."""
        return sum(not other.flying and name not in self.retired for name, other in self._workers.items() if name != worker)

    def _give(self, mine: _Worker, picture: str, alone: bool = False) -> Try:
        attempt = self._attempts.get(picture, 0)
        self._attempts[picture] = attempt + 1
        task = Try(picture, attempt, alone)
        mine.flying.append(task)
        return task

    def _give_help(self, worker: Hashable, mine: _Worker) -> Try | None:
        """A try beside another worker's, once for each attempt at a picture."""
        for name, other in self._workers.items():
            for task in other.flying if name != worker else ():
                once = (worker, task.picture, task.attempt)
                if not task.helping and once not in self._helped:
                    self._helped.add(once)
                    mine.flying.append(Try(task.picture, task.attempt, helping=True))
                    return mine.flying[-1]
        return None

    def _landed(self, worker: Hashable, task: Try) -> _Worker:
        mine = self._worker(worker)
        mine.flying.remove(task)
        return mine

    def _blame(self, picture: str, reason: str, again: deque[str]) -> bool:
        self._failures[picture] = self._failures.get(picture, 0) + 1
        if self._failures[picture] < self.most_failures:
            again.append(picture)
            return False
        self.aside[picture] = reason
        return True
