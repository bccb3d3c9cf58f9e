"""Choosing tiles of a layout: by their numbers as text, and by a mask."""

from __future__ import annotations

import re
from dataclasses import replace

import torch

from ..layout.reference import check_shape
from ..layout.tile_layout import TileLayout
from ..pixels.picture import check_mask

NONE = "none"
LONGEST_TEXT = 100_000  # more than all numbers of the largest layout want in practice
_PART = re.compile(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?\Z", re.ASCII)


def read_numbers(text: str, layout: TileLayout) -> set[int]:
    """The tile numbers that a text names.

        >>> sorted(read_numbers("0, 3-5", TileLayout.grid(96, 96, 32, 32, overlap=0)))
        [0, 3, 4, 5]

    Args:
        text: numbers and ranges, separated by commas or line breaks; may be empty, or "none".
        layout: whose tiles are numbered from 0, row by row.

    Raises:
        ValueError: for what is no number, and a tile that the layout has not.
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"tiles has {len(text):,} characters, more than any list of tiles needs: type numbers such as 0, 3-5")
    if text.strip() == NONE:
        return set()
    last, here = len(layout.tiles) - 1, set(layout.numbers)
    found: set[int] = set()
    for part in re.split(r"[,;\n]", text):
        if not part.strip():
            continue
        match = _PART.match(part)
        if match is None:
            raise ValueError(f"tiles has {part.strip()[:40]!r} in it: type numbers and ranges with commas between them, such as 0, 3-5")
        first, end = int(match[1]), int(match[2] or match[1])
        if first > end:
            raise ValueError(f"tiles has {first}-{end} in it, which runs backwards: type {end}-{first}")
        if end > last:
            raise ValueError(f"there is no tile {end if first <= last else first}: the layout has tiles 0 to {last}")
        numbers = set(range(first, end + 1))
        if not numbers <= here:
            raise ValueError(f"tile {min(numbers - here)} is not among those that are here: {write_numbers(here)}")
        found |= numbers
    return found


def write_numbers(numbers: set[int]) -> str:
    """Numbers as the text that `read_numbers` reads: three and more in a row as a range, nothing as "none".

    >>> write_numbers({0, 3, 4, 5, 7, 8})
    '0, 3-5, 7, 8'
    """
    if not numbers:
        return NONE
    rows: list[list[int]] = []
    for number in sorted(numbers):
        if rows and number == rows[-1][-1] + 1:
            rows[-1].append(number)
        else:
            rows.append([number])
    return ", ".join(f"{row[0]}-{row[-1]}" if len(row) > 2 else ", ".join(map(str, row)) for row in rows)


def touched(layout: TileLayout, mask: torch.Tensor) -> set[int]:
    """The tiles, of those that are here, that show something of a mask.

    Args:
        layout: of any kind.
        mask: floating point [B, h, w] of the layout's canvas, at any size; above 0 in any picture of the batch.

    Raises:
        ValueError: for a mask of other proportions.
    """
    mask = check_mask(mask)
    check_shape(mask, layout, "mask")
    height, width = mask.shape[1:]
    lit = (mask > 0).any(0)
    fy, fx = height / layout.canvas[0], width / layout.canvas[1]
    found = set()
    for number, tile in zip(layout.numbers, layout.here, strict=True):
        rows = slice(int(tile.y * fy), max(int(tile.y * fy) + 1, -int(-(tile.y + tile.height) * fy // 1)))
        columns = slice(int(tile.x * fx), max(int(tile.x * fx) + 1, -int(-(tile.x + tile.width) * fx // 1)))
        if lit[rows, columns].any():
            found.add(number)
    return found


def chosen(layout: TileLayout, text: str = "", mask: torch.Tensor | None = None, invert: bool = False) -> TileLayout:
    """The layout with only some of its tiles here.

    Args:
        layout: of any kind; tiles that are not here already cannot be chosen.
        text: numbers and ranges; those and the tiles that the mask touches. Without text and mask: all; "none": none.
        mask: as for `touched`.
        invert: the others instead.

    Returns:
        the very layout where nothing is said; else one whose `present` says which tiles were chosen, none or all of them too.

    Raises:
        ValueError: as `read_numbers` and `touched` do.
    """
    numbers = read_numbers(text, layout)
    if mask is not None:
        numbers |= touched(layout, mask)
    elif not re.sub(r"[,;\s]", "", text):
        if not invert:
            return layout
        numbers = set(layout.numbers)
    if invert:
        numbers = set(layout.numbers) - numbers
    return replace(layout, present=tuple(sorted(numbers)))
