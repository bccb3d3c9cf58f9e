"""Colour matching of a 2048 x 2048 RGB picture: Tilework beside color-matcher, scikit-image and kornia.

    python benchmarks/color_speed.py [--size 2048] [--runs 5] [--patience 60]

All in one process, taking turns in each round in a random order; one round to warm up. Prints one Markdown table on
stdout, medians with minima in brackets, and progress on stderr. Peers that are not installed are named and left out:
pip install --target FOLDER color-matcher scikit-image, and run with PYTHONPATH=FOLDER.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from loading import blending, note
from quiet import Neighbours

QUIET = 0.15  # cores that others may use during a run
TILE, OVERLAP = 512, 64


class Contestant(NamedTuple):
    """One row of the table; `kind` says which peers it is measured against."""

    label: str
    ours: bool
    kind: str
    run: Callable[[], object]


def pictures(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture and a reference of smooth colours and fine noise, [1, size, size, 3] in 0..1."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for low, high in ((0.1, 0.9), (0.2, 0.7)):
        coarse = torch.rand(1, 3, 24, 24, generator=generator)
        smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").movedim(1, -1)
        noisy = low + (high - low) * smooth + 0.02 * torch.randn(1, size, size, 3, generator=generator)
        made.append(noisy.clamp(0, 1).contiguous())
    return made[0], made[1]


def own(image: torch.Tensor, reference: torch.Tensor) -> list[Contestant]:
    """Tilework's methods."""
    color, settings, gain, layouts, cutting = (blending(name) for name in ("color", "color_settings", "gain", "layout", "cutting"))
    rows = [
        Contestant(f"**Tilework** {method}", True, method, lambda method=method: color.match(image, reference, method))
        for method in settings.METHODS[:-1]
    ]
    layout = layouts.TileLayout.grid(*image.shape[1:3], TILE, TILE, OVERLAP, 8)
    generator = torch.Generator().manual_seed(2)
    tiles = [
        tile * (1 + 0.05 * torch.randn(3, generator=generator)) + 0.02 * torch.randn(3, generator=generator)
        for tile in cutting.cut(image, layout)
    ]

    def compensated() -> list[torch.Tensor]:
        gains = gain.compensate(tiles, layout)
        return [gains.apply(tile, index) for index, tile in enumerate(tiles)]

    rows.append(Contestant(f"**Tilework** {settings.GAIN}, {len(tiles)} tiles of {TILE}", True, settings.GAIN, compensated))
    return rows


def color_matcher(image: torch.Tensor, reference: torch.Tensor) -> list[Contestant]:
    """Its three fast methods; float64, which is what it is made for."""
    from color_matcher import ColorMatcher

    # Its Reinhard writes to what it is given, once: zeros become 1/255.
    a, b = (picture[0].double().numpy() for picture in (image, reference))
    return [
        Contestant(f"color-matcher {method}", False, kind, lambda method=method: ColorMatcher().transfer(src=a, ref=b, method=method))
        for method, kind in (("mkl", "mkl"), ("reinhard", "lab"), ("hm", "histogram"))
    ]


def scikit_image(image: torch.Tensor, reference: torch.Tensor) -> list[Contestant]:
    """Histogram matching, and what a conversion to Lab and back takes without any matching."""
    from skimage.color import lab2rgb, rgb2lab
    from skimage.exposure import match_histograms

    a, b = (picture[0].numpy() for picture in (image, reference))
    return [
        Contestant("scikit-image match_histograms", False, "histogram", lambda: match_histograms(a, b, channel_axis=-1)),
        Contestant("scikit-image Lab and back", False, "lab round trip", lambda: lab2rgb(rgb2lab(a))),
    ]


def kornia(image: torch.Tensor, reference: torch.Tensor) -> list[Contestant]:
    """Histogram matching channel by channel, and Lab and back."""
    from kornia.color import lab_to_rgb, rgb_to_lab
    from kornia.contrib import histogram_matching

    a, b = (picture[0].movedim(-1, 0).contiguous() for picture in (image, reference))
    return [
        Contestant(
            "kornia histogram_matching",
            False,
            "histogram",
            lambda: torch.stack([histogram_matching(x, y) for x, y in zip(a, b, strict=True)]),
        ),
        Contestant("kornia Lab and back", False, "lab round trip", lambda: lab_to_rgb(rgb_to_lab(a), clip=False)),
    ]


def contestants(image: torch.Tensor, reference: torch.Tensor) -> tuple[list[Contestant], list[str]]:
    """Everybody who is here, and the names of those who are not."""
    rows, missing = own(image, reference), []
    for name, make in (("color-matcher", color_matcher), ("scikit-image", scikit_image), ("kornia", kornia)):
        try:
            rows += make(image, reference)
        except ImportError as error:
            note(f"{name} is left out: {error}")
            missing.append(name)
    return rows, missing


def take_turns(rows: list[Contestant], runs: int, patience: float) -> tuple[dict[str, list[float]], float]:
    """Seconds of every run, and the most cores that others used meanwhile. A disturbed run is repeated while patience lasts."""
    seconds: dict[str, list[float]] = {row.label: [] for row in rows}
    neighbours, until, worst = Neighbours(), time.monotonic() + patience, 0.0
    dealer = random.Random(7)
    for turn in range(runs + 1):
        note(f"round {turn} of {runs}" if turn else "warm-up")
        for row in dealer.sample(rows, len(rows)):
            while True:
                neighbours.wait(QUIET, until)
                with neighbours.watched():
                    start = time.perf_counter()
                    result = row.run()
                    took = time.perf_counter() - start
                del result
                gc.collect()
                if neighbours.cores <= QUIET or time.monotonic() >= until:
                    break
            if turn:
                seconds[row.label].append(took)
                worst = max(worst, neighbours.cores)
    return seconds, worst


def table(rows: list[Contestant], seconds: dict[str, list[float]], pixels: int) -> list[str]:
    """Markdown: speed, and ratios to the fastest peer of all and to the fastest of the same kind."""
    speed = {row.label: pixels / 1e6 / statistics.median(seconds[row.label]) for row in rows}
    best = {row.label: pixels / 1e6 / min(seconds[row.label]) for row in rows}
    matching = [row for row in rows if not row.ours and row.kind != "lab round trip"]
    lines = ["| contestant | MPix/s, median (best) | x fastest matching peer | x fastest peer of its kind |", "|---|---|---|---|"]

    def ratio(row: Contestant, peers: list[Contestant]) -> str:
        if not peers or not row.ours:
            return "-"
        return " (".join(f"{own[row.label] / max(own[p.label] for p in peers):.1f}" for own in (speed, best)) + ")"

    for row in rows:
        alike = [peer for peer in matching if peer.kind == row.kind]
        lines.append(f"| {row.label} | {speed[row.label]:.1f} ({best[row.label]:.1f}) | {ratio(row, matching)} | {ratio(row, alike)} |")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=2048, help="side of the square picture (default 2048)")
    parser.add_argument("--runs", type=int, default=5, help="measured rounds, after one to warm up (default 5)")
    parser.add_argument("--patience", type=float, default=60, metavar="SECONDS", help="for repeating what others disturbed (default 60)")
    options = parser.parse_args()
    with torch.inference_mode():  # as the host runs nodes
        image, reference = pictures(options.size)
        rows, missing = contestants(image, reference)
        seconds, worst = take_turns(rows, options.runs, options.patience)
    print(
        f"{options.size} x {options.size} RGB, {os.cpu_count()} cores, {torch.get_num_threads()} threads "
        f"(OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'not set')}), torch {torch.__version__}, {options.runs} runs; "
        f"others used at most {worst:.2f} cores" + (f"; not installed: {', '.join(missing)}" if missing else ""),
        end="\n\n",
    )
    print(*table(rows, seconds, options.size**2), sep="\n")


if __name__ == "__main__":
    main()
