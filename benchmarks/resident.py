"""Peak resident memory of one call.

Counted by the system (resident set), not by an allocator: buffers that are mapped
directly, as ours are, never pass through torch's or Python's own counters.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def _read(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} has no {field}")


def _give_back_freed() -> None:
    """Hand freed heap memory back to the system, so that the call cannot use it without being seen to."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, TypeError):
        return  # not glibc: the answer may then come out a little low


def extra_peak(call: Callable[[], Any]) -> tuple[int | None, Any]:
    """Bytes by which the resident set rose above where it stood, at its highest during `call`, and what it returned.

    None in place of the bytes where the system cannot say (it needs Linux, where writing 5 to clear_refs
    sets the peak back to the present).
    """
    _give_back_freed()
    try:
        _CLEAR.write_text("5")
        before = _read("VmRSS")
    except OSError:
        return None, call()
    result = call()
    return _read("VmHWM") - before, result
