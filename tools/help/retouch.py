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


def spotted(photo: torch.Tensor) -> torch.Tensor:
    """The photograph [1, H, W, 3] with spots on the skin."""
    y, x = torch.meshgrid(torch.arange(float(photo.shape[1])), torch.arange(float(photo.shape[2])), indexing="ij")
    dark = sum(torch.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2)) for row, column, sigma in SPOTS)
    return (photo - 0.3 * dark[None, ..., None] * torch.tensor((0.5, 1.0, 1.0))).clamp(0, 1)


def blurred(photo: torch.Tensor) -> torch.Tensor:
    """The photograph as a model that knows no skin gives it back: without spots, and without texture."""
    from blending.frequency.separation import GAUSSIAN, separate

    return separate(photo, 2, FACE * 2, GAUSSIAN)[1].clamp(0, 1)


def bands_and_retouch(photo: torch.Tensor, folder: Path) -> None:
    """Frequency Separation, Frequency Join, Transfer Retouch."""
    from blending.frequency.retouch import BLEMISHES, PRESETS, transfer_retouch
    from blending.frequency.separation import join_bands, separate

    bands, residual = separate(photo, 4)
    panels = [("the picture", photo[0, :UPPER])]
    panels += [(f"band {index + 1}, on grey, x 2", 0.5 + 2 * band[0, :UPPER]) for index, band in enumerate(bands[:3])]
    write(folder, "TileworkBandSplit", [*panels, ("residual", residual[0, :UPPER])])
    bands, residual = separate(photo, 4, FACE)
    panels = [("gains 1, 1, 1, 1, 1", photo)]
    for gains in (SOFTER, CRISPER):
        panels.append(("gains " + ", ".join(f"{gain:g}" for gain in gains), join_bands(bands, residual, gains)))
    write(folder, "TileworkBandJoin", [(title, pixels[0, _ROWS, _COLUMNS]) for title, pixels in panels])
    original, retouched = spotted(photo), blurred(photo)
    image, difference = transfer_retouch(original, retouched, PRESETS[BLEMISHES], FACE)
    panels = [("original, with spots", original), ("retouched, texture gone", retouched), ("blemishes", image), ("difference", difference)]
    write(folder, "TileworkRetouchMerge", [(title, pixels[0, _ROWS, _COLUMNS]) for title, pixels in panels])


def spots_gone(photo: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The face with spots, and without, its texture kept: [h, w, 3] each."""
    from blending.frequency.retouch import BLEMISHES, PRESETS, transfer_retouch

    original = spotted(photo)
    image, _ = transfer_retouch(original, blurred(photo), PRESETS[BLEMISHES], FACE)
    return original[0, _ROWS, _COLUMNS], image[0, _ROWS, _COLUMNS]
