"""Whether a version may be published: the tag is the version, the changelog has it, no placeholder is left.

    python -m tools.release_check v0.1.0

Needs Python 3.11 and nothing else. Exit status 0, or 1 and what is wrong.
"""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from pathlib import Path

import tomllib

REPOSITORY = Path(__file__).resolve().parent.parent


def faults(tag: str, repository: Path = REPOSITORY) -> list[str]:
    """What is wrong with publishing the working tree under `tag`; nothing where it may go."""
    text = (repository / "pyproject.toml").read_text("utf-8")
    version = tomllib.loads(text)["project"]["version"]
    found = []
    if tag != f"v{version}":
        found.append(f"The tag is {tag} and pyproject.toml says {version}: the tag must be v{version}, or the version another one.")
    changes = (repository / "CHANGELOG.md").read_text("utf-8")
    heading = re.search(rf"^## {re.escape(version)}\b.*$", changes, re.MULTILINE)
    if not heading or "unreleased" in heading[0]:
        found.append(f"CHANGELOG.md has no heading for {version} with a date: write down what changed.")
    placeholders = [line.strip() for mark, line in pairwise(text.splitlines()) if "PLACEHOLDER" in mark]
    return found + [f"pyproject.toml still has a placeholder: {line}" for line in placeholders]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Which tag? python -m tools.release_check v0.1.0")
    sys.exit("\n".join(faults(sys.argv[1])) or 0)
