"""Prompts that belong to one tile of a layout (the Tile Prompts node).

Where the tile that is painted is that very tile, its own prompt counts everywhere in it and the
others' not at all: the fusion's windows then fade neighbours into one another, at the price of
one prompt per tile. Where the tiles are others (a moving grid, another layout), each prompt
counts by its tile's window. What a prompt brings along (a control's hint, GLIGEN boxes, reference
pictures) may show its tile: `own_pictures` says so, and it then lies on the tile's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from ...blending.fusion.fuse import fusion_windows
from ...blending.layout.grid import Axis, Rect
from ...blending.layout.grid_layout import GridLayout
from ...blending.layout.windows import AxisWindow, axis_windows
from .own_pictures import OwnTile
from .planes import whole

TILE_KEY = "tilework_tile"
# Where the handler leaves an `OwnTile` for those who cut what the prompt brought along.
OWN_KEY = "tilework_own_tile"

Cond = dict[str, Any]


class Places(NamedTuple):
    """A layout on one canvas of cells.

    Attributes:
        layout: kept, so that its identity stays its own.
        tiles: every tile, in cells, no larger than the canvas.
        indices: which tile a rectangle is.
        windows: (y, x) per row and column of tiles, over the canvas' cells.
        own: every tile as its prompt's pictures know it.
    """

    layout: GridLayout
    tiles: tuple[Rect, ...]
    indices: dict[Rect, int]
    windows: tuple[list[AxisWindow], list[AxisWindow]]
    own: tuple[OwnTile, ...]


def places_of(layout: GridLayout, canvas: Sequence[int], downscale: int) -> Places:
    """Where the tiles of a layout lie on a latent of `canvas` (h, w) cells.

    Raises:
        ValueError: where the layout was planned for another picture.
    """
    height, width = canvas
    try:
        plan = layout.fit(height, width, 1, downscale)
    except ValueError as error:
        raise ValueError(f"Tile Prompts: {error}. Connect to it the layout of the Tile Split that cut the picture you sample") from error
    axes = [Axis(n, min(axis.tile // downscale, n) if len(axis.origins) == 1 else axis.tile // downscale,
                 tuple(o // downscale for o in axis.origins)) for axis, n in zip(plan.axes, canvas, strict=True)]  # fmt: skip
    ys, xs = axes
    tiles = tuple(Rect(y, x, ys.tile, xs.tile) for y in ys.origins for x in xs.origins)
    windows = tuple(axis_windows(axis, torch.arange(axis.size, dtype=torch.float64) + 0.5, "hann") for axis in axes)
    cut = [Rect(*(length // downscale for length in tile)) for tile in plan.tiles]
    sizes = (layout.tile_size, plan.tile_size, tuple(cut[0][2:]))
    own = tuple(OwnTile(i, frame, sizes, (layout.canvas, plan.canvas, (height, width))) for i, frame in enumerate(cut))
    return Places(layout, tiles, {tile: i for i, tile in enumerate(tiles)}, windows, own)


def for_tile(cond: Cond, view: Rect, cropper: Any) -> Cond | None:
    """The handler for conditions that carry TILE_KEY: see `cropping.HANDLERS`."""
    layout, index = cond.pop(TILE_KEY)
    places = cropper.memo.get(id(layout))
    if places is None:
        places = cropper.memo[id(layout)] = places_of(layout, cropper.canvas[-2:], cropper.downscale)
    cond.pop("area", None)
    cond[OWN_KEY] = places.own[index]
    painted = places.indices.get(view)
    if painted is not None:
        return cond if painted == index else None
    if any(layout.wrap) and view == whole(cropper.canvas):
        return _counting(cond, _wrapped_window(layout, index, cropper), cropper)
    if any(layout.wrap):
        raise ValueError(
            "Tile Prompts has a layout that wraps around, and the sampler other tiles: connect the same layout to both, with grid fixed"
        )
    row, column = divmod(index, len(places.windows[1]))
    y, x = places.windows[0][row], places.windows[1][column]
    if y.stop <= view.y or x.stop <= view.x or y.start >= view.y + view.height or x.start >= view.x + view.width:
        return None
    # Transient, one prompt at a time, and only for prompts that this tile sees something of.
    frames = [1] * (len(cropper.canvas) - 2)
    mask = torch.zeros((1, *frames, *cropper.canvas[-2:]))
    mask[..., y.start : y.stop, x.start : x.stop] = (y.weight[:, None] * x.weight).float()
    return _counting(cond, mask, cropper)


def _wrapped_window(layout: GridLayout, index: int, cropper: Any) -> torch.Tensor:
    """How much a tile counts on a canvas that is joined to itself, float32 [1, (1,) H, W], with frames where the canvas has some."""
    plan = layout.fit(*cropper.canvas[-2:], 1, cropper.downscale)
    lines = []
    for axis, size, at in zip(plan.axes, cropper.canvas[-2:], divmod(index, len(plan.axes[1].origins)), strict=True):
        cells = Axis(size, min(axis.tile // cropper.downscale, size), tuple(o // cropper.downscale for o in axis.origins), axis.wraps)
        start, weight = fusion_windows(cells, "hann")[at]
        line = torch.zeros(size)
        line[torch.arange(start, start + len(weight)) % size] = weight
        lines.append(line)
    return (lines[0][:, None] * lines[1]).reshape(1, *[1] * (len(cropper.canvas) - 2), *cropper.canvas[-2:])


def _counting(cond: Cond, window: torch.Tensor, cropper: Any) -> Cond:
    """The condition, counting by its tile's window [1, H, W]."""
    mask = window.to(cropper.device)
    own_mask = cond.get("mask")
    # A mask of the prompt's own goes on counting within its tile; the window has no strength of its own.
    cond["mask"] = mask if own_mask is None else mask * own_mask.to(mask)
    return cond


def with_frames(conds: dict[str, list[Cond]]) -> None:
    """Make the areas of Tile Prompts' conditions fit latents with frames; the lists' entries are replaced, not changed.

    A node does not know the model's latents, and gives an area of (height, width, y, x). The host wants one of (frames, height,
    width, first frame, y, x) where a latent has frames, and finds no such numbers.

    Args:
        conds: a guider's, one list per prompt, of one run.
    """
    for entry in conds.values():
        for index, cond in enumerate(entry):
            area = cond.get("area")
            if TILE_KEY in cond and area is not None and area[0] == "percentage" and len(area) == 5:
                height, width, y, x = area[1:]
                entry[index] = {**cond, "area": ("percentage", 1.0, height, width, 0.0, y, x)}


def is_a_repetition(cond: Cond, entry: Sequence[Cond]) -> bool:
    """Whether a prompt of one tile only says what another prompt of the same list says already.

    The host gives every area of the prompt a counterpart in the negative prompt, made of the negative prompt itself: of one
    for the whole picture, or of one of the negative prompt's own tiles. Those stand behind what they were made of.
    """
    if TILE_KEY not in cond:
        return False
    for other in entry:
        if other is cond:
            return False
        plain = not any(key in other for key in (TILE_KEY, "area", "mask"))
        of_other_tiles = TILE_KEY in other and _layout_of(other) is not _layout_of(cond)
        theirs, ours = other["model_conds"], cond["model_conds"]
        same = bool(ours) and theirs.keys() == ours.keys() and all(theirs[name] is value for name, value in ours.items())
        if (plain or of_other_tiles) and same and other.get("control") is cond.get("control"):
            return True
    return False


def _layout_of(cond: Cond) -> Any:
    tied = cond[TILE_KEY]
    return tied[0] if isinstance(tied, tuple) else tied
