"""What Detail Map shows, for its help page and its template."""

from __future__ import annotations

from pathlib import Path

import torch

from .sheet import UPPER, write


def detail(photo: torch.Tensor, folder: Path) -> None:
    """Detail Map: a photograph, and where its texture is."""
    from blending.frequency.energy import detail_mask

    upper = photo[:, :UPPER]
    write(folder, "TileworkDetailMap", [("the picture", upper[0]), ("where its detail is", detail_mask(upper)[0])])


def texture_alone(photo: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The map of a photograph, and the photograph with the parts dimmed that the gate leaves alone."""
    from blending.frequency.energy import detail_mask

    mask = detail_mask(photo, low=30, high=80)[..., None]
    return detail_mask(photo)[..., None].expand(-1, -1, -1, 3), photo * (0.25 + 0.75 * mask)
