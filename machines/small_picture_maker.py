"""Small pictures for the report, made in ComfyUI's Python, which has Pillow.

    python small_picture_maker.py

Reads one JSON line after the other, {"picture": FILE, "small": FILE}, and ends with its standard input. Gives way to every
other program.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys

EDGE = 320
QUALITY = 82


def make_small(picture: str, small: str) -> None:
    """Write `picture`, at most EDGE px wide and high, as a JPEG to `small`."""
    from PIL import Image

    # The pictures are the farm's own results, and large ones are what it is for.
    Image.MAX_IMAGE_PIXELS = None
    os.makedirs(os.path.dirname(small), exist_ok=True)
    unfinished = f"{small}.{os.getpid()}"
    with Image.open(picture) as full:
        full.draft("RGB", (EDGE, EDGE))
        full.thumbnail((EDGE, EDGE), reducing_gap=2.0)
        full.convert("RGB").save(unfinished, "JPEG", quality=QUALITY)
    os.replace(unfinished, small)


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(19)
    for line in sys.stdin:
        # A report without one small picture is better than none.
        with contextlib.suppress(Exception):
            make_small(**json.loads(line))
