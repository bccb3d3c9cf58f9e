"""dev.py from the outside: words and an exit status, never a traceback."""

import subprocess
import sys

import pytest
from tilework.tools import commands
from tilework.tools.process import guarded
from tilework.tools.process.child import Terminated, foreground, surroundings
from tilework.tools.process.host_error import HostError
from tilework.tools.setup.environment import REPOSITORY

DEV = REPOSITORY / "dev.py"


def dev(*arguments, **env):
    command = [sys.executable, str(DEV), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=surroundings(**env), check=False, timeout=60)


def test_help_names_every_command():
    answer = dev("--help")
    assert answer.returncode == 0
    assert all(f"dev.py {name}" in answer.stdout for name in commands.COMMANDS)


def test_a_reader_that_goes_away_is_no_failure():
    reader = subprocess.Popen([sys.executable, str(DEV), "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=surroundings())
    reader.stdout.close()
    said = reader.stderr.read()
    reader.stderr.close()
    assert reader.wait() in (0, guarded.READER_GONE)
    assert said == b""


@pytest.mark.parametrize("arguments", [(), ("dmeo",)])
def test_what_is_no_command_is_answered_with_the_commands(arguments):
    answer = dev(*arguments)
    assert answer.returncode == 2
    assert "dev.py demo" in answer.stdout
    assert "Traceback" not in answer.stderr


def test_failures_are_words_and_status_1(tmp_path):
    (tmp_path / "mine.txt").touch()
    answer = dev("test", TILEWORK_HOST=str(tmp_path))
    assert answer.returncode == 1
    assert "did not make" in answer.stdout
    assert answer.stderr == ""


def test_a_wrong_comfyui_path_is_words(tmp_path):
    answer = dev("demo", TILEWORK_HOST=str(tmp_path / "host"), COMFYUI_PATH=str(tmp_path))
    assert answer.returncode == 1
    assert "COMFYUI_PATH" in answer.stdout
    assert answer.stderr == ""


@pytest.mark.parametrize("port", ["x", "0", "70000", "-1"])
def test_a_wrong_port_is_refused_before_any_work(port):
    answer = dev("serve", "--port", port)
    assert answer.returncode == 2
    assert "port" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_front_end_that_is_none_is_refused_before_any_work():
    answer = dev("serve", "--frontend", "1.x")
    assert answer.returncode == 2
    assert "'1.x' is no front end: use own, newest or a version" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("trouble", "status", "words"),
    [
        (HostError("It broke. Mend it."), 1, "It broke. Mend it."),
        (OSError(28, "No space left on device"), 1, "disk is full"),
        (KeyboardInterrupt(), 130, "Stopped."),
        (Terminated(15), 130, "Told to end."),
    ],
)
def test_every_end_has_its_words_and_status(capsys, monkeypatch, trouble, status, words):
    monkeypatch.setattr(guarded, "heed_termination", lambda: None)

    def action():
        raise trouble

    assert guarded.guarded(action) == status
    assert words in capsys.readouterr().out


def test_a_mistake_of_ours_is_not_hidden(monkeypatch):
    monkeypatch.setattr(guarded, "heed_termination", lambda: None)
    with pytest.raises(ZeroDivisionError):
        guarded.guarded(lambda: 1 // 0)


def test_the_status_of_a_program_is_handed_on(tmp_path):
    assert foreground([sys.executable, "-c", "raise SystemExit(5)"], surroundings(), tmp_path) == 5


def test_pytest_is_started_without_the_repository_on_its_path():
    code = commands.PYTEST.replace("sys.exit(pytest.main())", "print(sys.path)")
    command = [sys.executable, "-P", "-c", code]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=surroundings(), check=True)
    assert str(REPOSITORY) not in eval_list(answer.stdout)
    assert "" not in eval_list(answer.stdout)


def eval_list(text):
    """The list that a Python printed."""
    import ast

    return ast.literal_eval(text.strip())


def test_the_published_package_leaves_the_tools_out():
    left_out = (REPOSITORY / ".comfyignore").read_text().split()
    assert {"tests/", "tools/", "benchmarks/", "dev.py", ".ci/", ".host/", "output/"} <= set(left_out)
    needed = {"nodes/", "blending/", "web/", "example_workflows/", "__init__.py", "pyproject.toml", "LICENSE"}
    assert not needed & set(left_out)
