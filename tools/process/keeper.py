"""Run one program and end it when whoever started us is gone.

    python -I keeper.py PROGRAM [ARGUMENT ...]

Our standard input is a pipe that the starter holds open and never writes to. When the starter closes it, or dies in whatever
way, the operating system gives us an end of file, and the program is ended. No signal is needed: this works on every system.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

PATIENCE = 8.0


def end_with_starter(process: subprocess.Popen) -> None:
    """Wait until the pipe to the starter is closed; ask the program to end, and make it after PATIENCE seconds."""
    # os.read and not sys.stdin: a thread inside sys.stdin.read makes the interpreter's exit fail.
    while os.read(0, 4096):
        pass
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()


def main(command: list[str]) -> int:
    """Run `command` and return its exit status (128 + signal where it died of one)."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    threading.Thread(target=end_with_starter, args=(process,), daemon=True).start()
    status = process.wait()
    if os.name != "nt" and os.getpgrp() == os.getpid():
        # What the program itself started and left behind is in our group.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(os.getpid(), signal.SIGTERM)
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
