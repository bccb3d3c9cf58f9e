"""What `farm.py folder` would do on 1, 8, 64 and 512 workers: a simulation of events, from figures measured on one worker.

    python benchmarks/farm_simulation.py                      the tables of docs/scale.md
    python benchmarks/farm_simulation.py --measured FILE      the rows for one and two workers beside what was measured

Needs Python alone. FILE is what `benchmarks/farm_overhead.py --out FILE` writes. What is simulated, and what is not:

- a worker makes one picture at a time and has the next one beside it: its file is read while the first is made;
- the driver serves one message after the other: a hand-out and a result per picture; questions for progress take their share;
- the storage serves one file after the other, at its bandwidth;
- workers are lost at random moments (exponential), at a stated rate per worker-hour. What was made of the picture at work is
  lost; both pictures are tried again, each alone on its worker. The loss is noticed after a while, and a new worker starts;
- a ComfyUI is started anew every so many pictures;
- a share of the pictures is bad: it fails quickly, twice, and is put aside.

Pictures are there from the beginning (a folder), or come one by one at random moments (Poisson).
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path

HOUR = 3600.0
WORKERS = (1, 8, 64, 512)


@dataclass(frozen=True)
class Figures:
    """What the simulation is told, in seconds where nothing else is said.

    Attributes:
        picture: mean time that one picture takes on a worker.
        spread: standard deviation of that time over its mean.
        start: until ComfyUI is ready, on a worker that is there.
        worker_start: until Ray has a worker again after one was lost.
        noticed: from the loss of a worker until the driver knows.
        message: time of the driver for one picture (hand-out and result together).
        question: time of the driver for one worker's answer about progress.
        ask_every: pause between two such questions to one worker.
        megabytes: that go over the network per picture, read and written.
        storage: bandwidth in megabytes per second.
        lost_per_hour: losses per worker-hour.
        bad_share: share of the pictures that fail.
        bad: time after which a bad one fails.
        restart_after: pictures after which ComfyUI is started anew.
        crowding: factor on `picture` where workers share one machine's memory and caches.
    """

    picture: float = 162.0
    spread: float = 0.05
    start: float = 12.0
    worker_start: float = 10.0
    noticed: float = 20.0
    message: float = 0.003
    question: float = 0.001
    ask_every: float = 1.0
    megabytes: float = 190.0
    storage: float = 1100.0
    lost_per_hour: float = 1 / 500
    bad_share: float = 0.002
    bad: float = 3.0
    restart_after: int = 200
    crowding: float = 1.0


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        seconds: how long it took.
        made: pictures with a result.
        aside: pictures put aside.
        losses: workers that were lost.
        again: pictures that were begun once more because of a loss.
        wasted: worker-seconds whose work was thrown away.
        idle: worker-seconds in which a worker was down: lost, not yet noticed, or starting.
        driver: seconds in which the driver was at work.
        storage: seconds in which the storage was at work.
        waited: mean seconds from the arrival of a picture to its result.
    """

    workers: int
    seconds: float = 0.0
    made: int = 0
    aside: int = 0
    losses: int = 0
    again: int = 0
    wasted: float = 0.0
    idle: float = 0.0
    driver: float = 0.0
    storage: float = 0.0
    waited: float = 0.0

    @property
    def per_hour(self) -> float:
        """Pictures per hour."""
        return self.made / self.seconds * HOUR

    def busy(self, seconds: float) -> float:
        """A share of the run's time."""
        return seconds / self.seconds

    def of_workers(self, seconds: float) -> float:
        """A share of all workers' time."""
        return seconds / (self.seconds * self.workers)


@dataclass
class _Resource:
    """Serves one request after the other."""

    free: float = 0.0
    used: float = 0.0

    def serve(self, now: float, seconds: float) -> float:
        """When a request of so many seconds that comes `now` has been served."""
        self.free = max(self.free, now) + seconds
        self.used += seconds
        return self.free


@dataclass
class _Picture:
    arrived: float
    bad: bool
    failures: int = 0
    alone: bool = False
    read: float = 0.0  # when its file is there


@dataclass
class _Worker:
    up: bool = False
    life: int = 0  # one more with every loss: events of an earlier life are void
    since: float = 0.0  # when the picture at work was begun
    begun: int = 0
    at_work: _Picture | None = None
    beside: deque = field(default_factory=deque)


class Simulation:
    """One run of `pictures` pictures on `workers` workers.

    Args:
        figures: what is known.
        arrivals_per_hour: 0 where all pictures are there from the beginning.
    """

    def __init__(self, figures: Figures, workers: int, pictures: int, arrivals_per_hour: float = 0.0, seed: int = 1) -> None:
        self.figures, self.random = figures, random.Random(seed)
        self.workers = [_Worker() for _ in range(workers)]
        self.queue: deque[_Picture] = deque()
        self.events: list[tuple[float, int, str, int, int]] = []
        # Its answers about progress come all the time: what is left of the driver is for pictures.
        self.asking = min(workers * figures.question / figures.ask_every, 0.99)
        self.driver, self.storage = _Resource(), _Resource()
        self.outcome, self.left, self.number, self.waited = Outcome(workers), pictures, 0, 0.0
        when = 0.0
        for _ in range(pictures):
            when += self.random.expovariate(arrivals_per_hour / HOUR) if arrivals_per_hour else 0.0
            self._add(when, "arrives")
        for index in range(workers):
            self._add(figures.start, "is up", index)

    def run(self) -> Outcome:
        """Go through the events until every picture has its result or is put aside."""
        acts = {"arrives": self._arrives, "is up": self._is_up, "ends": self._ends, "is lost": self._is_lost}
        now = 0.0
        while self.left:
            now, _, what, index, life = heapq.heappop(self.events)
            acts[what](now, index, life)
        self.outcome.seconds = now
        self.outcome.driver = self.driver.used * (1 - self.asking) + self.asking * now
        self.outcome.storage = self.storage.used
        self.outcome.waited = self.waited / max(1, self.outcome.made)
        return self.outcome

    def _add(self, when: float, what: str, index: int = -1, life: int = 0) -> None:
        self.number += 1
        heapq.heappush(self.events, (when, self.number, what, index, life))

    def _arrives(self, now: float, _index: int, _life: int) -> None:
        self.queue.append(_Picture(now, self.random.random() < self.figures.bad_share))
        idle = next((index for index, worker in enumerate(self.workers) if worker.up and worker.at_work is None), None)
        if idle is not None:
            self._fill(now, idle)

    def _is_up(self, now: float, index: int, life: int) -> None:
        worker = self.workers[index]
        if life != worker.life:
            return
        worker.up, worker.begun = True, 0
        if self.figures.lost_per_hour:
            self._add(now + self.random.expovariate(self.figures.lost_per_hour / HOUR), "is lost", index, life)
        self._fill(now, index)

    def _fill(self, now: float, index: int) -> None:
        """Give the worker pictures until it has two, and begin the first."""
        worker = self.workers[index]
        while worker.up and self.queue and len(worker.beside) + (worker.at_work is not None) < 2:
            alone = self.queue[0].alone
            if any(other.alone for other in (*worker.beside, worker.at_work) if other) or (alone and worker.at_work):
                break
            picture = self.queue.popleft()
            handed = self.driver.serve(now, self.figures.message / (1 - self.asking))
            picture.read = self.storage.serve(handed, self.figures.megabytes / 2 / self.figures.storage)
            worker.beside.append(picture)
            self._begin(now, index)

    def _begin(self, now: float, index: int) -> None:
        worker = self.workers[index]
        if worker.at_work is not None or not worker.beside:
            return
        worker.at_work = picture = worker.beside.popleft()
        worker.since = max(now, picture.read)
        worker.begun += 1
        anew = self.figures.start if worker.begun > self.figures.restart_after else 0.0
        worker.begun = 1 if anew else worker.begun
        mean = self.figures.picture * self.figures.crowding
        takes = self.figures.bad if picture.bad else max(0.1 * mean, self.random.gauss(mean, self.figures.spread * mean))
        self.outcome.idle += anew
        self._add(worker.since + anew + takes, "ends", index, worker.life)

    def _ends(self, now: float, index: int, life: int) -> None:
        worker = self.workers[index]
        if life != worker.life or worker.at_work is None:
            return
        picture, worker.at_work = worker.at_work, None
        if not picture.bad:
            # Written while the next one is made; the worker goes on at once.
            written = self.storage.serve(now, self.figures.megabytes / 2 / self.figures.storage)
            self.outcome.made += 1
            self.left -= 1
            self.waited += written - picture.arrived
        elif picture.failures == 0:
            picture.failures = 1
            self.queue.append(picture)
        else:
            self.outcome.aside += 1
            self.left -= 1
        self._begin(now, index)
        self._fill(now, index)

    def _is_lost(self, now: float, index: int, life: int) -> None:
        worker = self.workers[index]
        if life != worker.life:
            return
        figures, outcome = self.figures, self.outcome
        worker.up, worker.life = False, worker.life + 1
        outcome.losses += 1
        if worker.at_work is not None:
            outcome.wasted += max(0.0, now - worker.since)
        back = [picture for picture in (worker.at_work, *worker.beside) if picture is not None]
        for picture in back:
            picture.alone = True
        outcome.again += len(back)
        self.queue.extendleft(reversed(back))
        worker.at_work = None
        worker.beside.clear()
        down = figures.noticed + figures.worker_start + figures.start
        outcome.idle += down
        self._add(now + down, "is up", index, worker.life)


def simulate(figures: Figures, workers: int, pictures: int, arrivals_per_hour: float = 0.0, seed: int = 1) -> Outcome:
    """The outcome of one run."""
    return Simulation(figures, workers, pictures, arrivals_per_hour, seed).run()


def table(figures: Figures, per_worker: int = 200, counts: tuple[int, ...] = WORKERS) -> list[str]:
    """Rows of a Markdown table: a folder of `per_worker` pictures for each worker, all there from the beginning."""
    names = ("workers", "pictures per hour", "of ideal", "lost workers", "begun again", "work thrown away", "workers down")
    head = f"| {' | '.join((*names, 'driver busy', 'storage busy'))} |"
    rows = [head, "|---:" * 9 + "|"]
    for workers in counts:
        out = simulate(figures, workers, per_worker * workers)
        ideal = workers * HOUR / (figures.picture * figures.crowding)
        shares = (out.of_workers(out.wasted), out.of_workers(out.idle), out.busy(out.driver), out.busy(out.storage))
        rows.append(
            f"| {workers} | {out.per_hour:,.0f} | {out.per_hour / ideal:.1%} | {out.losses} | {out.again} | "
            + " | ".join(f"{share:.2%}" for share in shares)
            + " |"
        )
    return rows


def against(measured: dict) -> list[str]:
    """Rows for one and two workers: seconds for the measured number of pictures, simulated and measured."""
    quiet = replace(
        Figures(lost_per_hour=0.0, bad_share=0.0, storage=1e9, spread=0.02, restart_after=10**9),
        picture=measured["one picture"],
        start=0.0,
        message=measured["driver seconds per picture"],
    )
    rows = ["| workers | simulated s | measured s | difference |", "|---:|---:|---:|---:|"]
    for workers, crowding in ((1, 1.0), (2, measured["crowding of two"])):
        seen = measured["folder seconds"][str(workers)]
        told = simulate(replace(quiet, crowding=crowding), workers, measured["pictures"]).seconds
        rows.append(f"| {workers} | {told:.1f} | {seen:.1f} | {told / seen - 1:+.1%} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="farm.py folder on more workers than are here, simulated.")
    parser.add_argument("--measured", type=Path, help="what benchmarks/farm_overhead.py --out has written")
    asked = parser.parse_args()
    if asked.measured:
        print("\n".join(against(json.loads(asked.measured.read_text("utf-8")))))
        return
    heavy = Figures()
    light = replace(heavy, picture=2.0, spread=0.1, megabytes=4.0)
    scenes = {
        "Photographs of 8,000 px, 81 tiles of 2 s each, a worker lost every 500 hours": heavy,
        "The same, a worker lost every 20 hours": replace(heavy, lost_per_hour=1 / 20),
        "The same at every 500 hours, storage behind 1 Gbit/s": replace(heavy, storage=115.0),
        "Small pictures of 2 s each": light,
        "Small pictures of 2 s each, asked for progress every 10 s": replace(light, ask_every=10.0),
    }
    for name, figures in scenes.items():
        print(f"\n{name}\n", *table(figures), sep="\n")
    print("\nPictures that come one by one, at 80 % of what the workers can do: time from arrival to result\n")
    print("| workers | pictures per hour | mean wait, s | of it at work, s |\n|---:|---:|---:|---:|")
    for workers in WORKERS:
        rate = 0.8 * workers * HOUR / heavy.picture
        out = simulate(heavy, workers, 200 * workers, rate)
        print(f"| {workers} | {out.per_hour:,.0f} | {out.waited:,.0f} | {heavy.picture:,.0f} |")


if __name__ == "__main__":
    main()
