"""Steps that take minutes: output to a log, and a sign of life on the terminal."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from .child import Child
from .host_error import log_end

Report = Callable[[str], object]

HEARTBEAT = 10.0
LINE_WIDTH = 90


def signs_of_life(report: Report, describe: Callable[[], str], seconds: float = HEARTBEAT) -> Callable[[], None]:
    """What to call over and over during a wait: it reports the time and what `describe` gives, once every `seconds`."""
    start = said = time.monotonic()

    def tick() -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= seconds:
            said = now
            report(f"  {now - start:4.0f} s  {describe()}"[:LINE_WIDTH])

    return tick


def run_step(command: list[str], log: Path, env: dict[str, str], report: Report, heartbeat: float = HEARTBEAT) -> int:
    """Run `command` with its output in `log`, reporting its last line every `heartbeat` seconds; returns the exit status.

    Stopped from outside, it stops the program and lets the exception go on.
    """
    tick = signs_of_life(report, lambda: last_line(log), heartbeat)
    with Child(command, log, env) as child:
        while (status := child.poll()) is None:
            time.sleep(0.2)
            tick()
    return status


def last_line(log: Path) -> str:
    """The last line of a log with something in it, less a clock at its start."""
    lines = log_end(log)
    return re.sub(r"^[\d.]+ s\s+", "", lines[-1].strip()) if lines else "starting"
