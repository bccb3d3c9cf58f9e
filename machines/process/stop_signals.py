"""Ctrl-C and requests to end: heeded at once, when it suits, or not at all."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

STOPPED = 130
# By then everything that is left is taken to hang.
PATIENCE = 60.0


class Terminated(KeyboardInterrupt):
    """We were told to end by a signal other than Ctrl-C, which the programs we started did not get."""


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


class Stop:
    """Whether somebody has asked us to end; from `held_back`."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._when = 0.0

    def check(self) -> None:
        """Raise Terminated or KeyboardInterrupt where we were asked to end."""
        if self._number is not None:
            raise KeyboardInterrupt if self._number == signal.SIGINT else Terminated(self._number)

    def heed(self) -> None:
        """Take signals; once more where a library has put a handler of its own in the place of ours."""
        for number in _heeded():
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        now = time.monotonic()
        if self._number is None:
            self._number, self._when = number, now
        elif now - self._when > PATIENCE:
            os._exit(STOPPED)


@contextmanager
def held_back() -> Iterator[Stop]:
    """For what may not be left at any moment: a request to end, or Ctrl-C, takes effect where `check` is called, and nowhere else.

    Asked again after a minute, the process ends where it stands.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in _heeded()}
    stop.heed()
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _heeded() -> list[signal.Signals]:
    """Whoever runs us under nohup, or in the background, has asked for some to be ignored."""
    there = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
    return [number for number in there if signal.getsignal(number) not in (signal.SIG_IGN, None)]
