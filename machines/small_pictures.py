"""Small pictures of results for the report: a child with ComfyUI's Python makes them, since ours need not have Pillow."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from pathlib import Path

from .process.child import program_environment

MAKER = Path(__file__).with_name("small_picture_maker.py")


class SmallPictures:
    """Makes small pictures, one at a time, in a child that is started with the first; a context manager.

    The child ends with us, however we end: its standard input is a pipe that we alone hold.
    """

    def __init__(self, python: Path) -> None:
        self._python = python
        self._child: subprocess.Popen | None = None
        self._lock = threading.Lock()

    def make(self, picture: Path, small: Path) -> bool:
        """Whether `small` could be made of `picture`; never raises, since the report only gets poorer."""
        asked = json.dumps({"picture": str(picture), "small": str(small)})
        with self._lock, contextlib.suppress(OSError, ValueError, KeyError):
            child = self._started()
            child.stdin.write(asked + "\n")
            child.stdin.flush()
            return bool(json.loads(child.stdout.readline())["done"])
        return False

    def close(self) -> None:
        """End the child."""
        with self._lock:
            if self._child is not None:
                with contextlib.suppress(OSError):
                    self._child.stdin.close()
                self._child.kill()
                self._child.wait()
                self._child.stdout.close()
                self._child = None

    def __enter__(self) -> SmallPictures:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _started(self) -> subprocess.Popen:
        if self._child is None or self._child.poll() is not None:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            command = [str(self._python), "-I", str(MAKER)]
            self._child = subprocess.Popen(command, text=True, encoding="utf-8", env=program_environment(), **pipes)
        return self._child
