"""Tiles over the cards of one machine: seconds a step with one card, two, and so on, and the pictures beside each other.

Called by `gpu.py --checkpoint FILE`; the copies of the model are those of ComfyUI's own MultiGPU CFG Split.
"""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

import torch

PROMPTS = ("a street in the rain, photograph", "")


def compare_cards(checkpoint: Path, size: int, steps: int, tile: int, cards: int) -> None:
    """Print a table: for order and guidance a row, for each number of cards seconds and the largest difference to one card.

    Args:
        checkpoint: a file with model, text encoder and VAE.
        size: side of the picture in pixels.
        steps: of the sampler.
        tile: side in pixels.
        cards: there are.
    """
    sd = importlib.import_module("comfy.sd")
    multigpu = importlib.import_module("comfy.multigpu")
    settings = importlib.import_module("tilework.sampling.settings").TileSettings
    tiled = importlib.import_module("tilework.sampling.tiled_model").tiled
    with torch.inference_mode():
        model, clip, *_ = sd.load_checkpoint_guess_config(str(checkpoint), output_vae=False)
        prompts = [clip.encode_from_tokens_scheduled(clip.tokenize(words)) for words in PROMPTS]
        heads = [f"{number} card{'s' * (number > 1)}: s | difference" for number in range(1, cards + 1)]
        print(f"### {checkpoint.name}, {size} x {size}, {steps} steps, tiles of {tile}\n")
        print(f"| order, guidance | {' | '.join(heads)} |\n|{'---|' * (1 + 2 * cards)}", flush=True)
        for order, cfg in (("fused", 7.0), ("fused", 1.0), ("sequential", 7.0), ("sequential", 1.0)):
            row, first = [], None
            for number in range(1, cards + 1):
                copies = multigpu.create_multigpu_deepclones(model, number, reuse_loaded=True) if number > 1 else model
                patched = tiled(copies, settings(tile, tile, tile // 8, order=order))
                _sampled(patched, prompts, size, 1, cfg)
                start = time.perf_counter()
                picture = _sampled(patched, prompts, size, steps, cfg)
                seconds = time.perf_counter() - start
                first = picture if first is None else first
                row.append(f"{seconds:.2f} | {float((picture - first).abs().max() / first.abs().max()):.1e}")
            print(f"| {order}, {cfg} | {' | '.join(row)} |", flush=True)


def _sampled(model: Any, prompts: list, size: int, steps: int, cfg: float) -> torch.Tensor:
    sample = importlib.import_module("comfy.sample")
    latent = sample.fix_empty_latent_channels(model, torch.zeros(1, 4, size // 8, size // 8), 8)
    noise = sample.prepare_noise(latent, 1)
    return sample.sample(model, noise, steps, cfg, "euler", "normal", *prompts, latent, seed=1, disable_pbar=True)
