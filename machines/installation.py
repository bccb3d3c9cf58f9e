"""The ComfyUI that pictures go through: its folder, its Python, its packs and models, without starting it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .process.host_error import HostError

PACK = Path(__file__).resolve().parent.parent
EXTRA_PATHS = "extra_model_paths.yaml"
EXTRA_PATHS_OPTION = "--extra-model-paths-config"
# Of main.py: what a server of ours sets itself, and what would let others in.
OURS = ("--listen", "--port", "--input-directory", "--output-directory", "--temp-directory", "--user-directory", "--database-url")


@dataclass(frozen=True)
class Installation:
    """A ComfyUI on this machine.

    Attributes:
        folder: with main.py in it.
        python: that runs it.
        base: with custom_nodes, models and input in it; `folder` itself where nothing else was said.
        arguments: further ones for main.py, for instance ("--cpu",).
    """

    folder: Path
    python: Path
    base: Path
    arguments: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """ComfyUI's own version, "unknown" where it does not say."""
        try:
            found = re.search(r'__version__\s*=\s*"([^"]+)"', (self.folder / "comfyui_version.py").read_text("utf-8"))
        except OSError:
            found = None
        return found[1] if found else "unknown"

    def packs(self) -> dict[str, Path]:
        """The folders and files of custom_nodes that ComfyUI loads, by name."""
        try:
            entries = sorted((self.base / "custom_nodes").iterdir())
        except OSError:
            return {}
        loaded = (entry for entry in entries if not entry.name.startswith((".", "__")) and not entry.name.endswith(".disabled"))
        return {entry.name: entry for entry in loaded if entry.is_dir() or entry.suffix == ".py"}

    def model_folders(self) -> list[Path]:
        """Every folder that a loader's list of files may come from: below models, and those of extra_model_paths.yaml.

        Raises HostError where such a file is there and Python has no PyYAML to read it.
        """
        models = self.base / "models"
        if "--models-directory" in self.arguments:
            models = Path(self.arguments[self.arguments.index("--models-directory") + 1])
        below = sorted(entry for entry in models.iterdir() if entry.is_dir()) if models.is_dir() else []
        return [*below, *(folder for file in self._extra_files() for folder in _extra_folders(file))]

    def _extra_files(self) -> Iterator[Path]:
        if (self.folder / EXTRA_PATHS).is_file():
            yield self.folder / EXTRA_PATHS
        following = False
        for argument in self.arguments:
            if following and not argument.startswith("--"):
                yield Path(argument)
            else:
                following = argument == EXTRA_PATHS_OPTION


def find_installation(
    named: Path | None = None, python: Path | None = None, base: Path | None = None, arguments: tuple[str, ...] = ()
) -> Installation:
    """The ComfyUI at `named`, else the one that COMFYUI_PATH names, else the one this pack is installed in.

    Its Python is `python`, else that of a virtual environment inside it or of a portable ComfyUI beside it, else the one that
    runs us.

    Raises HostError where there is none, or `arguments` has an option that a server of ours sets itself.
    """
    taken = [name for name in OURS if any(part == name or part.startswith(f"{name}=") for part in arguments)]
    if taken:
        raise HostError(f"{', '.join(taken)} cannot be given to ComfyUI: a server that the farm starts has folders and a port of its own.")
    folder = (named or _around()).expanduser().resolve()
    if not (folder / "main.py").is_file() or not (folder / "comfy").is_dir():
        raise HostError(f"{folder} is not a ComfyUI (no main.py and comfy/ in it): name its folder with --comfy.")
    base = folder if base is None else base.expanduser().resolve()
    if not base.is_dir():
        raise HostError(f"There is no folder {base}: --base names the folder that holds ComfyUI's custom_nodes and models.")
    return Installation(folder, _python_of(folder) if python is None else _whole_path(python), base, tuple(arguments))


def _around() -> Path:
    if os.environ.get("COMFYUI_PATH"):
        return Path(os.environ["COMFYUI_PATH"])
    if PACK.parent.name == "custom_nodes":
        return PACK.parent.parent
    raise HostError(f"Which ComfyUI? {PACK} is not in the custom_nodes of one: name its folder with --comfy, or in COMFYUI_PATH.")


def _whole_path(python: Path) -> Path:
    """Servers have a working folder of their own. A link is not followed: it is what tells a virtual environment."""
    found = shutil.which(python) if len(python.parts) == 1 else None
    return Path(found or os.path.abspath(python.expanduser()))


def _python_of(folder: Path) -> Path:
    places = [folder / name / inner for name in (".venv", "venv") for inner in ("bin/python", "Scripts/python.exe")]
    places.append(folder.parent / "python_embeded" / "python.exe")
    return next((place for place in places if place.is_file()), Path(sys.executable))


def _extra_folders(file: Path) -> Iterator[Path]:
    """The folders of one extra_model_paths.yaml, read as ComfyUI reads it."""
    try:
        import yaml
    except ImportError as error:
        raise HostError(
            f"{file} names folders of models, and this Python ({sys.executable}) has no PyYAML to read it: run farm.py with the "
            "Python that runs ComfyUI, or install PyYAML in this one."
        ) from error
    try:
        config = yaml.safe_load(file.read_text("utf-8")) or {}
        for part in config.values():
            part = dict(part or {})
            start = Path(os.path.expandvars(os.path.expanduser(part.pop("base_path", "") or "")))
            part.pop("is_default", None)
            for lines in part.values():
                yield from (file.resolve().parent / start / line for line in str(lines).split("\n") if line)
    except (OSError, ValueError, AttributeError, TypeError, yaml.YAMLError) as error:
        raise HostError(f"{file} cannot be read as ComfyUI's list of model folders: {error}") from error
