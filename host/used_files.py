"""What tiles depend on and a workflow does not say: the files that its nodes read by name, and the code of the nodes.

ComfyUI's cache goes by what stands in the inputs, a file's name. For results that outlive ComfyUI this is not enough: another
model may have the same name, and another version of a node may do something else.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

LONGEST_NAME = 1024
# Path -> what it was when it was first seen: ComfyUI has read it at about that time, and may hold what it read.
_first_seen: dict[str, tuple[int, int]] = {}


def named_files(values: Iterable[Any]) -> dict[str, tuple[int, int]]:
    """Path -> (bytes, time of change in ns) of the files that these input values name.

    A name is looked up among the models of every kind, and in ComfyUI's input, output and temp folders; an absolute path is
    taken as it is. Nothing is read of the files.
    """
    names = {text for value in values for text in _texts(value) if 0 < len(text) <= LONGEST_NAME and not set("\0\n\r") & set(text)}
    return {os.path.abspath(path): _about(path) for name in names for path in _places(name)}


def _texts(value: Any) -> Iterator[str]:
    """A text, or all texts in what is put together from others: some nodes have a table as one value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _places(name: str) -> list[str]:
    import folder_paths

    if os.path.isabs(name):
        # A name of another machine is not asked.
        return [name] if not name.startswith(("\\\\", "//")) and os.path.isfile(name) else []
    if "." not in name:
        return []
    found = {path for kind in tuple(folder_paths.folder_names_and_paths) if (path := folder_paths.get_full_path(kind, name))}
    if folder_paths.exists_annotated_filepath(name):
        path = folder_paths.get_annotated_filepath(name)
        found.update({path} if os.path.isfile(path) else ())
    return sorted(found)


def changed_files(files: dict[str, tuple[int, int]]) -> list[str]:
    """Those of the files that were others when they were first seen in this process."""
    return [path for path, about in files.items() if _first_seen.setdefault(path, about) != about]


def made_with(files: dict[str, tuple[int, int]], classes: Iterable[type]) -> str:
    """A short text that is another one when a file, the code of a class, or a version is another one."""
    import comfyui_version
    import torch

    code = {path: _about(path) for path in {_source(one) for one in classes} if path}
    versions = [comfyui_version.__version__, torch.__version__]
    said = json.dumps([versions, sorted(files.items()), sorted(code.items())])
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _source(one: type) -> str | None:
    try:
        return inspect.getsourcefile(one)
    except TypeError:  # of a class that was made while running
        return None


def _about(path: str) -> tuple[int, int]:
    try:
        about = os.stat(path)
    except OSError:
        return 0, 0
    return about.st_size, about.st_mtime_ns
