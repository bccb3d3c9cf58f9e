"""A tile as a file: float32 in NumPy's own format, whole or not there, and never outside of one folder.

The file is `<name>_<number>.npy`, the number of five digits. It is written beside its place and moved there when it is whole, and
read without pickle, so that no file of a stranger runs anything.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from uuid import uuid4

import torch

from .picture import check_finite

ENDING = ".npy"
MAX_NAME = 200
CHANNELS = (1, 3, 4)
MAX_NUMBER = 10**8 - 1
# A letter or digit first: neither "..", nor a hidden file, nor a root, a drive or an empty part.
_PART = re.compile(r"[^\W_][\w.-]*")


def tile_path(folder: Path, name: str, number: int, ending: str = ENDING) -> Path:
    """Where tile `number` of `name` is kept below `folder`.

        >>> tile_path(Path("/kept"), "picture7/tile", 12).as_posix()
        '/kept/picture7/tile_00012.npy'

    Args:
        folder: the one folder that tiles are kept in.
        name: of letters, digits, "_", "-" and "."; "/" between folders below it.
        number: of the tile, from 0.
        ending: of the file's name, after the number.

    Raises:
        ValueError: for a name or number that is none, and for a place that a link has put outside of the folder.
    """
    return _below(folder, name, f"{number:05d}{ending}", number)


def beside_tiles(folder: Path, name: str, what: str) -> Path:
    """Where a record that belongs to the tiles of `name` is kept: `<name>_<what>`. Raises ValueError as `tile_path` does."""
    return _below(folder, name, what, 0)


def _below(folder: Path, name: str, last: str, number: int) -> Path:
    parts = name.split("/") if isinstance(name, str) else []
    if not parts or len(name) > MAX_NAME or not all(_PART.fullmatch(part) for part in parts):
        raise ValueError(
            f"name {str(name)[:80]!r} cannot be the name of tile files: use letters, digits, _, - and ., for example picture7/tile, "
            f"at most {MAX_NAME} characters, each part beginning with a letter or digit"
        )
    if not 0 <= number <= MAX_NUMBER:
        raise ValueError(f"tile number {number} is not one of 0 to {MAX_NUMBER}")
    path = folder.joinpath(*parts[:-1], f"{parts[-1]}_{last}")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"name {name!r} leads out of the folder of tile files by a link: use another name, or remove the link")
    return path


def write_tile(path: Path, tile: torch.Tensor) -> None:
    """Write `tile` [B, h, w, C] to `path` as float32, all of it or nothing.

    A file that is there is replaced. Peak memory: one tile. Raises ValueError for what is no finite picture of 1, 3 or 4 channels.
    """
    import numpy as np

    _check(tuple(tile.shape), path.name)
    check_finite(tile, path.name, "the nodes before")
    values = np.ascontiguousarray(tile.detach().to("cpu", torch.float32).numpy(), dtype="<f4")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _Whole(path) as part, part.open("wb") as file:
        np.lib.format.write_array(file, values, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def write_record(path: Path, text: str) -> None:
    """Write `text` to `path`, all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _Whole(path) as part, part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


class _Whole:
    """A path to write to, which becomes `path` at the end of the `with`, and is gone where that fails."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(f"{path.name}.{uuid4().hex[:12]}.part")

    def __enter__(self) -> Path:
        return self.part

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            self.part.replace(self.path)
        else:
            self.part.unlink(missing_ok=True)


def read_tile(path: Path) -> torch.Tensor:
    """The tile in file `path`: float32 [B, h, w, C], finite.

    Raises ValueError, in words, for a file that is not there, cut short, of another kind, or that holds anything but numbers.
    """
    import numpy as np

    if not path.exists():
        raise ValueError(f"there is no tile file {path.name} in {path.parent}: has the run that writes it ended?")
    broken = f"{path.name} is no tile file, or not a whole one: remove it from {path.parent}, and make it again"
    if not path.is_file():  # a pipe would be waited for
        raise ValueError(broken)
    try:
        # Mapped first: a header that promises more than there is would otherwise be given that much memory.
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        why = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        raise ValueError(broken + why) from error
    if not isinstance(values, np.ndarray) or values.dtype != np.dtype("<f4") or not values.flags.c_contiguous:
        kind = getattr(values, "dtype", type(values).__name__)
        raise ValueError(f"{path.name} holds {kind}: expected float32, as Write Tile File writes it")
    _check(values.shape, path.name)
    tile = torch.from_numpy(np.array(values, dtype=np.float32))
    check_finite(tile, path.name, "what wrote it")
    return tile


def _check(shape: tuple[int, ...], name: str) -> None:
    if len(shape) != 4 or 0 in shape or shape[3] not in CHANNELS:
        raise ValueError(f"{name} is of shape {tuple(shape)}: expected a picture [batch, height, width, channels] of 1, 3 or 4 channels")
