"""Measured receptive fields, kept in the host's user folder: what was measured once costs nothing after a restart.

One JSON file for each measurement. Its name is a hash of what was measured, of which network, and by which version of the
measuring code, all of which is also written in it. A file that is broken, or not one of these, is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from ..blending.receptive_field.measure import ReceptiveField
from ..blending.receptive_field.record import from_record, to_record

# Two underscores: the host keeps such folders to itself and serves no file of them.
FOLDER = "__tilework"
MOST_FILES, MOST_BYTES = 128, 1 << 20
_OURS = re.compile(r"(field-[0-9a-f]{64}\.json|field-.*\.tmp)")

Key = dict[str, Any]
"""What a measurement depends on, in JSON values."""


def read_kept(key: Key) -> ReceptiveField | None:
    """What is kept under `key`, or None; a file that cannot be used is told of in the log."""
    try:
        path = _file(key)
        if not path.is_file() or path.is_symlink():
            return None
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES} bytes")
        kept = json.loads(path.read_bytes())
        if not isinstance(kept, dict) or kept.get("key") != json.loads(_text(key)):
            raise ValueError("it is not what its name says")
        field = from_record(kept.get("field"))
    except (OSError, ValueError, RecursionError) as error:
        logging.warning("Tilework: a measured receptive field that was kept cannot be used, measuring again: %s", error)
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # those that were not used for the longest time go first
    return field


def write(key: Key, field: ReceptiveField) -> None:
    """Keep `field` under `key`. Where that is not possible the log says so."""
    temporary = None
    try:
        text = json.dumps({"key": key, "field": to_record(field)}, allow_nan=False)
        if len(text) > MOST_BYTES:
            raise ValueError(f"it would be larger than {MOST_BYTES} bytes")
        path = _file(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(".tmp", "field-", path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
        _forget_the_oldest(path)
    except (OSError, ValueError) as error:
        logging.warning("Tilework: a measured receptive field could not be kept, and will be measured again: %s", error)
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _text(key: Key) -> str:
    return json.dumps(key, sort_keys=True, allow_nan=False)


def _file(key: Key) -> Path:
    import folder_paths

    name = hashlib.blake2b(_text(key).encode(), digest_size=32).hexdigest()
    return Path(folder_paths.get_user_directory()) / FOLDER / f"field-{name}.json"


def _forget_the_oldest(newest: Path) -> None:
    ours = [file for file in newest.parent.iterdir() if _OURS.fullmatch(file.name) and file != newest]
    ours.sort(key=lambda file: file.lstat().st_mtime)
    for file in ours[: max(0, len(ours) + 1 - MOST_FILES)]:
        file.unlink(missing_ok=True)
