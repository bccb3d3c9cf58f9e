"""Run one program and end it when whoever started us is gone.

    python -I keeper.py [--pid-file FILE] [--remove FOLDER] -- PROGRAM [ARGUMENT ...]

Our standard input is a pipe that the starter holds open and never writes to. When the starter closes it, or dies in whatever
way, the operating system gives us an end of file, and the program is ended. No signal is needed: this works on every system.
Two more nets on Linux: where a fork of the starter holds the pipe open, we see that our parent is another one; and where we are
killed ourselves, the kernel kills the program (parent-death signal).

FILE is given the program's process id. FOLDER is deleted after a program that was ended, so that a starter that was killed leaves
nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

PATIENCE = 8.0
LOOK_SECONDS = 0.5
PR_SET_PDEATHSIG = 1


def dies_with_us() -> Callable[[], None] | None:
    """What the program has to do before it begins, so that it is killed with us; None where the system has no such thing."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    prctl, keeper = ctypes.CDLL(None, use_errno=True).prctl, os.getpid()

    def before() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # Where we died before the line above, nobody would send the signal.
        if os.getppid() != keeper:
            os._exit(1)

    return before


def end(process: subprocess.Popen) -> None:
    """Ask the program to end, and make it after PATIENCE seconds."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()


def end_with_pipe(process: subprocess.Popen, asked: threading.Event) -> None:
    """Wait until the pipe to the starter is closed, then end the program."""
    # os.read and not sys.stdin: a thread inside sys.stdin.read makes the interpreter's exit fail.
    while os.read(0, 4096):
        pass
    asked.set()
    end(process)


def end_with_parent(process: subprocess.Popen, parent: int, asked: threading.Event) -> None:
    """Wait until our parent is another one than the starter, then end the program."""
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    asked.set()
    end(process)


def keep(pid_file: str | None, remove: str | None, command: list[str]) -> int:
    """Run `command` and return its exit status (128 + signal where it died of one)."""
    parent, asked = os.getppid(), threading.Event()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=dies_with_us())
    if pid_file:
        with open(pid_file, "w", encoding="ascii") as file:
            file.write(str(process.pid))
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    threading.Thread(target=end_with_pipe, args=(process, asked), daemon=True).start()
    if os.name != "nt":
        threading.Thread(target=end_with_parent, args=(process, parent, asked), daemon=True).start()
    status = process.wait()
    if os.name != "nt" and os.getpgrp() == os.getpid():
        # What the program itself started and left behind is in our group.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(os.getpid(), signal.SIGTERM)
    # Where the program has ended by itself, the starter still wants to read its log, and removes the folder.
    if remove and asked.is_set():
        shutil.rmtree(remove, ignore_errors=True)
    return 128 - status if status < 0 else status


def options(arguments: list[str]) -> tuple[str | None, str | None, list[str]]:
    """What our own command line says: the two options, and the program with its arguments."""
    end_of_ours = arguments.index("--")
    named = dict(zip(arguments[:end_of_ours:2], arguments[1:end_of_ours:2], strict=True))
    return named.get("--pid-file"), named.get("--remove"), arguments[end_of_ours + 1 :]


if __name__ == "__main__":
    code = keep(*options(sys.argv[1:]))
    sys.stdout.flush()
    os._exit(code)
