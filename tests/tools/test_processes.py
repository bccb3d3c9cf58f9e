"""Locks between processes, and programs that end when we do."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tilework.tools.process.child import Child, program_environment
from tilework.tools.process.lock import held, make_once, taken
from tilework.tools.process.long_step import run_step

ROOT = str(Path(__file__).resolve().parents[2])


ALIVE = "import sys, time\nwhile True:\n    open(sys.argv[1], 'a').write('x')\n    time.sleep(0.02)\n"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + ALIVE


def grows(path):
    """Whether somebody still writes to `path`."""
    before = path.stat().st_size if path.exists() else 0
    time.sleep(0.2)
    return (path.stat().st_size if path.exists() else 0) > before


def within_ten_seconds(condition):
    """Whether `condition` comes true."""
    return any(condition() for _ in range(50))


@pytest.fixture
def python():
    """Start a Python that can import tools and says that it is ready; all are ended afterwards."""
    started = []

    def start(code):
        code = (
            f"import sys, time; sys.path.insert(0, {ROOT!r})\nfrom pathlib import Path\n{code}\nprint('ready', flush=True); time.sleep(60)"
        )
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_two_set_ups_are_kept_apart_until_the_first_dies(tmp_path, python):
    other = python(f"from tools.process.lock import taken\nassert taken(Path({str(tmp_path / 'lock')!r})) is not None")
    assert taken(tmp_path / "lock") is None
    other.kill()
    other.wait()
    assert taken(tmp_path / "lock") is not None, "the system lets go of the lock of a dead process"


def test_waiting_for_the_lock_is_said(tmp_path):
    first = taken(tmp_path / "lock")
    said = []

    def hear(line):
        said.append(line)
        os.close(first)

    with held(tmp_path / "lock", hear, pause=0.01):
        assert taken(tmp_path / "lock") is None
    assert "waiting" in said[0]
    with held(tmp_path / "lock", said.append):
        pass
    assert len(said) == 1, "nothing is said where nobody else is at work"


def test_the_lock_is_let_go_of_when_the_work_fails_and_what_is_made_is_not_made_again(tmp_path):
    made = []
    with pytest.raises(ZeroDivisionError):
        make_once(tmp_path, lambda: bool(made), lambda: 1 // 0, print)
    for _ in range(2):
        make_once(tmp_path, lambda: bool(made), lambda: made.append(1), print)
    assert made == [1]


@pytest.mark.parametrize("code", [ALIVE, pytest.param(STUBBORN, marks=pytest.mark.skipif(os.name == "nt", reason="none can refuse there"))])
def test_a_child_is_gone_when_it_is_stopped_even_where_it_refuses_to_end(tmp_path, code):
    sign = tmp_path / "sign"
    child = Child([sys.executable, "-c", code, str(sign)], tmp_path / "log", program_environment())
    assert within_ten_seconds(lambda: grows(sign))
    child.stop(patience=0.3)
    assert child.poll() is not None
    assert not grows(sign)


def test_a_child_ends_when_its_starter_is_killed_without_warning(tmp_path, python):
    sign, log = tmp_path / "sign", str(tmp_path / "log")
    starter = python(f"""
from tools.process.child import Child, program_environment
child = Child([sys.executable, "-c", {ALIVE!r}, {str(sign)!r}], Path({log!r}), program_environment())
""")
    assert within_ten_seconds(lambda: grows(sign))
    starter.kill()
    starter.wait()
    assert within_ten_seconds(lambda: not grows(sign))


def test_a_long_step_gives_signs_of_life_and_its_status(tmp_path):
    said = []
    code = "import time, sys\nfor i in range(8):\n    print('step', i, flush=True); time.sleep(0.1)\nsys.exit(3)"
    status = run_step([sys.executable, "-c", code], tmp_path / "log", program_environment(), said.append, heartbeat=0.25)
    assert status == 3
    assert said and "step" in said[-1]
    assert (tmp_path / "log").read_text().splitlines()[-1] == "step 7"


def test_a_long_step_that_is_stopped_leaves_nothing_running(tmp_path):
    sign = tmp_path / "sign"

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step([sys.executable, "-c", ALIVE, str(sign)], tmp_path / "log", program_environment(), stop, heartbeat=0.5)
    assert sign.exists()
    assert not grows(sign)
