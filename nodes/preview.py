"""What a node shows beside its result: decoration, which never fails the work that it decorates.

A temp folder may be read-only or full, a font may be missing. Then the log says so, the node shows less, and the result stands.
"""

from __future__ import annotations

import functools
import logging
import os
import uuid
from collections.abc import Callable
from typing import Any

from PIL import Image


def decoration(*keys: str) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., dict[str, Any]]]:
    """For functions that make a node's UI value: where one fails, nothing is shown under `keys`, and the log has the reason.

    The keys are there nevertheless: for a list of pictures the host joins the values of all runs by the keys of the first.
    """

    def guard(make: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        @functools.wraps(make)
        def made(*args: Any, **more: Any) -> dict[str, Any]:
            try:
                return make(*args, **more)
            except Exception:
                logging.warning("Tilework: the preview could not be made; the result is complete", exc_info=True)
                return {key: [] for key in keys}

        return made

    return guard


def saved(picture: Image.Image, kind: str = "jpg", prefix: str = "tilework", **how: Any) -> dict[str, str] | None:
    """The picture in ComfyUI's temp folder, as the host names files; None, and a line in the log, where it cannot be written.

    Args:
        kind: how its name ends.
        prefix: how its name begins.
        how: for Pillow.
    """
    import folder_paths

    folder = folder_paths.get_temp_directory()
    name = f"{prefix}_{uuid.uuid4().hex}.{kind}"
    try:
        os.makedirs(folder, exist_ok=True)
        picture.save(os.path.join(folder, name), **how)
    except OSError as error:
        logging.warning("Tilework: a preview could not be written to %s (%s); the result is complete", folder, error)
        return None
    return {"filename": name, "subfolder": "", "type": "temp"}
