"""What Seam Check blames in pictures that no tile made: whole results of trained upscale networks.

    OMP_NUM_THREADS=1 .host/venv/bin/python benchmarks/seam_false_alarms.py [--networks NAME ...] [--photographs NAME ...] [--keep FOLDER]

Each network is run in one piece on a crop of every photograph, and the result is checked against grids of tiles of 192 to
256 px and of 96 to 128 px of the result. --keep stores the results as .npy, so that the next run begins with the check.
Prints a Markdown table, and every boundary blamed on stderr. The networks are fetched by name once (118 MB, see
real_networks.py).
"""

from __future__ import annotations

import argparse
import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from loading import blending, load_pack, note

load_pack()
networks = importlib.import_module("tilework.benchmarks.real_networks")

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "stereo_motorcycle", "hubble_deep_field", "retina", "camera")
GRIDS = {
    "192 to 256 px": ((192, 32), (208, 48), (224, 64), (240, 24), (256, 64), (256, 0)),
    "96 to 128 px": ((96, 16), (104, 24), (112, 32), (120, 16), (128, 32), (128, 0)),
}
MOST = {"192 to 256 px": 0.005, "96 to 128 px": 0.01}
RESULT = 1024  # pixels: the side of a result


def photograph(name: str, side: int) -> torch.Tensor:
    """The middle of one of scikit-image's photographs, [1, 3, at most side, at most side]."""
    import skimage.data

    loaded = getattr(skimage.data, name)()
    pixels = torch.from_numpy((loaded[0] if isinstance(loaded, tuple) else loaded).copy()).float() / 255
    pixels = pixels[..., None].expand(-1, -1, 3) if pixels.ndim == 2 else pixels[..., :3]
    top, left = (max(0, length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side].movedim(-1, 0)[None]


def result(model: Any, network: str, name: str, keep: Path | None) -> torch.Tensor:
    """What the network makes of the photograph in one piece, [1, H, W, 3] in 0..1."""
    import numpy

    file = keep and keep / f"{network}--{name}.npy"
    if file and file.is_file():
        return torch.from_numpy(numpy.load(file))
    note(f"{network}: {name}")
    with torch.no_grad():
        made = model(photograph(name, RESULT // model.scale)).clamp(0, 1).movedim(1, -1).contiguous()
    if file:
        numpy.save(file, made.numpy())
    return made


def blamed(picture: torch.Tensor, grids: tuple[tuple[int, int], ...], label: str) -> tuple[int, int]:
    """(boundaries that fail, boundaries judged) over all grids."""
    height, width = picture.shape[1:3]
    failing = judged = 0
    for tile, overlap in grids:
        layout = blending("layout.tile_layout").TileLayout.grid(height, width, min(tile, height), min(tile, width), overlap)
        report = blending("seam_check.check").check_seams(picture, layout)
        failing, judged = failing + len(report.failing), judged + report.judged
        for row in report.failing:
            note(f"{label}, tiles {tile}/{overlap}: {row.sentence()}")
    return failing, judged


def main() -> None:
    """Run every network on every photograph, and print the table."""
    import spandrel

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=networks.NETWORKS, default=list(networks.NETWORKS), metavar="NAME")
    parser.add_argument("--photographs", nargs="+", default=PHOTOGRAPHS, help="functions of skimage.data")
    parser.add_argument("--keep", type=Path, help="folder for the results")
    asked = parser.parse_args()
    if asked.keep:
        asked.keep.mkdir(parents=True, exist_ok=True)
    print("| network | " + " | ".join(f"tiles of {grid}" for grid in GRIDS) + " |\n|---|" + "---|" * len(GRIDS))
    counts: Counter[tuple[str, str, str]] = Counter()
    for network in asked.networks:
        model = spandrel.ModelLoader(device="cpu").load_from_file(str(networks.trained_network(network, note))).eval()
        for name in asked.photographs:
            picture = result(model, network, name, asked.keep)
            for grid, tiles in GRIDS.items():
                failing, judged = blamed(picture, tiles, f"{network}, {name}")
                for row in (network, "all"):
                    counts.update({(row, grid, "failing"): failing, (row, grid, "judged"): judged})
        print(_row(network, counts), flush=True)
    print(_row("all", counts))
    for grid, most in MOST.items():
        share = counts["all", grid, "failing"] / max(1, counts["all", grid, "judged"])
        print(f"\n- tiles of {grid}: {share:.2%} blamed, at most {most:.1%}: {'met' if share <= most else 'NOT met'}")


def _row(name: str, counts: Counter[tuple[str, str, str]]) -> str:
    cells = [(counts[name, grid, "failing"], counts[name, grid, "judged"]) for grid in GRIDS]
    return f"| {name} | " + " | ".join(f"{n} of {of}: {n / max(1, of):.2%}" for n, of in cells) + " |"


if __name__ == "__main__":
    main()
