"""Steps that take minutes: output to a log, and a sign of life on the terminal."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from .child import Child
from .host_error import COLOUR

Report = Callable[[str], object]

HEARTBEAT = 10.0
LINE_WIDTH = 90


def run_step(
    command: list[str],
    log: Path,
    env: dict[str, str],
    report: Report,
    describe: Callable[[str], str],
    heartbeat: float = HEARTBEAT,
) -> int:
    """Run `command` with its output in `log` and a line on every `heartbeat` seconds.

    Args:
        command: program and arguments.
        log: takes all the output.
        env: environment variables.
        report: takes a line for the terminal.
        describe: makes of the log's text so far a few words on what is being done.
        heartbeat: seconds between two lines.

    Returns:
        the exit status. Stopped from outside, it stops the program and lets the exception go on.
    """
    start = said = time.monotonic()
    with Child(command, log, env) as child:
        while (status := child.poll()) is None:
            time.sleep(0.2)
            now = time.monotonic()
            if now - said >= heartbeat:
                said = now
                report(f"  {now - start:4.0f} s  {describe(log_end(log))}"[:LINE_WIDTH])
    return status


def log_end(log: Path, limit: int = 16_384) -> str:
    """The last `limit` bytes of a log as text, or "" where it cannot be read."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - limit))
            return COLOUR.sub("", stream.read().decode("utf-8", "replace"))
    except OSError:
        return ""


def last_line(text: str) -> str:
    """The last line with something in it, less a clock at its start: for programs that say how far they are."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return re.sub(r"^[\d.]+ s\s+", "", lines[-1]) if lines else "starting"


PIP_SIGNS = (
    (re.compile(r"Retrying \(Retry"), lambda m: "no answer from the package index, pip tries again"),
    (re.compile(r"Installing collected packages"), lambda m: "installing the packages (silent, about a minute)"),
    (re.compile(r"Building wheel for (\S+)"), lambda m: f"building {m[1]}"),
    (re.compile(r"Downloading \S*?([^/\s]+)\.(?:whl|tar\.gz)\S*(?: \(([^)]+)\))?"), lambda m: f"downloading {m[1][:50]} {m[2] or ''}"),
    (re.compile(r"Using cached \S*?([^/\s]+)\.(?:whl|tar\.gz)"), lambda m: f"from pip's cache: {m[1][:50]}"),
    (re.compile(r"Collecting (\S+)"), lambda m: f"looking for {m[1][:50]}"),
    (re.compile(r"already satisfied: (\S+)"), lambda m: f"has {m[1][:50]}"),
)


def pip_activity(text: str) -> str:
    """What pip is doing, from the last line of its output that says so."""
    for line in reversed(text.splitlines()):
        for sign, words in PIP_SIGNS:
            if found := sign.search(line):
                return words(found).strip()
    return "pip is starting"
