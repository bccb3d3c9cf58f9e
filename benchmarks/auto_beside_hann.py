"""Seam Blend's default, auto, beside hann, which it is to be wherever nothing is wrong.

    OMP_NUM_THREADS=1 python benchmarks/auto_beside_hann.py [--parts cost networks] [--size 4096] [--runs 9] [--models FOLDER]

- cost: time (in turn, in one process) and peak memory (a process each) of tiles where nothing is wrong; auto may take 1.5 times hann's.
- networks: tiles that trained upscale networks made of photographs of scikit-image, against the same network untiled.
  FOLDER holds what spandrel can load; x4 networks get smaller pictures. Half an hour for six.

The scenes of seams.py are the third condition, and identity to the last bit is a test (tests/unit/composition/test_auto_is_hann.py).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from loading import blending, note
from resident import extra_peak

METHODS = ("hann", "auto")
MOST = 1.5
# Beyond noise: more than a hundredth of the error, and more than a thousandth of a level.
SHARE, LEVELS = 0.01, 1e-3
PHOTOS = ("astronaut", "chelsea", "coffee", "motorcycle_left")
TILINGS = ((128, 32), (128, 64), (176, 32), (192, 64))
HEAVY = 3e6  # parameters; such networks get smaller pictures, and not all of them


class Case(NamedTuple):
    """Tiles where nothing is wrong."""

    label: str
    tile: int
    overlap: int
    channels: int = 3
    batch: int = 1
    scale: float = 1
    noise: float = 0  # levels, sd, of each tile's own
    dtype: torch.dtype = torch.float32


CASES = (
    Case("untouched", 512, 64),
    Case("untouched", 1024, 128),
    Case("differ by rounding", 512, 64, noise=1e-4),
    Case("differ by rounding", 1024, 128, noise=1e-4),
    Case("grain of sd 1 of their own", 512, 64, noise=1),
    Case("grain of sd 1 of their own", 1024, 128, noise=1),
    Case("fp16", 512, 64, dtype=torch.float16),
    Case("RGBA", 512, 64, channels=4),
    Case("RGBA, differ by rounding", 512, 64, channels=4, noise=1e-4),
    Case("grey", 512, 64, channels=1),
    Case("batch of 4, a quarter of the pixels each", 512, 64, batch=4),
    Case("x 1.37, between pixels", 512, 64, scale=1.37),
)


def scene(case: Case, size: int) -> tuple[list[torch.Tensor], Any]:
    """The tiles, each with memory of its own, and their layout; `size` is the result's side."""
    side = round(size / case.scale / (2 if case.batch == 4 else 1))
    layout = blending().TileLayout.grid(side, side, case.tile, case.tile, case.overlap, 8, case.batch)
    dealer = torch.Generator().manual_seed(0)
    picture = torch.rand(case.batch, side, side, case.channels, generator=dealer)
    tiles = []
    for tile in blending().cut(picture, layout):
        if case.scale != 1:
            planes = torch.nn.functional.interpolate(tile.movedim(-1, 1), size=(round(case.tile * case.scale),) * 2, mode="bicubic")
            tile = planes.movedim(1, -1)
        tile = tile.clone(memory_format=torch.contiguous_format)
        if case.noise:
            tile.add_(torch.randn(tile.shape, generator=dealer), alpha=case.noise / 255)
        tiles.append(tile.to(case.dtype))
    return tiles, layout


def in_turn(tiles: list[torch.Tensor], layout: Any, runs: int) -> dict[str, list[float]]:
    """Seconds of both methods, one after the other, each first in every other round."""
    seconds: dict[str, list[float]] = {method: [] for method in METHODS}
    out = None
    for turn in range(runs + 1):
        for method in METHODS if turn % 2 else METHODS[::-1]:
            start = time.perf_counter()
            out = blending().compose(tiles, layout, method, out=out)
            passed = time.perf_counter() - start
            if turn:
                seconds[method].append(passed)
    return seconds


def peak_here(method: str, case: Case, size: int) -> int | None:
    """Bytes beside the tiles, for a process of its own."""
    small = blending().TileLayout.grid(96, 96, 64, 64, 16)
    blending().compose(list(blending().cut(torch.rand(1, 96, 96, case.channels), small)), small, method)
    tiles, layout = scene(case, size)
    return extra_peak(lambda: blending().compose(tiles, layout, method))[0]


def peak_of(method: str, index: int, size: int) -> int | None:
    command = [sys.executable, __file__, "--peak-of", method, "--case", str(index), "--size", str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode else json.loads(done.stdout.strip().splitlines()[-1])


def cost(size: int, runs: int) -> Iterator[str]:
    """The table of time and memory."""
    yield f"### Cost where nothing is wrong, {size} x {size}"
    yield ""
    yield "| tiles | tile, overlap | hann ms, median (least) | auto | x, medians | x, pairs | x, least | peak, canvases | x |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for index, case in enumerate(CASES):
        note(f"cost: {case.label} {case.tile}/{case.overlap}")
        tiles, layout = scene(case, size)
        seconds = in_turn(tiles, layout, runs)
        del tiles
        hann, auto = (seconds[method] for method in METHODS)
        middle, least = ([f(s) * 1000 for s in (hann, auto)] for f in (statistics.median, min))
        pairs = statistics.median(a / h for a, h in zip(auto, hann, strict=True))
        peaks = [peak_of(method, index, size) for method in METHODS]
        canvas = size * size * case.channels * 4
        memory = "- | -" if None in peaks else f"{peaks[0] / canvas:.2f}, {peaks[1] / canvas:.2f} | {peaks[1] / peaks[0]:.2f}"
        times = f"{middle[0]:.0f} ({least[0]:.0f}) | {middle[1]:.0f} ({least[1]:.0f})"
        yield (
            f"| {case.label} | {case.tile}, {case.overlap} | {times} | {middle[1] / middle[0]:.2f} | {pairs:.2f} "
            f"| {least[1] / least[0]:.2f} | {memory} |"
        )


def photo(name: str, side: int) -> torch.Tensor:
    """The middle of one of scikit-image's photographs, [1, h, w, 3], at most `side` x 1.2 `side`."""
    import skimage.data

    picture = skimage.data.stereo_motorcycle()[0] if name == "motorcycle_left" else getattr(skimage.data, name)()
    height, width = (min(a, b) // 8 * 8 for a, b in zip(picture.shape[:2], (side, side * 6 // 5), strict=True))
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    return torch.from_numpy(picture[top : top + height, left : left + width, :3].copy()).float()[None] / 255


class Errors(NamedTuple):
    """Beside untiled, in levels."""

    largest: float
    mean: float
    at_seams: float


def errors(tiles: list[torch.Tensor], layout: Any, whole: torch.Tensor) -> tuple[dict[str, Errors], str]:
    """Of each method, and what auto did."""
    seams = blending("layout.mosaic").Mosaic(layout, tuple(tiles[0].shape[1:3])).seams(1)[0].bool()
    said: list[Any] = []
    came = {}
    for method in METHODS:
        error = (blending().compose(tiles, layout, method, tell=said.extend if method == "auto" else None) - whole).abs() * 255
        came[method] = Errors(float(error.max()), float(error.mean()), float(error[0][seams].mean()))
    counted = Counter(finding.choice for finding in said)
    return came, ", ".join(f"{count} {choice}" for choice, count in counted.most_common())


def networks(folder: Path) -> Iterator[str]:
    """The table of errors beside untiled."""
    import spandrel

    yield "### Tiles of trained networks: error beside untiled, 8-bit levels (largest, mean, mean at the seams)"
    yield ""
    yield "| network | photograph | tile, overlap | hann | auto | what auto did at the overlaps |"
    yield "|---|---|---|---|---|---|"
    worse = cases = 0
    for file in sorted(folder.glob("*.safetensors")):
        model = spandrel.ModelLoader().load_from_file(str(file)).model.eval()
        heavy = sum(p.numel() for p in model.parameters()) > HEAVY
        for name in PHOTOS[::2] if heavy else PHOTOS:
            picture = photo(name, 224 if heavy else 320)

            def run(pixels: torch.Tensor, model: Any = model) -> torch.Tensor:
                return model(pixels.movedim(-1, 1).contiguous()).movedim(1, -1).clamp(0, 1).contiguous()

            whole = run(picture)
            for tile, overlap in TILINGS[:2] if heavy else TILINGS:
                note(f"networks: {file.stem}, {name}, {tile}/{overlap}")
                layout = blending().TileLayout.grid(*picture.shape[1:3], tile, tile, overlap, 8)
                came, did = errors([run(part) for part in blending().cut(picture, layout)], layout, whole)
                hann, auto = came["hann"], came["auto"]
                cases += 1
                worse += any(a > h + max(SHARE * h, LEVELS) for a, h in zip(auto, hann, strict=True))
                shown = (f"{e.largest:.1f}, {e.mean:.4f}, {e.at_seams:.4f}" for e in (hann, auto))
                yield f"| {file.stem} | {name} | {tile}, {overlap} | {' | '.join(shown)} | {did} |"
    yield ""
    yield f"- worse than hann by more than {100 * SHARE:.0f} % and {LEVELS:g} levels: {worse} of {cases}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=("cost", "networks"), default=("cost", "networks"))
    parser.add_argument("--size", type=int, default=4096, help="side of the result")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--models", type=Path, metavar="FOLDER", help="trained networks, as .safetensors")
    parser.add_argument("--peak-of", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    with torch.inference_mode():  # as the host runs nodes
        if options.peak_of:
            print(json.dumps(peak_here(options.peak_of, CASES[options.case], options.size)))
            return
        if "cost" in options.parts:
            print(*cost(options.size, options.runs), "", sep="\n", flush=True)
        if "networks" in options.parts and options.models:
            for line in networks(options.models):
                print(line, flush=True)


if __name__ == "__main__":
    main()
