"""Pictures that came with a tile's own prompt: whether they show the tile or the whole canvas.

A control's hint, a reference or a mask that a tile's prompt brings along may have been made from the tile, or from the
whole picture for all prompts alike. Nothing says which but its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from ...blending.layout.grid import Rect
from ...blending.layout.grid_layout import GridLayout
from .notices import Notices
from .planes import same_proportions

TILE, CANVAS = "tile", "canvas"

# Two proportions that differ by no more than this are one that was rounded, as preprocessors do to 64 pixels.
ROUNDED = 0.05

# A mask on the whole canvas has as many pixels as the picture up to this many; of a larger picture, an eighth each way
# at the least, which is what latents have.
MOST_MASK = 1 << 22
COARSEST = 8

Size = tuple[int, int]


class Shown(NamedTuple):
    """What a picture shows.

    Attributes:
        what: TILE or CANVAS, or None where it has the proportions of neither.
        sure: False where it may as well be the other one.
    """

    what: str | None
    sure: bool


def _nearly(size: Size, other: Size) -> bool:
    (height, width), (rows, columns) = size, other
    return abs(height * columns - width * rows) <= ROUNDED * max(height * columns, width * rows)


def shown_by(size: Size, tiles: Sequence[Size], canvases: Sequence[Size]) -> Shown:
    """What a picture of `size` (h, w) shows.

    Args:
        size: of the picture.
        tiles: the tile's sizes: in image pixels, at the scale of the layout and of what is sampled, and in cells.
        canvases: those of the whole picture.
    """
    if size in canvases:
        return Shown(CANVAS, True)
    tile, canvas = (same_proportions(size, sizes[0]) for sizes in (tiles, canvases))
    if size in tiles:
        return Shown(TILE, not canvas)
    if not tile and not canvas:
        tile, canvas = (_nearly(size, sizes[0]) for sizes in (tiles, canvases))
    if tile and canvas:
        return Shown(CANVAS, False)
    return Shown(TILE if tile else CANVAS if canvas else None, tile or canvas)


class OwnTile(NamedTuple):
    """The tile that a prompt belongs to.

    Attributes:
        index: its number.
        frame: its place in cells, all of it, where it reaches over the canvas as well.
        tiles, canvases: see `shown_by`.
    """

    index: int
    frame: Rect
    tiles: tuple[Size, ...]
    canvases: tuple[Size, ...]

    def shown_by(self, size: Size) -> Shown:
        """What a picture of `size` (h, w) shows, that came with this tile's prompt."""
        return shown_by(size, self.tiles, self.canvases)

    def doubt(self, what: str, size: Size, shown: Shown) -> str:
        """Words for a picture that may be either: `what` names it."""
        return doubt(f"{what} in the prompt of tile {self.index}", size, shown, self.tiles[0], self.canvases[0])


def doubt(what: str, size: Size, shown: Shown, tile: Size, canvas: Size) -> str:
    """Words for a picture that may be the tile's or the canvas', and what it is taken for."""
    fits, joined = ("neither", "nor") if shown.what is None else ("both", "and")
    taken = "the whole picture" if shown.what == CANVAS else "the tile"
    return (
        f"{what} is {size[1]} x {size[0]} and has the proportions of {fits} the tile ({tile[1]} x {tile[0]}) {joined} "
        f"the whole picture ({canvas[1]} x {canvas[0]}): it is taken to show {taken}; give what shows the tile at the tile's size, "
        "and what shows the whole picture at the picture's size"
    )


def mask_on_canvas(mask: torch.Tensor, layout: GridLayout, index: int, notices: Notices) -> torch.Tensor:
    """The mask of a tile's own prompt as the host wants it: on the whole canvas, zero outside of the tile.

    Args:
        mask: [h, w], [n, h, w] or [n, t, h, w], of the tile or of the canvas. It is not changed.
        layout: in image pixels.
        index: of the tile.
        notices: where a warning goes, where the mask may be either.
    """
    size, (height, width) = tuple(mask.shape[-2:]), layout.canvas
    shown = shown_by(size, (layout.tile_size,), (layout.canvas,))
    if not shown.sure:
        notices.warn("mask in doubt", doubt(f"the mask in the prompt of tile {index}", size, shown, layout.tile_size, layout.canvas))
    if shown.what == CANVAS or 1 in size:
        return mask
    step = next((step for step in (1, 2, 4) if height * width <= MOST_MASK * step * step), COARSEST)
    rect = layout.tiles[index]
    bottom, right = min(rect.y + rect.height, height), min(rect.x + rect.width, width)
    flat = mask.reshape(1, -1, *size).float()
    # The part of the tile that reaches over the canvas is nowhere.
    whole = torch.nn.functional.interpolate(flat, size=(-(-rect.height // step), -(-rect.width // step)), mode="bilinear")
    placed = torch.zeros((1, flat.shape[1], -(-height // step), -(-width // step)), dtype=flat.dtype, device=flat.device)
    rows, columns = slice(rect.y // step, -(-bottom // step)), slice(rect.x // step, -(-right // step))
    there = placed[..., rows, columns]
    there.copy_(whole[..., : there.shape[-2], : there.shape[-1]])
    return placed.reshape(*mask.shape[:-2], *placed.shape[-2:])


def check_inpainting(options: dict[str, Any], layout: GridLayout, index: int) -> None:
    """Refuse an inpainting picture of the tile, which the host would stretch over the whole canvas.

    Args:
        options: of one entry of the prompt of tile `index`.
        layout: in image pixels.

    Raises:
        ValueError: where the picture can only be the tile's.
    """
    picture = options.get("concat_latent_image")
    if picture is None:
        return
    size = tuple(picture.shape[-2:])
    if shown_by(size, (layout.tile_size,), (layout.canvas,)) == Shown(TILE, True):
        raise ValueError(
            f"the prompt of tile {index} brings an inpainting picture of {size[1]} x {size[0]} latent cells along, which has the tile's "
            "proportions, and the model would see it stretched over the whole picture: give the inpainting conditioning the whole "
            "picture and its whole mask, for every tile"
        )
