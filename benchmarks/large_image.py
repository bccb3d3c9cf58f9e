"""A 16,384 x 8,192 picture through split, identity and blend: how much memory that takes.

    python benchmarks/large_image.py [--width 16384] [--height 8192] [--tile 1024] [--overlap 128] [--json FILE]

Once through the library and once through the nodes, each in a process of its own. The peak
may be at most 10 % above what has to be there at the end: the input and both outputs, the
picture and the seams mask.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from contestants import BY_KEY, Scene
from loading import note
from resident import extra_peak
from split_blend import largest_error, timed

WAYS = {"library": "compose-seams", "nodes": "nodes"}
MOST = 1.1


def measure(way: str, scene: Scene) -> dict[str, Any] | None:
    """Peak, time and error of one way; for a process of its own. None where there is no host for the nodes."""
    contestant = BY_KEY[WAYS[way]]
    warm_up = contestant.prepare(Scene((96, 96), 64, 16))  # whatever is loaded on first use is no part of the answer
    if warm_up is None:
        return None
    warm_up()
    note(f"[{way}] making the picture")
    run = contestant.prepare(scene)
    note(f"[{way}] {len(scene.layout)} tiles")
    extra, (seconds, (image, seams)) = extra_peak(lambda: timed(run))
    return {
        "tiles": len(scene.layout),
        "input_bytes": scene.picture.nbytes,
        "output_bytes": image.nbytes + seams.nbytes,
        "extra_peak_bytes": extra,
        "seconds": seconds,
        "error": largest_error(image, scene.picture),
    }


def _row(way: str, came: dict[str, Any]) -> str:
    source, outputs, extra = came["input_bytes"], came["output_bytes"], came["extra_peak_bytes"]
    tail = f"{came['seconds']:.1f} | {came['error']:.1e} |"
    if extra is None:
        return f"| {way} | - | {(source + outputs) / 1e9:.2f} | - | - | - | {tail}"
    share = (source + extra) / (source + outputs)
    cells = (source + extra, source + outputs, extra, outputs)
    peak, floor, above, made = (f"{n / 1e9:.2f}" for n in cells)
    return f"| {way} | {peak} | {floor} | {share:.3f} ({'met' if share <= MOST else 'MISSED'}) | {above} | {made} | {tail}"


def main() -> None:
    """Run each way in a child process and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--width", type=int, default=16384)
    parser.add_argument("--height", type=int, default=8192)
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--overlap", type=int, default=128)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        with torch.inference_mode():
            print(json.dumps(measure(options.way, Scene((options.height, options.width), options.tile, options.overlap))))
        return
    print(f"### {options.width} x {options.height}, tile {options.tile}, overlap {options.overlap}, RGB float32; GB = 1e9 bytes\n")
    heads = (
        "way",
        "peak with input, GB",
        "input and outputs, GB",
        f"ratio, at most {MOST}",
        "peak less input, GB",
        "outputs, GB",
        "s",
        "max error",
    )
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|", flush=True)
    record = {}
    for way in WAYS:
        done = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--way", way], stdout=subprocess.PIPE, text=True, check=True)
        came = record[way] = json.loads(done.stdout.strip().splitlines()[-1])
        if came is not None:
            print(_row(way, came), flush=True)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
