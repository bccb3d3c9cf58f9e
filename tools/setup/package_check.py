"""Print the name of every installed package that lacks some of its files.

    VENV_PYTHON -I package_check.py

pip can be stopped in the middle of writing a package and afterwards takes it for
installed. Each package carries a list of its files with their sizes; comparing it with the
disk takes a second and finds those.
"""

from __future__ import annotations

import os
from importlib import metadata


def incomplete(distribution: metadata.Distribution) -> bool:
    """Whether a listed file is missing or has another size, or the list itself is missing."""
    files = distribution.files
    if files is None:
        return True
    for file in files:
        if file.size is None:
            continue
        try:
            if os.stat(file.locate()).st_size != file.size:
                return True
        except OSError:
            return True
    return False


if __name__ == "__main__":
    for found in metadata.distributions():
        if incomplete(found):
            print(found.metadata["Name"] or "a package without a name")
