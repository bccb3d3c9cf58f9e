"""ComfyUI servers that pictures go through: one that we start and end, or one that is running already.

    with ComfyServer(installation) as server:
        name = server.give(Path("photo.png"), "job.png")  # what Load Image is told
        entry = server.queue.run(prompt)
        with server.read(record) as stream:               # a record of a file in that entry
            ...

A server of ours listens on this machine alone, has folders of its own below one work folder, and ends with its owner, however
that ends (machines/process/keeper.py); the work folder goes with it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
import urllib.parse
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from .installation import Installation
from .process.child import Child, program_environment
from .process.host_error import HostError, tail
from .process.links import place_file, remove_tree
from .process.lock import taken
from .process.long_step import Report, last_line, signs_of_life
from .process.loopback import ADDRESS, free_port, get_json, open_url, post_file
from .queue_client import QueueClient, ServerLostError
from .work_key import file_digest

READY_SECONDS = 300
FOLDERS = ("input", "output", "temp", "user")
LOCK = "lock"


def work_root() -> Path:
    """The folder below which work folders are made where none is named: in the system's temporary folder, of this user alone."""
    owner = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    root = Path(tempfile.gettempdir()) / f"tilework-farm-{owner}"
    root.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and (root.is_symlink() or root.stat().st_uid != os.getuid()):
        raise HostError(f"{root} belongs to somebody else: name another folder for the work with --work.")
    return root


def remove_left_behind(root: Path) -> None:
    """Delete the work folders in `root` whose owner is gone: a killed machine leaves them."""
    for folder in root.iterdir() if root.is_dir() else ():
        if not (folder / LOCK).is_file():
            continue
        lock = taken(folder / LOCK)
        if lock is not None:
            with contextlib.suppress(OSError):
                remove_tree(folder)
            os.close(lock)


class ComfyServer:
    """A ComfyUI started in a work folder of its own below `root`, ready when this returns; end it with `close` or in a `with`.

    Args:
        installation: what to start.
        root: where the work folder is made (default: `work_root`). Work folders that nobody owns any more are removed.
        environment: further variables, for instance {"CUDA_VISIBLE_DEVICES": "1"}.
        report: takes a line every ten seconds while it starts.

    Attributes:
        address: "http://127.0.0.1:PORT".
        queue: the QueueClient at that address.
        folder: the work folder, with input, output, temp, user and the log in it.
        log: what ComfyUI writes.
    Raises HostError, with the end of the log, where it does not come up.
    """

    started_by_us = True

    def __init__(
        self,
        installation: Installation,
        root: Path | None = None,
        environment: Mapping[str, str] | None = None,
        report: Report = lambda line: None,
        ready_seconds: float = READY_SECONDS,
    ) -> None:
        self.installation, self.report, self.ready_seconds = installation, report, ready_seconds
        self._giving = threading.Lock()
        if not installation.python.is_file():
            raise HostError(f"There is no Python {installation.python}: name the one that runs ComfyUI with --python.")
        self._make_folder(root or work_root())
        self.port = free_port()
        self.address = f"http://{ADDRESS}:{self.port}"
        self.queue = QueueClient(self.address)
        try:
            env = program_environment(PYTHONUNBUFFERED="1", PYTHONIOENCODING="utf-8", **(environment or {}))
            own = {"cwd": installation.folder, "remove": self.folder, "pid_file": self.folder / "pid", "held": [self._lock]}
            self._child = Child(self._command(), self.log, env, **own)
        except BaseException:
            self._leave()
            raise
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process id of ComfyUI itself."""
        return int((self.folder / "pid").read_text("ascii"))

    def close(self) -> None:
        """End the server and delete its work folder; a second time does nothing."""
        self._child.stop()
        self._leave()

    def check_alive(self, patience: float = 0.0) -> None:
        """Raise ServerLostError, with the end of the log, if ComfyUI is gone, or is within `patience` seconds."""
        give_up = time.monotonic() + patience
        while (status := self._child.poll()) is None and time.monotonic() < give_up:
            time.sleep(0.02)
        if status is not None:
            raise ServerLostError(f"ComfyUI has ended by itself (status {status}). The end of its log:", self._log_end())

    def resident_bytes(self) -> int | None:
        """The memory that ComfyUI's process takes now; None where the system does not say (it does on Linux)."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError):
            return None

    def give(self, picture: Path, name: str) -> str:
        """Put a copy of `picture` into the server's input folder; returns the name that a loader is told."""
        place_file(picture, _inside(self.folder / "input", name))
        return name

    def give_once(self, file: Path, name: str) -> None:
        """Put `file` into the input folder under the name that a workflow has it by, where it is not there already."""
        target = _inside(self.folder / "input", name)
        with self._giving:
            if not target.exists():
                place_file(file, target, share=True)

    def take_back(self, name: str) -> None:
        """Delete what `give` has put there."""
        with contextlib.suppress(OSError):
            _inside(self.folder / "input", name).unlink()

    def read(self, record: Mapping[str, Any]) -> BinaryIO:
        """The file that a node wrote (a `{"filename", "subfolder", "type"}` of the history), open for reading.

        Raises HostError where the record leads out of the server's own folders.
        """
        return self._written(record).open("rb")

    def discard(self, record: Mapping[str, Any]) -> None:
        """Delete a file that a node wrote."""
        with contextlib.suppress(OSError):
            self._written(record).unlink()

    def __enter__(self) -> ComfyServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _written(self, record: Mapping[str, Any]) -> Path:
        if record.get("type") not in ("output", "temp"):
            raise HostError(f"The server names a file in a folder that is none of its own: {record.get('type')!r}.")
        # ComfyUI makes a folder of that name in the one it is given.
        folder = self.folder / "output" if record["type"] == "output" else self.folder / "temp" / "temp"
        return _inside(folder, f"{record.get('subfolder') or '.'}/{record.get('filename')}")

    def _make_folder(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        remove_left_behind(root)
        while True:
            self.folder = root.resolve() / f"comfy-{uuid.uuid4().hex[:12]}"
            self.folder.mkdir(mode=0o700)
            lock = taken(self.folder / LOCK)
            # Somebody who cleans up may have been faster than the lock.
            if lock is not None and (self.folder / LOCK).exists():
                break
        self._lock: int | None = lock
        self.log = self.folder / "comfyui.log"
        for name in FOLDERS:
            (self.folder / name).mkdir()

    def _leave(self) -> None:
        remove_tree(self.folder)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _command(self) -> list[str]:
        made = self.installation
        base = [] if made.base == made.folder else ["--base-directory", str(made.base)]
        own = [part for name in FOLDERS for part in (f"--{name}-directory", str(self.folder / name))]
        quiet = ["--disable-auto-launch", "--disable-api-nodes", "--database-url", "sqlite:///:memory:"]
        where = ["--listen", ADDRESS, "--port", str(self.port)]
        return [str(made.python), str(made.folder / "main.py"), *base, *own, *quiet, *where, *made.arguments]

    def _wait(self) -> None:
        give_up = time.monotonic() + self.ready_seconds
        tick = signs_of_life(self.report, lambda: f"ComfyUI is starting: {last_line(self.log)}")
        while not self._answers():
            if self._child.poll() is not None:
                raise HostError(f"ComfyUI ended while it was starting{self._hint()}. The end of its log:", self._log_end())
            if time.monotonic() > give_up:
                raise HostError(f"ComfyUI did not answer within {self.ready_seconds:g} seconds. The end of its log:", self._log_end())
            tick()
            time.sleep(0.15)

    def _answers(self) -> bool:
        """Whether the server that we started answers, and not another one that took the port before it."""
        try:
            stats = get_json(self.address + "/system_stats", timeout=5)
        except (OSError, ValueError):
            return False
        system = stats.get("system")
        told = system.get("argv") if isinstance(system, dict) else None
        return isinstance(told, list) and str(self.folder / "input") in told

    def _log_end(self) -> str:
        return tail(self.log)

    def _hint(self) -> str:
        return " (a machine without a GPU needs `-- --cpu` at the end of the command)" if "CUDA" in self._log_end() else ""


class RunningServer:
    """A ComfyUI that somebody else has started, at `address`; pictures go to it and come back over HTTP.

    Raises HostError where it does not answer.
    """

    started_by_us = False
    installation = None

    def __init__(self, address: str) -> None:
        self.address = (address if "://" in address else f"http://{address}").rstrip("/")
        self.queue = QueueClient(self.address)
        if not _is_address(self.address):
            raise HostError(f"{address!r} is no address of a server: use http://HOST:PORT.")
        try:
            if not isinstance(get_json(self.address + "/system_stats", timeout=30).get("system"), dict):
                raise ValueError("what answers tells nothing of a system: is it a ComfyUI?")
        except (OSError, ValueError) as error:
            raise HostError(f"No ComfyUI answers at {self.address}: {error}") from error

    def close(self) -> None:
        """Leave the server as it is."""

    def check_alive(self, patience: float = 0.0) -> None:
        """Raise ServerLostError where it does not answer any more; does not wait."""
        try:
            get_json(self.address + "/system_stats", timeout=30)
        except (OSError, ValueError) as error:
            raise ServerLostError(f"The server at {self.address} does not answer any more: {error}") from error

    def resident_bytes(self) -> int | None:
        """Not known from here."""
        return None

    def give(self, picture: Path, name: str) -> str:
        """Send `picture` to the server's input folder, into its subfolder tilework; returns the name that a loader is told.

        It is named for its bytes there, so that one picture is stored once.
        """
        name = file_digest(picture)[:32] + Path(name).suffix
        try:
            said = post_file(f"{self.address}/upload/image", picture, name, {"subfolder": "tilework", "type": "input", "overwrite": "true"})
            if not isinstance(said.get("name"), str) or not isinstance(said.get("subfolder") or "", str):
                raise ValueError("it did not say under which name")
            return f"{said['subfolder']}/{said['name']}" if said.get("subfolder") else said["name"]
        except (OSError, ValueError) as error:
            raise HostError(
                f"The server at {self.address} did not take the picture {picture} ({error}). Where it is larger than 100 MB, the "
                "server has to be started with --max-upload-size."
            ) from error

    def take_back(self, name: str) -> None:
        """A server has no way to delete what it was sent."""

    def read(self, record: Mapping[str, Any]) -> BinaryIO:
        """A file that a node wrote, as it comes over HTTP."""
        asked = urllib.parse.urlencode({name: record.get(name) or "" for name in ("filename", "subfolder", "type")})
        try:
            return open_url(f"{self.address}/view?{asked}")
        except OSError as error:
            raise ServerLostError(f"The server did not give {record.get('filename')}: {error}") from error

    def discard(self, record: Mapping[str, Any]) -> None:
        """A server has no way to delete what it wrote."""

    def __enter__(self) -> RunningServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_address(text: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


AnyServer = ComfyServer | RunningServer


def _inside(folder: Path, name: str) -> Path:
    """The path `name` below `folder`. Raises HostError where it leads out of it, also by a link."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise HostError(f"The name {name!r} leads out of {folder}: nothing is read or written there.")
    return path
