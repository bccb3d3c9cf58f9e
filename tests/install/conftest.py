"""The pack as others get it: a git repository with the working tree in it, and what comfy-cli makes of a checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tilework.tools.process.child import program_environment
from tilework.tools.setup.environment import find_host

ROOT = Path(__file__).resolve().parents[2]
WHO = ("-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "init.defaultBranch=main")


def say(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """What a program prints; an error where it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env or program_environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def git(*arguments: str | Path, cwd: Path | None = None) -> str:
    """Git without the person's own settings."""
    return say("git", *WHO, *arguments, cwd=cwd, env=program_environment(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_SYSTEM=os.devnull))


@pytest.fixture(scope="session")
def repository(tmp_path_factory) -> Path:
    """A bare repository that holds the working tree as it is now, less what .gitignore names."""
    bare = tmp_path_factory.mktemp("repository") / "tilework.git"
    git("init", "-q", "--bare", bare)
    here = (f"--git-dir={bare}", f"--work-tree={ROOT}", "-c", "core.bare=false")
    git(*here, "add", "-A", cwd=ROOT)
    git(*here, "commit", "-q", "-m", "The working tree", cwd=ROOT)
    return bare


@pytest.fixture(scope="session")
def checkout(repository, tmp_path_factory) -> Path:
    """A fresh clone."""
    folder = tmp_path_factory.mktemp("checkout") / "tilework"
    git("clone", "-q", repository, folder)
    return folder


@pytest.fixture(scope="session")
def comfy(tmp_path_factory):
    """comfy-cli, which may neither report home nor write to the person's settings: comfy("node", "validate", cwd=folder)."""
    home = str(tmp_path_factory.mktemp("home"))
    quiet = {"DO_NOT_TRACK": "1", "COMFY_NO_TELEMETRY": "1", "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
    env = program_environment(**quiet, HOME=home, USERPROFILE=home, XDG_CONFIG_HOME=home, APPDATA=home)
    python = find_host().python
    say(python, "-m", "comfy_cli", "--skip-prompt", "tracking", "disable", env=env)
    return lambda *command, cwd: say(python, "-m", "comfy_cli", "--skip-prompt", *command, cwd=cwd, env=env)
