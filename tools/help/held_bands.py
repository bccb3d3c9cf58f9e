"""The pictures of Hold Bands to Reference: the light of a photograph under the texture of something else."""

from __future__ import annotations

from pathlib import Path

import torch

from .sheet import UPPER, write

LEVELS, LOW = 5, 9.0


def other_light(photo: torch.Tensor) -> torch.Tensor:
    """What a model might say of a photograph [1, h, w, 3]: its shapes in another light, with a texture of brush strokes."""
    height, width = photo.shape[1:3]
    strokes = torch.randn(1, 3, height // 2, width // 8, generator=torch.Generator().manual_seed(3)).mean(1, keepdim=True)
    strokes = torch.nn.functional.interpolate(strokes, size=(height, width), mode="bicubic").movedim(1, -1)
    side = torch.linspace(1.25, 0.35, width).view(1, 1, -1, 1)
    tone = torch.tensor((1.1, 0.85, 0.6))
    return photo * side * tone + 0.09 * strokes


def held_light(photo: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """That prediction, and what it becomes when its coarse is held to the photograph; [1, h, w, 3] both."""
    from blending.frequency.consistency import hold_bands, low_band

    free = other_light(photo)
    band = low_band(tuple(photo.shape[1:3]), "sym4", LEVELS)
    held = hold_bands(free.movedim(-1, 1), photo.movedim(-1, 1), LOW, 0.0, band)
    return free, held.movedim(1, -1)


def held_bands(photo: torch.Tensor, folder: Path) -> None:
    """All of them."""
    upper = photo[:, :UPPER]
    free, held = held_light(upper)
    panels = [("the reference", upper), ("a prediction: other light, other texture", free), ("held: low 9, high 0", held)]
    write(folder, "TileworkFrequencyGuidance", [(title, one[0]) for title, one in panels])
