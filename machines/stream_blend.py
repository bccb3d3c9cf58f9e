"""Tiles from files into one picture that need not fit into memory: python farm.py blend JOB.json

A process of its own, with ComfyUI's Python. The picture is a memory map; rows that no later tile touches are
written out and let go. Held at a time: one row of tiles of the result and one tile, for the methods of windows (*optimal seam* and
*multiband* touch a few planes of the whole picture again, and alpha takes a row of tiles more; see `blending/composition`).

The job is a JSON file: `tiles` (paths in order), `layout` (path of its record), `method`, `trim`, `scale`, `cut_feather`, `picture`
(the float32 .npy to make), and, where the picture is to be saved, `png` (the file to make) and `text` (what is to be kept in it).
Both files grow under a name of their own with `.part` at its end, and are moved to their place when they are whole.
What was done is one line of JSON at the end of the output; what could not be, one line of words, and status 1.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .png_strips import eight_bits, write_png
from .process.guarded import say
from .process.host_error import HostError

if TYPE_CHECKING:
    import numpy as np
    import torch

STRIP_ROWS = 64


def resident_bytes(entry: str = "VmRSS") -> int:
    """Resident memory of this process, pages of files included, or its peak ("VmHWM"); 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{entry}:")), 0)


class MappedPicture:
    """A float32 picture [P, H, W, C] in a `.npy` file, mapped into memory.

    `let_go` writes rows out and drops them from memory; they come back from the file when they are touched.
    """

    def __init__(self, path: Path, shape: tuple[int, ...] | None = None) -> None:
        import numpy as np

        if shape is not None:
            np.lib.format.open_memmap(path, "w+", np.dtype("<f4"), tuple(shape)).flush()
        self.values = np.lib.format.open_memmap(path, "r+")
        self.gone = [0] * self.values.shape[0]

    def let_go(self, stop: int, start: int | None = None) -> None:
        """Drop rows [start, stop) of every picture; from where the last call ended where `start` is None."""
        pictures, height = self.values.shape[:2]
        row = self.values.nbytes // (pictures * height)
        for picture in range(pictures):
            first = self.gone[picture] if start is None else start
            if stop > first:
                base = self.values.offset + picture * height * row
                self._drop(base + first * row, base + stop * row)
                self.gone[picture] = stop

    def _drop(self, begin: int, end: int) -> None:
        """Pages of the file that lie within bytes [begin, end)."""
        # numpy maps from the last whole allocation before the offset on: here that is the file's beginning.
        mapped: mmap.mmap = self.values._mmap
        begin, end = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
        if end > begin:
            mapped.flush(begin, end - begin)
            if hasattr(mapped, "madvise"):  # Windows has it not, and takes pages away by itself
                mapped.madvise(mmap.MADV_DONTNEED, begin, end - begin)


def blend_files(job: dict[str, Any]) -> dict[str, Any]:
    """Do the job; what was made: `size` (height, width), `pictures`, `channels`."""
    from ..blending.composition.compose import compose_on
    from ..blending.composition.methods import method_named
    from ..blending.layout.mosaic import Mosaic
    from ..blending.layout.tile_layout import TileLayout
    from ..blending.pixels.tile_file import read_tile

    layout = TileLayout.from_json(Path(job["layout"]).read_text("utf-8")).in_pixels()
    paths = [Path(path) for path in job["tiles"]]
    first = read_tile(paths[0])
    chosen = method_named(job["method"])
    mosaic = Mosaic(layout, tuple(first.shape[1:3]), chosen.window, job["trim"], job["scale"])
    shape = (first.shape[0], *mosaic.size, first.shape[3])
    del first
    target = Path(job["picture"])
    part = target.with_name(target.name + ".part")
    picture = MappedPicture(part, shape)
    _compose(compose_on, paths, mosaic, chosen.composer, job["cut_feather"], picture, read_tile)
    picture.let_go(shape[1])
    if job.get("png"):
        _save(picture, Path(job["png"]), job.get("text"))
    part.replace(target)
    return {"size": list(shape[1:3]), "pictures": shape[0], "channels": shape[3]}


def _compose(compose_on, paths: list[Path], mosaic, composer: str, feather: float, picture: MappedPicture, read_tile) -> None:
    """Blend onto the map, tile by tile."""
    import torch

    rows, columns = mosaic.windows

    def tiles() -> Iterator[torch.Tensor]:
        for number, path in enumerate(paths):
            row, column = divmod(number, len(columns))
            if column == 0:
                picture.let_go(rows[row].start)
            yield read_tile(path)

    out = torch.from_numpy(picture.values)
    compose_on(tiles(), mosaic, composer, out=out, cut_feather=feather)


def _save(picture: MappedPicture, target: Path, text: dict[str, str] | None) -> None:
    """The picture as a PNG, strip by strip."""
    pictures, height, width, channels = picture.values.shape
    if pictures != 1:
        raise ValueError(f"one file holds one picture, and {pictures} were blended: leave out --split-tiles")
    part = target.with_name(target.name + ".part")
    write_png(part, _strips(picture, height), (height, width), channels, text)
    part.replace(target)


def _strips(picture: MappedPicture, height: int) -> Iterator[np.ndarray]:
    for top in range(0, height, STRIP_ROWS):
        stop = min(top + STRIP_ROWS, height)
        yield eight_bits(picture.values[0, top:stop])
        picture.let_go(stop, max(top - STRIP_ROWS, 0))


def blend_command(arguments: list[str], _: tuple[str, ...] = ()) -> int:
    """Do the job that the file describes, say what was made, and return the exit status."""
    import torch  # noqa: F401 - what it takes by itself is told apart

    before = resident_bytes()
    try:
        done = blend_files(json.loads(Path(arguments[0]).read_text("utf-8")))
    except (ValueError, KeyError, IndexError) as error:
        raise HostError(str(error) or type(error).__name__) from error
    done |= {"bytes_before": before, "bytes_at_peak": resident_bytes("VmHWM")}
    say(json.dumps(done))
    return 0
