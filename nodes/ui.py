"""What a node shows beside its result: decoration, which never fails the work that it decorates.

A temp folder may be read-only or full, a font may be missing. Then the log says so, the node shows less, and the result stands.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..blending.layout.tile_layout import TileLayout
from ..host.own_pixels import lend
from ..host.temp_pictures import saved, saved_numbers
from ..pictures.grid import small, with_caption, with_grid
from ..pictures.layers import packed, small_copy, small_size
from .overlay import BANDS_KEY, LAYOUT_KEY, NOTE_KEY, SEAMS_KEY, layout_record, seam_record

if TYPE_CHECKING:
    from PIL import Image

    from ..blending.seam_check.report import SeamReport


def decoration(*keys: str) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., dict[str, Any]]]:
    """For functions that make a node's UI value: where one fails, nothing is shown under `keys`, and the log has the reason.

    The keys are there nevertheless: for a list of pictures the host joins the values of all runs by the keys of the first.
    """

    def guard(make: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        @functools.wraps(make)
        def made(*args: Any, **more: Any) -> dict[str, Any]:
            try:
                return make(*args, **more)
            except Exception:
                logging.warning("Tilework: the preview could not be made; the result is complete", exc_info=True)
                return {key: [] for key in keys}

        return made

    return guard


@decoration("images", "text", LAYOUT_KEY)
def show(pixels: torch.Tensor, plan: TileLayout, lines: list[str], details: Sequence[object] = ()) -> dict[str, Any]:
    """The node's UI value: what the overlay in the browser draws the grid from, and the same as one small picture for everybody else.

    Args:
        pixels: IMAGE or latent samples, which the grid is drawn over.
        plan: the layout.
        lines: the caption.
        details: further lines, as text only.
    """
    picture = small(pixels, plan)
    words = [str(detail) for detail in details]
    overlay = layout_record(plan, lines, words, _saved(picture))
    # Under "images" for those who run workflows through the API; the node in the browser has its overlay instead.
    image = _saved(with_caption(with_grid(picture, plan), lines))
    return {"images": _listed(image), "text": ["\n".join([" | ".join(lines), *words])], LAYOUT_KEY: [overlay]}


@decoration("images", "text", SEAMS_KEY)
def show_seams(
    pixels: torch.Tensor, seams: torch.Tensor, plan: TileLayout, report: SeamReport, lines: list[str], mend: dict[str, str]
) -> dict[str, Any]:
    """The UI value of Seam Check: `seams` (the heat map) as one small picture, and `pixels` with the table and `mend` for the overlay."""
    overlay = seam_record(report, plan, _saved(small(pixels, plan))) | mend
    image = _saved(with_caption(small(seams, plan), lines))
    return {"images": _listed(image), "text": [report.summary()], SEAMS_KEY: [overlay]}


def join_ui(pictures: list[dict[str, Any]]) -> dict[str, Any]:
    """The UI values of several layouts as one."""
    return {key: [value for picture in pictures for value in picture[key]] for key in pictures[0]} if pictures else {}


@decoration("images", "text", NOTE_KEY)
def ui_value(draw: Callable[[], Image.Image], text: str, note: str) -> dict[str, Any]:
    """A picture and a text as a node's UI value, and what it says in the editor; `draw` makes the picture, which only decorates."""
    return {"images": _listed(_saved(draw())), "text": [text], NOTE_KEY: [note]}


@decoration(BANDS_KEY)
def show_bands(layers: Sequence[torch.Tensor], gains: Sequence[float]) -> dict[str, Any]:
    """The UI value of a node that sums layers: small copies of them in one file, for a preview that sums them by other gains.

    Args:
        layers: IMAGE each [B, H, W, C], of one size; of a batch the first is shown, of RGBA the colours.
        gains: by which they were summed, one for each.
    """
    first = [layer[0, ..., : min(layer.shape[-1], 3)] for layer in layers]
    copies = (small_copy(layer.float().cpu()) for layer in first)
    file = saved_numbers(packed(copies), BANDS_KEY)
    if file is None:
        return {BANDS_KEY: []}
    height, width, channels = first[0].shape
    about = {
        **file,
        "size": small_size(height, width)[::-1],
        "full_size": [width, height],
        "channels": channels,
        "layers": len(layers),
        "count": len(layers[0]),
        "gains": list(gains),
        "run": lend(layers, lambda pieces: b"".join(packed(pieces))),
    }
    return {BANDS_KEY: [about]}


def _saved(picture: Image.Image) -> dict[str, str] | None:
    """As a JPEG, because the host's own preview writes PNG, which for a noisy photograph takes longer than blending it."""
    return saved(picture, quality=88, subsampling=0)


def _listed(file: dict[str, str] | None) -> list[dict[str, str]]:
    return [] if file is None else [file]


def as_image(picture: Image.Image) -> torch.Tensor:
    """IMAGE [1, H, W, 3], 0..1."""
    return torch.from_numpy(np.asarray(picture, np.float32) / 255)[None].contiguous()
