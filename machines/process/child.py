"""Programs that we start: none outlives us, and Ctrl-C is ours to handle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from .stop_signals import Terminated, undisturbed

KEEPER = Path(__file__).with_name("keeper.py")

# What would make a Python or pip that we start look elsewhere than in the environment we made.
MISLEADING = {"PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
MISLEADING |= {f"PIP_{name}" for name in ("USER", "TARGET", "PREFIX", "ROOT", "LOG", "REQUIRE_VIRTUALENV")}


def program_environment(**extra: str) -> dict[str, str]:
    """The environment variables for a program of ours: those of the person, less the misleading ones."""
    kept = {name: value for name, value in os.environ.items() if name.upper() not in MISLEADING}
    return {**kept, **extra}


class Child:
    """A program in a process group of its own, writing to a log; use it in a `with`.

    It runs under keeper.py, so it ends even where we are killed without warning. `log` is emptied first.

    Args:
        remove: a folder that is deleted when the program has ended, also where we are gone by then.
        pid_file: is given the program's own process id (`process.pid` is the keeper's).
        held: descriptors that stay open as long as the keeper runs: locks (not on Windows).
    """

    def __init__(
        self,
        command: list[str],
        log: Path,
        env: dict[str, str],
        cwd: Path | None = None,
        remove: Path | None = None,
        pid_file: Path | None = None,
        held: Iterable[int] = (),
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        named = {"--pid-file": pid_file, "--remove": remove}
        options = [str(part) for name, value in named.items() if value is not None for part in (name, value)]
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"start_new_session": True}
        if os.name != "nt":
            apart["pass_fds"] = tuple(held)
        with log.open("wb") as output:
            to_log = {"stdin": subprocess.PIPE, "stdout": output, "stderr": subprocess.STDOUT}
            whole = [sys.executable, "-I", str(KEEPER), *options, "--", *command]
            self.process = subprocess.Popen(whole, env=env, cwd=cwd, **to_log, **apart)

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        return self.process.poll()

    def stop(self, patience: float = 12.0) -> None:
        """End the program; returns when it is gone."""
        with undisturbed():
            self.process.stdin.close()
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                if os.name == "nt":
                    subprocess.run(["taskkill", "/F", "/T", "/PID", str(self.process.pid)], capture_output=True, check=False)
                else:
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def foreground(command: list[str], env: dict[str, str], cwd: Path, patience: float = 30.0) -> int:
    """Run a program on our terminal and return its exit status as a shell shows it (128 + signal where it died of one).

    Ctrl-C reaches the program as well as us: it is given `patience` seconds to clean up.
    """
    process = subprocess.Popen(command, env=env, cwd=cwd)
    try:
        status = process.wait()
    except KeyboardInterrupt as error:
        with undisturbed():
            if isinstance(error, Terminated):
                process.terminate()
            status = _wait_or_end(process, patience)
    return 128 - status if status < 0 else status


def _wait_or_end(process: subprocess.Popen, patience: float) -> int:
    """The exit status of a program that was told to end, and is made to if it takes too long."""
    for end in (process.terminate, process.kill):
        try:
            return process.wait(patience)
        except subprocess.TimeoutExpired:
            end()
    return process.wait()
