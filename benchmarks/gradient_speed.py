"""The gradient method on a whole mosaic beside OpenCV's seamlessClone of one picture of the same size.

    python benchmarks/gradient_speed.py [--size 4096] [--tile 512] [--overlap 64] [--runs 3]

seamlessClone solves one Poisson equation for the inside of a mask; here the mask is all of the picture but its border,
which is the work that a mosaic of that size needs at the least. 8-bit there, float32 here. Medians.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from contestants import paint
from loading import blending, note
from split_blend import timed


def main() -> None:
    """Time both and print one line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--overlap", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    import cv2
    import numpy as np

    ours, size = blending(), options.size
    picture = paint(size, size)
    layout = ours.TileLayout.grid(size, size, options.tile, options.tile, options.overlap, 8)
    offsets = 0.02 * torch.randn(len(layout), 3, generator=torch.Generator().manual_seed(7))
    tiles = [tile + offset for tile, offset in zip(ours.cut(picture, layout), offsets, strict=True)]
    bytes_ = (picture[0].clamp(0, 1) * 255).byte().numpy()
    mask = np.zeros((size, size), np.uint8)
    mask[2:-2, 2:-2] = 255
    times: dict[str, list[float]] = {"gradient": [], "seamlessClone": []}
    with torch.inference_mode():
        for run in range(options.runs):
            note(f"round {run + 1} of {options.runs}")
            times["gradient"].append(timed(lambda: ours.compose(tiles, layout, "gradient"))[0])
            clone = timed(lambda: cv2.seamlessClone(bytes_, bytes_, mask, (size // 2, size // 2), cv2.NORMAL_CLONE))
            times["seamlessClone"].append(clone[0])
    mine, theirs = (statistics.median(times[name]) for name in ("gradient", "seamlessClone"))
    print(f"{size} x {size}, {len(layout)} tiles: gradient {mine:.2f} s, seamlessClone {theirs:.2f} s: {mine / theirs:.3f} of it")


if __name__ == "__main__":
    main()
