"""A 15,000 x 10,000 picture through Detail Map: how much memory that takes, and how long.

    .host/venv/bin/python benchmarks/large_detail.py [--width 15000] [--height 10000] [--wavelet db4] [--levels 4]

The picture, both outputs (the map is a view of the mask) and two planes of one channel may be held. The default takes 4 GB.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time

import torch
from loading import load_host, load_pack, note
from resident import extra_peak

PLANES = 2
# What the interpreter takes beside the planes.
SLACK = 64e6


def main() -> int:
    """Measure the node once, and print; 1 where the line is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--width", type=int, default=15000)
    parser.add_argument("--height", type=int, default=10000)
    parser.add_argument("--wavelet", default="db4")
    parser.add_argument("--levels", type=int, default=4)
    asked = parser.parse_args()
    if not load_host():
        return 1
    load_pack()
    node = importlib.import_module("tilework.nodes.detail").DetailMap

    def run(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return node.execute(picture, asked.wavelet, asked.levels, 30.0, 80.0).args

    with torch.inference_mode():
        run(torch.rand(1, 96, 128, 3))  # whatever is loaded on first use is no part of the answer
        note("making the picture")
        picture = torch.empty(1, asked.height, asked.width, 3)
        for index, rows in enumerate(picture.split(500, 1)):
            torch.rand(rows.shape, generator=torch.Generator().manual_seed(index), out=rows)
        start, worked = time.perf_counter(), time.process_time()
        extra, (mask, shown) = extra_peak(lambda: run(picture))
        took, worked = time.perf_counter() - start, time.process_time() - worked
    size = f"{asked.wavelet}, {asked.levels} levels, {asked.width} x {asked.height}: {took:.0f} s, {worked:.0f} s of processor"
    if shown.data_ptr() != mask.data_ptr():
        print(f"- {size}; the map is a copy of the mask: MISSED")
        return 1
    if extra is None:
        print(f"- {size}; the system does not say how much memory it took")
        return 0
    planes, plane = (extra - mask.nbytes) / mask.nbytes, mask.nbytes
    met = extra <= (1 + PLANES) * plane + SLACK
    print(f"- {size}; {extra / 1e9:.2f} GB beside the picture, {planes:.2f} planes beside input and outputs, at most {PLANES}", end=": ")
    print("met" if met else "MISSED")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
