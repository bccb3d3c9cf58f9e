"""Running pip: noise to the log, progress to the terminal, failures in words."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..process.child import surroundings
from ..process.host_error import HostError, tail
from ..process.links import remove_tree
from ..process.long_step import Report, pip_activity, run_step
from .pip_failures import explain

GIGABYTE = 1_000_000_000
FULL = 30_000_000


def check_space(folder: Path, gigabytes: float, purpose: str) -> None:
    """Raise HostError where the disk of `folder` has less room than `purpose` takes."""
    free = shutil.disk_usage(folder).free / GIGABYTE
    if free < gigabytes:
        raise HostError(
            f"{purpose} needs about {gigabytes:g} GB, and the disk of {folder} has {free:.1f} GB free. Free some space, or "
            "name a folder on a larger disk in the environment variable TILEWORK_HOST, and run the same command again."
        )


def refuse_full_disk(folder: Path) -> None:
    """Raise HostError where a failure is explained by a full disk, though no program could write that down."""
    if shutil.disk_usage(folder).free < FULL:
        raise HostError(f"{explain('No space left on device')} (The disk of {folder}.)")


def run_pip(python: Path, arguments: list[str], root: Path, name: str, report: Report) -> None:
    """Run pip of the environment that `python` belongs to.

    Args:
        python: the interpreter.
        arguments: what pip is to do.
        root: the host folder; pip's temporary files go to its `tmp`, not to a system folder that may be small.
        name: of the log, in the folder `logs`.
        report: takes a line for the terminal.

    Raises:
        HostError: pip failed; the message says why and names the log.
    """
    temporary = root / "tmp" / "pip"
    remove_tree(temporary)
    temporary.mkdir(parents=True)
    log = root / "logs" / f"{name}.log"
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    command = [str(python), "-I", "-m", "pip", arguments[0], *quiet, *arguments[1:]]
    env = surroundings(TMPDIR=str(temporary), TEMP=str(temporary), TMP=str(temporary), PYTHONIOENCODING="utf-8")
    try:
        status = run_step(command, log, env, report, pip_activity)
        if status:
            # Before the temporary files are gone, which may be what filled the disk.
            refuse_full_disk(root)
    finally:
        remove_tree(temporary)
    if status:
        output = log.read_text("utf-8", "replace")
        raise HostError(f"{explain(output)} All that pip said is in {log}; its last lines:", tail(log, 6))
