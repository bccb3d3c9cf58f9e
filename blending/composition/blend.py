"""Tiles of any layout into one picture: alone, or over a picture that is already there and only where a mask lets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from ..layout.grid_layout import GridLayout
from ..layout.mosaic import Mosaic
from ..layout.placement import read_scale
from ..layout.reference import check_scene
from ..layout.region_layout import RegionLayout
from ..layout.tile_layout import TileLayout
from ..pixels.picture import check_finite, check_mask, in_channels, outside
from .compose import compose_on
from .methods import OVER_A_PICTURE, Method, method_named
from .over_base import keep_outside, paint


class Blended(NamedTuple):
    """A blended picture.

    Attributes:
        image: float32 [P, H, W, C].
        seams: float32 [P, H, W], 1 where a tile mixes with another or with the base.
        mosaic: the geometry of the grid, None where there is no whole one.
        lines: what a person should know of it, in short lines.
    """

    image: torch.Tensor
    seams: torch.Tensor
    mosaic: Mosaic | None
    lines: list[str]


def blend(
    tiles: Sequence[torch.Tensor],
    layout: TileLayout,
    method: str = "hann",
    trim: int = 0,
    scale: float = 0,
    base: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
    device: torch.device | str | None = None,
    **more: Any,
) -> Blended:
    """Blend the tiles that are here.

    Args:
        tiles: floating point [P, h, w, C], those of `layout.numbers`, in order.
        layout: of any kind.
        method: one of METHODS. Where tiles lie on a picture that is not theirs, one of OVER_A_PICTURE, "auto" is "hann" there.
        trim: source pixels to disregard at sides that face something else.
        scale: output pixels per source pixel; 0 takes it from the base, or from the tiles of a whole grid.
        base: float32 [1 or P, H, W, C], any one scale of the layout's canvas; what is there where no tile is.
        mask: [1 or P, h, w], 0 to 1, of the layout's canvas at any size: where the tiles may change the base, and how much.
        device: where to make the result.
        more: as for `compose_on`.

    Returns:
        the picture; where nothing is painted, the base itself.

    Raises:
        ValueError: for a base or mask that is missing or does not fit, a method that needs the whole grid, and as `compose` does.
    """
    chosen = method_named(method)
    regions = layout if isinstance(layout, RegionLayout) else None
    grid = layout.below if regions is not None else layout
    # Chosen tiles go over the base even where all of them are chosen: which those are must not change the picture's size.
    over = base is not None and layout.present is not None
    whole = grid if grid is not None and not grid.needs_base and not over else None
    if not len(layout) and base is not None:
        base = _fitted_base(base, layout, layout.batch, scale)
        return Blended(base, base.new_zeros(base.shape[:3]), None, ["the base is given back as it is"])
    if whole is None and method not in OVER_A_PICTURE:
        raise ValueError(
            f"{method} works on all tiles of a grid together, and some are not here: use auto or hann "
            f"(or {', '.join(OVER_A_PICTURE[1:-1])})"
        )
    if base is None and (whole is None or mask is not None):
        what = "a mask says where the tiles may change a picture" if whole is not None else _missing(layout)
        raise ValueError(f"{what}, and none is connected to base: connect the picture that the tiles were cut from, at the result's size")
    made = _whole_grid(tiles, whole, chosen, trim, scale, device, more) if whole is not None else None
    image, mosaic = made or (_canvas(base, layout, tiles, scale, device), None)
    seams = torch.zeros(image.shape[1:3], dtype=torch.bool, device=image.device)
    if mosaic is not None:
        ys, xs = (line.to(image.device) for line in mosaic.shared)
        seams = ys[:, None] | xs
    count = 0 if whole is None else len(whole)
    if len(layout) > count:
        rest = layout if whole is None else replace(layout, present=tuple(layout.numbers)[count:])
        seams = seams | paint(image, tiles[count:], rest, chosen.window, trim)
    if mask is not None and base is not None and image.shape[-1] < base.shape[-1]:
        image = _with_channels(image, base)
    lines = _under(image, seams, layout, base, mask, whole is not None)
    if mosaic is None:
        height, width = image.shape[1:3]
        lines = [f"put into base by {chosen.window}, {width} x {height}" + (f", trim {trim}" if trim else ""), *lines]
    return Blended(image, seams.float().expand(image.shape[:3]), mosaic, lines)


def _with_channels(image: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    """A blended picture with the channels of the base: grey is repeated, alpha is the base's."""
    image = in_channels(image, min(base.shape[-1], 3))
    if image.shape[-1] == base.shape[-1] or base.shape[1:3] != image.shape[1:3]:
        return image
    alpha = base[..., 3:].to(image).expand(image.shape[0], -1, -1, -1)
    return torch.cat((image, alpha), -1)


def _missing(layout: TileLayout) -> str:
    if len(layout) < len(layout.tiles):
        return f"the layout has {len(layout)} of {len(layout.tiles)} tiles"
    return "the layout is of regions, which leave the rest of the picture to what is below them"


def _whole_grid(
    tiles: Sequence[torch.Tensor], grid: GridLayout, chosen: Method, trim: int, scale: float, device: Any, more: dict[str, Any]
) -> tuple[torch.Tensor, Mosaic]:
    part = tiles if len(tiles) == len(grid) else tiles[: len(grid)]
    first = part[0]
    mosaic = Mosaic(grid, tuple(first.shape[1:3]), chosen.window, trim, scale)
    return compose_on(part, mosaic, chosen.composer, device=device, **more), mosaic


def _canvas(base: torch.Tensor, layout: TileLayout, tiles: Sequence[torch.Tensor], scale: float, device: Any) -> torch.Tensor:
    """A copy of the base, to paint on: of the tiles' batch."""
    base = _fitted_base(base, layout, tiles[0].shape[0], scale)
    return base.to(device or base.device, copy=True).contiguous()


def _fitted_base(base: torch.Tensor, layout: TileLayout, batch: int, scale: float, finite: bool = True) -> torch.Tensor:
    """The base as float32 [batch, H, W, C], or ValueError; not `finite` where NaN was looked for before."""
    height, width = base.shape[1:3]
    check_scene(base, layout, "base", batch)
    wanted = [max(1, round(side * read_scale(scale))) for side in layout.canvas] if scale else [height, width]
    if wanted != [height, width]:
        raise ValueError(
            f"scale {scale:g} makes the picture {wanted[1]} x {wanted[0]} and base is {width} x {height}: set scale to 0 to take the "
            "base's size, or resize the base"
        )
    if finite:
        check_finite(base, "base")
    return base.detach().float().expand(batch, -1, -1, -1)


def _under(
    image: torch.Tensor, seams: torch.Tensor, layout: TileLayout, base: torch.Tensor | None, mask: torch.Tensor | None, whole: bool
) -> list[str]:
    """Give the base back outside of the mask, in place; what a person should know."""
    if mask is None:
        return ["base is not seen: all tiles are here and no mask limits them"] if whole and base is not None else []
    # Where not all tiles are of a whole grid, the canvas they were painted on was made of this base.
    below = _fitted_base(base, layout, image.shape[0], 0, finite=whole)
    if below.shape[1:] != image.shape[1:]:
        what = "bring base to their size" if below.shape[1:3] != image.shape[1:3] else "bring both to the same channels"
        raise ValueError(
            f"base is {below.shape[2]} x {below.shape[1]} with {below.shape[3]} channels and the blended tiles are {image.shape[2]} x "
            f"{image.shape[1]} with {image.shape[3]}: {what}"
        )
    weight = _fitted_mask(mask, layout, tuple(image.shape[:3]))
    keep_outside(image, below, weight)
    lit, partly = (weight > 0).any(0).to(seams.device), ((weight > 0) & (weight < 1)).any(0).to(seams.device)
    seams &= lit
    seams |= partly
    return [] if lit.any() else ["the mask is empty: the base is given back as it is"]


def _fitted_mask(mask: torch.Tensor, layout: TileLayout, shape: tuple[int, int, int]) -> torch.Tensor:
    """The mask as float32 [1 or P, H, W] within 0..1, or ValueError."""
    mask = check_mask(mask, "mask")
    batch, *size = shape
    check_scene(mask, layout, "mask", batch)
    beyond = outside(mask[..., None])
    if beyond is not None:
        raise ValueError(f"mask has values outside of 0 to 1: {beyond}; a mask is 0 to 1")
    if tuple(mask.shape[1:]) != tuple(size):
        smaller = mask.shape[1] > size[0]
        options = {"mode": "area"} if smaller else {"mode": "bilinear", "align_corners": False}
        mask = torch.nn.functional.interpolate(mask[:, None], tuple(size), **options)[:, 0]
    return mask.clamp(0, 1)  # of rounding alone, the rest is refused
