"""Changed areas of an edited picture put over the original, their tone drawn to the original's at the border."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from ..pixels.alpha import LEAST_ALPHA
from ..pixels.chunks import planar
from ..pixels.picture import colours, in_channels
from .areas import labelled
from .edited_view import EditedView
from .large_membrane import add_large_membrane
from .membrane import harmonic
from .tone import Tone

_ROWS_PIXELS = 1 << 18
_SMALL = 1 << 20  # pixels of an area's box up to which every pixel of it is solved for
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
        Beside these a plane for the labels and half a plane of an area's box; and the surface with what it takes to solve it,
        some ten planes for all channels of a box of at most `_SMALL` pixels: for larger ones no more than that.
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
    border = _around(inside) if gradient else torch.zeros_like(inside)
    for rows in _strips(inside):
        part = view.part((place[0].start + rows.start, place[0].start + min(rows.stop, len(inside))), (place[1].start, place[1].stop))
        edited = _fitted(part, original[rows], tone)
        out[rows] = torch.where((inside[rows] | border[rows])[..., None], edited, out[rows])
    if gradient:
        _draw(original, out, inside, border)
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


def _around(inside: torch.Tensor) -> torch.Tensor:
    """Pixels that touch a region [h, w] from outside, also by a corner."""
    out = torch.empty_like(inside)
    for rows in _strips(inside):
        first = max(0, rows.start - 1)
        near = F.max_pool2d(inside[first : rows.stop + 1].float()[None], 3, 1, 1)[0] > 0
        out[rows] = near[rows.start - first :][: len(out[rows])] & ~inside[rows]
    return out


def _draw(original: torch.Tensor, out: torch.Tensor, inside: torch.Tensor, border: torch.Tensor) -> None:
    """Draw the tone of the edited pixels in `out` to the original's at the border."""
    channels = colours(out).shape[-1]
    there = [_raw_differences(original[rows], out[rows])[:, border[rows]] for rows in _strips(inside)]
    there = torch.cat(there, 1)
    if not there.shape[1]:
        return
    usual = there.median(1).values[:, None, None]
    del there

    def differences(window: tuple[slice, slice]) -> torch.Tensor:
        return _differences(original[window], out[window], usual)

    if inside.numel() > _SMALL:
        add_large_membrane(out[..., :channels], inside, border, differences)
        return
    surface = harmonic(differences((slice(None), slice(None))), inside)
    out[..., :channels] += (surface * inside).movedim(0, -1)


def _raw_differences(original: torch.Tensor, edited: torch.Tensor) -> torch.Tensor:
    """What is missing of the original's colour in edited pixels, [C, h, w]."""
    return (colours(original).float() - colours(edited)).movedim(-1, 0)


def _differences(original: torch.Tensor, edited: torch.Tensor, usual: torch.Tensor) -> torch.Tensor:
    """What is to be added to edited pixels if they lie at the border, [C, h, w]; `usual` [C, 1, 1] is what most of them differ by."""
    difference = _raw_differences(original, edited)
    difference = torch.where((difference - usual).abs() < _CONTENT, difference, usual)
    if original.shape[-1] == 4:
        difference = difference * ((original[..., 3] > LEAST_ALPHA) & (edited[..., 3] > LEAST_ALPHA))
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
