"""Pictures in ComfyUI's temp folder, which the browser shows."""

from __future__ import annotations

import logging
import os
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image


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
