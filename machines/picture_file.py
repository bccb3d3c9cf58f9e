"""Whether a picture's file is whole. ComfyUI reads one that was cut off as well, and paints what is missing grey.

By the format's own frame, without decoding it: our Python need not have Pillow. Sources: W3C, Portable Network Graphics, third
edition; ITU-T T.81 (JPEG), annex B; Google, WebP Container Specification.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from pathlib import Path

from .process.host_error import HostError

PNG, JPEG, RIFF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF"
START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"


class DamagedPictureError(HostError):
    """The file ends in the middle of the picture, or parts of it are not what they were."""


def check_is_whole(path: Path) -> None:
    """Raise DamagedPictureError where a PNG, JPEG or WebP file is cut off, or a PNG's check sums do not hold; others pass."""
    if path.stat().st_size == 0:
        raise DamagedPictureError(f"{path.name} is empty: copy it again from where it came.")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        wrong = _wrong_with(data)
    if wrong:
        raise DamagedPictureError(f"{path.name} {wrong}: copy it again from where it came.")


def _wrong_with(data: mmap.mmap) -> str:
    if data[:8] == PNG:
        return _wrong_with_png(data)
    if data[:3] == JPEG and data.find(END_OF_IMAGE, _scan_of(data)) < 0:
        return "is cut off: the end of the JPEG is missing"
    if data[:4] == RIFF and data[8:12] == b"WEBP" and len(data) < struct.unpack("<I", data[4:8])[0] + 8:
        return f"is cut off: {len(data):,} bytes of {struct.unpack('<I', data[4:8])[0] + 8:,}"
    return ""


def _scan_of(data: mmap.mmap) -> int:
    """Where a JPEG's own pixels begin, behind all segments that may hold another picture; its length where they are missing."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at : at + 2] != START_OF_SCAN:
        # A marker may be padded with more of 0xFF.
        at += 1 if data[at + 1] == 0xFF else 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return min(at, len(data))


def _wrong_with_png(data: mmap.mmap) -> str:
    at = len(PNG)
    while at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(data[at + 4 : end - 4]) != struct.unpack(">I", data[end - 4 : end])[0]:
            return f"is damaged: the check sum of its part {kind.decode('ascii', 'replace')} at byte {at:,} does not hold"
        if kind == b"IEND":
            return ""
        at = end
    return f"is cut off: the PNG has no end after {len(data):,} bytes"
