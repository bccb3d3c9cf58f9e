"""Links to folders, and taking things away without ever following one.

The repository holds the host folder, which holds a link back to the repository: whoever deletes through that link deletes the
repository. `shutil.rmtree` does so on Windows, where the link is a junction, before Python 3.12.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import time
import uuid
from pathlib import Path

from .host_error import HostError

JUNCTION = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", 0xA0000003)


def is_link(path: Path) -> bool:
    """Whether `path` is a symbolic link or a junction, dangling or not."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == JUNCTION


def link_folder(link: Path, target: Path) -> None:
    """Make `link` lead to the folder `target`, replacing a link that is there; on Windows a junction, which needs no special rights.

    Raises HostError where something that is not a link is in the way.
    """
    if is_link(link):
        remove_tree(link)
    elif link.exists():
        raise HostError(f"{link} is in the way: it is not a link, so it was not made by this script. Move it elsewhere.")
    link.parent.mkdir(parents=True, exist_ok=True)
    if os.name != "nt":
        link.symlink_to(target, target_is_directory=True)
        return
    made = subprocess.run(f'mklink /J "{link}" "{target}"', shell=True, capture_output=True, text=True, check=False)
    if made.returncode:
        raise HostError(f"The junction {link} to {target} could not be made: {(made.stderr or made.stdout).strip()}")


def remove_tree(path: Path) -> None:
    """Delete `path` and all below it; links are removed, never followed. Nothing there is fine."""
    if is_link(path):
        try:
            path.unlink()
        except OSError:
            # Windows removes a junction or a link to a folder as a folder; elsewhere rmdir refuses a link.
            os.rmdir(path)
    elif path.is_dir():
        for entry in list(path.iterdir()):
            remove_tree(entry)
        path.rmdir()
    elif os.path.lexists(path):
        try:
            path.unlink()
        except PermissionError:
            # Windows refuses to delete read-only files, such as those in .git folders.
            path.chmod(stat.S_IWRITE)
            path.unlink()


def discard(path: Path, waste: Path) -> None:
    """Make `path` vanish at once, then delete it: stopped half-way, what is left is in `waste`, on the same disk."""
    if not os.path.lexists(path):
        return
    waste.mkdir(parents=True, exist_ok=True)
    gone = waste / f"{path.name}-{uuid.uuid4().hex[:8]}"
    rename(path, gone)
    remove_tree(gone)


def rename(source: Path, target: Path, tries: int = 5) -> None:
    """Rename, trying again where a virus scanner holds the folder for a moment (Windows)."""
    for attempt in range(tries):
        try:
            source.rename(target)
            return
        except PermissionError:
            if os.name != "nt" or attempt == tries - 1:
                raise
            time.sleep(0.3 * (attempt + 1))


def place_file(source: Path, target: Path, share: bool = False) -> None:
    """Put a copy of the file `source` at `target`, which may exist: programs may write to it without harm.

    `share` is for large files that nobody writes to: a second name for the same bytes where the disk can.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_tree(target)
    if share:
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)
