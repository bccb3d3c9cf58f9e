"""Results on the disk: whole or not at all, with the key of their work beside them.

result.png                   the picture
result.png.key.json          its work key, and what the file looked like when it was written
result.png.refused.json      instead of both: why there is none
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from .process.host_error import HostError
from .process.json_text import as_table, parse_json
from .work_key import WorkKey, file_digest

KEY_SUFFIX, REFUSED_SUFFIX, PART_SUFFIX = ".key.json", ".refused.json", ".part"
# Of a result, in bytes: 255 is what file systems take, and what is written beside it has up to 33 more.
LONGEST_NAME = 220
# Of a part that nobody can be writing any more.
OLD_SECONDS = 24 * 3600
# Enough that a full disk refuses it.
PROBE = bytes(4096)


def beside(result: Path, suffix: str) -> Path:
    """The file that stands beside `result`."""
    return result.with_name(result.name + suffix)


def is_there(result: Path, key: WorkKey) -> bool:
    """Whether `result` is what the work of `key` gave, and has not been changed since."""
    try:
        said = parse_json(beside(result, KEY_SUFFIX).read_bytes())
        return said["key"] == key.digest and said["bytes"] == result.stat().st_size and said["sha256"] == file_digest(result)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def what_changed(result: Path, key: WorkKey) -> str:
    """In words, which parts of the key are other ones than when `result` was made; "" where that is not known."""
    try:
        before = parse_json(beside(result, KEY_SUFFIX).read_bytes())["parts"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    if not isinstance(before, dict):
        return ""
    return ", ".join(name for name, value in key.parts.items() if before.get(name) != value)


def refused_because(result: Path) -> str:
    """Why an earlier run gave no `result`, in one line; "" where that is not known."""
    try:
        said = as_table(parse_json(beside(result, REFUSED_SUFFIX).read_bytes())).get("reason")
    except (OSError, ValueError):
        return ""
    return said.strip().splitlines()[0] if isinstance(said, str) and said.strip() else ""


def check_name(result: Path) -> None:
    """Raise HostError where the name is so long that those of the files beside it would not fit."""
    length = len(os.fsencode(result.name))
    if length > LONGEST_NAME:
        raise HostError(f"The name {result.name[:40]}... is {length} bytes long: use {LONGEST_NAME} at most.")


def check_place(result: Path) -> None:
    """Make the folder of the result, and see that a file can be written there, before all the work is done.

    Raises HostError where a file stands in the place of a folder, OSError where the disk refuses.
    """
    for folder in result.parents:
        if folder.is_dir():
            break
        if folder.exists():
            raise HostError(f"{folder} is a file, and {result.name} is to lie in a folder of that name: move one of them.")
    result.parent.mkdir(parents=True, exist_ok=True)
    probe = _part_of(result)
    try:
        probe.write_bytes(PROBE)
    finally:
        probe.unlink(missing_ok=True)


def place(stream: BinaryIO, result: Path, key: WorkKey | None, **facts: Any) -> None:
    """Write all of `stream` to `result`, and its key beside it; `facts` go into that file too.

    At no moment does `result` hold a part of a picture. Its key is written after it: where we are killed between the two, the work
    is done again. Raises OSError where the disk does not take it.
    """
    result.parent.mkdir(parents=True, exist_ok=True)
    _remove_old_parts(result)
    with whole_file(result) as file:
        shutil.copyfileobj(stream, file, 1 << 20)
    said = {"bytes": result.stat().st_size, "sha256": file_digest(result), "made": _now(), **facts}
    _write_json(beside(result, KEY_SUFFIX), {"key": key and key.digest, **said, "parts": key and key.parts})
    beside(result, REFUSED_SUFFIX).unlink(missing_ok=True)


def write_refused(result: Path, picture: Path, reason: str, key: WorkKey | None = None, **facts: Any) -> Path:
    """Write down that there is no `result`, and why; returns the file. What an earlier run gave stays as it is."""
    result.parent.mkdir(parents=True, exist_ok=True)
    path = beside(result, REFUSED_SUFFIX)
    _write_json(path, {"picture": str(picture), "reason": reason, "when": _now(), "key": key and key.digest, **facts})
    return path


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that appears as `path` when the block ends well, and not at all when it does not.

    On Linux it has no name until then, so that nothing is left behind by a process that is killed.
    """
    unnamed = _unnamed(path.parent)
    part = _part_of(path)
    try:
        with open(unnamed, "wb") if unnamed is not None else part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if unnamed is not None:
                _give_name(file.fileno(), part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _settle(path.parent)


def _part_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{PART_SUFFIX}")


def _unnamed(folder: Path) -> int | None:
    """A new file in `folder` without a name; None where the system or the disk has no such thing."""
    kind = getattr(os, "O_TMPFILE", None)
    if kind is None or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return os.open(folder, kind | os.O_RDWR, 0o666)
    except OSError:
        return None


def _give_name(unnamed: int, path: Path) -> None:
    """Have the open file `unnamed` appear as `path`, which is not there yet."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        # With the folder's descriptor: only so does Python make the call that follows the link in /proc to the file.
        os.link(f"/proc/self/fd/{unnamed}", path.name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _settle(folder: Path) -> None:
    """Have the disk know the names in `folder`, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_old_parts(result: Path) -> None:
    for part in result.parent.glob(f".{_no_pattern(result.name)}.*{PART_SUFFIX}"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > OLD_SECONDS:
                part.unlink()


def _no_pattern(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    with whole_file(path) as file:
        file.write(json.dumps(value, indent=1).encode())


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
