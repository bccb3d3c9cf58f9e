"""The host: a real ComfyUI and a virtual environment to run it, all in one folder.

    find_host()    where it is, without doing any work
    ensure_host()  the same, after setting up whatever is missing

The folder is `.host` in the repository, or the one that TILEWORK_HOST names. It can be deleted at any time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..process.host_error import HostError
from ..process.links import remove_tree
from ..process.lock import make_once
from ..process.long_step import Report
from .comfy_source import ensure_comfy, existing_comfy, is_comfy
from .virtual_environment import ensure_interpreter, ensure_packages, is_complete, python_of, read_stamp, requirements_key

REPOSITORY = Path(__file__).resolve().parents[2]
TEST_REQUIREMENTS = REPOSITORY / "tests" / "requirements.txt"
# The pack's own, which the tests' name.
PACK_REQUIREMENTS = REPOSITORY / "requirements.txt"
MARK = "tilework-host.txt"
MARK_TEXT = "Made by Tilework's dev.py, which may delete anything in this folder. So may you.\n"


@dataclass(frozen=True)
class Host:
    """A ComfyUI that can be started: the folder that everything is made in, ComfyUI's source and the environment's interpreter."""

    root: Path
    # Never written to where it is the person's own.
    comfy: Path
    python: Path


def host_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder that the host is, or will be, in."""
    named = environ.get("TILEWORK_HOST")
    return Path(named).expanduser().absolute() if named else REPOSITORY / ".host"


def find_host() -> Host:
    """The host that was set up earlier.

    Raises HostError where there is none.
    """
    host = _host(host_folder())
    if not is_comfy(host.comfy) or not host.python.exists() or read_stamp(host.root / "venv").get("requirements") != _key(host.comfy):
        raise HostError(f"There is no complete ComfyUI to test with in {host.root}. Run python dev.py test, which sets one up.")
    return host


def ensure_host(report: Report = print) -> Host:
    """The host, set up as far as anything is missing. Safe to stop and to run again at any moment.

    Raises HostError, in words, where it cannot be done.
    """
    root = host_folder()
    _claim(root)
    host = _host(root)
    make_once(root, lambda: _is_ready(host), lambda: _set_up(host, report), report)
    return host


def _host(root: Path) -> Host:
    return Host(root, existing_comfy(REPOSITORY) or root / "ComfyUI", python_of(root / "venv"))


def _key(comfy: Path) -> str:
    return requirements_key(comfy / "requirements.txt", TEST_REQUIREMENTS, PACK_REQUIREMENTS)


def _is_ready(host: Host) -> bool:
    return is_comfy(host.comfy) and is_complete(host.root / "venv", _key(host.comfy))


def _claim(root: Path) -> None:
    """Make the folder, and see that a file, or a folder with somebody's files in it, is never taken for ours."""
    ours = root == REPOSITORY / ".host" or (root / MARK).exists()
    if root.exists() and not ours and (not root.is_dir() or any(root.iterdir())):
        raise HostError(f"TILEWORK_HOST names {root}: this script did not make it or what is in it. Name an empty or a new folder.")
    root.mkdir(parents=True, exist_ok=True)
    if not (root / MARK).exists():
        (root / MARK).write_text(MARK_TEXT, "utf-8")


def _set_up(host: Host, report: Report) -> None:
    root = host.root
    report(f"Setting up ComfyUI in {root} (once; later runs start in seconds).")
    remove_tree(root / "tmp")
    ensure_interpreter(root, report)
    if host.comfy == root / "ComfyUI":
        ensure_comfy(root, host.python, report)
    else:
        report(f"Using the ComfyUI in {host.comfy}; nothing is written to it.")
    ensure_packages(root, host.comfy, TEST_REQUIREMENTS, _key(host.comfy), report)
    remove_tree(root / "tmp")
    report("ComfyUI and its environment are complete.")
