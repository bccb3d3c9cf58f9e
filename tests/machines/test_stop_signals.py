"""A request to end is heeded where it suits, once, and in the end in any case."""

import os
import signal
import threading

import pytest
from tilework.machines.process import stop_signals
from tilework.machines.process.stop_signals import Terminated, held_back

here = pytest.mark.skipif(os.name == "nt", reason="a signal to oneself ends the process on Windows")


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def number(request):
    """A signal that is heeded as a person's own program heeds it, whatever runs the tests in the background."""
    before = signal.signal(request.param, signal.default_int_handler)
    yield request.param
    signal.signal(request.param, before)


@here
def test_nothing_is_raised_before_it_is_asked_for(number):
    with held_back() as stop:
        stop.check()
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        signal.signal(number, signal.SIG_DFL)  # as a library does
        stop.heed()
        os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt) as raised:
            stop.check()
        assert isinstance(raised.value, Terminated) == (number == signal.SIGTERM)
    assert signal.getsignal(number) is signal.default_int_handler


@here
def test_what_hangs_ends_when_it_is_asked_again(number, monkeypatch):
    ended = []
    monkeypatch.setattr(stop_signals, "PATIENCE", -1.0)
    monkeypatch.setattr(os, "_exit", ended.append)
    with held_back():
        os.kill(os.getpid(), number)
        assert not ended
        os.kill(os.getpid(), number)
        assert ended == [130]


def test_what_is_ignored_stays_so_and_other_threads_hold_nothing_back(number):
    signal.signal(number, signal.SIG_IGN)
    with held_back() as stop:
        os.kill(os.getpid(), number)
        stop.check()
        assert signal.getsignal(number) is signal.SIG_IGN
    kept = []
    thread = threading.Thread(target=lambda: kept.append(held_back().__enter__()))
    thread.start()
    thread.join()
    kept[0].check()
