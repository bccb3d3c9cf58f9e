"""`python farm.py folder`: its options, what it shows while it works, and the report at its end."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .comfy_server import remove_left_behind, work_root
from .folder_pictures import FolderPictures, find_pictures, folder_pictures
from .folder_run import FolderRun, RunState
from .installation import Installation
from .one_job import Job
from .picture_worker import FolderPlan
from .process.guarded import say
from .process.host_error import HostError
from .process.links import remove_tree
from .process.lock import taken
from .process.stop_signals import held_back, undisturbed
from .ray_actors import cluster
from .record import read_record, refusals
from .report_page import PAGE, report_row, write_report
from .workflow_file import needs_converter

QUIET_SECONDS = 15.0  # between two lines where nobody looks at a terminal
DEFAULT_RESTART = 200
REMOVAL_SECONDS = 10.0


def add_folder_options(parser: argparse.ArgumentParser) -> None:
    """The options of `farm.py folder` beside those about the workflow and ComfyUI."""
    parser.add_argument("--in", dest="source", type=Path, required=True, metavar="FOLDER", help="the pictures, also in folders below it")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the results go, in the same folders below it")
    parser.add_argument("--workers", type=_count, default=0, metavar="N", help="workers on processors (default: one on each GPU)")
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="of a Ray cluster that is running (default: this machine alone, with a Ray of its own)"
    )
    parser.add_argument("--threads", type=_count, metavar="N", help="of each worker on processors (default: 1)")
    parser.add_argument("--ending", default=".png", help="of the results, as Save Image writes them (default: .png)")
    parser.add_argument(
        "--restart-after", type=_count, default=DEFAULT_RESTART, metavar="N", help=f"pictures of one ComfyUI (default: {DEFAULT_RESTART})"
    )
    parser.add_argument(
        "--split-tiles",
        action="store_true",
        help="keep every finished tile between Tile Split and Seam Blend as a file, so that several workers can share a picture",
    )
    parser.add_argument("--again", action="store_true", help="try again what was put aside in earlier runs")


def run_folder(asked: argparse.Namespace, job: Job, installation: Installation) -> int:
    """Every picture of a folder; the exit status is 0 where each has its result, else 1."""
    needs_converter(job.workflow)
    folders = folder_pictures(asked.source, asked.out, asked.ending)
    pictures, left_alone = find_pictures(folders)
    for name, reason in left_alone.items():
        say(f"Left alone: {name}: {reason}")
    if not pictures:
        raise HostError(f"There are no pictures in {folders.source} (png, jpg, webp, tif or bmp).")
    threads = asked.threads or (1 if asked.workers else 0)
    plan = FolderPlan(folders, job, installation, asked.work, asked.timeout, asked.restart_after, threads, asked.split_tiles)
    with _alone(folders), _servers_removed(asked.work or work_root()):
        refused = {} if asked.again else refusals(read_record(folders.out))
        warm = not all(folders.result(name).is_file() for name in pictures)
        say(f"{len(pictures)} pictures. Starting Ray{f' at {asked.address}' if asked.address else ' on this machine'}.")
        begun = time.monotonic()
        with held_back() as stop, cluster(asked.address, asked.workers * max(1, threads), stop) as ray:
            say(f"Ray is there after {time.monotonic() - begun:.1f} s.")
            run = FolderRun(ray, plan, pictures, refused, asked.workers, warm, Display(), say, stop.check)
            run.state.begun = begun
            try:
                state = run.run()
            finally:
                # Also of what is half done: the next driver goes on, and people want to see.
                write_report(folders, summary_of(folders, job, run.state, pictures, left_alone))
        if not (state.aside or state.left):
            with contextlib.suppress(OSError):
                remove_tree(folders.tiles)
    _tell(folders, state)
    return 1 if state.aside or left_alone else 0


class Display:
    """How far a run is, on a terminal one line that changes, else a line now and then."""

    def __init__(self) -> None:
        self.looked_at = sys.stdout.isatty()
        self._next = 0.0

    def __call__(self, state: RunState) -> None:
        """Show it."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.5 if self.looked_at else QUIET_SECONDS)
        line = progress_line(state)
        if self.looked_at:
            sys.stdout.write(f"\r{line[:118]:<118}\r")
            sys.stdout.flush()
        else:
            say(line)


def progress_line(state: RunState) -> str:
    """Pictures, tiles, speed, what remains and what failed, in one line."""
    parts = [f"{state.made + state.there} of {state.total} pictures", f"{state.workers} workers"]
    if state.tiles:
        parts.insert(1, f"{state.tiles} tiles")
    if state.per_hour:
        parts += [f"{state.per_hour:,.0f} per hour", f"{_duration(state.left / state.per_hour * 3600)} remaining"]
    parts.append(f"{len(state.aside)} put aside")
    if state.losses:
        parts.append(f"{len(state.losses)} losses")
    return ", ".join(parts)


def summary_of(folders: FolderPictures, job: Job, state: RunState, pictures: list[str], left_alone: dict[str, str]) -> dict[str, Any]:
    """The report of a run, as plain values."""
    rows = [_row(folders, state, name) for name in pictures]
    rows += [report_row(folders, name, "left alone", reason=reason) for name, reason in left_alone.items()]
    facts = {
        "Workflow": str(job.workflow.path),
        "Pictures": f"{state.total} in {folders.source}",
        "Made in this run": state.made,
        "There before": state.there,
        "Put aside": len(state.aside),
        "Not begun": state.left,
        "Start-up": f"{state.start_up:.1f} s until the first worker was ready",
        "Work": f"{state.working:.1f} s, {state.per_hour:,.0f} pictures per hour",
        "Workers": ", ".join(f"{name} on {machine}" for name, machine in state.machines.items()),
        "Losses": "; ".join(state.losses) or "none",
    }
    counts = {"total": state.total, "made": state.made, "there": state.there, "aside": len(state.aside), "left": state.left}
    seconds = {"start up": round(state.start_up, 2), "work": round(state.working, 2), "all": round(state.seconds, 2)}
    return {"facts": facts, "counts": counts, "seconds": seconds, "tiles": state.tiles, "losses": state.losses, "rows": rows}


def _row(folders: FolderPictures, state: RunState, name: str) -> dict[str, Any]:
    outcome = state.outcomes.get(name)
    if outcome is None:
        return report_row(folders, name, "not begun")
    what = "put aside" if name in state.aside else outcome.state
    more = {"reason": outcome.reason, "seconds": round(outcome.seconds, 2), "worker": state.by.get(name), "smaller": outcome.smaller}
    return report_row(folders, name, what, **more)


@contextlib.contextmanager
def _alone(folders: FolderPictures) -> Iterator[None]:
    """Two drivers on one folder would make everything twice."""
    lock = taken(folders.out / ".farm" / "lock")
    if lock is None:
        raise HostError(f"Another farm.py folder is at work on {folders.out}: wait for it, or end it.")
    try:
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _servers_removed(root: Path) -> Iterator[None]:
    """Afterwards the folders of our servers are gone: whoever kills a worker kills those too that would have removed them."""
    others = _server_folders(root)
    try:
        yield
    finally:
        with undisturbed():
            give_up = time.monotonic() + REMOVAL_SECONDS
            remove_left_behind(root)
            while _server_folders(root) - others and time.monotonic() < give_up:
                time.sleep(0.1)
                remove_left_behind(root)


def _server_folders(root: Path) -> set[str]:
    return {path.name for path in root.glob("comfy-*")}


def _tell(folders: FolderPictures, state: RunState) -> None:
    say(progress_line(state) + ".")
    say(f"Start-up {state.start_up:.1f} s, work {state.working:.1f} s.")
    for name, reason in state.aside.items():
        say(f"Put aside: {name}: {reason.splitlines()[0] if reason else 'no reason was given'}")
    say(f"The report: {folders.out / PAGE}")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 100 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)
