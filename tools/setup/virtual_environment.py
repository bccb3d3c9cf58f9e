"""The virtual environment: made, filled, checked, and mended where it was left half-made."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from ..process.child import surroundings
from ..process.host_error import HostError, tail
from ..process.links import discard
from ..process.long_step import Report, run_step
from .pip import check_space, refuse_full_disk, run_pip

# The three belong together, and are pins of our test environment only: users keep their own torch.
TORCH = ("torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0")
CORE_PACKAGES = ("torch", "torchvision", "aiohttp", "spandrel", "pytest", "skimage", "comfy_cli")

COLD_GIGABYTES = 9
WARM_GIGABYTES = 1

STAMP = "tilework_stamp.json"
PACKAGE_CHECK = Path(__file__).with_name("package_check.py")


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
        answer = subprocess.run(
            [str(python), "-I", "-c", code], env=surroundings(), capture_output=True, text=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def is_alive(venv: Path) -> bool:
    """Whether the environment's interpreter starts and has pip."""
    return python_of(venv).exists() and ask(python_of(venv), "import pip; print('alive')") == "alive"


def is_complete(venv: Path, key: str) -> bool:
    """Whether everything for `key` was installed to the end and is still there, by a look that takes 0.1 s."""
    if read_stamp(venv).get("requirements") != key or not python_of(venv).exists():
        return False
    look = f"import importlib.util as u; print(all(u.find_spec(name) for name in {CORE_PACKAGES!r}))"
    return ask(python_of(venv), look) == "True"


def ensure_interpreter(root: Path, report: Report) -> Path:
    """An environment with a working interpreter and pip, made anew where it is missing or broken."""
    venv = root / "venv"
    if is_alive(venv):
        return python_of(venv)
    if venv.exists():
        report("The virtual environment is half-made or broken: making it anew.")
        discard(venv, root / "tmp")
    check_space(root, COLD_GIGABYTES, "The virtual environment with torch")
    _create(venv, root / "logs" / "venv.log", report)
    return python_of(venv)


def _create(venv: Path, log: Path, report: Report) -> None:
    advice = (
        "Install what is missing (Debian, Ubuntu: apt install python3-venv) or use another Python 3.11 or newer, and run "
        "the same command again."
    )
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise HostError(f"This Python ({sys.executable}) cannot make virtual environments: its module {module} is missing. {advice}")
    report("Making a virtual environment.")
    status = run_step([sys.executable, "-m", "venv", str(venv)], log, surroundings(), report, lambda _: "making a virtual environment")
    if status or not is_alive(venv):
        refuse_full_disk(venv.parent)
        text = tail(log, 8)
        if "ensurepip" in text:
            what = "cannot put pip in a virtual environment: its ensurepip is missing or broken"
            raise HostError(f"This Python ({sys.executable}) {what}. {advice}", text)
        raise HostError(f"The virtual environment {venv} could not be made. {advice} What Python said:", text)


def ensure_packages(root: Path, comfy: Path, tests: Path, key: str, report: Report) -> None:
    """Install everything, see that it is complete, and stamp the environment with `key`."""
    venv = root / "venv"
    # Without the stamp first: stopped from here on, the next run looks again.
    (venv / STAMP).unlink(missing_ok=True)
    _install(root, comfy, tests, report)
    broken = _incomplete(venv)
    if broken:
        report(f"Some packages lack files, as after a stopped installation: {', '.join(broken[:5])}.")
        report("Making the virtual environment anew.")
        discard(venv, root / "tmp")
        ensure_interpreter(root, report)
        _install(root, comfy, tests, report)
        broken = _incomplete(venv)
    if broken:
        raise HostError(
            f"These packages are incomplete although pip installed them just now: {', '.join(broken[:5])}. Something else "
            f"deletes files there (a virus scanner?). Delete the folder {venv} and run the same command again."
        )
    write_stamp(venv, requirements=key)


def _install(root: Path, comfy: Path, tests: Path, report: Report) -> None:
    venv = root / "venv"
    cold = ask(python_of(venv), "import importlib.util as u; print(u.find_spec('torch') is None)") != "False"
    check_space(root, COLD_GIGABYTES if cold else WARM_GIGABYTES, "Installing the packages")
    size = "about 6 GB with torch, two minutes on a fast line" if cold else "most are here, so this is short"
    report(f"Installing the packages: {size}. What pip says goes to {root / 'logs' / 'install.log'}.")
    sources = ["-r", str(comfy / "requirements.txt"), "-r", str(tests)]
    run_pip(python_of(venv), ["install", *TORCH, *sources], root, "install", report)


def _incomplete(venv: Path) -> list[str]:
    answer = subprocess.run(
        [str(python_of(venv)), "-I", str(PACKAGE_CHECK)], env=surroundings(), capture_output=True, text=True, check=False
    )
    if answer.returncode:
        return ["the environment itself"]
    return answer.stdout.split("\n")[:-1]
