"""Who makes which picture next, and what the driver does with workers that are lost or cannot work; no Ray, no ComfyUI."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.machines import folder_run
from tilework.machines.folder_run import FolderRun
from tilework.machines.process.host_error import HostError
from tilework.machines.schedule import Schedule

EVENTS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["made", "refused", "lost one", "lost", "broke"])), max_size=60)


@settings(max_examples=150)
@given(st.integers(1, 9), EVENTS, st.booleans())
def test_every_picture_ends_once_and_none_is_with_two_workers_but_for_helpers(pictures, events, shared):
    names = [f"p{number}" for number in range(pictures)]
    schedule, ended = Schedule(names, most_breakdowns=1000, shared=shared), []
    events = iter(events)
    for _ in range(2000):
        if schedule.finished:
            break
        for worker in range(3):
            while schedule.take(worker) is not None:
                pass
        flying = [task for worker in range(3) for task in schedule.flying_with(worker)]
        owned = [task.picture for task in flying if not task.helping]
        assert len(set(owned)) == len(owned) and (shared or len(owned) == len(flying))
        assert flying, "nobody works, though not all is done"
        for worker in range(3):
            mine = schedule.flying_with(worker)
            assert len(mine) <= 2 and (len(mine) == 1 or not any(task.alone for task in mine))
        worker, what = next(events, (0, "made"))
        worker = worker if schedule.flying_with(worker) else next(number for number in range(3) if schedule.flying_with(number))
        task = schedule.flying_with(worker)[0]
        if task.helping and what in ("made", "refused"):
            schedule.helped(worker, task)
        elif what == "made":
            schedule.succeeded(worker, task)
            ended.append(task.picture)
        elif what == "refused":
            ended += [task.picture] if schedule.failed(worker, task, "bad") else []
        elif what == "lost one":
            ended += [task.picture] if schedule.lost_one(worker, task, "gone") else []
        elif what == "lost":
            before = set(schedule.aside)
            schedule.lost(worker, "gone")
            ended += sorted(set(schedule.aside) - before)
        else:
            schedule.broke_down(worker, task, "disk")
    assert schedule.finished and sorted(ended) == names
    assert schedule.done | set(schedule.aside) == set(names) and not schedule.done & set(schedule.aside)


def test_whoever_has_nothing_else_helps_once_with_what_another_has():
    schedule = Schedule(["a", "b"], in_flight=1, shared=True)
    assert [schedule.take(name).picture for name in "vw"] == ["a", "b"] and schedule.useful(5) == 5
    help_of_x = schedule.take("x")
    assert help_of_x.helping and help_of_x.picture == "a" and schedule.take("x") is None, "one at a time"
    schedule.helped("x", help_of_x)
    assert schedule.take("x").picture == "b"
    schedule.lost("x", "gone")
    assert not schedule.done and not schedule.aside and schedule.flying == 2, "a helper is never to blame"
    schedule.succeeded("v", schedule.flying_with("v")[0])
    assert schedule.take("v").picture == "b"
    # Its own worker is lost: another one has it now, and is helped anew.
    schedule.lost("w", "gone")
    assert schedule.take("x").alone and not schedule.take("x") and not schedule.finished


def test_who_was_lost_in_company_is_not_to_blame_and_is_tried_alone():
    schedule = Schedule(["killer", "neighbour", "third"])
    first, second = schedule.take("w"), schedule.take("w")
    assert [task.picture for task in schedule.lost("w", "crash")] == ["killer", "neighbour"]
    alone = schedule.take("w")
    assert alone.alone and alone.picture == first.picture and alone.attempt == 1 and schedule.take("w") is None
    assert not schedule.lost_one("w", alone, "crash")
    neighbour = schedule.take("w")
    assert neighbour.picture == second.picture and neighbour.alone
    schedule.succeeded("w", neighbour)
    again = schedule.take("w")
    assert again.picture == "killer" and schedule.lost_one("w", again, "crash")
    assert schedule.aside == {"killer": "crash"} and schedule.done == {"neighbour"}


def test_a_broken_machine_gets_no_more_and_blames_no_picture():
    schedule = Schedule(["a"], most_breakdowns=2)
    for number in range(2):
        assert schedule.broke_down("w", schedule.take("w"), "no space") == (number == 1)
    assert schedule.take("w") is None and schedule.retired == {"w": "no space"}
    schedule.succeeded("other", schedule.take("other"))
    assert schedule.finished and not schedule.aside


def test_what_failed_in_an_earlier_run_counts():
    schedule = Schedule(["a"])
    assert schedule.failed("w", schedule.take("w"), "bad", earlier=1)


class Ref:
    """Of an answer that is there."""

    def __init__(self, said):
        self.said = said


class FakeRay:
    """Answers at once; those about pictures named "blocked" come first."""

    def __init__(self):
        nothing = type("Nothing", (Exception,), {})
        self.exceptions = SimpleNamespace(RayTaskError=nothing)

    def wait(self, refs, num_returns, timeout):
        refs = sorted(refs, key=lambda ref: "blocked" not in ref.said.get("picture", ""))
        return refs[:1], refs[1:]

    def get(self, ref):
        return ref.said

    def kill(self, handle):
        pass


def fake_actor(*_):
    def call(answer):
        return SimpleNamespace(remote=lambda *given: Ref(answer(*given)))

    def make(picture, *_):
        return {"picture": picture, "state": "broken" if picture == "blocked" else "made", "reason": "no space"}

    return SimpleNamespace(
        ready=call(lambda warm: {"machine": "here", "seconds": 0.0}),
        make=call(make),
        state=call(lambda: {"tiles": 0}),
        close=call(dict),
    )


def test_a_worker_that_broke_down_while_it_had_another_picture_is_let_go_of(monkeypatch):
    monkeypatch.setattr(folder_run, "gone_errors", lambda ray: ())
    monkeypatch.setattr(folder_run, "start_actor", fake_actor)
    monkeypatch.setattr(folder_run, "plan_as_json", lambda plan: {})
    plan = SimpleNamespace(split_tiles=False, threads=1)
    run = FolderRun(FakeRay(), plan, ["blocked", "a", "b", "c"], {}, workers=1, say=lambda line: None)
    with pytest.raises(HostError, match="No worker is left that could work: no space"):
        run.run()
