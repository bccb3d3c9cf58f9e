"""ComfyUI Manager for the test of the installation, in an environment of its own.

The Manager belongs in the environment that ComfyUI runs in. Here it sees the packages of that environment, so that it finds
what it would find there, and what it installs goes elsewhere.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..process.child import program_environment
from ..process.host_error import HostError, tail
from ..process.links import discard
from ..process.lock import make_once
from ..process.long_step import Report, run_step
from .environment import Host
from .pip import run_pip
from .virtual_environment import ask, python_of

MANAGER = "comfyui_manager==4.2.2"
# Nothing of any index, registry or list of packs is asked for: the proxy is a port at which nobody listens.
NOWHERE = "http://127.0.0.1:9"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
OFFLINE = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"} | dict.fromkeys(PROXIES, NOWHERE)


def ensure_manager(host: Host, report: Report = print) -> Path:
    """The interpreter that has ComfyUI Manager.

    Raises HostError where it cannot be installed.
    """
    folder = host.root / f"manager-{MANAGER.replace('==', '-')}"
    stamp = folder / "complete.txt"
    seen = _packages_of(host.python)

    def make() -> None:
        report("Installing ComfyUI Manager for the test of the installation (once, 30 MB).")
        discard(folder, host.root / "tmp")
        log = host.root / "logs" / "manager.log"
        if run_step([sys.executable, "-m", "venv", str(folder)], log, program_environment(), report):
            raise HostError("The environment for ComfyUI Manager could not be made. The end of what Python said:", tail(log))
        (Path(_packages_of(python_of(folder))) / "host.pth").write_text(seen + "\n", "utf-8")
        run_pip(python_of(folder), ["install", MANAGER], host.root, "install-manager", report)
        stamp.write_text(seen, "utf-8")

    make_once(host.root, lambda: stamp.is_file() and stamp.read_text("utf-8") == seen and python_of(folder).exists(), make, report)
    return python_of(folder)


def manager_environment(comfy: Path, home: Path, **extra: str) -> dict[str, str]:
    """The variables for a Manager that works on the ComfyUI in `comfy`, takes `home` for the person's folder and asks no network."""
    person = {"HOME": str(home), "USERPROFILE": str(home)}
    return program_environment(**OFFLINE, **person, COMFYUI_PATH=str(comfy), PYTHONIOENCODING="utf-8", **extra)


def _packages_of(python: Path) -> str:
    """The folder of an interpreter's packages."""
    found = ask(python, "import sysconfig; print(sysconfig.get_path('purelib'))")
    if not found:
        raise HostError(f"The virtual environment's Python {python} does not start. Run python dev.py test, which mends it.")
    return found
