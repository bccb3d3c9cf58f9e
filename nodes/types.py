"""Socket types, and the adapters between ComfyUI's values and what `blending` takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from comfy_api.latest import io

from ..blending.layout import TileLayout

Layout = io.Custom("TILE_LAYOUT")

DEFAULT_DOWNSCALE = 8


def check_image(image: torch.Tensor, name: str = "image") -> torch.Tensor:
    """An IMAGE as it must be, or ValueError."""
    if not isinstance(image, torch.Tensor) or image.ndim != 4 or not image.is_floating_point() or image.shape[0] < 1:
        what = f"{image.dtype} of shape {tuple(image.shape)}" if isinstance(image, torch.Tensor) else type(image).__name__
        raise ValueError(f"{name} is {what}: expected a picture, floating point [batch, height, width, channels]")
    return image


def check_layout(layout: Any) -> TileLayout:
    """A layout of this pack, or ValueError."""
    if not isinstance(layout, TileLayout):
        raise ValueError(
            f"layout is a {type(layout).__name__}, not a layout of Tilework: connect the layout output of Tile Split or Latent Tile Split"
        )
    return layout


def latent_samples(latent: dict[str, Any], name: str = "samples") -> torch.Tensor:
    """The tensor of a LATENT, [B, C, h, w] or [B, C, T, h, w], or ValueError."""
    samples = latent.get("samples") if isinstance(latent, dict) else None
    if not isinstance(samples, torch.Tensor):
        raise ValueError(f"{name} is not a latent: connect the LATENT output of a sampler, a VAE Encode or an empty latent")
    if getattr(samples, "is_nested", False) or samples.ndim not in (4, 5):
        raise ValueError(
            f"{name} has {samples.ndim} dimensions or is packed from several latents, and has no plane to cut: "
            "expected [batch, channels, height, width], with frames before height for video"
        )
    return samples


def downscale_ratio(latent: dict[str, Any], asked: int, layout: TileLayout | None = None) -> int:
    """Image pixels per latent cell: what the latent says, else what was asked, else what the layout says, else 8."""
    carried = latent.get("downscale_ratio_spacial")
    if carried:
        return int(carried)
    return asked or (layout.unit if layout is not None and layout.unit > 1 else DEFAULT_DOWNSCALE)


def watched(tiles: Iterable[Any], total: int) -> Iterator[Any]:
    """Pass tiles on, telling the host how far it is and stopping when the user cancels."""
    import comfy.model_management
    import comfy.utils

    bar = comfy.utils.ProgressBar(total)
    for tile in tiles:
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield tile
        bar.update(1)
