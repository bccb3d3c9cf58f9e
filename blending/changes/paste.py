"""Changed areas of an edited picture put over the original, their tone drawn to the original's at the border."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from ..pixels.alpha import LEAST_ALPHA
from ..pixels.chunks import planar
from ..pixels.picture import colours, in_channels
from .areas import labelled
from .edited_view import EditedView
from .membrane import harmonic
from .tone import Tone

_ROWS_PIXELS = 1 << 18
_ALL_AT_ONCE = 1 << 20  # pixels of an area up to which its channels are solved together
# X-Dub's measure of what did not change. A border pixel that differs by more from what is usual at the border is content,
# and its colour is not to bleed into the area.
_CONTENT = 0.07


def paste(original: torch.Tensor, view: EditedView, weight: torch.Tensor, tone: Tone | None, gradient: bool, out: torch.Tensor) -> None:
    """Put the edited picture over the original by weight, area by area.

    Args:
        original: [H, W, C].
        view: the edited picture over it.
        weight: float32 [H, W], 0..1.
        tone: the drift to take out of the edited picture; None for none.
        gradient: whether its tone is drawn to the original's where the weight ends: what is added to it is the surface
            that is as flat as possible and meets the difference there (`membrane.py`).
        out: float32 [H, W, C] with the original's values; written to where `weight` is above 0, and left bit for bit elsewhere.

    Notes:
        Beside these a plane for the labels; and of an area's box the surface, as much again and two thirds, for all channels
        where that is small, else for one at a time.
    """
    labels, places = labelled(weight > 0)
    for number, place in enumerate(places, 1):
        around = tuple(slice(max(0, span.start - 1), min(side, span.stop + 1)) for span, side in zip(place, out.shape, strict=False))
        inside = torch.from_numpy(labels[around] == number).to(out.device)
        _paste_area(original[around], view, around, weight[around], inside, tone, gradient, out[around])


def _paste_area(
    original: torch.Tensor,
    view: EditedView,
    place: tuple[slice, slice],
    weight: torch.Tensor,
    inside: torch.Tensor,
    tone: Tone | None,
    gradient: bool,
    out: torch.Tensor,
) -> None:
    """One area in its box. The edited pixels lie in `out` until they are mixed, those of the area and of the border around it."""
    border = (F.max_pool2d(inside.float()[None], 3, 1, 1)[0] > 0) & ~inside if gradient else torch.zeros_like(inside)
    for rows in _strips(inside):
        part = view.part((place[0].start + rows.start, place[0].start + min(rows.stop, len(inside))), (place[1].start, place[1].stop))
        edited = _fitted(part, original[rows], tone)
        out[rows] = torch.where((inside[rows] | border[rows])[..., None], edited, out[rows])
    if gradient:
        channels = colours(out).shape[-1]
        width = channels if inside.numel() <= _ALL_AT_ONCE else 1
        for first in range(0, channels, width):
            group = slice(first, first + width)
            surface = harmonic(_differences(original, out, border, group), inside)
            for rows in _strips(inside):
                out[rows][..., group] += (surface[:, rows] * inside[rows]).movedim(0, -1)
            del surface
    for rows in _strips(inside):
        mixed = _mixed(original[rows].float(), out[rows], weight[rows])
        out[rows] = torch.where(border[rows][..., None], original[rows].float(), torch.where(inside[rows][..., None], mixed, out[rows]))


def _strips(inside: torch.Tensor) -> list[slice]:
    rows = max(1, _ROWS_PIXELS // inside.shape[1])
    return [slice(top, top + rows) for top in range(0, len(inside), rows)]


def _fitted(edited: torch.Tensor, original: torch.Tensor, tone: Tone | None) -> torch.Tensor:
    """Edited pixels with the original's channels, without drift; its own alpha where both have one, else the original's."""
    edited = in_channels(edited, colours(original).shape[-1]).float()
    colour = colours(edited)
    if tone is not None:
        colour = tone.undone(planar(colour)).T.reshape(colour.shape)
    if original.shape[-1] != 4:
        return colour
    return torch.cat((colour, (edited if edited.shape[-1] == 4 else original)[..., 3:].float()), -1)


def _differences(original: torch.Tensor, edited: torch.Tensor, border: torch.Tensor, group: slice) -> torch.Tensor:
    """What is to be added to the edited pixels at the border, [C, h, w]; only the border counts."""
    difference = (original[..., group].float() - edited[..., group]).movedim(-1, 0).contiguous()
    there = difference[:, border]
    if not there.shape[1]:
        return difference.zero_()
    usual = there.median(1, keepdim=True).values
    there = torch.where((there - usual).abs() < _CONTENT, there, usual)
    if original.shape[-1] == 4:
        seen = (original[..., 3] > LEAST_ALPHA) & (edited[..., 3] > LEAST_ALPHA)
        there = there * seen[border]
    difference[:, border] = there
    return difference


def _mixed(original: torch.Tensor, edited: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Both by weight [h, w]; with alpha, colour counts by it, so that none that is hidden comes out."""
    weight = weight[..., None]
    straight = torch.lerp(original, edited, weight)
    if original.shape[-1] != 4:
        return straight
    own, other = (1 - weight) * original[..., 3:], weight * edited[..., 3:]
    total = own + other
    colour = (own * original[..., :3] + other * edited[..., :3]) / total.clamp_min(LEAST_ALPHA)
    same = original[..., 3:] == edited[..., 3:]
    return torch.cat((torch.where((total < LEAST_ALPHA) | same, straight[..., :3], colour), straight[..., 3:]), -1)
