"""A 15,000 x 10,000 picture composed in the gradient domain: how long it takes and how much memory.

    python benchmarks/large_gradient.py [--width 15000] [--height 10000] [--tile 1024] [--overlap 128] [--method gradient]

Tiles are views of one picture with an offset of their own, made when asked for, so that the table
counts the composition and not its input: output, two planes [H, W], one tile.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from contestants import paint
from loading import blending, note
from resident import extra_peak
from split_blend import timed


class Drifting(Sequence):
    """The tiles of a picture, each on a level of its own."""

    def __init__(self, picture: torch.Tensor, layout: object, sd: float = 0.02) -> None:
        self.picture, self.layout = picture, layout
        self.offsets = sd * torch.randn(len(layout), 3, generator=torch.Generator().manual_seed(7))

    def __len__(self) -> int:
        return len(self.layout)

    def __getitem__(self, index: int) -> torch.Tensor:
        if not 0 <= index < len(self):
            raise IndexError(index)
        rect = self.layout.tiles[index]
        tile = self.picture[:, rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]
        missing = (rect.height - tile.shape[1], rect.width - tile.shape[2])
        planes = torch.nn.functional.pad(tile.movedim(-1, 1), (0, missing[1], 0, missing[0]), mode="replicate")
        return planes.movedim(1, -1) + self.offsets[index]


def main() -> None:
    """Compose once and print one line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--width", type=int, default=15000)
    parser.add_argument("--height", type=int, default=10000)
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--overlap", type=int, default=128)
    parser.add_argument("--method", default="gradient")
    options = parser.parse_args()
    ours = blending()
    note("making the picture")
    layout = ours.TileLayout.grid(options.height, options.width, options.tile, options.tile, options.overlap, 8)
    tiles = Drifting(paint(options.height, options.width), layout)
    note(f"{len(layout)} tiles")
    with torch.inference_mode():
        extra, (seconds, image) = extra_peak(lambda: timed(lambda: ours.compose(tiles, layout, options.method)))
    plane = image[..., 0].numel() * 4
    peak = "-" if extra is None else f"{extra / 1e9:.2f} GB beside its input, {(extra - image.nbytes) / plane:.2f} planes beside its output"
    print(f"{options.method}, {options.width} x {options.height}, {len(layout)} tiles: {seconds:.1f} s, peak {peak}")


if __name__ == "__main__":
    main()
