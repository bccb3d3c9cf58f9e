"""Small pictures of results for the report: a child with ComfyUI's Python makes them, since ours need not have Pillow."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from pathlib import Path

from .process.child import program_environment

MAKER = Path(__file__).with_name("small_picture_maker.py")
FINISH_SECONDS = 8.0


class SmallPictures:
    """Has small pictures made, one after the other, in a child that is started with the first; a context manager.

    Nobody waits for them: the child takes what processor time ComfyUI leaves. It ends with us, however we end: its standard input
    is a pipe that we alone hold.
    """

    def __init__(self, python: Path) -> None:
        self._python = python
        self._child: subprocess.Popen | None = None
        self._lock = threading.Lock()

    def ask_for(self, picture: Path, small: Path, anew: bool = False) -> None:
        """Have `small` made of `picture`, where it is not there yet or `anew`; never raises, since the report only gets poorer."""
        asked = json.dumps({"picture": str(picture), "small": str(small)})
        with self._lock, contextlib.suppress(OSError, ValueError):
            if anew:
                small.unlink(missing_ok=True)
            if small.is_file():
                return
            child = self._started()
            child.stdin.write(asked + "\n")
            child.stdin.flush()

    def close(self) -> None:
        """End the child when it has made what it was asked for, or after FINISH_SECONDS."""
        with self._lock:
            if self._child is not None:
                with contextlib.suppress(OSError):
                    self._child.stdin.close()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(FINISH_SECONDS)
                self._child.kill()
                self._child.wait()
                self._child = None

    def __enter__(self) -> SmallPictures:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _started(self) -> subprocess.Popen:
        if self._child is None or self._child.poll() is not None:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            command = [str(self._python), "-I", str(MAKER)]
            self._child = subprocess.Popen(command, text=True, encoding="utf-8", env=program_environment(), **pipes)
        return self._child
