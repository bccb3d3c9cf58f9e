"""The key of a piece of work: what decides about a result, as one hash, and each part of it for people to compare.

Two runs with one key give one picture, as far as files can tell: the bytes of the picture, the workflow and what was set in it,
ComfyUI's and every pack's code, the model files and other pictures that the workflow names, ComfyUI's own options. What is not
seen: models that a node fetches under a name that no input shows, and the versions of Python's packages.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .installation import Installation
from .one_job import Job
from .process.json_text import parse_json

CODE = {".py", ".toml", ".so", ".pyd"}
# Of ComfyUI's folder: what is no code of its own.
NOT_COMFY = {"custom_nodes", "models", "input", "output", "temp", "user", "venv", "tests", "tests-unit", "node_modules"}
NOT_PACK = {"node_modules", "venv", "output"}
EMBEDDING = re.compile(r"embedding:([\w./\\-]+)")
WEIGHTS = (".safetensors", ".pt", ".bin")
ANNOTATION = re.compile(r" \[input\]$")
LONGEST_NAME = 400
LONGEST_PART = 255  # of a path, in bytes


@dataclass(frozen=True)
class WorkKey:
    """`digest`, and the `parts` it is made of, each a hash by itself."""

    digest: str
    parts: dict[str, Any] = field(repr=False)


class Digests:
    """SHA-256 of files, remembered by path, size and times in the file `memory`: a model of 20 GB is read once."""

    def __init__(self, memory: Path | None = None) -> None:
        self.memory = memory or _cache_folder() / "file-digests.json"
        try:
            self._known = parse_json(self.memory.read_bytes())
        except (OSError, ValueError):
            self._known = {}
        if not isinstance(self._known, dict):
            self._known = {}

    def of(self, file: Path) -> str:
        """The digest of `file`, read anew where its size or one of its times is another one."""
        status = file.stat()
        signs = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        known = self._known.get(str(file))
        if isinstance(known, list) and known[:-1] == signs and isinstance(known[-1], str):
            return known[-1]
        digest = file_digest(file)
        self._known[str(file)] = [*signs, digest]
        self._write()
        return digest

    def _write(self) -> None:
        unfinished = self.memory.with_name(f"{self.memory.name}.{os.getpid()}")
        try:
            self.memory.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps(self._known), "utf-8")
            unfinished.replace(self.memory)
        except OSError:
            # A home that cannot be written to: the files are read again the next time.
            return


@dataclass(frozen=True)
class Surroundings:
    """What of a key is the same for many pictures: everything but the picture itself. Made once with `surroundings_of`."""

    parts: dict[str, Any]


def surroundings_of(job: Job, installation: Installation, digests: Digests | None = None) -> Surroundings:
    """The parts of the key that `job` has on `installation` for every picture.

    Raises HostError where the folders of models cannot be known (see `Installation.model_folders`).
    """
    digests = digests or Digests()
    named = set(job.texts())
    return Surroundings(
        {
            "workflow": _hash(job.canonical()),
            "comfyui": f"{installation.version} {code_digest(installation.folder, NOT_COMFY)}",
            "packs": {name: code_digest(path, NOT_PACK) for name, path in installation.packs().items()},
            "models": {name: digests.of(path) for name, path in sorted(named_models(named, installation.model_folders()))},
            "inputs": {name: digests.of(path) for name, path in sorted(named_inputs(named, installation))},
            "arguments": list(installation.arguments),
        }
    )


def work_key(picture: Path, around: Surroundings) -> WorkKey:
    """The key of one picture's work; the picture is read whole."""
    parts = {"picture": file_digest(picture), **around.parts}
    return WorkKey(_hash(parts), parts)


def file_digest(file: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def code_digest(path: Path, leave_out: Iterable[str]) -> str:
    """A hash of the names and contents of all code in a folder, or of one file; hidden folders are left out."""
    digest = hashlib.sha256()
    for file in sorted(_code(path, set(leave_out))):
        digest.update(file.relative_to(path.parent).as_posix().partition("/")[2].encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:32]


def named_models(named: Iterable[str], folders: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """The files of models that texts of a workflow name, as (place below the folder of models, path)."""
    found = defaultdict(list)
    for folder in folders:
        for inside, _, files in os.walk(folder, followlinks=True):
            for file in files:
                place = Path(inside, file)
                found[file].append((f"{folder.name}/{place.relative_to(folder).as_posix()}", place))
    for text in named:
        for name in _names_of_models(text):
            for label, path in found.get(name.rpartition("/")[2], ()):
                if label.endswith(f"/{name}"):
                    yield label, path


def named_inputs(named: Iterable[str], installation: Installation) -> Iterator[tuple[str, Path]]:
    """The files of ComfyUI's input folder that texts of a workflow name, as (name, path); links out of it are left out."""
    folder = (installation.base / "input").resolve()
    for text in named:
        name = ANNOTATION.sub("", text)
        if not _may_be_a_file(name):
            continue
        path = (folder / name).resolve()
        if path.is_relative_to(folder) and path.is_file():
            yield name, path


def _names_of_models(text: str) -> Iterator[str]:
    name = text.replace("\\", "/")
    if _may_be_a_file(name):
        yield name
    for embedding in EMBEDDING.findall(text):
        stem = embedding.replace("\\", "/").rstrip(".")
        yield from (stem if stem.endswith(ending) else stem + ending for ending in WEIGHTS)


def _may_be_a_file(name: str) -> bool:
    """Whether a text of a workflow can be the name of a file; most are none, and a long prompt is one that no system takes."""
    parts = name.split("/")
    try:
        longest = max(len(part.encode()) for part in parts)
    except UnicodeEncodeError:
        return False
    fits = 0 < len(name) <= LONGEST_NAME and longest <= LONGEST_PART
    return fits and "\n" not in name and "\0" not in name and "." in name and ".." not in parts


def _code(path: Path, leave_out: set[str]) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for inside, folders, files in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith((".", "__pycache__")) and name not in leave_out]
        yield from (Path(inside, name) for name in files if Path(name).suffix in CODE)


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _cache_folder() -> Path:
    named: Mapping[str, str] = os.environ
    place = named.get("XDG_CACHE_HOME") or named.get("LOCALAPPDATA") or str(Path.home() / ".cache")
    return Path(place) / "tilework"
