"""farm.py on a stand-in for ComfyUI."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tilework.machines.process.child import program_environment
from tilework.tests.machines import stand_in

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Bench:
    """A ComfyUI, a picture and a workflow in a folder of their own, and farm.py to run them."""

    folder: Path
    comfy: Path
    picture: Path
    workflow: Path
    result: Path
    work: Path

    def command(self, *more: str, picture: Path | None = None, result: Path | None = None) -> list[str]:
        """The command line of `farm.py run`."""
        named = ["--in", picture or self.picture, "--out", result or self.result, "--comfy", self.comfy, "--work", self.work]
        named += ["--python", sys.executable]
        return [sys.executable, str(ROOT / "farm.py"), "run", str(self.workflow), *map(str, named), *more]

    @property
    def environment(self) -> dict[str, str]:
        """Without a home of the person's own: digests of files are remembered here."""
        return program_environment(XDG_CACHE_HOME=str(self.folder / "cache"))

    def run(self, *more: str, status: int = 0, **paths: Path) -> str:
        """What farm.py says; it has to end with `status`."""
        ended = subprocess.run(self.command(*more, **paths), env=self.environment, capture_output=True, text=True, timeout=60)
        said = ended.stdout + ended.stderr
        assert ended.returncode == status and "Traceback" not in said, said
        return " ".join(said.split())

    def write(self, prompt: dict) -> None:
        """Another workflow."""
        self.workflow.write_text(json.dumps(prompt))

    def left(self) -> list[str]:
        """The files in the folder of results."""
        return sorted(path.name for path in self.result.parent.iterdir()) if self.result.parent.exists() else []


@pytest.fixture
def bench(tmp_path):
    comfy = stand_in.make(tmp_path / "comfy")
    made = Bench(tmp_path, comfy, tmp_path / "photo.png", tmp_path / "workflow.json", tmp_path / "out" / "result.png", tmp_path / "work")
    made.picture.write_bytes(stand_in.picture("photo"))
    made.write(stand_in.WORKFLOW)
    yield made
    assert not stand_in.processes_of(tmp_path), "a process is left behind"
