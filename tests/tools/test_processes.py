"""Locks between processes, and programs that end when we do."""

import os
import subprocess
import sys
import time

import pytest
from tilework.tools.process.child import Child, surroundings
from tilework.tools.process.lock import Lock, held, make_once
from tilework.tools.process.long_step import run_step

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def until(condition, seconds=10.0):
    """Wait for `condition`; whether it came."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def python():
    """Start a Python that can import tools; all are ended afterwards."""
    started = []

    def start(code):
        code = f"import sys; sys.path.insert(0, {ROOT!r})\n{code}"
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_two_set_ups_are_kept_apart_until_the_first_dies(tmp_path, python):
    other = python(f"""
from pathlib import Path
from tools.process.lock import Lock
import time
assert Lock(Path({str(tmp_path / "lock")!r})).take()
print("held", flush=True)
time.sleep(60)
""")
    assert other.stdout.readline() == "held\n"
    lock = Lock(tmp_path / "lock")
    assert not lock.take()
    other.kill()
    other.wait()
    assert lock.take(), "the system lets go of the lock of a dead process"
    lock.release()


def test_waiting_for_the_lock_is_said(tmp_path):
    first = Lock(tmp_path / "lock")
    assert first.take()
    said = []

    def hear(line):
        said.append(line)
        first.release()

    with held(tmp_path / "lock", hear, pause=0.01):
        assert not Lock(tmp_path / "lock").take()
    assert "waiting" in said[0]
    with held(tmp_path / "lock", said.append):
        pass
    assert len(said) == 1, "nothing is said where nobody else is at work"


def test_the_lock_is_let_go_of_when_the_work_fails_and_what_is_made_is_not_made_again(tmp_path):
    made = []
    with pytest.raises(ZeroDivisionError):
        make_once(tmp_path, lambda: bool(made), lambda: 1 // 0, print)
    assert Lock(tmp_path / "setup.lock").take()
    for _ in range(2):
        make_once(tmp_path / "other", lambda: bool(made), lambda: made.append(1), print)
    assert made == [1]


ALIVE = "import sys, time\nwhile True:\n    open(sys.argv[1], 'a').write('x')\n    time.sleep(0.02)\n"


def grows(path):
    """Whether somebody still writes to `path`."""
    before = path.stat().st_size if path.exists() else 0
    time.sleep(0.2)
    return (path.stat().st_size if path.exists() else 0) > before


STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + ALIVE


@pytest.mark.parametrize("code", [ALIVE, pytest.param(STUBBORN, marks=pytest.mark.skipif(os.name == "nt", reason="none can refuse there"))])
def test_a_child_is_gone_when_it_is_stopped_even_where_it_refuses_to_end(tmp_path, code):
    sign = tmp_path / "sign"
    child = Child([sys.executable, "-c", code, str(sign)], tmp_path / "log", surroundings())
    assert until(lambda: grows(sign))
    child.stop(patience=0.3)
    assert child.poll() is not None
    assert not grows(sign)


def test_a_child_ends_when_its_starter_is_killed_without_warning(tmp_path, python):
    sign = tmp_path / "sign"
    starter = python(f"""
from pathlib import Path
from tools.process.child import Child, surroundings
child = Child([sys.executable, "-c", {ALIVE!r}, {str(sign)!r}], Path({str(tmp_path / "log")!r}), surroundings())
print("started", flush=True)
child.process.wait()
""")
    assert starter.stdout.readline() == "started\n"
    assert until(lambda: grows(sign))
    starter.kill()
    starter.wait()
    assert until(lambda: not grows(sign))


def test_a_long_step_gives_signs_of_life_and_its_status(tmp_path):
    said = []
    code = "import time, sys\nfor i in range(8):\n    print('step', i, flush=True); time.sleep(0.1)\nsys.exit(3)"
    status = run_step([sys.executable, "-c", code], tmp_path / "log", surroundings(), said.append, heartbeat=0.25)
    assert status == 3
    assert said
    assert "step" in said[-1]
    assert (tmp_path / "log").read_text().splitlines()[-1] == "step 7"


def test_a_long_step_that_is_stopped_leaves_nothing_running(tmp_path):
    sign = tmp_path / "sign"

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step([sys.executable, "-c", ALIVE, str(sign)], tmp_path / "log", surroundings(), stop, heartbeat=0.5)
    assert sign.exists()
    assert not grows(sign)
