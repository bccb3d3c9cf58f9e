"""A PNG file written strip by strip, so that a picture larger than memory can become one."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

COLOUR_TYPES = {1: 0, 3: 2, 4: 6}
# As ComfyUI's Save Image has it.
LEVEL = 4
_CHUNK = 1 << 20
_SUB, _UP, _AVERAGE, _PAETH = 1, 2, 3, 4


def eight_bits(pixels: np.ndarray) -> np.ndarray:
    """Pixels as ComfyUI's Save Image rounds them: float32 of any shape to uint8, cut off and not rounded."""
    import numpy as np

    return np.clip(255.0 * pixels, 0, 255).astype(np.uint8)


def write_png(
    path: Path, strips: Iterable[np.ndarray], size: tuple[int, int], channels: int, text: Mapping[str, str] | None = None
) -> None:
    """Write a PNG of 8 bits.

    Args:
        path: the file; it is opened anew and grows, so name one that nobody looks at before it is whole.
        strips: uint8 [h, width, channels], from the top down.
        size: (height, width) of the whole picture.
        channels: 1, 3 or 4 (grey, RGB, RGBA).
        text: keyword -> text, as ComfyUI keeps workflows.

    Raises:
        ValueError: for strips that do not make up the size, and another number of channels.

    Peak memory: a few times one strip. Source: W3C, Portable Network Graphics, third edition.
    """
    height, width = size
    if channels not in COLOUR_TYPES:
        raise ValueError(f"a PNG has 1, 3 or 4 channels, and this picture has {channels}")
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0))
        for key, value in (text or {}).items():
            _chunk(file, b"tEXt", key.encode("latin-1") + b"\0" + value.encode("latin-1", "replace"))
        rows = _write_rows(file, strips, (width, channels))
        if rows != height:
            raise ValueError(f"{rows} rows came for a picture of {height}")
        _chunk(file, b"IEND", b"")


def _write_rows(file, strips: Iterable[np.ndarray], shape: tuple[int, int]) -> int:
    """Write the pixels; how many rows there were."""
    import numpy as np

    packer, held, rows = zlib.compressobj(LEVEL), bytearray(), 0
    above = np.zeros((1, *shape), np.uint8)
    for strip in strips:
        if strip.shape[1:] != shape or strip.dtype != np.uint8:
            raise ValueError(f"a strip is {strip.dtype} of shape {strip.shape}: expected uint8 [rows, {shape[0]}, {shape[1]}]")
        held += packer.compress(_filtered(strip, above))
        above, rows = strip[-1:].copy(), rows + len(strip)
        if len(held) >= _CHUNK:
            _chunk(file, b"IDAT", bytes(held))
            held.clear()
    _chunk(file, b"IDAT", bytes(held) + packer.flush())
    return rows


def _filtered(strip: np.ndarray, above: np.ndarray) -> bytes:
    """The rows as differences from what is left and above, each by the filter that leaves the least, as the standard recommends."""
    import numpy as np

    up = np.concatenate((above, strip[:-1]))
    left, corner = (np.concatenate((np.zeros_like(part[:, :1]), part[:, :-1]), 1) for part in (strip, up))
    middle = ((left.astype(np.uint16) + up) >> 1).astype(np.uint8)
    ways = {_SUB: left, _UP: up, _AVERAGE: middle, _PAETH: _paeth(left, up, corner)}
    made = [(strip - guess).reshape(len(strip), -1) for guess in ways.values()]
    # A byte of a difference counts as what is near 0 on either side.
    costs = np.stack([np.minimum(rows, 0 - rows).sum(1, dtype=np.int64) for rows in made])
    best = costs.argmin(0)
    out = np.empty((len(strip), made[0].shape[1] + 1), np.uint8)
    for index, (kind, rows) in enumerate(zip(ways, made, strict=True)):
        chosen = best == index
        out[chosen, 0] = kind
        out[chosen, 1:] = rows[chosen]
    return out.tobytes()


def _paeth(left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Of left, up and corner the one nearest to left + up - corner, in this order where two are equally near."""
    import numpy as np

    a, b, c = (part.astype(np.int16) for part in (left, up, corner))
    to_left, to_up = abs(b - c), abs(a - c)
    to_corner = abs(a + b - 2 * c)
    first = (to_left <= to_up) & (to_left <= to_corner)
    return np.where(first, left, np.where(to_up <= to_corner, up, corner))


def _chunk(file, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
