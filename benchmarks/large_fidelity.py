"""8,192 x 8,192 through Fidelity Check, beside a source of the same size and one of half the size: time and memory.

    .host/venv/bin/python benchmarks/large_fidelity.py [--side 8192]

Each in a process of its own: the check, the heat map and the worst places, as the node runs them. Beside the pictures and the
heat map at most four planes of the result's size (float32) may be held. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

import torch
from loading import blending, note
from resident import extra_peak

PLANES = 4


def made(side: int, scale: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A result [1, side, side, 3] and its source: rough and smooth parts side by side, every part from a seed of its own."""
    small = side // scale
    source = torch.empty(1, small, small, 3)
    for index, rows in enumerate(source.split(256, 1)):
        seed = torch.Generator().manual_seed(index)
        coarse = torch.rand(1, 3, 6, small // 64, generator=seed)
        smooth = torch.nn.functional.interpolate(coarse, rows.shape[1:3], mode="bilinear")
        rows.copy_((smooth + 0.1 * (torch.rand(smooth.shape, generator=seed) - 0.5)).movedim(1, -1).clamp(0, 1))
    result = torch.empty(1, side, side, 3)
    for part, rows in zip(source.split(256, 1), result.split(256 * scale, 1), strict=True):
        rows.copy_(part.repeat_interleave(scale, 1).repeat_interleave(scale, 2))
    return result, source


def measure(side: int, scale: int) -> dict[str, float | None]:
    """Seconds and bytes of one run; for a process of its own."""
    check, maps = blending("fidelity.check").check_fidelity, blending("fidelity.heat_map")

    def run(result: torch.Tensor, source: torch.Tensor) -> tuple[torch.Tensor, ...]:
        report = check(result, source)
        return maps.fidelity_map(result, report), maps.worst_places(result, source, report)

    run(*made(256, scale))  # whatever is loaded on first use is no part of the answer
    result, source = made(side, scale)
    note(f"source 1/{scale} of the result")
    start = time.perf_counter()
    extra, outputs = extra_peak(lambda: run(result, source))
    return {"seconds": time.perf_counter() - start, "extra": extra, "outputs": sum(one.nbytes for one in outputs)}


def main() -> None:
    """Run each in a child process and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--scale", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.scale:
        with torch.inference_mode():
            print(json.dumps(measure(asked.side, asked.scale)))
        return
    print("| result | source | s | peak less pictures, GB | outputs, GB | planes beside them | at most |\n|" + "---|" * 7, flush=True)
    for scale in (1, 2):
        command = [sys.executable, __file__, "--side", str(asked.side), "--scale", str(scale)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        came = json.loads(done.stdout.strip().splitlines()[-1])
        plane = 4 * asked.side**2
        size = f"{asked.side} x {asked.side}", f"{asked.side // scale} x {asked.side // scale}"
        if came["extra"] is None:
            cells = ["-"] * 4
        else:
            planes = (came["extra"] - came["outputs"]) / plane
            kept = "met" if planes <= PLANES else "NOT met"
            cells = [f"{came['extra'] / 1e9:.2f}", f"{came['outputs'] / 1e9:.2f}", f"{planes:.2f}", f"{PLANES}: {kept}"]
        print(f"| {size[0]} | {size[1]} | {came['seconds']:.0f} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
