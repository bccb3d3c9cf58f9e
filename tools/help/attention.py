"""The pictures of Tiled Attention: what three patches of a picture see; a run of the test bed in one piece."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path

import torch

from .composition import LARGER, SEED, bed
from .sheet import UPPER, Panels, write

TOKEN = 8  # pixels of the photograph
NATIVE = 22  # tokens a side
COLORS = ((1.0, 0.48, 0.18), (0.25, 0.65, 1.0), (0.45, 0.9, 0.3))


def windows_over(photo: torch.Tensor, offset: tuple[int, int], places: tuple[tuple[int, int], ...]) -> torch.Tensor:
    """A picture [1, H, W, 3] with the patches that hold `places` (in tokens) and their windows: [H, W, 3]."""
    from blending.attention.windows import half_windows, plan_patches

    grid = UPPER // TOKEN, photo.shape[2] // TOKEN
    picture = photo[0, : grid[0] * TOKEN, : grid[1] * TOKEN] * 0.55
    patches = plan_patches(grid, half_windows((NATIVE, NATIVE), offset))
    for patch in patches:
        picture[patch.rows[0] * TOKEN, patch.columns[0] * TOKEN : patch.columns[1] * TOKEN] = 0.75
        picture[patch.rows[0] * TOKEN : patch.rows[1] * TOKEN, patch.columns[0] * TOKEN] = 0.75
    for (y, x), color in zip(places, COLORS, strict=True):
        patch = next(one for one in patches if one.rows[0] <= y < one.rows[1] and one.columns[0] <= x < one.columns[1])
        _frame(picture, photo[0], patch.key_rows, patch.key_columns, torch.tensor(color), 0.72, 2)
        _frame(picture, photo[0], patch.rows, patch.columns, torch.tensor(color), 0.35, 3)
    return picture


def _frame(picture, photo, rows, columns, color, light, line):
    """Show a part of the picture lighter, tinted, with a frame of `line` pixels around it."""
    y, x = (slice(start * TOKEN, end * TOKEN) for start, end in (rows, columns))
    part = picture[y, x]
    part.copy_(photo[y, x] * light + (1 - light) * color)
    for edge in (part[:line], part[-line:], part[:, :line], part[:, -line:]):
        edge.copy_(color.expand_as(edge))


def attention(photo: torch.Tensor, folder: Path) -> None:
    """Tiled Attention."""
    places = (4, 4), (20, 34), (38, 58)
    panels: Panels = [
        ("three patches, the window each sees", windows_over(photo, (0, 0), places)),
        ("the next attention: all has moved", windows_over(photo, (6, 4), places)),
    ]
    write(folder, "TileworkTiledAttention", panels)


@functools.cache
def in_one_piece() -> tuple[torch.Tensor, torch.Tensor]:
    """A small picture, and one 3 times larger by attention in windows that keeps to it; [h, w, 3] each."""
    made = bed()
    model = importlib.import_module("tilework_test.coherence.models").scene_model("dit")
    guide, tiled, settings, ranges = (
        importlib.import_module(f"tilework.sampling.{name}")
        for name in ("canvas_guide", "attention.tiled_attention", "attention.settings", "sampling_range")
    )
    small, large = (made.Job(scale=scale, count=1, seed=SEED, steps=8) for scale in (1, LARGER))
    first = made.sample(model, small)
    kept = guide.guided(model, guide.Guide("structure", first, 256, ranges.SamplingRange(0.0, 0.8), cutoff=1 / LARGER))
    whole = made.sample(tiled.with_tiled_attention(kept, settings.AttentionSettings((256, 256))), large)
    rgb = importlib.import_module("tilework_test.coherence.scenes").rgb
    return tuple(rgb(latents).movedim(1, -1)[0] for latents in (first, whole))
