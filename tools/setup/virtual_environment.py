"""The virtual environment: made, filled, checked, and mended where it was left half-made."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from ..process.child import program_environment
from ..process.host_error import HostError, tail
from ..process.links import discard
from ..process.long_step import Report, run_step
from .pip import check_space, run_pip

# The three belong together, and are pins of our test environment only: users keep their own torch.
TORCH = ("torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0")
# What ComfyUI and the tests cannot do without, in its import names.
CORE_PACKAGES = ("torch", "torchvision", "torchaudio", "aiohttp", "transformers", "spandrel", "skimage", "comfy_cli", "pytest", "xdist")

COLD_GIGABYTES = 9
WARM_GIGABYTES = 1

STAMP = "tilework_stamp.json"


def python_of(venv: Path) -> Path:
    """The interpreter of a virtual environment."""
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def requirements_key(*files: Path) -> str:
    """What the environment is made of, as a hash: another key means that pip has to look again."""
    digest = hashlib.sha256("\n".join(TORCH).encode())
    for file in files:
        # Line endings differ between checkouts of one file.
        digest.update(b"\0" + b"\n".join(file.read_bytes().splitlines()))
    return digest.hexdigest()


def read_stamp(venv: Path) -> dict[str, str]:
    """The stamp of what was installed to the end, {} where nothing was."""
    try:
        stamp = json.loads((venv / STAMP).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(venv: Path, **values: str) -> None:
    """Put `values` in the stamp, whole or not at all."""
    unfinished = venv / f"{STAMP}.{os.getpid()}"
    unfinished.write_text(json.dumps({**read_stamp(venv), **values}, indent=1), "utf-8")
    unfinished.replace(venv / STAMP)


def ask(python: Path, code: str, timeout: float = 120) -> str | None:
    """What `code` prints in that interpreter, None where it fails."""
    try:
        command = [str(python), "-I", "-c", code]
        asked = {"env": program_environment(), "capture_output": True, "text": True, "timeout": timeout, "check": True}
        return subprocess.run(command, **asked).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def is_alive(venv: Path) -> bool:
    """Whether the environment's interpreter starts and has pip."""
    return ask(python_of(venv), "import pip") is not None


def is_complete(venv: Path, key: str) -> bool:
    """Whether everything for `key` was installed to the end and is still there, by a look that takes 0.1 s."""
    look = f"import importlib.util as u; print(all(u.find_spec(name) for name in {CORE_PACKAGES!r}))"
    return read_stamp(venv).get("requirements") == key and ask(python_of(venv), look) == "True"


def has_cuda(venv: Path) -> bool:
    """Whether torch finds a CUDA device; asked once (it takes seconds) and again when the machine looks different."""
    signs = f"{Path('/dev/nvidiactl').exists()} {os.environ.get('CUDA_VISIBLE_DEVICES')}"
    if read_stamp(venv).get("cuda_asked_with") != signs:
        answer = ask(python_of(venv), "import torch; print(torch.cuda.is_available())")
        write_stamp(venv, cuda_asked_with=signs, cuda=str(answer))
    return read_stamp(venv)["cuda"] == "True"


def ensure_interpreter(root: Path, report: Report) -> None:
    """An environment with a working interpreter and pip, made anew where it is missing or broken."""
    venv = root / "venv"
    if is_alive(venv):
        return
    if venv.exists():
        report("The virtual environment is half-made or broken: making it anew.")
        discard(venv, root / "tmp")
    check_space(root, COLD_GIGABYTES, "The virtual environment with torch")
    report("Making a virtual environment.")
    log = root / "logs" / "venv.log"
    missing = [module for module in ("venv", "ensurepip") if importlib.util.find_spec(module) is None]
    if missing or run_step([sys.executable, "-m", "venv", str(venv)], log, program_environment(), report) or not is_alive(venv):
        what = f"its module {missing[0]} is missing" if missing else "its last lines below say why"
        raise HostError(
            f"This Python ({sys.executable}) cannot make a virtual environment with pip in it: {what}. Install what is missing (Debian, "
            "Ubuntu: apt install python3-venv) or use another Python 3.11 or newer, and run the same command again.",
            "" if missing else tail(log),
        )


def ensure_packages(root: Path, comfy: Path, tests: Path, key: str, report: Report) -> None:
    """Install everything, see that it works, and stamp the environment with `key`."""
    venv = root / "venv"
    # Without the stamp first: stopped from here on, the next run looks again.
    (venv / STAMP).unlink(missing_ok=True)
    for again in (True, False):
        _install(root, comfy, tests, report)
        if _works(root, report):
            write_stamp(venv, requirements=key)
            return
        if again:
            # As after a pip that was stopped in the middle of a package, which it takes for installed from then on.
            report("Some packages do not work: making the virtual environment anew.")
            discard(venv, root / "tmp")
            ensure_interpreter(root, report)
    raise HostError(
        "The packages do not work although pip installed them just now: the last lines below say why. Mend that (a virus scanner "
        f"that deletes files?), delete the folder {venv} and run the same command again.",
        tail(root / "logs" / "check.log"),
    )


def _install(root: Path, comfy: Path, tests: Path, report: Report) -> None:
    python = python_of(root / "venv")
    cold = ask(python, "import importlib.util as u; print(u.find_spec('torch') is None)") != "False"
    check_space(root, COLD_GIGABYTES if cold else WARM_GIGABYTES, "Installing the packages")
    size = "about 6 GB with torch, two minutes on a fast line" if cold else "most are here, so this is short"
    report(f"Installing the packages: {size}. What pip says goes to {root / 'logs' / 'install.log'}.")
    run_pip(python, ["install", *TORCH, "-r", str(comfy / "requirements.txt"), "-r", str(tests)], root, "install", report)


def _works(root: Path, report: Report) -> bool:
    """Whether the packages that matter most can be imported, and pip finds that none lacks what it needs."""
    check = "import sys, runpy; sys.argv = ['pip', 'check']; runpy.run_module('pip', run_name='__main__')"
    command = [str(python_of(root / "venv")), "-I", "-c", f"import {', '.join(CORE_PACKAGES)}; {check}"]
    return run_step(command, root / "logs" / "check.log", program_environment(), report) == 0
