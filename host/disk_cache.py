"""Finished tiles as files, from which ComfyUI's cache is filled again after a crash or the next start.

They lie in `__tilework/kept_tiles` of ComfyUI's user folder, which its web server gives to nobody: one .npy file per tile with a
seal behind it, written under another name first, so that there is no half of one. What has another seal is no tile of ours, and is
made anew. All of them together take `MOST_BYTES` at most, and leave `LEAST_FREE` of the disk alone; for a new one those go that were
not used for the longest time, but none that this run has used. What nobody used for `UNUSED_DAYS` goes when the next run begins. Any
of them can be deleted at any time: it is made anew.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import stat
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

GIGABYTE = 1 << 30
MOST_BYTES = 32 * GIGABYTE
LEAST_FREE = 4 * GIGABYTE
UNUSED_DAYS = 30
DAY = 24 * 3600.0
SEAL_BYTES = 32

_KEY = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"[0-9a-f]{64}\.npy")
_HALF = re.compile(r"[0-9a-f]{64}\.[0-9a-f]{32}\.part")
_DTYPES = ("float32", "float16")


class TileFiles:
    """Tiles in the files of one folder.

    Args:
        folder: made where it is missing.
        most_bytes: what they may take together.
        least_free: how many bytes of the disk are left alone.

    Raises:
        OSError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES, least_free: int = LEAST_FREE) -> None:
        self.folder, self.most_bytes, self.least_free = Path(folder), most_bytes, least_free
        self.used: set[str] = set()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._check_writable()
        self._throw_away_what_nobody_used()

    def read(self, key: str) -> torch.Tensor | None:
        """The tile of a key (64 hexadecimal digits), float32 or float16 [B, H, W, C]; None where there is none."""
        import torch

        path = self._path(key)
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise ValueError("it is no file")
            array = _sealed_array(path, key)
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not what was written there"
            logging.warning("Tilework: the kept tile %s cannot be used (%s), and is made anew", path, why)
            _remove(path)
            return None
        self.used.add(path.name)
        return torch.from_numpy(array)

    def write(self, key: str, tile: torch.Tensor) -> bool:
        """Keep the tile of a key; whether there was room for it.

        Raises:
            ValueError: the tile is not float32 or float16 [B, H, W, C].
            OSError: the disk refused it.
        """
        path = self._path(key)
        array = tile.detach().cpu().contiguous().numpy() if tile.is_floating_point() and tile.element_size() <= 4 else None
        if array is None or str(array.dtype) not in _DTYPES or array.ndim != 4:
            raise ValueError(f"a tile is {tile.dtype} of shape {tuple(tile.shape)}: expected float32 [batch, height, width, channels]")
        if not self._make_room(array.nbytes):
            return False
        half = self.folder / f"{key}.{uuid.uuid4().hex}.part"
        try:
            with half.open("xb") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
                file.write(_seal(key, array))
                file.flush()
                os.fsync(file.fileno())
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)
        self.used.add(path.name)
        return True

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key of a tile: expected 64 hexadecimal digits")
        return self.folder / f"{key}.npy"

    def _check_writable(self) -> None:
        probe = self.folder / f"{'0' * 64}.{uuid.uuid4().hex}.part"
        with probe.open("xb"):
            pass
        probe.unlink()

    def _files(self, pattern: re.Pattern[str]) -> list[os.DirEntry]:
        with os.scandir(self.folder) as entries:
            return [entry for entry in entries if pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)]

    def _throw_away_what_nobody_used(self) -> None:
        now = time.time()
        for pattern, days in ((_FILE, UNUSED_DAYS), (_HALF, 1)):
            for entry in self._files(pattern):
                if _changed(entry) < now - days * DAY:
                    _remove(Path(entry.path))

    def _make_room(self, size: int) -> bool:
        entries = sorted(self._files(_FILE), key=_changed)
        total = sum(_bytes(entry) for entry in entries)
        free = shutil.disk_usage(self.folder).free
        older = [entry for entry in entries if entry.name not in self.used]
        while total + size > self.most_bytes or free - size < self.least_free:
            if not older:
                return False
            oldest = older.pop(0)
            freed = _bytes(oldest)
            _remove(Path(oldest.path))
            total, free = total - freed, free + freed
        return True


def _sealed_array(path: Path, key: str) -> np.ndarray:
    """The array of a file, whose seal says that it is the one that was written for `key`. Raises ValueError where it is not."""
    # Mapped first: a header that promises more than there is would otherwise be given that much memory.
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(mapped, np.memmap) or str(mapped.dtype) not in _DTYPES or mapped.ndim != 4 or 0 in mapped.shape:
        raise ValueError("it holds no tile")
    array = np.array(mapped)
    with path.open("rb") as file:
        file.seek(mapped.offset + mapped.nbytes)
        if file.read(SEAL_BYTES + 1) != _seal(key, array):
            raise ValueError("its seal is another one")
    return array


def _seal(key: str, array: np.ndarray) -> bytes:
    """Stands for the tile and its key: a file of another tile, or one that was changed since, has another one."""
    digest = hashlib.blake2b(f"{key} {array.dtype.str} {array.shape} ".encode(), digest_size=SEAL_BYTES)
    digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logging.warning("Tilework: %s cannot be removed (%s)", path, error)


def _changed(entry: os.DirEntry) -> float:
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except OSError:  # another ComfyUI has removed it
        return 0.0


def _bytes(entry: os.DirEntry) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


def kept_folder() -> Path:
    """Where the files lie."""
    import folder_paths

    return Path(folder_paths.get_system_user_directory("tilework")) / "kept_tiles"
