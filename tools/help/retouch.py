"""A picture by its bands, and what is taken of a retouch: for the help pages and the template's thumbnail."""

from __future__ import annotations

from pathlib import Path

import torch

from .sheet import UPPER, write

FACE = 190
# (row, column, sigma) on forehead, cheeks and chin of the photograph.
SPOTS = ((95, 225, 2.0), (130, 195, 1.6), (150, 250, 2.2), (165, 205, 1.8))
_ROWS, _COLUMNS = slice(30, 230), slice(120, 320)
SOFTER, CRISPER = (1, 0.3, 0.3, 1, 1), (2.5, 1, 1, 1, 1)


def _discs(photo: torch.Tensor, wider: float, strength: float) -> torch.Tensor:
    """How much of a spot there is at each pixel: [1, H, W, 1]."""
    y, x = torch.meshgrid(torch.arange(float(photo.shape[1])), torch.arange(float(photo.shape[2])), indexing="ij")
    away = [((y - row) ** 2 + (x - column) ** 2) / (2 * (wider * sigma) ** 2) for row, column, sigma in SPOTS]
    return (strength * sum(torch.exp(-one) for one in away)).clamp(0, 1)[None, ..., None]


def spotted(photo: torch.Tensor) -> torch.Tensor:
    """The photograph [1, H, W, 3] with spots on the skin."""
    return (photo - 0.3 * _discs(photo, 1, 1) * torch.tensor((0.5, 1.0, 1.0))).clamp(0, 1)


def relit(photo: torch.Tensor) -> torch.Tensor:
    """The photograph as a model might retouch it: no spots and no texture where they were, and a light from the left that nobody
    asked for."""
    from blending.frequency.separation import GAUSSIAN, separate

    smooth, where = separate(photo, 2, 2.5 * FACE, GAUSSIAN)[1], _discs(photo, 2, 2)
    light = torch.linspace(1.35, 0.4, photo.shape[2])[:, None] * torch.tensor((1.05, 1.0, 0.85))
    return ((photo * (1 - where) + smooth * where) * light).clamp(0, 1)


def bands_and_retouch(photo: torch.Tensor, folder: Path) -> None:
    """Frequency Separation, Frequency Join, Transfer Retouch."""
    from blending.frequency.retouch import PRESETS, transfer_retouch
    from blending.frequency.separation import join_bands, separate

    bands, residual = separate(photo, 4)
    panels = [("the picture", photo[0, :UPPER])]
    panels += [(f"band {index + 1}, on grey, x 2", 0.5 + 2 * band[0, :UPPER]) for index, band in enumerate(bands[:3])]
    write(folder, "TileworkBandSplit", [*panels, ("residual", residual[0, :UPPER])])
    bands, residual = separate(photo, 4, FACE)
    panels = [("gains 1, 1, 1, 1, 1", photo), ("band 2 alone, on grey, x 2", 0.5 + 2 * bands[1])]
    for gains in (SOFTER, CRISPER):
        panels.append(("gains " + ", ".join(f"{gain:g}" for gain in gains), join_bands(bands, residual, gains)))
    write(folder, "TileworkBandJoin", [(title, pixels[0, _ROWS, _COLUMNS]) for title, pixels in panels])
    original, retouched = spotted(photo), relit(photo)
    panels = [("original, with spots", original), ("retouched, and relit", retouched)]
    panels += [(preset, transfer_retouch(original, retouched, PRESETS[preset], FACE)[0]) for preset in ("blemishes", "lighting")]
    write(folder, "TileworkRetouchMerge", [(title, pixels[0, _ROWS, _COLUMNS]) for title, pixels in panels])


def spots_gone(photo: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The face with spots, and without, its texture kept: [h, w, 3] each."""
    from blending.frequency.retouch import BLEMISHES, PRESETS, transfer_retouch

    original = spotted(photo)
    image, _ = transfer_retouch(original, relit(photo), PRESETS[BLEMISHES], FACE)
    return original[0, _ROWS, _COLUMNS], image[0, _ROWS, _COLUMNS]
