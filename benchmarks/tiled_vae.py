"""Tiled VAE beside the core's own: error against untiled, work, time, memory. Prints as it goes.

    OMP_NUM_THREADS=1 .host/venv/bin/python benchmarks/tiled_vae.py [--width 1024] [--height 768] [--tile 256] [--vae FILE]

The picture is smooth, its left half brighter, because that is where tiles that normalise by themselves go astray. Without
--vae a tiny untrained VAE is used; with it, the file that you have. Where a CUDA device is found it is used, and the
peak is that of its memory, beside what was asked of the host; else the process' resident memory. Time is the processor's
on a CPU, which neighbours on a shared machine disturb least. Work is multiplications of convolutions, in units of the
untiled run.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resident import extra_peak

ROOT = Path(__file__).resolve().parents[1]
TIME_LIMIT, ERROR_LIMIT = 0.5, 0.2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--height", type=int, default=768)
    parser.add_argument("--tile", type=int, default=256, help="side of a tile in image pixels, for all contestants")
    parser.add_argument("--overlap", type=int, default=64, help="of the core's tiles; ours take theirs from the VAE")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--vae", help="a VAE of yours (safetensors)")
    parser.add_argument("--comfy", default=str(ROOT / ".host" / "ComfyUI"))
    return parser.parse_args()


def _host(comfy: str) -> bool:
    """Set ComfyUI and the pack up; whether there is a CUDA device."""
    import torch

    cuda = torch.cuda.is_available()
    sys.path.insert(0, comfy)
    sys.argv = [sys.argv[0], *([] if cuda else ["--cpu"])]
    import comfy.options

    comfy.options.enable_args_parsing()
    for name, path in (("tilework", ROOT), ("tilework_test", ROOT / "tests" / "pack")):
        spec = importlib.util.spec_from_file_location(name, path / "__init__.py", submodule_search_locations=[str(path)])
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return cuda


def _vae(file: str | None) -> Any:
    if file is None:
        from tilework_test.vaes import tiny

        return tiny("kl")
    import comfy.sd
    import comfy.utils

    return comfy.sd.VAE(sd=comfy.utils.load_torch_file(file))


class Work:
    """Multiplications of all convolutions of a module."""

    def __init__(self, module: Any) -> None:
        import torch

        self.done = 0
        for part in module.modules():
            if isinstance(part, torch.nn.Conv2d):
                part.register_forward_hook(self._count)

    def _count(self, module: Any, inputs: Any, output: Any) -> None:
        self.done += output[:, 0].numel() * module.weight.numel()


def _measure(call: Callable[[], Any], runs: int, cuda: bool) -> tuple[Any, float, int | None]:
    """The result, seconds (median), and bytes at the peak."""
    import torch

    clock = time.perf_counter if cuda else time.process_time
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        result = call()
        peak = torch.cuda.max_memory_allocated() - before
    else:
        peak, result = extra_peak(call)
    spent = []
    for _ in range(runs):
        start = clock()
        call()
        if cuda:
            torch.cuda.synchronize()
        spent.append(clock() - start)
    return result, statistics.median(spent), peak


def _compare(title: str, contestants: dict[str, Callable[[], Any]], work: Work, runs: int, cuda: bool) -> None:
    print(
        f"\n### {title}\n\n| contestant | max error | mean error | work | seconds | x untiled | peak |\n|---|---|---|---|---|---|---|",
        flush=True,
    )
    untiled, rows = None, {}
    for name, call in contestants.items():
        work.done = 0
        result, seconds, peak = _measure(call, runs, cuda)
        done = work.done / (runs + 1)
        if untiled is None:
            untiled = (result, done, seconds)
        error = (result - untiled[0]).abs()
        rows[name] = (float(error.mean()), seconds)
        print(
            f"| {name} | {float(error.max()):.1e} | {float(error.mean()):.1e} | {done / untiled[1]:.2f} | {seconds:.2f} | "
            f"{seconds / untiled[2]:.2f} | {'-' if peak is None else f'{peak / 2**20:.0f} MB'} |",
            flush=True,
        )
    _verdicts(rows)


def _verdicts(rows: dict[str, tuple[float, float]]) -> None:
    core, ours = (next(row for name, row in rows.items() if word in name) for word in ("Tiled (core)", "exact"))
    print()
    for what, index, limit in (("mean error", 0, ERROR_LIMIT), ("time", 1, TIME_LIMIT)):
        share = ours[index] / core[index]
        print(
            f"- {what}, exact beside the core's tiled: {share:.4f}, at most {limit}: {'met' if share <= limit else 'NOT met'}", flush=True
        )


def main() -> None:
    """Decode, then encode."""
    asked = _arguments()
    cuda = _host(asked.comfy)
    import torch
    from tilework.models.vae.tiles import MODES, VAETiles
    from tilework.models.vae.tiling import decode, encode
    from tilework_test.sources import smooth_picture

    vae = _vae(asked.vae)
    ratio = vae.spacial_compression_decode()
    picture = 0.6 * smooth_picture(1, asked.height // ratio * ratio, asked.width // ratio * ratio, 3, 1)
    picture[:, :, : picture.shape[2] // 2] += 0.3
    tile, overlap = asked.tile // ratio, asked.overlap // ratio
    print(f"{picture.shape[2]} x {picture.shape[1]}, tile {asked.tile}, core's overlap {asked.overlap}, {vae.vae_dtype}, {vae.device}")
    with torch.inference_mode():
        latent = vae.encode(picture)
        if asked.vae is None:
            latent = latent + 0.5 * torch.randn(latent.shape, generator=torch.Generator().manual_seed(0))
        work = Work(vae.first_stage_model)
        contestants = {
            "VAEDecode (core, untiled)": lambda: vae.decode(latent),
            "VAEDecodeTiled (core)": lambda: vae.decode_tiled(latent, tile_x=tile, tile_y=tile, overlap=overlap),
        }
        for mode in MODES:
            contestants[f"**Tilework** {mode}"] = lambda mode=mode: decode(vae, latent, VAETiles(mode, asked.tile, asked.tile))[0]
        _compare("Decode", contestants, work, asked.runs, cuda)
        contestants = {
            "VAEEncode (core, untiled)": lambda: vae.encode(picture),
            "VAEEncodeTiled (core)": lambda: vae.encode_tiled(picture, tile_x=asked.tile, tile_y=asked.tile, overlap=asked.overlap),
        }
        for mode in MODES:
            contestants[f"**Tilework** {mode}"] = lambda mode=mode: encode(vae, picture, VAETiles(mode, asked.tile, asked.tile))[0]
        _compare("Encode", contestants, work, asked.runs, cuda)


if __name__ == "__main__":
    main()
