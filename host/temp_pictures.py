"""Pictures, and numbers for pictures, in ComfyUI's temp folder, from where the browser gets them."""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

# Of numbers, which are as large as a video. The newest file stays, whatever its size.
MOST_BYTES = 1 << 29
_numbers: OrderedDict[str, int] = OrderedDict()


def saved(picture: Image.Image, kind: str = "jpg", prefix: str = "tilework", **how: Any) -> dict[str, str] | None:
    """The picture in ComfyUI's temp folder, as the host names files; None, and a line in the log, where it cannot be written.

    Args:
        kind: how its name ends.
        prefix: how its name begins.
        how: for Pillow.
    """
    return _written(lambda path: picture.save(path, **how), f"{prefix}_{uuid.uuid4().hex}.{kind}")


def saved_numbers(parts: Iterable[bytes], prefix: str = "tilework") -> dict[str, str] | None:
    """Raw numbers in ComfyUI's temp folder, as the host names files; None, and a line in the log, where they cannot be written.

    Older ones of the same prefix or another are removed where all of them together are over MOST_BYTES.

    Args:
        parts: what the file holds, one after the other; each is asked for when the one before is written.
        prefix: how its name begins.
    """

    def write(path: str) -> None:
        try:
            with open(path, "wb") as file:
                _numbers[path] = sum(file.write(part) for part in parts)
        except BaseException:
            _remove(path)
            raise
        while len(_numbers) > 1 and sum(_numbers.values()) > MOST_BYTES:
            _remove(_numbers.popitem(last=False)[0])

    return _written(write, f"{prefix}_{uuid.uuid4().hex}.bin")


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.remove(path)


def _written(write: Callable[[str], None], name: str) -> dict[str, str] | None:
    import folder_paths

    folder = folder_paths.get_temp_directory()
    try:
        os.makedirs(folder, exist_ok=True)
        write(os.path.join(folder, name))
    except OSError as error:
        logging.warning("Tilework: a preview could not be written to %s (%s); the result is complete", folder, error)
        return None
    return {"filename": name, "subfolder": "", "type": "temp"}
