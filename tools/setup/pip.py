"""Running pip: noise to the log, progress to the terminal, failures with its own last words."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..process.child import program_environment
from ..process.host_error import HostError, tail
from ..process.links import remove_tree
from ..process.long_step import Report, run_step

GIGABYTE = 1_000_000_000
FULL = 30_000_000
MORE_SPACE = "Free some space, or name a folder on a larger disk in the environment variable TILEWORK_HOST, and run the same command again"


def check_space(folder: Path, gigabytes: float, purpose: str) -> None:
    """Raise HostError where the disk of `folder` has less room than `purpose` takes."""
    free = shutil.disk_usage(folder).free / GIGABYTE
    if free < gigabytes:
        raise HostError(f"{purpose} needs about {gigabytes:g} GB, and the disk of {folder} has {free:.1f} GB free. {MORE_SPACE}.")


def run_pip(python: Path, arguments: list[str], root: Path, name: str, report: Report) -> None:
    """Run pip of the environment that `python` belongs to, with its log as `name` in the host folder `root`.

    Raises HostError where pip fails; the message names the log and shows its end.
    """
    # Not a system folder, which may be small.
    temporary = root / "tmp" / "pip"
    remove_tree(temporary)
    temporary.mkdir(parents=True)
    log = root / "logs" / f"{name}.log"
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    # Python compiles what it imports; to compile all of 6 GB beforehand takes a minute, and most of it is never imported.
    lazily = ["--no-compile"] if arguments[0] == "install" else []
    command = [str(python), "-I", "-m", "pip", arguments[0], *quiet, *lazily, *arguments[1:]]
    env = program_environment(TMPDIR=str(temporary), TEMP=str(temporary), TMP=str(temporary), PYTHONIOENCODING="utf-8")
    try:
        status = run_step(command, log, env, report)
        # Before the temporary files are gone, which may be what filled the disk: then no program could write that down.
        if status and shutil.disk_usage(root).free < FULL:
            raise HostError(f"The disk of {root} became full. {MORE_SPACE}: it goes on from here.", tail(log))
    finally:
        remove_tree(temporary)
    if status:
        raise HostError(
            "pip could not do it; its last lines below say why. Mend that (the network, the disk, or use Python 3.11, 3.12 or 3.13, for "
            f"which all packages are ready-made) and run the same command again: it goes on from here. All that pip said is in {log}:",
            tail(log),
        )
