"""What was begun and what ended: lines that are only ever added, one file per writer.

    OUT/.farm/record/20261201T050000-machine-4711-ab12.jsonl

Every worker of every run has a file of its own, so no two processes write to one file, which network folders cannot do
safely. A line is written with one call and flushed to the disk before the work goes on. A process that is killed while it
writes leaves at most half a last line; readers pass over it, and no later writer adds to that file.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .process.json_text import parse_json

BEGUN, ENDED = "begun", "ended"
# Another worker has the picture, and this one works on some of its tiles.
HELPED = "helped"
# How work ended: the picture has a result; the workflow refused the picture; ComfyUI was lost with it.
MADE, REFUSED, LOST = "made", "refused", "lost"
FOLDER = Path(".farm") / "record"
# Of every line.
WORDS = ("event", "picture", "worker")


class Record:
    """A file of lines under `out`, open for adding; a context manager.

    Args:
        out: the folder of the results.
        writer: who writes, for people: letters, digits, "-" and "_" of it stand in the name of the file.
    """

    def __init__(self, out: Path, writer: str) -> None:
        folder = out / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        now = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        who = re.sub(r"[^\w-]+", "-", f"{writer}-{socket.gethostname()}")[:80]
        self.path = folder / f"{now}-{who}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        self._writer = writer
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)

    def note(self, event: str, picture: str, **more: Any) -> None:
        """Add a line: the time in seconds since 1970 (UTC), the event, the picture's path below the input folder, and `more`."""
        line = {"time": round(time.time(), 3), "event": event, "picture": picture, "worker": self._writer, **more}
        # ASCII: names that are no Unicode come back as they were.
        os.write(self._file, json.dumps(line).encode("ascii") + b"\n")
        os.fsync(self._file)

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_record(out: Path) -> list[dict[str, Any]]:
    """Every whole line under `out`, by time; lines that are no record (a half one at an end) are passed over."""
    lines = [entry for path in sorted((out / FOLDER).glob("*.jsonl")) for entry in _lines(path)]
    return sorted(lines, key=lambda entry: entry["time"])


def begun_more_than_once(entries: Iterable[dict[str, Any]]) -> dict[str, int]:
    """How often each picture that was begun several times was begun."""
    counts: dict[str, int] = {}
    for entry in entries:
        if entry["event"] == BEGUN:
            counts[entry["picture"]] = counts.get(entry["picture"], 0) + 1
    return {picture: count for picture, count in counts.items() if count > 1}


def refusals(entries: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """The work keys that each picture was refused with, one for each time."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        if entry["event"] == ENDED and entry.get("state") == REFUSED and isinstance(entry.get("key"), str):
            found.setdefault(entry["picture"], []).append(entry["key"])
    return found


def left_open(entries: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """(picture, worker) of what was begun and has no end: what was in flight when its worker was lost."""
    open_now: dict[tuple[str, str], int] = {}
    for entry in entries:
        key = (entry["picture"], entry["worker"])
        open_now[key] = open_now.get(key, 0) + {BEGUN: 1, ENDED: -1}.get(entry["event"], 0)
    return [key for key, count in open_now.items() for _ in range(max(0, count))]


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    for raw in path.read_bytes().split(b"\n"):
        try:
            entry = parse_json(raw)
        except ValueError:
            continue
        if not isinstance(entry, dict) or not isinstance(entry.get("time"), (int, float)):
            continue
        if all(isinstance(entry.get(name), str) for name in WORDS):
            yield entry
