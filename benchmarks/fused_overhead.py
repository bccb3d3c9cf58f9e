"""What tiling costs beside the model: time of our own, pixels computed twice, memory. On a CPU with a tiny UNet.

    OMP_NUM_THREADS=1 .host/venv/bin/python benchmarks/fused_overhead.py [--cells 128] [--runs 3]

Our own time is the time inside our CALC_COND_BATCH wrapper minus the time inside the host's calls that it makes. It is
held against the time of those calls, that is against the model's work on all tiles, overlaps included; those are
printed beside it, for they are the price of tiling as such.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from pathlib import Path

from resident import extra_peak

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 0.05


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=128, help="side of the square latent, in cells")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--comfy", default=str(ROOT / ".host" / "ComfyUI"))
    parser.add_argument("--peak", help="run one contestant only and print its peak memory (used by the script itself)")
    return parser.parse_args()


def _host(comfy: str) -> None:
    sys.path.insert(0, comfy)
    sys.argv = [sys.argv[0], "--cpu", "--use-pytorch-cross-attention"]
    import comfy.options

    comfy.options.enable_args_parsing()
    for name, path in (("tilework", ROOT), ("tilework_test", ROOT / "tests" / "pack")):
        spec = importlib.util.spec_from_file_location(name, path / "__init__.py", submodule_search_locations=[str(path)])
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])


class Clock:
    """Time spent in a wrapper and in what it calls."""

    def __init__(self) -> None:
        self.spent = 0.0
        self.pictures = 0

    def __call__(self, executor, *args):
        self.pictures += args[2].shape[0]
        start = time.perf_counter()
        try:
            return executor(*args)
        finally:
            self.spent += time.perf_counter() - start


def _sample(model, cells: int, steps: int) -> float:
    import comfy.sample
    import torch
    from tilework_test import models

    latent = torch.zeros(1, 4, cells, cells)
    start = time.perf_counter()
    with torch.inference_mode():
        comfy.sample.sample(
            model, comfy.sample.prepare_noise(latent, 1), steps, 3.0, "euler", "normal", models.conditioning(1), models.conditioning(2),
            latent, disable_pbar=True, seed=1,
        )  # fmt: skip
    return time.perf_counter() - start


def _settings(cells: int):
    from tilework.sampling.settings import TileSettings

    side = cells * 8
    return {
        "2 x 2, overlap an eighth": TileSettings(side * 9 // 16, side * 9 // 16, side // 8),
        "3 x 3, overlap a quarter of a tile": TileSettings(side // 2 - side // 16, side // 2 - side // 16, side // 8 - side // 64),
        "2 x 2, gaussian, jitter": TileSettings(side * 9 // 16, side * 9 // 16, side // 8, "gaussian", grid="jitter"),
        "2 x 2, four at once": TileSettings(side * 9 // 16, side * 9 // 16, side // 8, tile_batch=4),
    }


def _measure(name: str, settings, arguments: argparse.Namespace) -> list[str]:
    from comfy.patcher_extension import WrappersMP
    from tilework.sampling.tiled_model import tiled
    from tilework_test import models

    plain = models.tiny_unet()
    shares, walls = [], []
    for run in range(arguments.runs + 1):
        outer, inner = Clock(), Clock()
        patched = plain.clone()
        patched.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "outer", outer)
        patched = tiled(patched, settings)
        patched.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "inner", inner)
        untiled = _sample(plain, arguments.cells, arguments.steps)
        wall = _sample(patched, arguments.cells, arguments.steps)
        if run:  # the first warms up
            shares.append((outer.spent - inner.spent) / inner.spent)
            walls.append(wall / untiled)
    layout = settings.plan((arguments.cells, arguments.cells), 1, 8, 1)
    tiles = inner.pictures / outer.pictures
    twice = tiles * layout.tile_size[0] * layout.tile_size[1] / (layout.canvas[0] * layout.canvas[1]) - 1
    own = statistics.median(shares)
    return [
        name, f"{tiles:.1f}", f"{100 * twice:.0f} %", f"{100 * own:.2f} % ({100 * min(shares):.2f})", f"{statistics.median(walls):.2f}",
        "met" if own <= LIMIT else "MISSED",
    ]  # fmt: skip


def _peak(contestant: str, arguments: argparse.Namespace) -> None:
    """Peak memory of one contestant, in MB above what was there before it sampled."""
    from tilework.sampling.tiled_model import tiled
    from tilework_test import models

    model = models.tiny_unet()
    _sample(model, 16, 1)
    if contestant != "untiled":
        model = tiled(model, _settings(arguments.cells)[contestant])
    peak, _ = extra_peak(lambda: _sample(model, arguments.cells, 1))
    print("not known here" if peak is None else f"{peak / 2**20:.0f}")


def main() -> None:
    """Print the table."""
    arguments = _arguments()
    started = sys.argv[0]
    _host(arguments.comfy)
    if arguments.peak:
        _peak(arguments.peak, arguments)
        return
    import subprocess

    import torch

    print(f"tiny UNet, {arguments.cells} x {arguments.cells} cells, {arguments.steps} steps, torch {torch.__version__}, ", end="")
    print(f"{torch.get_num_threads()} threads; medians of {arguments.runs} runs, minima in brackets")
    print("| setting | tiles a step | pixels computed twice | our own time, of the model's | wall time x untiled | <= 5 % |")
    print("|---|---|---|---|---|---|")
    for name, settings in _settings(arguments.cells).items():
        print("| " + " | ".join(_measure(name, settings, arguments)) + " |", flush=True)
    print("\nPeak memory above the model's, MB, one step:")
    for name in ("untiled", *_settings(arguments.cells)):
        command = [sys.executable, started, "--peak", name, "--cells", str(arguments.cells), "--comfy", arguments.comfy]
        print(f"- {name}: {subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]}")


if __name__ == "__main__":
    main()
