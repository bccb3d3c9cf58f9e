"""`farm.py run` with the real ComfyUI: made once, and killed at random moments (with --release; tests/machines has it on a stand-in)."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tilework.machines.process.child import program_environment
from tilework.tests.machines.stand_in import processes_of
from tilework.tools.setup.environment import find_host
from tilework.tools.setup.virtual_environment import has_cuda

ROOT = Path(__file__).resolve().parents[2]
TIMES = 20


@pytest.fixture
def command(server, tmp_path):
    """The command line for a result, and the environment to run it in."""
    host = find_host()
    workflow = ROOT / "example_workflows" / "02 Upscale a picture of any size.json"
    which = ["--comfy", host.comfy, "--python", host.python, "--base", server.base, "--work", tmp_path / "work"]
    passed_on = ["--", "--use-pytorch-cross-attention", *([] if has_cuda(host.root / "venv") else ["--cpu"])]

    def line(result):
        named = ["--in", server.base / "input" / "example.png", "--out", result, *which, *passed_on]
        return [sys.executable, str(ROOT / "farm.py"), "run", str(workflow), *map(str, named)]

    return line


def test_killed_at_any_moment_it_leaves_no_half_file_and_no_process_and_the_next_call_completes(command, tmp_path, pytestconfig):
    if not pytestconfig.getoption("--release"):
        pytest.skip("takes minutes: with --release")
    env = program_environment(OMP_NUM_THREADS="1", XDG_CACHE_HOME=str(tmp_path / "cache"))

    def run(result):
        begun = time.monotonic()
        said = subprocess.run(command(result), env=env, capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout + said.stderr
        return np.asarray(Image.open(result)), time.monotonic() - begun, said.stdout

    whole, needed, _ = run(tmp_path / "first" / "result.png")
    assert "nothing started" in run(tmp_path / "first" / "result.png")[2]
    moments = random.Random(18)
    for number in range(TIMES):
        moment, result = needed * moments.random(), tmp_path / str(number) / "result.png"
        process = subprocess.Popen(command(result), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        begun = time.monotonic()
        while processes_of(tmp_path) and time.monotonic() < begun + 15:
            time.sleep(0.05)
        gone = time.monotonic() - begun
        assert not processes_of(tmp_path)
        left = sorted(path.name for path in result.parent.iterdir()) if result.parent.exists() else []
        assert left in ([], ["result.png"], ["result.png", "result.png.key.json"])
        again, seconds, _ = run(result)
        assert np.array_equal(again, whole) and list((tmp_path / "work").iterdir()) == []
        print(f"{number + 1}: killed after {moment:.1f} of {needed:.1f} s, gone after {gone:.1f} s, left {left}; made in {seconds:.1f} s")
