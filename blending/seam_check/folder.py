"""Seam Check for a folder of pictures, from the command line.

    python -m blending.check_folder FOLDER LAYOUT.json [--reference FOLDER] [--threshold 5]

Run it in the pack's folder. LAYOUT.json is what `TileLayout.to_json` writes; all pictures of the folder were tiled by
it (at any one scale each). A reference is looked for under the picture's own name, whatever its extension.

Prints one line per picture, and the table of those that fail. Exit status: 0 no seam, 1 a seam was found, 2 something
could not be read, does not fit or could not be judged (said in words, the other pictures are still checked).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TextIO

import torch

from ..layout.tile_layout import TileLayout
from ..pixels.counted import counted
from .check import THRESHOLD, check_seams
from .report import UNJUDGED

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
CLEAN, FOUND, BAD = 0, 1, 2
KNOWN_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "La", "CMYK", "YCbCr", "LAB", "HSV")


def read_picture(path: Path) -> torch.Tensor:
    """A picture file as float32 [1, H, W, C] in 0..1; C = 1 for grey, 4 with alpha, else 3. Floating point files are taken as they are.

    Raises:
        ValueError: where it cannot be read, or its kind of pixel is not known.
    """
    import numpy
    from PIL import Image

    try:
        with Image.open(path) as opened:
            mode = opened.mode
            if mode.startswith("I;16") or mode == "I":
                deep = numpy.asarray(opened, dtype=numpy.float32) / 65535
                return torch.from_numpy(deep)[None, :, :, None]
            if mode == "F":
                return torch.from_numpy(numpy.array(opened, dtype=numpy.float32))[None, :, :, None]
            if mode not in KNOWN_MODES:
                raise ValueError(f"its pixels are of the kind {mode}: save it with 8 or 16 bits per channel")
            alpha = mode in ("RGBA", "LA", "PA") or "transparency" in opened.info
            kind = "RGBA" if alpha else "L" if mode in ("L", "1") else "RGB"
            values = numpy.asarray(opened.convert(kind), dtype=numpy.float32) / 255
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot be read as a picture: {str(error)[:200]}") from error
    return torch.from_numpy(values).reshape(1, *values.shape[:2], -1)


def pictures(folder: Path) -> list[Path]:
    """The picture files of a folder, by name.

    Raises:
        ValueError: where there are none.
    """
    try:
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a folder: give the folder that holds the pictures")
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    except OSError as error:
        raise ValueError(f"{folder} cannot be read: {error}") from error
    if not found:
        raise ValueError(f"{folder} holds no picture ({', '.join(SUFFIXES)})")
    return found


def read_layout(path: Path) -> TileLayout:
    """The layout in a JSON file.

    Raises:
        ValueError: where it cannot be read or is no layout.
    """
    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a layout JSON: give the file that holds what TileLayout.to_json wrote") from error
    try:
        return TileLayout.from_json(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _write(stream: TextIO, line: str) -> None:
    """A line, whatever the file names in it hold: what the stream cannot show is written as its code."""
    coding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(line.encode(coding, errors="backslashreplace").decode(coding) + "\n")
    stream.flush()


def print_line(line: str) -> None:
    """A line on stdout."""
    _write(sys.stdout, line)


def complain(line: str) -> None:
    """A line on stderr."""
    _write(sys.stderr, line)


def check_one(path: Path, layout: TileLayout, references: dict[str, Path] | None, threshold: float) -> int:
    """Check one file and say what was found; returns its exit status."""
    try:
        reference = None
        if references is not None:
            if path.stem not in references:
                raise ValueError("has no reference of the same name")
            reference = read_picture(references[path.stem])
        report = check_seams(read_picture(path), layout, reference, threshold=threshold)
    except ValueError as error:
        complain(f"{path.name}: {error}")
        return BAD
    if report.rows and all(row.verdict == UNJUDGED for row in report.rows):
        complain(f"{path.name}: nothing could be judged: {counted(len(report.rows), 'boundary')}, all with too little picture beside them")
        return BAD
    print_line(f"{path.name}: {report.summary()}")
    if report.passed:
        return CLEAN
    print_line(report.text().partition("\n")[2].strip("\n") + "\n")
    return FOUND


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m blending.check_folder", description="Look for seams in every picture of a folder.")
    parser.add_argument("folder", type=Path, help="the pictures")
    parser.add_argument("layout", type=Path, help="JSON file of the layout they were tiled by")
    parser.add_argument("--reference", type=Path, help="folder of the same pictures before they were tiled, by the same names")
    parser.add_argument("--threshold", type=float, default=THRESHOLD, help="the z from which a boundary fails (default %(default)g)")
    asked = parser.parse_args(arguments)
    try:
        if not math.isfinite(asked.threshold) or asked.threshold <= 0:
            raise ValueError(f"threshold {asked.threshold:g} is not a z value: use a number above 0, for example 5")
        layout = read_layout(asked.layout)
        paths = pictures(asked.folder)
        references = None if asked.reference is None else {path.stem: path for path in pictures(asked.reference)}
    except ValueError as error:
        complain(str(error))
        return BAD
    return max(check_one(path, layout, references, asked.threshold) for path in paths)
