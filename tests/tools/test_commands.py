"""dev.py from the outside: words and an exit status, never a traceback."""

import ast
import subprocess
import sys

import pytest
from tilework.tools import commands
from tilework.tools.process import guarded
from tilework.tools.process.child import foreground, program_environment
from tilework.tools.process.host_error import HostError
from tilework.tools.process.stop_signals import Terminated
from tilework.tools.setup.environment import REPOSITORY

DEV = REPOSITORY / "dev.py"


def dev(*arguments, **env):
    command = [sys.executable, str(DEV), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=program_environment(**env), check=False, timeout=60)


def test_help_names_every_command_and_a_reader_that_goes_away_is_no_failure():
    said = dev("--help")
    assert said.returncode == 0 and all(f"dev.py {name}" in said.stdout for name in commands.COMMANDS)
    reader = subprocess.Popen(
        [sys.executable, str(DEV), "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=program_environment()
    )
    reader.stdout.close()
    said = reader.stderr.read()
    reader.stderr.close()
    assert reader.wait() in (0, guarded.READER_GONE)
    assert said == b""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "dev.py demo"),
        (("dmeo",), "dev.py demo"),
        (("demo", "now"), "unrecognized arguments: now"),
        (("serve", "--port", "x"), "is not a port"),
        (("serve", "--port", "0"), "is not a port"),
        (("serve", "--port", "70000"), "is not a port"),
        (("serve", "--frontend", "1.x"), "'1.x' is no front end: use own, newest or a version"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_work(arguments, words):
    answer = dev(*arguments)
    assert answer.returncode == 2
    assert words in answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("name", ["TILEWORK_HOST", "COMFYUI_PATH"])
def test_failures_are_words_and_status_1(tmp_path, name):
    (tmp_path / "mine.txt").touch()
    answer = dev("test", **{"TILEWORK_HOST": str(tmp_path / "host"), name: str(tmp_path)})
    assert answer.returncode == 1
    assert f"{name} names {tmp_path}" in answer.stdout
    assert answer.stderr == ""


@pytest.mark.parametrize(
    ("trouble", "status", "words"),
    [
        (HostError("It broke. Mend it."), 1, "It broke. Mend it."),
        (OSError(28, "No space left on device", "/x/y"), 1, "The disk is full (/x/y)."),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "failed (/x/y): Permission denied."),
        (KeyboardInterrupt(), 130, "Stopped."),
        (Terminated(15), 130, "Told to end."),
    ],
)
def test_every_end_has_its_words_and_status_and_a_mistake_of_ours_is_not_hidden(capsys, monkeypatch, trouble, status, words):
    monkeypatch.setattr(guarded, "heed_termination", lambda: None)
    monkeypatch.setattr(guarded, "heed_nothing", lambda: None)

    def action():
        raise trouble

    assert guarded.guarded(action) == status
    assert words in capsys.readouterr().out
    with pytest.raises(ZeroDivisionError):
        guarded.guarded(lambda: 1 // 0)


def test_the_status_of_a_program_is_handed_on(tmp_path):
    assert foreground([sys.executable, "-c", "raise SystemExit(5)"], program_environment(), tmp_path) == 5


def test_pytest_is_started_without_the_repository_on_its_path():
    code = commands.PYTEST.replace("sys.exit(pytest.main())", "print(sys.path)")
    command = [sys.executable, "-P", "-c", code]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=program_environment(), check=True)
    assert not {"", str(REPOSITORY)} & set(ast.literal_eval(answer.stdout.strip()))
