"""Ray for the tests of `farm.py folder`, in an environment of its own, as a person who uses it has it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from ..process.child import program_environment
from ..process.host_error import HostError, tail
from ..process.links import discard
from ..process.lock import make_once
from ..process.long_step import Report, run_step
from .environment import REPOSITORY, Host
from .pip import run_pip
from .virtual_environment import python_of

REQUIREMENTS = REPOSITORY / "requirements-farm.txt"


def ensure_ray(host: Host, report: Report = print) -> Path:
    """The interpreter that has what requirements-farm.txt names. Raises HostError where it cannot be installed."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    folder = host.root / "farm-env"
    stamp = folder / "complete.txt"

    def make() -> None:
        report("Installing Ray for the tests of the farm (once, 285 MB).")
        discard(folder, host.root / "tmp")
        log = host.root / "logs" / "farm-env.log"
        if run_step([sys.executable, "-m", "venv", str(folder)], log, program_environment(), report):
            raise HostError("The environment for Ray could not be made. The end of what Python said:", tail(log))
        run_pip(python_of(folder), ["install", "-r", str(REQUIREMENTS)], host.root, "install-farm", report)
        stamp.write_text(wanted, "utf-8")

    make_once(host.root, lambda: stamp.is_file() and stamp.read_text("utf-8") == wanted and python_of(folder).exists(), make, report)
    return python_of(folder)
