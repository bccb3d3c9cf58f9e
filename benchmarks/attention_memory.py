"""Memory and time of Tiled Attention's neighbourhood, beside attention in plain tiles of the native size.

    python benchmarks/attention_memory.py [--native 64] [--sides 64 128 192] [--channels 256] [--text 64]

Queries, keys and values of the whole canvas are there in both cases and are not counted; the result is, being as large in
both. Plain tiles lie side by side and do not overlap: each attends to itself and to the text. One picture, float32.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from loading import blending, note
from resident import extra_peak

DEPTH = 64  # of a head


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """As ComfyUI answers with PyTorch's attention."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


def tokens(side: int, text: int, channels: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values [1, heads, text + side * side, 64]."""
    made = torch.Generator().manual_seed(side)
    shape = (1, channels // DEPTH, text + side * side, DEPTH)
    return tuple(torch.randn(shape, generator=made) for _ in range(3))


def plain_tiles(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, side: int, native: int) -> torch.Tensor:
    """The picture's tokens, tile by tile."""
    text = q.shape[2] - side * side
    result = q.new_empty(1, q.shape[2], q.shape[1] * q.shape[3])
    image = result[:, text:].unflatten(1, (side, side))
    for y in range(0, side, native):
        for x in range(0, side, native):
            parts = []
            for one in (q, k, v):
                tile = one[:, :, text:].unflatten(2, (side, side))[:, :, y : y + native, x : x + native].flatten(2, 3)
                parts.append(torch.cat((one[:, :, :text], tile), 2))
            height, width = min(native, side - y), min(native, side - x)
            image[:, y : y + native, x : x + native] = attend(*parts)[:, text:].unflatten(1, (height, width))
    return result


def neighbourhood(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, side: int, native: int) -> torch.Tensor:
    """The same tokens, as Tiled Attention does it."""
    chunks, grids, windows = (blending(f"attention.{name}") for name in ("chunks", "token_grid", "windows"))
    text = q.shape[2] - side * side
    work = chunks.WindowAttention(attend, q, k, v, grids.TokenGrid(text, side, side))
    cut = windows.half_windows((native, native), (native // 5, native // 7))
    return blending("attention.neighbourhood").neighbourhood_attention(work, cut)


def measured(call: Callable[..., Any], *given: Any) -> tuple[int, float]:
    """Bytes beside what is given at the peak, and seconds."""
    begun = time.perf_counter()
    with torch.inference_mode():
        peak, _ = extra_peak(lambda: call(*given))
    return peak or 0, time.perf_counter() - begun


def main() -> None:
    """Print one line per size of the canvas."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--native", type=int, default=64)
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128, 192])
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--text", type=int, default=64)
    options = parser.parse_args()
    measured(neighbourhood, *tokens(16, 4, DEPTH), 16, 8)
    for side in options.sides:
        note(f"{side} x {side} tokens")
        given = tokens(side, options.text, options.channels)
        tiles, seconds = measured(plain_tiles, *given, side, options.native)
        ours, ours_seconds = measured(neighbourhood, *given, side, options.native)
        result = given[0].numel() * given[0].element_size()
        print(
            f"{side} x {side} tokens, native {options.native}: plain tiles {tiles / 2**20:.1f} MiB, neighbourhood {ours / 2**20:.1f} MiB, "
            f"{ours / tiles:.2f} of it, {ours / result:.2f} results; time {ours_seconds / seconds:.2f} of it ({ours_seconds:.1f} s)"
        )


if __name__ == "__main__":
    main()
