"""Panorama stitchers as contestants: OpenCV's seamlessClone and MultiBandBlender, and enblend.

Each gets the tiles at their known places, in the format it takes, with the settings
its own documentation or sample program would choose for such an overlap.
"""

from __future__ import annotations

import atexit
import importlib.util
import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

FINE = 64  # steps per 8-bit level: MultiBandBlender takes 16-bit integers, and whole levels would use 8 bits of them
FRAME = 8  # pixels around the canvas, for seamlessClone needs some picture on every side of what it pastes
TIFF_X, TIFF_Y, RATIONAL = 286, 287, 5  # TIFF tags of a page's position, and their type


def to_bytes(tile: torch.Tensor) -> np.ndarray:
    """[1, h, w, 3] in 0..1 to rounded uint8 [h, w, 3]."""
    return (tile[0] * 255).round().clamp(0, 255).to(torch.uint8).contiguous().numpy()


def read_bytes(came: np.ndarray) -> torch.Tensor:
    """Back to float32 [1, H, W, 3]."""
    return torch.from_numpy(came).float()[None] / 255


def read_fine(came: np.ndarray) -> torch.Tensor:
    """int16 levels in steps of 1 / FINE to float32 [1, H, W, 3]."""
    return torch.from_numpy(came).float()[None] / (255 * FINE)


def _cuts(axis: Any) -> list[tuple[int, int]]:
    """What each tile owns along an axis when every overlap is cut in its middle."""
    middles = [(a + axis.tile + b) // 2 for a, b in zip(axis.origins, axis.origins[1:], strict=False)]
    return list(zip([0, *middles], [*middles, axis.size], strict=True))


def _owned(layout: Any) -> list[tuple[slice, slice]]:
    ys, xs = (_cuts(axis) for axis in layout.axes)
    return [(slice(*y), slice(*x)) for y in ys for x in xs]


def seamless_clone(work: Any) -> Callable[[], np.ndarray]:
    """Hard tiles first; then each tile is cloned in turn over what it owns and a quarter of every overlap beyond.

    The tiles are framed by a few repeated pixels where they end at the picture's border: the mask may not touch it.
    """
    import cv2

    tiles = [to_bytes(tile) for tile in work.tiles]
    layout, (height, width) = work.layout, work.layout.canvas
    reach = max(layout.axes[0].overlap // 4, 1)

    def run() -> np.ndarray:
        canvas = np.empty((height, width, 3), np.uint8)
        for (rows, columns), tile, rect in zip(_owned(layout), tiles, layout.tiles, strict=True):
            canvas[rows, columns] = tile[rows.start - rect.y : rows.stop - rect.y, columns.start - rect.x : columns.stop - rect.x]
        canvas = cv2.copyMakeBorder(canvas, FRAME, FRAME, FRAME, FRAME, cv2.BORDER_REPLICATE)
        for (rows, columns), tile, rect in zip(_owned(layout), tiles, layout.tiles, strict=True):
            source = cv2.copyMakeBorder(tile, FRAME, FRAME, FRAME, FRAME, cv2.BORDER_REPLICATE)
            # Spans in the framed tile, of which the tile itself is FRAME .. FRAME + its length.
            top, bottom = max(rows.start - rect.y - reach, 0) + FRAME, min(rows.stop - rect.y + reach, rect.height) + FRAME
            left, right = max(columns.start - rect.x - reach, 0) + FRAME, min(columns.stop - rect.x + reach, rect.width) + FRAME
            mask = np.zeros(source.shape[:2], np.uint8)
            mask[top:bottom, left:right] = 255
            # The centre of the mask's box is what lands on the point given.
            centre = (rect.x + left + (right - left) // 2, rect.y + top + (bottom - top) // 2)
            canvas = cv2.seamlessClone(source, canvas, mask, centre, cv2.NORMAL_CLONE)
        return canvas[FRAME:-FRAME, FRAME:-FRAME]

    return run


def _masks(kind: str, tiles: list[np.ndarray], layout: Any) -> list[np.ndarray]:
    """Which tile shows where: cut in the middle of the overlaps, or where OpenCV's graph cut finds the tiles most alike."""
    import cv2

    if kind == "graphcut":
        whole = [cv2.UMat(np.full(tile.shape[:2], 255, np.uint8)) for tile in tiles]
        images = [cv2.UMat((tile / FINE).astype(np.float32)) for tile in tiles]
        found = cv2.detail_GraphCutSeamFinder("COST_COLOR").find(images, [(rect.x, rect.y) for rect in layout.tiles], whole)
        return [np.asarray(mask.get()) for mask in (found if found is not None else whole)]
    masks = [np.zeros(tile.shape[:2], np.uint8) for tile in tiles]
    for mask, (rows, columns), rect in zip(masks, _owned(layout), layout.tiles, strict=True):
        mask[rows.start - rect.y : rows.stop - rect.y, columns.start - rect.x : columns.stop - rect.x] = 255
    return masks


def multiband(kind: str, work: Any) -> Callable[[], np.ndarray]:
    """Masks, then MultiBandBlender; as many bands as OpenCV's stitching sample takes for a blend as wide as the overlap."""
    import cv2

    tiles = [(tile[0] * (255 * FINE)).round().to(torch.int16).contiguous().numpy() for tile in work.tiles]
    height, width = work.layout.canvas
    bands = max(1, math.ceil(math.log2(work.layout.axes[0].overlap)) - 1)

    def run() -> np.ndarray:
        masks = _masks(kind, tiles, work.layout)
        blender = cv2.detail_MultiBandBlender(0, bands)
        blender.prepare((0, 0, width, height))
        for tile, mask, rect in zip(tiles, masks, work.layout.tiles, strict=True):
            blender.feed(tile, mask, (rect.x, rect.y))
        return blender.blend(None, None)[0]

    return run


def enblend_absent() -> str | None:
    """Why enblend cannot take part, or None."""
    if shutil.which("enblend") is None:
        return "enblend is not installed (Debian package enblend)"
    missing = [module for module in ("tifffile", "cv2") if importlib.util.find_spec(module) is None]
    return f"{' and '.join(missing)} to write and read enblend's files is not installed" if missing else None


def enblend(work: Any) -> Callable[[], np.ndarray]:
    """Files in, a file out, both in 16 bits: what enblend is. Fine masks, as its manual asks for where overlaps are narrow."""
    import tifffile

    folder = Path(tempfile.mkdtemp(prefix="tilework-enblend-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    names = []
    for index, (tile, rect) in enumerate(zip(work.tiles, work.layout.tiles, strict=True)):
        colour = (tile[0] * 65535).round().clamp(0, 65535).numpy().astype(np.uint16)
        alpha = np.full((*colour.shape[:2], 1), 65535, np.uint16)
        names.append(str(folder / f"{index:04d}.tif"))
        place = [(TIFF_X, RATIONAL, 1, (rect.x, 1), True), (TIFF_Y, RATIONAL, 1, (rect.y, 1), True)]
        tifffile.imwrite(
            names[-1],
            np.concatenate([colour, alpha], axis=2),
            photometric="rgb",
            extrasamples=["unassalpha"],
            resolution=(1, 1),
            resolutionunit=2,
            extratags=place,
        )
    out = folder / "out.tif"
    height, width = work.layout.canvas
    # "none" is taken for LZW by enblend 4.2; packbits is the cheapest that it does write.
    command = ["enblend", "--fine-mask", "--depth=16", "--compression=packbits", f"-f{width}x{height}", "-o", str(out), *names]

    def run() -> Path:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"enblend: {' '.join(done.stderr.split())[-300:]}")
        return out

    return run


def read_tiff(path: Path) -> torch.Tensor:
    """The 16-bit file as float32 [1, H, W, 3]."""
    import cv2

    colour = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., 2::-1]
    return torch.from_numpy(colour.astype(np.float32))[None] / 65535
