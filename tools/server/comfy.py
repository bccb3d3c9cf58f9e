"""A real ComfyUI server with Tilework installed, started for a while.

    with Server(host, name="tests", packs={"tilework": REPOSITORY}) as server:
        get(server.url + "/object_info")

It works in a folder of its own (`.host/base-<name>`): a person's own ComfyUI, models and pictures are never written to.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from ..process.child import Child, program_environment
from ..process.host_error import HostError, tail
from ..process.links import is_link, link_folder, place_file, remove_tree
from ..process.lock import taken
from ..process.long_step import Report, last_line, signs_of_life
from ..process.loopback import ADDRESS, free_port, get_json, is_free
from ..setup.environment import REPOSITORY, Host
from ..setup.virtual_environment import has_cuda

READY_SECONDS = 180
FOLDERS = ("custom_nodes", "models/upscale_models", "input", "output", "user/default")
# A new person gets a dialog of templates over the canvas, which is in the way here.
SETTINGS = {"Comfy.TutorialCompleted": True}


def check_port(port: int | None) -> None:
    """Raise HostError where `port` is taken; None, for any free one, is fine."""
    if port is not None and not is_free(port):
        raise HostError(f"Port {port} is taken by another program. Name another one with --port, or leave --port out.")


class Server:
    """A ComfyUI server at `url`, running inside a `with`; started, it has its working folder in `base` and its log in `log`.

    Args:
        host: what to run, from `ensure_host` or `find_host`.
        name: of the working folder; where a running server has it, a number is added.
        packs: what to link into custom_nodes, as {folder name: folder}; None for Tilework alone.
        models: files to put in models, as {kind such as "upscale_models": paths}.
        inputs: pictures to put in input.
        port: to listen on; None for a free one.
        extra_args: further arguments for ComfyUI.
        keep: leave what is in the working folder from the last time.
        report: takes a line every ten seconds while the server starts.
    """

    base: Path
    log: Path

    def __init__(
        self,
        host: Host,
        name: str = "tests",
        packs: Mapping[str, Path] | None = None,
        models: Mapping[str, Iterable[Path]] | None = None,
        inputs: Iterable[Path] = (),
        port: int | None = None,
        extra_args: Iterable[str] = (),
        keep: bool = False,
        report: Report = lambda line: None,
    ) -> None:
        check_port(port)
        self.host, self.name, self.keep, self.report = host, name, keep, report
        self.packs = {"tilework": REPOSITORY} if packs is None else packs
        self.models, self.inputs, self.extra_args = models or {}, inputs, extra_args
        self.port = port or free_port()
        self.url = f"http://{ADDRESS}:{self.port}"

    def __enter__(self) -> Server:
        with ExitStack() as running:
            running.callback(os.close, self._take_folder())
            self._furnish()
            self._child = running.enter_context(Child(self._command(), self.log, self._environment(), cwd=self.host.comfy))
            self._wait()
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def check_alive(self, when: str = "by itself") -> None:
        """Raise HostError, with the end of the log, if the server is gone."""
        status = self._child.poll()
        if status is not None:
            raise HostError(f"ComfyUI's server has ended {when} (status {status}). The end of its log {self.log}:", tail(self.log))

    def _take_folder(self) -> int:
        """Two servers never share a working folder: the second of a name gets one with a number. Returns the lock on it."""
        for name in (self.name, *(f"{self.name}-{number}" for number in range(2, 100))):
            lock = taken(self.host.root / f"base-{name}.lock")
            if lock is not None:
                self.base = self.host.root / f"base-{name}"
                self.log = self.host.root / "logs" / f"server-{name}.log"
                return lock
        raise HostError(f"A hundred servers named {self.name} are running: stop some.")

    def _furnish(self) -> None:
        """The working folder: links to the packs, models, pictures, settings."""
        if not self.keep:
            remove_tree(self.base)
        for folder in FOLDERS:
            (self.base / folder).mkdir(parents=True, exist_ok=True)
        nodes = self.base / "custom_nodes"
        for old in nodes.iterdir():
            if is_link(old):
                remove_tree(old)
        for name, folder in self.packs.items():
            link_folder(nodes / name, folder.resolve())
        for kind, files in self.models.items():
            for file in files:
                place_file(file, self.base / "models" / kind / file.name, share=True)
        for file in self.inputs:
            place_file(file, self.base / "input" / file.name)
        settings = self.base / "user" / "default" / "comfy.settings.json"
        if not settings.exists():
            settings.write_text(json.dumps(SETTINGS), "utf-8")

    def _wait(self) -> None:
        give_up = time.monotonic() + READY_SECONDS
        tick = signs_of_life(self.report, lambda: f"ComfyUI is starting: {last_line(self.log)}")
        while not self._answers():
            self.check_alive("while it was starting")
            if time.monotonic() > give_up:
                raise HostError(
                    f"ComfyUI's server did not answer within {READY_SECONDS} seconds. Stop other heavy programs and run the "
                    f"same command again. The end of its log {self.log}:",
                    tail(self.log),
                )
            tick()
            time.sleep(0.15)

    def _command(self) -> list[str]:
        fixed = ["--use-pytorch-cross-attention", "--disable-auto-launch", "--disable-api-nodes", "--database-url", "sqlite:///:memory:"]
        where = ["--listen", ADDRESS, "--port", str(self.port), "--base-directory", str(self.base)]
        cpu = [] if has_cuda(self.host.root / "venv") else ["--cpu"]
        return [str(self.host.python), str(self.host.comfy / "main.py"), *cpu, *fixed, *where, *self.extra_args]

    def _environment(self) -> dict[str, str]:
        # Two or more threads wait for each other by spinning: on a busy machine that is many times slower.
        env = program_environment(OMP_NUM_THREADS="1", PYTHONUNBUFFERED="1", PYTHONIOENCODING="utf-8")
        if not self.host.comfy.is_relative_to(self.host.root):
            # A person's own ComfyUI is not written to, not even with compiled files.
            env["PYTHONPYCACHEPREFIX"] = str(self.host.root / "pycache")
        return env

    def _answers(self) -> bool:
        """Whether the server that we started answers, and not another one that took the port before it."""
        try:
            stats = get_json(self.url + "/system_stats", timeout=5)
        except (OSError, ValueError):
            return False
        return str(self.base) in stats.get("system", {}).get("argv", [])
