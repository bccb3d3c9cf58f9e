"""Area prompts and masks, cut to a tile.

The host crops the latent to a condition's area and fades its output over a few cells inside the area's sides. Cut in
two, such an area would be faded at the cut as well. So a tile gets the mask that the area amounts to on the whole
canvas, cut to the tile, and no area: the fade is where it was and the host adds none. The model sees the tile whole,
never a sliver of it that would be smaller than its patch.
"""

from __future__ import annotations

from typing import Any

import torch

from ...blending.layout.grid import Rect
from ...blending.pixels.taps import continued
from .planes import ENDS, Wrap, cut_plane, whole

# The host's own: so many cells, or a quarter of the area where that is less.
FADE_CELLS = 8


def _spans(area: tuple[int, ...], canvas: tuple[int, ...]) -> list[tuple[int, int]]:
    """(start, length) of `area` (sizes, then offsets) along each direction of `canvas`, as the host reads it.

    An area of fewer directions than the canvas has is for the last ones; one of more is read from its first.
    """
    directions = len(area) // 2
    sizes, offsets = list(area[:directions]), list(area[directions:])
    missing = len(canvas) - directions
    if missing > 0:
        sizes, offsets = [*canvas[:missing], *sizes], [0] * missing + offsets
    triples = zip(canvas, sizes, offsets, strict=False)
    return [(start, max(0, min(length, cells - start))) for cells, length, start in triples]


def frame_of(cond: dict[str, Any], canvas: tuple[int, ...]) -> Rect:
    """The part of the canvas that the host shows a condition's control and GLIGEN boxes: its area, else all of it."""
    if "area" not in cond:
        return whole(canvas)
    (y, height), (x, width) = _spans(cond["area"], canvas)[-2:]
    return Rect(y, x, height, width)


def _line(start: int, length: int, cells: int, faded: bool) -> torch.Tensor:
    """float32 [cells]: one inside the area, zero outside, rising at those of its ends that are not the canvas' own."""
    line = torch.zeros(cells)
    line[start : start + length] = 1.0
    steps = min(FADE_CELLS, length // 4) if faded else 0
    for step in range(steps):
        if start != 0:
            line[start + step] *= (step + 1) / steps
        if start + length < cells:
            line[start + length - 1 - step] *= (step + 1) / steps
    return line


def _area_weight(area: tuple[int, ...], canvas: tuple[int, ...], view: Rect, faded: bool, wrap: Wrap) -> torch.Tensor:
    """float32 [h, w] or [t, h, w]: how much the area counts inside `view`; t is one where all frames are alike."""
    lines = [_line(start, length, cells, faded) for (start, length), cells in zip(_spans(area, canvas), canvas, strict=True)]
    if len(lines) == 3 and bool((lines[0] == 1).all()):
        lines[0] = lines[0][:1]
    for index, start, length in ((-2, view.y, view.height), (-1, view.x, view.width)):
        lines[index] = lines[index][continued(torch.arange(start, start + length), canvas[index], wrap[index])]
    weight = lines[0]
    for line in lines[1:]:
        weight = weight.unsqueeze(-1) * line
    return weight


def tile_mask(cond: dict[str, Any], canvas: tuple[int, ...], view: Rect, device: torch.device, wrap: Wrap = ENDS) -> torch.Tensor | None:
    """How much the condition counts in a tile, or None where it counts fully everywhere.

    Args:
        cond: with the host's "area" (in cells), "mask" ([n, h, w] or [n, t, h, w] of the canvas), both or neither.
        canvas: the latent's sizes behind its channels, (h, w) or (t, h, w).
        view: the tile, in cells.
        device: where the mask of an area without one is made.
        wrap: (y, x), where the canvas is joined to itself.

    Raises:
        ValueError: where the mask is not of the canvas' size.
    """
    area, mask = cond.get("area"), cond.get("mask")
    if mask is None:
        return None if area is None else _area_weight(area, canvas, view, True, wrap).unsqueeze(0).to(device)
    if tuple(mask.shape[-2:]) == (1, 1):
        mask = mask.expand(*mask.shape[:-2], *canvas[-2:])
    if tuple(mask.shape[-2:]) != tuple(canvas[-2:]):
        raise ValueError(
            f"a condition's mask is {mask.shape[-1]} x {mask.shape[-2]} cells and the latent {canvas[-1]} x {canvas[-2]}: "
            "it cannot be cut into tiles; set the mask again with Conditioning (Set Mask)"
        )
    mask = cut_plane(mask, view, wrap)
    # The host fades no area that has a mask.
    return mask if area is None else mask * _area_weight(area, canvas, view, False, wrap).to(mask)
