"""Programs that we start: none outlives us, and Ctrl-C is ours to handle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

KEEPER = Path(__file__).with_name("keeper.py")

# What would make a Python or pip that we start look elsewhere than in the environment we made.
MISLEADING = {"PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
MISLEADING |= {f"PIP_{name}" for name in ("USER", "TARGET", "PREFIX", "ROOT", "LOG", "REQUIRE_VIRTUALENV")}


class Terminated(KeyboardInterrupt):
    """We were told to end by a signal other than Ctrl-C, which the programs we started did not get."""


def program_environment(**extra: str) -> dict[str, str]:
    """The environment variables for a program of ours: those of the person, less the misleading ones."""
    kept = {name: value for name, value in os.environ.items() if name.upper() not in MISLEADING}
    return {**kept, **extra}


def heed_termination() -> None:
    """From now on a polite request to end (kill, a closed terminal) unwinds like Ctrl-C."""

    def unwind(number: int, _frame: object) -> None:
        raise Terminated(number)

    for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        # Whoever runs us under nohup has asked for SIGHUP to be ignored.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, unwind)


def heed_nothing() -> None:
    """From now on no Ctrl-C and no request to end does anything: we are about to end by ourselves."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name) and threading.current_thread() is threading.main_thread():
            signal.signal(getattr(signal, name), signal.SIG_IGN)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no Ctrl-C in: cleaning up is short and has to be finished."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(name, signal.SIG_IGN) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            if handler is not None:
                signal.signal(name, handler)


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
