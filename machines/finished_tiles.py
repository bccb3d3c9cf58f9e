"""The files of a picture whose tiles are given out: what is there, who is at work on what, and never through a link."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .process.host_error import HostError
from .process.json_text import parse_json
from .process.links import is_link
from .process.lock import taken
from .tile_graph import CannotSplitError
from .tile_prompts import CUT_NAME, LAYOUT_RECORD, TILE_NAME

# Between two looks whether another command has ended what all wait for.
WAIT_SECONDS = 0.2


def tiles_beside(result: Path) -> Path:
    """The folder of a result's tile files; servers that work on them are started with TILEWORK_TILES set to it."""
    return result.resolve().with_name(f".{result.name}.tiles")


@dataclass(frozen=True)
class FinishedTiles:
    """The files of one piece of work.

    Attributes:
        root: the folder that servers know.
        name: of the folder in it that is of this work alone: its key.
    """

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.root / self.name

    def path(self, kind: str, number: int) -> Path:
        """Tile `number` of `kind` (cut0, tile0, picture), as Write Tile File names it."""
        return self.folder / f"{kind}_{number:05d}.npy"

    def layout(self, index: int = 0) -> Path:
        """The record of the layout of one split, which is written when all of its tiles are."""
        return self.folder / f"{CUT_NAME.format(index)}_{LAYOUT_RECORD}"

    def count(self, splits: int) -> int | None:
        """How many tiles were cut; None where not all are there."""
        records = [self._record(index) for index in range(splits)]
        if None in records:
            return None
        counts = {len(record["tiles"]) if record["present"] == "all" else len(record["present"]) for record in records}
        if len(counts) != 1:
            raise CannotSplitError(
                f"the splits gave {' and '.join(map(str, sorted(counts)))} tiles: run the workflow without --split-tiles"
            )
        (count,) = counts
        whole = all(self.path(CUT_NAME.format(index), number).is_file() for index in range(splits) for number in range(count))
        return count if whole else None

    def make(self) -> None:
        """Make the folder. Raises HostError where it, or anything in it, is a link or no file: what is written would land elsewhere."""
        for path in (self.root, self.folder):
            if not is_link(path):
                path.mkdir(parents=True, exist_ok=True)
        found = next((path for path in (self.root, self.folder, *self.folder.iterdir()) if is_link(path)), None)
        if found is not None:
            raise HostError(f"{found} is a link, and files of tiles are none: remove it, so that nothing is read or written elsewhere.")
        found = next((path for path in self.folder.iterdir() if path.exists() and not path.is_file()), None)
        if found is not None:
            raise HostError(f"{found} is no file, and tiles are kept in files: remove it.")

    def remove_odd(self, kinds: Iterable[str], count: int) -> list[Path]:
        """Remove the files that are of another size than most of their kind; returns them. The tiles of a grid are all of one size."""
        odd = []
        for kind in kinds:
            sizes = {path: path.stat().st_size for path in (self.path(kind, number) for number in range(count)) if path.is_file()}
            usual = Counter(sizes.values()).most_common(1)
            odd += [path for path, size in sizes.items() if size != usual[0][0]]
        for path in odd:
            path.unlink(missing_ok=True)
        return odd

    def is_grid(self) -> bool:
        """Whether the layout is a whole grid, which can be blended as a stream."""
        record = self._record(0)
        return record is not None and record["kind"] == "grid" and record["present"] == "all"

    def _record(self, index: int) -> dict[str, Any] | None:
        """What says where the tiles of one split lie; None where no such file is there, or what is there says something else."""
        try:
            record = {"kind": "grid", "present": "all", **parse_json(self.layout(index).read_bytes())}
        except (OSError, ValueError, TypeError):
            return None
        sound = isinstance(record.get("tiles"), list) and (record["present"] == "all" or isinstance(record["present"], list))
        return record if sound else None

    def has(self, number: int, results: int) -> bool:
        """Whether tile `number` is done."""
        return all(self.path(TILE_NAME.format(index), number).is_file() for index in range(results))

    def note(self, event: str, number: int) -> None:
        """Add a line to the log of this work: what was begun and what ended, and in which process of which machine."""
        by = f"{socket.gethostname()}-{os.getpid()}"
        line = json.dumps({"time": round(time.time(), 3), "event": event, "tile": number, "by": by})
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    @contextlib.contextmanager
    def claimed(self, number: int) -> Iterator[bool]:
        """Whether tile `number` is ours to work on; False while another command is at it. A command that dies lets go of it."""
        with self._lock(f"tile_{number:05d}") as mine:
            yield mine

    @contextlib.contextmanager
    def alone(self, check: Callable[[], object]) -> Iterator[None]:
        """For what one command at a time does, while others wait and `check` that there is still something to wait for."""
        while True:
            with self._lock("whole") as mine:
                if mine:
                    yield
                    return
            check()
            time.sleep(WAIT_SECONDS)

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[bool]:
        descriptor = taken(self.folder / f"{name}.lock")
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                os.close(descriptor)
