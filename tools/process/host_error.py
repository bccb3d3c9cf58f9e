"""The one exception that is a message to a person."""

from __future__ import annotations

import errno
import re
from pathlib import Path


class HostError(Exception):
    """What happened and what to do about it, in one paragraph: shown without a traceback.

    Args:
        message: the paragraph.
        detail: lines to show below it as they are, such as the end of a log.
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(f"{message}\n{detail}" if detail else message)
        self.message = message
        self.detail = detail


DISK_FULL_WINDOWS = 112
LINE_WIDTH = 200
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def from_os_error(error: OSError) -> HostError:
    """What a failed file operation means for the person in front of it."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or getattr(error, "winerror", None) == DISK_FULL_WINDOWS:
        return HostError(
            f"The disk is full{where}. Free some space, or name a folder on a larger disk in the environment "
            "variable TILEWORK_HOST, and run the same command again: it goes on from here."
        )
    if isinstance(error, PermissionError):
        return HostError(
            f"A file could not be written or removed{where}: permission denied. Close programs that use the folder "
            "(on Windows also virus scanners), check who owns it, and run the same command again."
        )
    return HostError(f"A file operation failed{where}: {error.strerror or error}. Mend that and run the same command again.")


def tail(path: Path, lines: int = 20, limit: int = 65_536) -> str:
    """The last `lines` lines of a log, indented; says so where there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - limit))
            text = COLOUR.sub("", stream.read().decode("utf-8", "replace"))
    except OSError:
        return f"  ({path} cannot be read)"
    last = [line.rstrip()[:LINE_WIDTH] for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join(f"  | {line}" for line in last) or f"  ({path} is empty)"
