"""One tile at a time: taken out of a picture, worked on by anything, and put back, so that the next one sees it finished.

The picture is the canvas of all tiles: tile i is cut out of what tiles 0..i-1 have left. It is never changed in place, so every
step copies it once (a picture of 10,000 x 10,000: 1.2 GB) and nothing else of its size is made.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from ..composition.over_base import mixed
from ..layout.checked_tiles import size_in_words
from ..layout.cutting import crop
from ..layout.grid import Rect
from ..layout.tile_layout import TileLayout
from ..pixels.memory import empty
from ..pixels.picture import check_finite, check_pixels
from .tile_cut import cut_in
from .turns import OPTIMAL, PUT_METHODS, check_turn, share_of, takeover_sides

PLANE = (1, 2)


def take_tile(
    image: torch.Tensor, layout: TileLayout, index: int, original: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut one tile out of a picture in which the tiles before it are finished.

        >>> layout = TileLayout.grid(96, 160, 96, 96, overlap=32)
        >>> tile, mask = take_tile(torch.zeros(1, 96, 160, 3), layout, 1)
        >>> tuple(tile.shape), float(mask[0, 0, 0]), float(mask[0, 0, 95])
        ((1, 96, 96, 3), 0.0, 1.0)

    Args:
        image: floating point [B, H, W, C], C = 1, 3 or 4: the layout's canvas, or that at one scale.
        layout: where the tiles are.
        index: which of them, from 0.
        original: [1 or B, H, W, C], the picture before any tile was put back. Where the tile counts (mask above 0) its
            pixels come from here, and elsewhere from `image`; so nothing is worked on twice. None: all from `image`.

    Returns:
        (tile [B, h, w, C], mask float32 [B, h, w]). The tile is a view of `image` where it can be; what reaches over the
        canvas is mirrored. The mask says how much the tile counts when it is put back by hann: 1 where no tile before it
        has painted; where one has, 0 over the first half of the overlap and rising smoothly over the second.
        Its batch shares one plane of memory.

    Raises:
        ValueError: for a picture of another shape, an index that is no tile, NaN or Inf.
    """
    image = check_pixels(image, "image")
    plan, rect = _turn(image, layout, index)
    share = share_of(takeover_sides(plan, index), rect.height, rect.width)
    tile = crop(image, rect, PLANE)
    check_finite(tile, f"tile {index} of image", "the node before")
    if original is not None:
        before = crop(_check_original(original, image), rect, PLANE).to(tile)
        check_finite(before, f"tile {index} of original", "the node before")
        tile = torch.where((share > 0)[..., None].to(tile.device), before, tile)
    return tile, share.to(image.device).expand(len(image), -1, -1)


def put_tile(image: torch.Tensor, tile: torch.Tensor, layout: TileLayout, index: int, method: str = "hann") -> torch.Tensor:
    """Blend one tile back into the picture that it was taken from, against the tiles before it alone.

        >>> layout = TileLayout.grid(96, 160, 96, 96, overlap=32)
        >>> picture = put_tile(torch.zeros(1, 96, 160, 3), torch.ones(1, 96, 96, 3), layout, 1)
        >>> float(picture[0, 0, 79, 0]), float(picture[0, 0, 96, 0])  # tile 0 reaches to 96, the middle of the overlap is 80
        (0.0, 1.0)

    Args:
        image: floating point [B, H, W, C], as for `take_tile`; it is not changed.
        tile: [B, h, w, C] of exactly the size that was taken.
        layout, index: the same as when it was taken.
        method: one of PUT_METHODS. By hann and linear the tile takes over in the second half of the overlap; by optimal seam
            its tone does, and its detail changes over within a few pixels of the path along which both differ least there.

    Returns:
        float32 [B, H, W, C]: `image` where the tile does not count, bit for bit. Colour is weighted by alpha where C = 4.
        Held at a time: image, this, and a few tiles.

    Raises:
        ValueError: for a tile of another size, batch or number of channels, and as `take_tile` does.
    """
    if method not in PUT_METHODS:
        raise ValueError(f"method {method!r} is not known: use one of {', '.join(PUT_METHODS)}")
    image, tile = check_pixels(image, "image"), check_pixels(tile, "tile")
    plan, rect = _turn(image, layout, index)
    _check_tile(tile, image, rect, index)
    check_finite(tile, f"tile {index}", "the node before")
    out = empty(image.shape, device=image.device).copy_(image)
    there = out[:, rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]
    check_finite(there, f"image at tile {index}", "the node before")
    height, width = there.shape[1:3]
    own = tile[:, :height, :width].to(out)
    sides = takeover_sides(plan, index, "hann" if method == OPTIMAL else method)
    share = share_of(sides, rect.height, rect.width)[:height, :width].to(out.device)
    there.copy_(cut_in(there, own, sides, share) if method == OPTIMAL else mixed(there, own, share[..., None]))
    return out


def _turn(image: torch.Tensor, layout: TileLayout, index: int) -> tuple[TileLayout, Rect]:
    """The layout over this very picture, and the tile's place."""
    height, width = image.shape[1:3]
    plan = layout.in_pixels()
    # The usual case made cheap: every step of a loop comes through here.
    plan = replace(plan, batch=len(image)) if plan.canvas == (height, width) else plan.fit(height, width, len(image))
    return plan, check_turn(plan, index)


def _check_original(original: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    original = check_pixels(original, "original")
    if original.shape[1:] != image.shape[1:] or len(original) not in (1, len(image)):
        raise ValueError(
            f"original is {size_in_words(original.shape)} and image is {size_in_words(image.shape)}: "
            "connect the very picture that the first tile was taken from"
        )
    return original


def _check_tile(tile: torch.Tensor, image: torch.Tensor, rect: Rect, index: int) -> None:
    if tile.shape[1:3] != (rect.height, rect.width):
        height, width = tile.shape[1:3]
        lost = max(rect.height - height, rect.width - width)
        crop_of_vae = 0 < lost < 16 and height <= rect.height and width <= rect.width
        mend = (
            "a VAE crops what is no multiple of 8, so split into tiles whose sides are"
            if crop_of_vae
            else "the picture has one size from the first tile to the last; enlarge it before the loop, or resize the tile to what it was"
        )
        raise ValueError(f"tile {index} was taken as {rect.width} x {rect.height} and came back {width} x {height}: {mend}")
    if tile.shape[3] != image.shape[3]:
        mend = "put its alpha back (Join Image with Alpha), or loop without it" if image.shape[3] == 4 else "both need the same channels"
        raise ValueError(f"tile {index} is {size_in_words(tile.shape)} and image is {size_in_words(image.shape)}: {mend}")
    if len(tile) != len(image):
        raise ValueError(
            f"tile {index} came back as a batch of {len(tile)} and image is a batch of {len(image)}: "
            "a node in between made more or fewer pictures of it"
        )
