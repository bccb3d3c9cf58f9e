"""The one exception that is a message to a person, and the end of a log to show with it."""

from __future__ import annotations

import errno
import re
from pathlib import Path

DISK_FULL_WINDOWS = 112
LINE_WIDTH = 200
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class HostError(Exception):
    """What happened and what to do about it, in one paragraph, and lines to show below it: shown without a traceback."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(f"{message}\n{detail}" if detail else message)
        self.message = message
        self.detail = detail


def disk_is_full(error: OSError) -> bool:
    """Whether a file operation failed for want of space."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT) or getattr(error, "winerror", None) == DISK_FULL_WINDOWS


def from_os_error(error: OSError, larger: str = "name a folder on a larger disk") -> HostError:
    """What a failed file operation means for the person in front of it; `larger`: how a larger disk is named."""
    where = f" ({error.filename})" if error.filename else ""
    if disk_is_full(error):
        return HostError(f"The disk is full{where}. Free some space, or {larger}, and run the same command again: it goes on from here.")
    return HostError(
        f"A file operation failed{where}: {error.strerror or error}. Close programs that use the folder (on Windows also virus "
        "scanners), check who owns it, and run the same command again."
    )


def log_end(log: Path, limit: int = 65_536) -> list[str]:
    """The lines with something in them of a log's last `limit` bytes, without colours; none where it cannot be read."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - limit))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.rstrip() for line in COLOUR.sub("", text).splitlines() if line.strip()]


def tail(log: Path, lines: int = 20) -> str:
    """The last `lines` lines of a log, indented; says so where there is none."""
    return "\n".join(f"  | {line[:LINE_WIDTH]}" for line in log_end(log)[-lines:]) or f"  ({log} is empty or cannot be read)"
