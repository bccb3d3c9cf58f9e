"""Tiled Upscale beside ComfyUI's own Upscale Image (using Model), on the same picture with the same tile and overlap.

    OMP_NUM_THREADS=1 .host/venv/bin/python benchmarks/tiled_upscale.py [--parts time seams memory] [--size 4096] [--large 8192]

- time: both nodes in turn, the tiny trained x2 model; ours may take 1.05 times as long.
- seams: Seam Check on both results, with the tiny model and with one that looks at the whole picture (InstanceNorm and
  squeeze-and-excite, untrained), which is what makes seams.
- memory: an RGBA picture through Tiled Upscale: its size, and the peak beside input and output, which may be 1 GB.

Each part can be run by itself and prints as it goes. The defaults take several minutes and 6 GB.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import statistics
import sys
import time
from typing import Any

import torch
from loading import blending, load_host, load_upscale_model, node, note, run_node, tiny_file
from quiet import Neighbours
from resident import extra_peak

TILE, OVERLAP = 512, 32
MOST_TIME = 1.05
MOST_MEMORY = 1e9
SCALE = 2
DISC = 0.37  # radius of what can be seen, as a share of the picture


def tiny_model() -> Any:
    """The tiny trained upscaler."""
    return load_upscale_model(tiny_file())


def whole_image_model() -> Any:
    """An untrained upscaler that looks at the whole picture."""
    described = importlib.import_module("tilework.tests.pack.upscale_models").described
    return described(importlib.import_module("tilework.tests.pack.upscalers").WholeImageUpscaler())


def photograph(size: int) -> torch.Tensor:
    """The astronaut of scikit-image, mirrored again and again: [1, size, size, 3]. Its brightness drifts from left to right."""
    import skimage.data

    picture = torch.from_numpy(skimage.data.astronaut()).float() / 255
    crop = importlib.import_module("tilework.blending.layout.cutting").crop
    rect = blending("layout.tile_layout").Rect(0, 0, size, size)
    picture = crop(picture, rect, (0, 1))
    return (picture * torch.linspace(0.6, 1.0, size)[None, :, None])[None]


def cores_layout(size: int) -> Any:
    """Where the host's node puts its tiles."""
    layout = blending("layout.tile_layout")
    places = range(0, max(size - OVERLAP, 1), TILE - OVERLAP)
    return blending("layout.grid_layout").GridLayout((size, size), tuple(layout.Rect(y, x, TILE, TILE) for y in places for x in places))


def our_layout(size: int) -> Any:
    """Where Tiled Upscale puts them."""
    return blending("layout.pieces").snug_grid(size, size, TILE, TILE, OVERLAP, 8)


def contestants(model: Any, picture: torch.Tensor) -> dict[str, Any]:
    """Both nodes, ready to run."""
    core = importlib.import_module("comfy_extras.nodes_upscale_model").ImageUpscaleWithModel
    ours = node("upscale", "TiledUpscale")
    sizes = {"tile_width": TILE, "tile_height": TILE, "overlap": OVERLAP}
    return {
        "Upscale Image (using Model)": lambda: run_node(core, upscale_model=model, image=picture)[0],
        "Tiled Upscale": lambda: run_node(ours, upscale_model=model, image=picture, **sizes)[0],
        "Tiled Upscale, statistics of the image": lambda: run_node(ours, upscale_model=model, image=picture, statistics="image", **sizes)[
            0
        ],
    }


def measure_time(size: int, runs: int) -> None:
    """Both nodes in turn."""
    model, picture = tiny_model(), photograph(size)
    core, ours = list(contestants(model, picture).items())[:2]
    for _, warm_up in contestants(model, picture[:, :128, :128]).items():
        warm_up()
    print(f"### Time: {size} x {size}, tile {TILE}, overlap {OVERLAP}, tiny x2 model, {torch.get_num_threads()} threads\n", flush=True)
    seconds: dict[str, list[float]] = {core[0]: [], ours[0]: []}
    work: dict[str, list[float]] = {core[0]: [], ours[0]: []}
    for run in range(runs):
        for name, call in (core, ours) if run % 2 == 0 else (ours, core):
            neighbours = Neighbours()
            with neighbours.watched():
                start, worked = time.perf_counter(), time.process_time()
                call()
                took, worked = time.perf_counter() - start, time.process_time() - worked
            seconds[name].append(took)
            work[name].append(worked)
            gc.collect()
            print(
                f"- run {run + 1}: {name}: {took:.1f} s, {worked:.1f} s of processor; others used {neighbours.cores:.1f} cores", flush=True
            )
    ratio, worked = (statistics.median(of[ours[0]]) / statistics.median(of[core[0]]) for of in (seconds, work))
    least = min(seconds[ours[0]]) / min(seconds[core[0]])
    computed = len(our_layout(size)) * our_layout(size).tile_size[0] * our_layout(size).tile_size[1]
    side = sum(min(TILE, size - start) for start in range(0, max(size - OVERLAP, 1), TILE - OVERLAP))
    print(f"- pixels through the model: ours {computed / size**2:.3f}, the host's {side**2 / size**2:.3f} of the picture")
    verdict = "met" if ratio <= MOST_TIME else "MISSED"
    print(f"- Tiled Upscale takes {ratio:.2f} (least {least:.2f}) of the time, at most {MOST_TIME}: {verdict}")
    print(f"- and {worked:.2f} of the processor's time, which others do not add to\n")


def measure_seams(size: int, models: list[str]) -> None:
    """Seam Check on what comes out of each."""
    check = blending("seam_check.check").check_seams
    print(f"### Seams: {size} x {size}, tile {TILE}, overlap {OVERLAP}\n")
    print("| model | node | Seam Check | against untiled | largest difference from untiled |\n|---|---|---|---|---|", flush=True)
    picture = photograph(size)
    for label, make in (("tiny, trained", tiny_model), ("looks at the whole picture", whole_image_model)):
        if label.split()[0].strip(",") not in models:
            continue
        model = make()
        note(f"[{label}] untiled")
        whole = model(picture.movedim(-1, 1)).movedim(1, -1)
        for name, call in contestants(model, picture).items():
            if "statistics" in name and label.startswith("tiny"):
                continue
            note(f"[{label}] {name}")
            came = call()
            layout = cores_layout(size) if name.startswith("Upscale Image") else our_layout(size)
            verdicts = [report.summary().split(";")[0] for report in (check(came, layout), check(came, layout, reference=whole))]
            print(f"| {label} | {name} | {verdicts[0]} | {verdicts[1]} | {float((came - whole).abs().max()):.1e} |", flush=True)
            del came
            gc.collect()
    print()


def transparent(size: int) -> torch.Tensor:
    """RGBA [1, size, size, 4]: a disc with a soft rim, made in place, row by row."""
    out = blending("pixels.memory").empty((1, size, size, 4))
    source = photograph(1024)[0]
    x = torch.arange(size) + 0.5
    for top in range(0, size, 1024):
        rows = out[0, top : top + 1024]
        for left in range(0, size, 1024):
            block = rows[:, left : left + 1024]
            block[..., :3] = source[: block.shape[0], : block.shape[1]]
        y = torch.arange(top, top + len(rows)) + 0.5
        distance = ((y - size / 2).square()[:, None] + (x - size / 2).square()).sqrt()
        rows[..., 3] = ((DISC * size - distance) / 6).clamp(0, 1)
    return out


def measure_memory(size: int) -> None:
    """Peak memory of an RGBA picture."""
    model = tiny_model()
    ours = node("upscale", "TiledUpscale")
    sizes = {"tile_width": TILE, "tile_height": TILE, "overlap": OVERLAP}
    run_node(ours, upscale_model=model, image=transparent(600), **sizes)
    picture = transparent(size)
    print(f"### Memory: {size} x {size} RGBA, x{SCALE}, tile {TILE}, overlap {OVERLAP}\n", flush=True)
    start = time.perf_counter()
    extra, came = extra_peak(lambda: run_node(ours, upscale_model=model, image=picture, **sizes)[0])
    seconds = time.perf_counter() - start
    right = tuple(came.shape) == (1, size * SCALE, size * SCALE, 4)
    print(
        f"- {len(our_layout(size))} tiles, {seconds:.0f} s; result {came.shape[2]} x {came.shape[1]} with {came.shape[3]} channels: ",
        end="",
    )
    print("exact" if right else "WRONG")
    if extra is None:
        print("- peak: not known here")
        return
    beside = extra - came.nbytes
    peak, given = (n / 1e9 for n in (extra + picture.nbytes, picture.nbytes + came.nbytes))
    print(f"- peak with the input {peak:.2f} GB; input and output {given:.2f} GB; beside them {beside / 1e9:.2f} GB, ", end="")
    print(f"at most {MOST_MEMORY / 1e9:.0f}: {'met' if beside <= MOST_MEMORY else 'MISSED'}\n")


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=("time", "seams", "memory"), default=["time", "seams", "memory"])
    parser.add_argument("--size", type=int, default=4096, help="side of the square picture for time and seams")
    parser.add_argument("--large", type=int, default=8192, help="side of the square RGBA picture for memory")
    parser.add_argument("--models", nargs="+", choices=("tiny", "looks"), default=["tiny", "looks"], help="for seams")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if not load_host():
        sys.exit("this benchmark needs ComfyUI: set COMFYUI_PATH, or run `python dev.py demo` once")
    blending()
    if not tiny_file().is_file():
        sys.exit(f"there is no tiny model in {tiny_file().parent}: run `python dev.py demo` once")
    with torch.inference_mode():
        for part in options.parts:
            if part == "time":
                measure_time(options.size, options.runs)
            elif part == "seams":
                measure_seams(options.size, options.models)
            else:
                measure_memory(options.large)


if __name__ == "__main__":
    main()
