"""The one folder that tile files are read from and written to."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "TILEWORK_TILES"
USUAL = "tilework_tiles"


def tile_folder() -> Path:
    """The folder that whoever started this ComfyUI named in TILEWORK_TILES, else `tilework_tiles` in the output folder.

    A workflow cannot choose it, so that one of a stranger reaches no other file.

    Raises:
        ValueError: for a TILEWORK_TILES that is no whole path.
    """
    named = os.environ.get(VARIABLE, "")
    if not named:
        import folder_paths

        return Path(folder_paths.get_output_directory()) / USUAL
    if not Path(named).is_absolute():
        raise ValueError(f"{VARIABLE} is {named!r}: start ComfyUI with the whole path of a folder there, or without it")
    return Path(named)
