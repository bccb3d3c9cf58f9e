"""What an edit model gives back, and what of it is merged: for the help page and the template's thumbnail."""

from __future__ import annotations

from pathlib import Path

import torch

from .sheet import write

PLACE, SMALL, LIGHTER, MOVED = (24, 16), 92, 0.04, (1, 3)
_ROWS = 240  # of the photograph, in which most happens


def edited(photo: torch.Tensor) -> torch.Tensor:
    """A photograph [1, H, W, 3] as the template's nodes edit it: a small copy hung on the wall, all of it lighter and moved."""
    out, (top, left) = photo.clone(), PLACE
    small = torch.nn.functional.interpolate(photo.movedim(-1, 1), size=(SMALL, SMALL), mode="area").movedim(1, -1)
    out[:, top : top + SMALL, left : left + SMALL] = small
    out = out * (1 - LIGHTER) + LIGHTER
    moved, (down, right) = out.clone(), MOVED
    moved[:, down:, right:] = out[:, :-down, :-right]
    return moved


def only_changes(photo: torch.Tensor, folder: Path) -> None:
    """Merge Only Changes: the edit, what differs at first sight, what was found, the result."""
    from blending.changes.merge import merge_changes

    model = edited(photo)
    merged = merge_changes(photo, model)
    differs = (10 * (model - photo).abs()).clamp(0, 1)
    found = photo[0] * (1 - 0.7 * merged.mask[0, ..., None]) + 0.7 * merged.mask[0, ..., None] * torch.tensor((1.0, 0.3, 0.2))
    panels = [
        ("from an edit model", model[0, :_ROWS]),
        ("differs from the original, x 10", differs[0, :_ROWS]),
        ("what was edited", found[:_ROWS]),
        ("the original with the edit", merged.image[0, :_ROWS]),
    ]
    write(folder, "TileworkDiffMerge", panels)
