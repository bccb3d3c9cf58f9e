"""Front ends of ComfyUI beside the host's own: single versions of its package, each in a folder of its own in the host folder.

The package in the virtual environment is what the host asks for and stays as it is; a server serves another one from its folder.
"""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from importlib import metadata
from pathlib import Path

from ..process.host_error import HostError
from ..process.links import discard, remove_tree, rename
from ..process.lock import held
from ..process.long_step import Report
from ..setup.environment import Host
from ..setup.package_check import incomplete
from ..setup.pip import run_pip

PACKAGE = "comfyui-frontend-package"
STATIC = Path("comfyui_frontend_package", "static")
# The newest that the pack was looked over with. After a change: run all of the browser tests with --frontend newest.
NEWEST = "1.58.1"
OWN, LATEST = "own", "newest"
VERSION = re.compile(r"\d+(\.\d+){1,3}")


def chosen_front_end(name: str) -> str | None:
    """The version that `name` stands for: a version, "newest", or "own" (None).

    Raises ValueError, in words, for anything else.
    """
    if name == OWN:
        return None
    version = NEWEST if name == LATEST else name
    if not VERSION.fullmatch(version):
        raise ValueError(f"{name!r} is no front end: use {OWN}, {LATEST} or a version of {PACKAGE} such as {NEWEST}")
    return version


def front_end(name: str) -> str:
    """`name`, for argparse: it shows the words where there is no such front end."""
    try:
        chosen_front_end(name)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
    return name


def front_end_arguments(host: Host, version: str | None, report: Report = print) -> list[str]:
    """What a server is started with to serve a version, which is fetched where it is missing; None: the host's own."""
    return [] if version is None else ["--front-end-root", str(ensure_front_end(host, version, report))]


def ensure_front_end(host: Host, version: str, report: Report = print) -> Path:
    """The folder of a version's files, fetched where it is missing or lacks some of them.

    Raises HostError where the package index has no such version, or it does not arrive whole.
    """
    folder = host.root / "frontends" / version
    if not _is_whole(folder, version):
        with held(host.root / "setup.lock", report):
            # Whoever had the lock may have fetched it.
            if not _is_whole(folder, version):
                _fetch(host, version, folder, report)
    return folder / STATIC


def _fetch(host: Host, version: str, folder: Path, report: Report) -> None:
    """It appears under its final name only when it is whole."""
    waste = host.root / "tmp"
    new = waste / f"frontend-{version}"
    remove_tree(new)
    report(f"Fetching the front end {version} (once, 30 MB).")
    only_it = ["--no-deps", "--no-compile", "--only-binary", ":all:", "--target", str(new)]
    try:
        run_pip(host.python, ["install", *only_it, f"{PACKAGE}=={version}"], host.root, f"frontend-{version}", report)
    except HostError as error:
        if _is_unknown(version, error.detail):
            raise HostError(f"The package index has no {PACKAGE} {version}. Name a version that it has.", error.detail) from error
        raise
    if not _is_whole(new, version):
        remove_tree(new)
        raise HostError(
            f"The front end {version} lacks some of its files although pip installed it just now. Something else deletes files "
            f"in {waste} (a virus scanner?), or the package holds no front end. Run the same command again."
        )
    discard(folder, waste)
    folder.parent.mkdir(parents=True, exist_ok=True)
    rename(new, folder)


def _is_whole(folder: Path, version: str) -> bool:
    """Whether every file that the package lists is there with its size, and a page to open among them."""
    found = list(metadata.distributions(name=PACKAGE, path=[str(folder)]))
    if len(found) != 1 or found[0].version != version or incomplete(found[0]):
        return False
    return (folder / STATIC / "index.html").is_file()


def _is_unknown(version: str, said: str) -> bool:
    """Whether pip knows the package and not this version of it; without a network it knows none."""
    return f"No matching distribution found for {PACKAGE}=={version}" in said and "(from versions: none)" not in said
