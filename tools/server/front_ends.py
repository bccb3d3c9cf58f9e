"""Front ends of ComfyUI beside the host's own: single versions of its package, each in a folder of its own in the host folder.

The package in the virtual environment is what the host asks for and stays as it is; a server serves another one from its folder.
"""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from pathlib import Path

from ..process.host_error import HostError
from ..process.links import discard, remove_tree, rename
from ..process.lock import make_once
from ..process.long_step import Report
from ..setup.environment import Host
from ..setup.pip import run_pip

PACKAGE = "comfyui-frontend-package"
STATIC = Path("comfyui_frontend_package", "static")
# The newest that the pack was looked over with. After a change: run all of the browser tests with --frontend newest.
NEWEST = "1.58.1"
OWN, LATEST = "own", "newest"
VERSION = re.compile(r"\d+(\.\d+){1,3}")


def chosen_front_end(name: str) -> str | None:
    """The version that `name` stands for: a version, "newest", or "own" (None).

    Raises argparse's error, in words, for anything else.
    """
    if name == OWN:
        return None
    version = NEWEST if name == LATEST else name
    if not VERSION.fullmatch(version):
        raise ArgumentTypeError(f"{name!r} is no front end: use {OWN}, {LATEST} or a version of {PACKAGE} such as {NEWEST}")
    return version


def front_end(name: str) -> str:
    """`name`, for argparse, where it stands for a front end."""
    chosen_front_end(name)
    return name


def front_end_arguments(host: Host, version: str | None, report: Report = print) -> list[str]:
    """What a server is started with to serve a version, which is fetched where it is missing; None: the host's own.

    Raises HostError where the package index has no such version, or it does not arrive whole.
    """
    if version is None:
        return []
    folder = host.root / "frontends" / version
    page = folder / STATIC / "index.html"
    make_once(host.root, page.is_file, lambda: _fetch(host, version, folder, report), report)
    return ["--front-end-root", str(page.parent)]


def _fetch(host: Host, version: str, folder: Path, report: Report) -> None:
    """It appears under its final name only when it is whole."""
    waste = host.root / "tmp"
    new = waste / f"frontend-{version}"
    remove_tree(new)
    report(f"Fetching the front end {version} (once, 30 MB).")
    only_it = ["--no-deps", "--no-compile", "--only-binary", ":all:", "--target", str(new), f"{PACKAGE}=={version}"]
    run_pip(host.python, ["install", *only_it], host.root, f"frontend-{version}", report)
    if not (new / STATIC / "index.html").is_file():
        raise HostError(f"The package of the front end {version} holds no front end. Name another version.")
    discard(folder, waste)
    folder.parent.mkdir(parents=True, exist_ok=True)
    rename(new, folder)
