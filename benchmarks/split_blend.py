"""Identity tiles put together again: Tilework beside its peers and beside what the machine can do at best.

    python benchmarks/split_blend.py [--sizes 4096:512/64 ...] [--runs 7] [--json FILE]

Prints one Markdown table per size on stdout and progress on stderr. README.md says what the rows are.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from contestants import BY_KEY, CONTESTANTS, COPY, HARD, MAPPED, NODE, Contestant, Scene
from loading import blending, note
from quiet import Neighbours
from resident import extra_peak

DEFAULT_SIZES = ("4096:512/64", "4096:1024/128", "8192:512/64")
BYTES_PER_PIXEL = 3 * 4
QUIET = 0.15  # cores that others may use during a round
PEERS = ("monai-constant", "monai-gaussian")


class Setting(NamedTuple):
    """A square picture and its tiling."""

    size: int
    tile: int
    overlap: int

    @classmethod
    def parse(cls, text: str) -> Setting:
        """Read "4096:512/64"."""
        size, _, tiling = text.partition(":")
        tile, _, overlap = tiling.partition("/")
        try:
            return cls(int(size), int(tile), int(overlap))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not SIZE:TILE/OVERLAP, for example 4096:512/64") from None

    def __str__(self) -> str:
        return f"{self.size}:{self.tile}/{self.overlap}"

    def scene(self) -> Scene:
        """The picture and the layout."""
        return Scene((self.size, self.size), self.tile, self.overlap)


def largest_error(came: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest absolute difference, taken in strips so that it needs no memory of note; NaN where either has one."""
    if came.shape != expected.shape:
        return math.nan
    strips = zip(came.split(256, dim=1), expected.split(256, dim=1), strict=True)
    return float(torch.stack([(a - b).abs().max() for a, b in strips]).max())


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    start = time.perf_counter()
    outputs = run()
    return time.perf_counter() - start, outputs


def one_round(ready: dict[str, Callable[[], Any]], order: list[str], scene: Scene, check: bool) -> dict[str, tuple[float, float]]:
    """Seconds and error of every contestant, one after the other."""
    came = {}
    for key in order:
        if check and BY_KEY[key].mapped:
            scene.mapped.fill_(math.nan)  # so that what an earlier contestant left there cannot pass for a result
        if BY_KEY[key].fresh:
            blending("pixels.memory").release()
        seconds, outputs = timed(ready[key])
        came[key] = seconds, largest_error(outputs[0], scene.picture) if check else 0.0
        del outputs
        gc.collect()
    return came


def take_turns(setting: Setting, runs: int, patience: float) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Times (seconds) and errors of every contestant that is installed, and how quiet the machine was.

    A round in which other processes used more than QUIET cores is measured again until
    `patience` seconds have gone by; after that it counts, and the record says so.
    """
    scene = setting.scene()
    note(f"[{setting}] making the picture")
    ready = {c.key: run for c in CONTESTANTS if (run := c.prepare(scene)) is not None}
    rows: dict[str, dict[str, Any]] = {key: {"seconds": [], "error": 0.0} for key in ready}
    neighbours, until = Neighbours(), time.monotonic() + patience
    noise: dict[str, Any] = {"others_cores": [], "thrown_away": 0}
    # Rotating the order is not enough: whoever always runs after one that has just given back a large buffer would get
    # memory that is still cheap to touch (README.md, "First touch"). Shuffled, everybody gets all neighbours.
    order, dealer = list(ready), random.Random(7)
    turn = 0
    while turn <= runs:
        note(f"[{setting}] " + (f"round {turn} of {runs}" if turn else "warm-up"))
        dealer.shuffle(order)
        neighbours.wait(QUIET, until)
        with neighbours.watched():
            came = one_round(ready, order, scene, check=turn in (0, runs))
        if turn and neighbours.cores > QUIET and time.monotonic() < until:
            noise["thrown_away"] += 1
            note(f"[{setting}] disturbed: others used {neighbours.cores:.2f} cores, once more")
            continue
        for key, (seconds, error) in came.items():
            rows[key]["error"] = max(rows[key]["error"], error, key=lambda e: (e != e, e))
            if turn:
                rows[key]["seconds"].append(seconds)
        if turn:
            noise["others_cores"].append(round(neighbours.cores, 2))
        turn += 1
    return rows, noise


def measure_peak(setting: Setting, contestant: Contestant) -> int | None:
    """Extra peak of one call, in bytes; for a process of its own."""
    warm_up = contestant.prepare(Scene((96, 96), 64, 16))  # whatever is loaded on first use is no part of the answer
    if warm_up is None:
        return None
    warm_up()
    run = contestant.prepare(setting.scene())
    return extra_peak(run)[0]


def peak_in_child(setting: Setting, key: str) -> int | None:
    """`measure_peak` in a fresh process, so that nobody inherits another's mapped memory."""
    command = [sys.executable, __file__, "--sizes", str(setting), "--peak-of", key]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        note(f"[{setting}] no peak of {key}: {done.stderr.strip().splitlines()[-1:]}")
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def machine() -> dict[str, Any]:
    """What it ran on, in words that name no one."""
    pages = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9) if hasattr(os, "sysconf") else None,
        "huge_pages": pages.read_text().split("[")[1].split("]")[0] if pages.exists() else "unknown",
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _summary(row: dict[str, Any]) -> tuple[float, float]:
    return statistics.median(row["seconds"]), min(row["seconds"])


def ratio(rows: dict[str, dict[str, Any]], key: str, *bases: str) -> tuple[float, float] | None:
    """Medians' and minima's ratio of a contestant and the best of some others, each figure's best."""
    present = [_summary(rows[base]) for base in bases if base in rows]
    if not present or key not in rows:
        return None
    return tuple(own / min(best) for own, best in zip(_summary(rows[key]), zip(*present, strict=True), strict=True))


def _pair(values: tuple[float, float] | None) -> str:
    return "-" if values is None else f"{values[0]:.2f} ({values[1]:.2f})"


def table(setting: Setting, rows: dict[str, dict[str, Any]]) -> str:
    """One Markdown table, medians first and minima in brackets."""
    lines = [
        f"### {setting.size} x {setting.size}, tile {setting.tile}, overlap {setting.overlap}: {len(setting.scene().layout)} tiles",
        "",
        "| contestant | ms, median (min) | x copy | x hard tiles | x MONAI | extra peak, canvases | max error |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, row in rows.items():
        median, least = (1000 * seconds for seconds in _summary(row))
        ratios = " | ".join(_pair(ratio(rows, key, *base)) for base in ((COPY,), (HARD,), PEERS))
        peak = row.get("peak_bytes")
        canvases = "-" if peak is None else f"{peak / (setting.size**2 * BYTES_PER_PIXEL):.2f}"
        lines.append(f"| {BY_KEY[key].label} | {median:.0f} ({least:.0f}) | {ratios} | {canvases} | {row['error']:.1e} |")
    return "\n".join(lines)


def verdicts(setting: Setting, rows: dict[str, dict[str, Any]]) -> list[str]:
    """What was asked of us, and what was measured, medians first and minima in brackets."""
    as_run = NODE if NODE in rows else "compose-seams"
    limits = (
        ("into a mapped buffer, NaN refusal on", ratio(rows, MAPPED, COPY), 5.0, "x copy"),
        ("into a mapped buffer, NaN refusal on", ratio(rows, MAPPED, HARD), 2.7, "x hard tiles"),
        ("as the node runs it" if as_run == NODE else "compose and seams", ratio(rows, as_run, *PEERS), 0.8, "x MONAI"),
    )
    lines = [
        f"- {what}: {_pair(came)} {unit}, at most {limit}: {'met' if came[0] <= limit else 'MISSED'}"
        for what, came, limit, unit in limits
        if came is not None
    ]
    peak = rows["compose"].get("peak_bytes")
    if peak is not None:
        canvases = peak / (setting.size**2 * BYTES_PER_PIXEL)
        lines.append(f"- extra peak, the picture counted: {canvases:.2f} canvases, at most 1.1: {'met' if canvases <= 1.1 else 'MISSED'}")
    return lines


def _noise_line(noise: dict[str, Any]) -> str:
    worst = max(noise["others_cores"])
    disturbed = sum(cores > QUIET for cores in noise["others_cores"])
    return (
        f"- other processes used at most {worst:.2f} cores in the rounds that count ({disturbed} of them disturbed); "
        f"{noise['thrown_away']} disturbed rounds were measured again"
    )


def main() -> None:
    """Measure, print, and write the record where asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    sizes = [Setting.parse(text) for text in DEFAULT_SIZES]
    parser.add_argument(
        "--sizes", nargs="+", type=Setting.parse, default=sizes, metavar="SIZE:TILE/OVERLAP", help=f"default {' '.join(DEFAULT_SIZES)}"
    )
    parser.add_argument("--runs", type=int, default=7, help="measured rounds, after one to warm up (default 7)")
    parser.add_argument(
        "--patience",
        type=float,
        default=300,
        metavar="SECONDS",
        help="per size, for measuring again what other processes disturbed (default 300)",
    )
    parser.add_argument("--no-peaks", action="store_true", help="leave out the memory column, a process of its own per contestant")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every single time there")
    parser.add_argument("--peak-of", choices=sorted(BY_KEY), help=argparse.SUPPRESS)
    options = parser.parse_args()
    with torch.inference_mode():  # as the host runs nodes
        if options.peak_of:
            print(json.dumps(measure_peak(options.sizes[0], BY_KEY[options.peak_of])))
            return
        record = {"machine": machine(), "runs": options.runs, "settings": {}}
        print(", ".join(f"{key} {value}" for key, value in record["machine"].items()), end="\n\n")
        for setting in options.sizes:
            rows, noise = take_turns(setting, options.runs, options.patience)
            record["settings"][str(setting)] = {"rows": rows, "noise": noise}
            for key in () if options.no_peaks else rows:
                note(f"[{setting}] peak memory of {key}")
                rows[key]["peak_bytes"] = peak_in_child(setting, key)
            print(table(setting, rows), "", *verdicts(setting, rows), _noise_line(noise), "", sep="\n", flush=True)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
