"""What of a diffusion model says how its latents lie on pictures."""

from __future__ import annotations

import math
from typing import Any

# Image pixels per latent cell where nobody says.
USUAL_DOWNSCALE = 8


def pixels_per_cell(model: Any) -> int:
    """Image pixels per latent cell of a BaseModel, from its latent format."""
    ratio = getattr(getattr(model, "latent_format", None), "spacial_downscale_ratio", None)
    return int(ratio or USUAL_DOWNSCALE)


def cells_per_patch(model: Any) -> int:
    """Cells that the sides of a BaseModel's latent should be multiples of, because it cuts it into patches; 1 where it does not."""
    network, cells = getattr(model, "diffusion_model", None), 1
    for name in ("patch_size", "patch_spatial"):
        size = getattr(network, name, None)
        # Video models give (frames, height, width).
        sides = size[-2:] if isinstance(size, tuple | list) else (size,)
        if sides and all(isinstance(side, int) and side > 0 for side in sides):
            cells = math.lcm(cells, *sides)
    return cells
