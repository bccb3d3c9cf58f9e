"""Socket types, and the adapters between ComfyUI's values and what `blending` takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io

from ..blending.layout.grid_layout import GridLayout
from ..blending.layout.tile_layout import TileLayout
from ..blending.pixels.counted import counted
from ..blending.pixels.picture import check_finite
from ..host.latents import USUAL_DOWNSCALE

Layout = io.Custom("TILE_LAYOUT")
UNPAINTED = (1, 64, 64)


def check_image(image: torch.Tensor, name: str = "image") -> torch.Tensor:
    """An IMAGE as it must be, or ValueError."""
    if not isinstance(image, torch.Tensor) or image.ndim != 4 or not image.is_floating_point() or 0 in image.shape:
        what = f"{image.dtype} of shape {tuple(image.shape)}" if isinstance(image, torch.Tensor) else type(image).__name__
        raise ValueError(f"{name} is {what}: expected a picture, floating point [batch, height, width, channels]")
    return image


def one_for_each(
    pictures: Sequence[torch.Tensor | None] | None, count: int, name: str = "reference", check: Callable = check_image
) -> list[torch.Tensor | None]:
    """The references (or other such companions) of so many pictures: one for all, one for each, or None where none is connected."""
    given = [one for one in pictures or () if one is not None]
    if not given:
        return [None] * count
    checked = [check(one, f"item {i} of {name}") for i, one in enumerate(given)]
    if len(checked) not in (1, count):
        raise ValueError(f"{counted(len(checked), name)} came for {counted(count, 'picture')}: connect one for all, or one for each")
    return checked * count if len(checked) == 1 else checked


def check_layout(layout: Any) -> TileLayout:
    """A layout of this pack, or ValueError."""
    if not isinstance(layout, TileLayout):
        raise ValueError(
            f"layout is a {type(layout).__name__}, not a layout of Tilework: connect the layout output of Tile Split or Latent Tile Split"
        )
    return layout


def check_grid(layout: Any, who: str, wraps: bool = False) -> GridLayout:
    """A layout that is a whole grid, or ValueError.

    Args:
        layout: what came.
        who: the node's name, for the message.
        wraps: whether the node can work with a canvas that is joined to itself.
    """
    plan = check_layout(layout)
    if not isinstance(plan, GridLayout):
        raise ValueError(
            f"the layout is of regions, and {who} needs a grid of tiles: connect the layout of a Tile Split that has none connected"
        )
    if plan.present is not None and len(plan) == len(plan.tiles):
        plan = replace(plan, present=None)
    if plan.present is not None:
        raise ValueError(
            f"the layout has {len(plan.present)} of {counted(len(plan.tiles), 'tile')}, and {who} needs all of them: connect the layout that "
            "went into Select Tiles"
        )
    if any(plan.wrap) and not wraps:
        raise ValueError(f"the layout wraps around, and {who} cannot follow a picture over its border: split with wrap set to none")
    return plan


def check_painted(mask: torch.Tensor, name: str = "mask") -> torch.Tensor:
    """A mask as floating point [B, H, W]; ValueError for what Load Image gives while nothing is painted on its picture."""
    from ..blending.pixels.picture import check_mask

    mask = check_mask(mask, name)
    if tuple(mask.shape) == UNPAINTED and not mask.any():
        raise ValueError(
            f"{name} is an empty one of 64 x 64, which Load Image gives while nothing is painted: right-click it, Open in MaskEditor, paint, "
            "save; or connect another mask"
        )
    return mask


def latent_samples(latent: dict[str, Any], name: str = "samples") -> torch.Tensor:
    """The tensor of a LATENT, [B, C, h, w] or [B, C, T, h, w], or ValueError."""
    samples = latent.get("samples") if isinstance(latent, dict) else None
    if not isinstance(samples, torch.Tensor):
        raise ValueError(f"{name} is not a latent: connect the LATENT output of a sampler, a VAE Encode or an empty latent")
    if getattr(samples, "is_nested", False) or samples.ndim not in (4, 5):
        raise ValueError(
            f"{name} has {counted(samples.ndim, 'dimension')} or is packed from several latents, and has no plane to cut: "
            "expected [batch, channels, height, width], with frames before height for video"
        )
    if 0 in samples.shape or not samples.is_floating_point():
        raise ValueError(f"{name} is {samples.dtype} of shape {tuple(samples.shape)}: expected floating point with no side of 0")
    return samples


def latent_mask(latent: dict[str, Any], name: str = "samples") -> torch.Tensor | None:
    """The noise mask of a LATENT as floating point [..., H, W], None where it has none, or ValueError."""
    mask = latent.get("noise_mask")
    if mask is None:
        return None
    if not isinstance(mask, torch.Tensor) or getattr(mask, "is_nested", False) or mask.ndim < 2 or 0 in mask.shape:
        what = f"of shape {tuple(mask.shape)}" if isinstance(mask, torch.Tensor) and not mask.is_nested else f"a {type(mask).__name__}"
        raise ValueError(f"the noise mask of {name} is {what}: expected a mask [height, width], or a batch of them; set it again")
    mask = mask if mask.is_floating_point() else mask.float()
    check_finite(mask, f"the noise mask of {name}", mend="set the mask again")
    return mask


def downscale_ratio(latent: dict[str, Any], asked: int, layout: TileLayout | None = None) -> int:
    """Image pixels per latent cell: what the latent says, else what was asked, else what the layout says, else 8."""
    carried = latent.get("downscale_ratio_spacial")
    if carried:
        if carried < 1 or carried != int(carried):
            raise ValueError(f"the latent says that it has {carried} image pixels per cell, which is no whole number: encode it again")
        return int(carried)
    if asked < 0:
        raise ValueError(f"downscale {asked} is no number of image pixels per cell: use 0 to take it from the latent, or 8, 16, 32")
    return asked or (layout.unit if layout is not None and layout.unit > 1 else USUAL_DOWNSCALE)


class Least(float):
    """The least that a number may be, which NaN is not either.

    The host asks `value < min`, which is false for NaN; it would go into the host's history, and that is then no JSON that a
    browser can read.
    """

    def __gt__(self, value: float) -> bool:
        return not value >= float(self)


def share_of_run(name: str, default: float, tooltip: str) -> io.Float.Input:
    """A place in the sampling range, 0 its start and 1 its end, as an input: `start` and `end` of patches."""
    return io.Float.Input(name, default=default, min=Least(0.0), max=1.0, step=0.01, tooltip=tooltip)


class SizesInWords(io.ComfyNode):
    """A node that takes the check of sizes over from the host, so that execute can say in words what is wrong and how to mend it."""

    @classmethod
    def validate_inputs(cls, tile_width: int, tile_height: int) -> bool:
        """The host checks the range of no input that is named here."""
        return True


class SizesAndOverlapInWords(io.ComfyNode):
    """The same, of the overlap as well."""

    @classmethod
    def validate_inputs(cls, tile_width: int, tile_height: int, overlap: int) -> bool:
        """As in `SizesInWords`."""
        return True


def size_inputs(width_tip: str, overlap_tip: str) -> list[io.Input]:
    """tile_width, tile_height and overlap as every node that tiles has them.

    The editor snaps a typed number to min + k * step, so min is a multiple of step. Smaller sizes can still come through the
    API; nodes take the host's check over (`validate_inputs`) and refuse them in words.
    """
    height_tip = "Height of every tile in image pixels; usually the same as the width."
    return [
        io.Int.Input("tile_width", default=1024, min=8, max=32768, step=8, tooltip=width_tip),
        io.Int.Input("tile_height", default=1024, min=8, max=32768, step=8, tooltip=height_tip),
        io.Int.Input("overlap", default=128, min=0, max=16384, step=8, tooltip=overlap_tip),
    ]
