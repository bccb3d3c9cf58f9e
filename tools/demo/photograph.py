"""Write the demonstration's photograph: NASA's portrait of the astronaut Eileen Collins (public domain).

    VENV_PYTHON -I photograph.py FILE.png

It is inside the scikit-image wheel (512 x 512); nothing is downloaded.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def write(path: Path) -> None:
    """Write the photograph to `path`, whole or not at all."""
    import skimage.data
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    Image.fromarray(skimage.data.astronaut()).save(unfinished, "PNG")
    unfinished.replace(path)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
