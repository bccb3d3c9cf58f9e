"""On a graphics card: peak memory beside what was planned, and pictures per minute. Does nothing where there is no CUDA device.

    python benchmarks/gpu.py [--size 4096] [--runs 3] [--model FILE]
    python benchmarks/gpu.py --checkpoint FILE [--size 4096] [--steps 8] [--tile 1024]

Tiled Upscale with the tiny trained model, or with an upscale model of yours, once with the tile planned from the free
memory and once with 512 / 32, beside ComfyUI's own Upscale Image (using Model), which has 512 / 32 fixed. With a checkpoint,
Tiled Sampling over all cards of the machine (`several_cards.py`).
"""

from __future__ import annotations

import argparse
import gc
import importlib
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

GB = 1e9


def has_device() -> bool:
    """Whether there is a CUDA device; says in words that nothing is done where there is none."""
    if torch.cuda.is_available():
        return True
    print("No CUDA device was found: nothing was measured. Run this on a machine with an NVIDIA card.")
    return False


def host() -> None:
    """Make the host importable with its card, which `loading.load_host` leaves alone."""
    from loading import _host_folder, load_pack

    folder = _host_folder()
    if folder is None:
        sys.exit("this benchmark needs ComfyUI: set COMFYUI_PATH, or run `python dev.py demo` once")
    sys.path.insert(0, str(folder))
    arguments, sys.argv = sys.argv, sys.argv[:1]
    try:
        import comfy.options

        comfy.options.enable_args_parsing()
        import comfy.cli_args  # reads sys.argv when it is first imported
        import comfy.model_management
    finally:
        sys.argv = arguments
    load_pack()


def peak_of(call: Any) -> tuple[float, float, Any]:
    """(seconds, peak bytes above what was there, result)."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    start = time.perf_counter()
    came = call()
    torch.cuda.synchronize()
    return time.perf_counter() - start, torch.cuda.max_memory_allocated() - before, came


def measure(name: str, call: Any, planned: float | None, runs: int) -> None:
    """One row of the table."""
    call()
    taken = [peak_of(call)[:2] for _ in range(runs)]
    seconds, peak = statistics.median(one[0] for one in taken), max(one[1] for one in taken)
    plan = "-" if planned is None else f"{planned / GB:.2f} | {peak / planned:.2f}"
    print(f"| {name} | {seconds:.2f} | {60 / seconds:.1f} | {peak / GB:.2f} | {plan if planned is not None else '- | -'} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--model", type=Path, help="an upscale model of yours; else the tiny trained one")
    parser.add_argument("--checkpoint", type=Path, help="sample with it over all cards, in place of upscaling")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--tile", type=int, default=1024)
    options = parser.parse_args()
    if not has_device():
        return
    host()
    if options.checkpoint is not None:
        from several_cards import compare_cards

        compare_cards(options.checkpoint, options.size, options.steps, options.tile, torch.cuda.device_count())
        return
    from loading import load_upscale_model, run_node, tiny_file

    upscale = importlib.import_module("tilework.models.tiled_upscale")
    upscaler = importlib.import_module("tilework.models.upscaler").Upscaler
    core = importlib.import_module("comfy_extras.nodes_upscale_model").ImageUpscaleWithModel
    model = load_upscale_model(options.model or tiny_file())
    generator = torch.Generator().manual_seed(1)
    picture = torch.rand(1, options.size, options.size, 3, generator=generator)
    print(f"### {torch.cuda.get_device_name()}, {options.size} x {options.size}, x{model.scale}, torch {torch.__version__}\n")
    print("| node | s | pictures a minute | peak VRAM, GB | planned, GB | peak / planned |\n|---|---|---|---|---|---|", flush=True)
    with torch.inference_mode():
        for label, request in (("planned", upscale.Request()), ("512 / 32", upscale.Request(512, 512, 32))):
            field = upscale.upscaler_field(upscaler(model), upscale.THRESHOLD).field
            plan = upscale.plan_upscale(upscaler(model), picture, request, 3, field)
            height, width = plan.layout.tile_size
            name = f"Tiled Upscale, {label}: {len(plan.layout)} tiles of {width} x {height}, {plan.tile_batch} at once"
            measure(name, lambda request=request: upscale.upscale(model, picture, request), plan.needed, options.runs)
        measure("Upscale Image (using Model), 512 / 32", lambda: run_node(core, upscale_model=model, image=picture), None, options.runs)


if __name__ == "__main__":
    main()
