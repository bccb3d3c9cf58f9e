"""The original with nothing but what an edit changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from ..layout.reference import same_shape
from ..pixels.lab import rgb_to_lab
from ..pixels.picture import check_finite, check_mask, check_pixels, colours, in_channels, outside
from .areas import Areas, changed_areas, feathered, least_area
from .difference import changed_places, compare, thresholds
from .edited_view import EditedView
from .paste import paste
from .registration import find_edit_frame
from .report import EditFindings, edit_report
from .tone import Tone, find_tone

ALIGN = ("shift", "shift and scale", "off")
BLENDS = ("gradient", "feather")

_TONE_SIDE = 256  # cells of the longer side, on which the drift is measured
_COARSER = 1.1  # pixels of the original per pixel of the edit, from which on more than single pixels are compared together
_VISIBLE = 0.5
_COMPARED = 0.6  # of the steps

Step = Callable[[int, int], None]


class MergeSettings(NamedTuple):
    """How changes are looked for and put in.

    Attributes:
        threshold: CIEDE2000 from which on a place has changed, the least; noise outside the edit raises it.
        min_area: pixels that an area must have; 0 for what suits the size.
        grow: pixels around a changed area that are taken with it.
        feather: pixels around that over which it fades.
        align: one of ALIGN, what of the frame is undone before the pictures are compared.
        match_color: whether the drift of tone of the whole is taken out of what is put in; it never counts as a change.
        blend: one of BLENDS.
    """

    threshold: float = 2.3
    min_area: int = 0
    grow: int = 8
    feather: int = 16
    align: str = ALIGN[1]
    match_color: bool = True
    blend: str = BLENDS[0]

    def check(self) -> None:
        """Raise ValueError for what cannot be done, in words for the user."""
        if not (math.isfinite(self.threshold) and self.threshold > 0):
            raise ValueError(f"threshold {self.threshold} is no colour difference: use a number above 0, 2.3 is what is just seen")
        for name, value in (("min_area", self.min_area), ("grow", self.grow), ("feather", self.feather)):
            if value < 0:
                raise ValueError(f"{name} is {value}: use 0 or more pixels")
        for name, value, known in (("align", self.align, ALIGN), ("blend", self.blend, BLENDS)):
            if value not in known:
                raise ValueError(f"{name} '{value}' is not known: use one of {', '.join(known)}")


class Merged(NamedTuple):
    """What came out.

    Attributes:
        image: float32 [B, H, W, C]; the tensor that was given as original where nothing was taken.
        mask: float32 [B, H, W], how much of the edit each pixel has.
        areas: what was found in each picture, before it was grown.
        report: in words.
    """

    image: torch.Tensor
    mask: torch.Tensor
    areas: list[Areas]
    report: str


def merge_changes(
    original: torch.Tensor,
    edited: torch.Tensor,
    settings: MergeSettings = MergeSettings(),  # noqa: B008, it is never changed
    mask: torch.Tensor | None = None,
    step: Step | None = None,
) -> Merged:
    """Take from an edited picture what was edited, and leave every other pixel of the original as it is, bit for bit.

        >>> original = torch.rand(1, 64, 64, 3)
        >>> merge_changes(original, original.clone()).image is original
        True

    Args:
        original: floating point [B, H, W, C], C = 1, 3 or 4.
        edited: [B or 1, h, w, C'], the same scene, of the original's size or another of its proportions. One original may
            have a batch of edits.
        settings: how.
        mask: [B or 1, H, W] of the original's size; changes are taken only where it is above 0, and by that much.
        step: told the parts of the work that are done, and of how many, over all pictures.

    Returns:
        the merged pictures. Beside inputs and outputs about two planes of one picture are held, and what is compared and put
        in at a time; no more where what has changed reaches over most of a large picture.

    Raises:
        ValueError: for what does not fit, in words for the user.
    """
    settings.check()
    original, edited = check_pixels(original, "original"), check_pixels(edited, "edited")
    mask = _checked(original, edited, mask)
    count = max(len(original), len(edited))
    soft = torch.zeros(count, *original.shape[1:3], device=original.device)
    image, areas, found = None, [], []
    for index in range(count):
        watch = None if step is None else _Part(step, index, count)
        one, other = original[index % len(original)], edited[index % len(edited)].to(original.device)
        allowed = None if mask is None else mask[index % len(mask)].to(original.device)
        here, facts, view, tone = _find(one, other, settings, allowed, watch)
        areas.append(here)
        if here.count:
            weight = feathered(here.inside, settings.grow, settings.feather)
            weight = weight if allowed is None else weight.mul_(allowed.clamp(0, 1))  # of rounding alone, the rest is refused
            soft[index] = weight
            del weight
            if image is None:
                image = original.float().expand(count, -1, -1, -1).clone()
            undone = tone if settings.match_color and tone.works else None
            paste(one, view, soft[index], undone, settings.blend == BLENDS[0], image[index])
        if watch is not None:
            watch(1.0)
        found.append(facts._replace(taken=float(soft[index].count_nonzero()) / soft[index].numel()))
    if image is None:
        image = original if len(original) == count else original.expand(count, -1, -1, -1)
    return Merged(image, soft, areas, edit_report(found, settings.match_color))


class _Part:
    """Steps of one picture of several, as shares."""

    def __init__(self, step: Step, index: int, count: int) -> None:
        self.step, self.index, self.count = step, index, count

    def __call__(self, share: float) -> None:
        self.step(round(100 * (self.index + share)), 100 * self.count)


def _checked(original: torch.Tensor, edited: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor | None:
    """The mask, checked as the pictures are; ValueError in words for what does not fit."""
    (batch, height, width, _), (edits, h, w, _) = original.shape, edited.shape
    if edits != batch and 1 not in (edits, batch):
        raise ValueError(f"original has a batch of {batch} and edited one of {edits}: connect one of them, or as many of each")
    if not same_shape((h, w), (height, width)):
        raise ValueError(
            f"edited is {w} x {h} and original {width} x {height}, which is another shape: only the frame of one scene can be compared; "
            "crop the original as the edit model did, or pad the edited picture"
        )
    for pixels, name in ((original, "original"), (edited, "edited")):
        check_finite(pixels, name)
    if mask is None:
        return None
    mask = check_mask(mask, "mask")
    if tuple(mask.shape[1:]) != (height, width) or len(mask) not in (1, max(batch, edits)):
        raise ValueError(
            f"mask is {mask.shape[2]} x {mask.shape[1]}, a batch of {len(mask)}, and original is {width} x {height}, a batch of {batch}: "
            "connect a mask of the original's size, one or one for each; or none, to take changes anywhere"
        )
    beyond = outside(mask[..., None])
    if beyond is not None:
        raise ValueError(f"mask has values outside of 0 to 1: {beyond}; a mask is 0 to 1, so bring it there first, as a threshold does")
    return mask


def _find(
    original: torch.Tensor, edited: torch.Tensor, settings: MergeSettings, allowed: torch.Tensor | None, watch: _Part | None
) -> tuple[Areas, EditFindings, EditedView, Tone]:
    """What has changed in one picture, and how the edited one is to be read."""
    size = tuple(original.shape[:2])
    cell = max(1, math.ceil(max(side / own for side, own in zip(size, edited.shape[:2], strict=True)) / _COARSER))
    view = EditedView(edited, size)
    facts = EditFindings(size, tuple(edited.shape[:2]), cell, settings.align, settings.threshold)
    if view.untouched and original.shape == edited.shape and torch.equal(original, edited):
        nothing = torch.zeros(size, dtype=torch.bool, device=original.device)
        return Areas(nothing, 0, 0), facts._replace(identical=True), view, _no_tone(original)
    frame = None if settings.align == "off" else find_edit_frame(original, edited, settings.align == ALIGN[1], cell)
    if frame is not None and frame.moves:
        view = EditedView(edited, size, frame)
    tone = _tone(original, view)
    step = None if watch is None else lambda done, total: watch(_COMPARED * done / total)
    difference = compare(original, view, tone, cell, settings.threshold, step)
    limits = thresholds(difference, settings.threshold)
    places = changed_places(difference, limits)
    del difference
    if allowed is not None:
        places.changed.logical_and_(_in_cells(allowed, cell))
    least = least_area(settings.min_area, size)
    areas = changed_areas(places, max(1, round(least / cell**2)))
    if cell > 1:
        inside = areas.inside.repeat_interleave(cell, 0)[: size[0]].repeat_interleave(cell, 1)[:, : size[1]].contiguous()
        areas = areas._replace(inside=inside)
    facts = facts._replace(
        frame=frame,
        drift=tone.largest,
        highest=float(limits.max()),
        areas=areas.count,
        dropped=areas.dropped,
        least_area=least,
        share=float(areas.inside.float().mean()) if areas.count else 0.0,
    )
    return areas, facts, view, tone


def _in_cells(allowed: torch.Tensor, cell: int) -> torch.Tensor:
    if cell == 1:
        return allowed > 0
    return F.max_pool2d(allowed[None], cell, ceil_mode=True)[0] > 0


def _no_tone(original: torch.Tensor) -> Tone:
    none = colours(original).new_zeros(colours(original).shape[-1], 0)
    return find_tone(none, none)


def _tone(original: torch.Tensor, view: EditedView) -> Tone:
    """The drift between both, on cells that are small enough to tell places apart and large enough to have no noise."""
    from ..layout.reference import sample

    height, width = original.shape[:2]
    cell = max(1, math.ceil(max(height, width) / _TONE_SIDE))
    rows, columns = max(1, height // cell), max(1, width // cell)
    whole = sample(original[None], (0, 0, rows * cell, columns * cell), (rows, columns))[0] if cell > 1 else original
    other = in_channels(view.part((0, rows), (0, columns), cell), colours(original).shape[-1])
    (y0, y1), (x0, x1) = ((-(-first // cell), end // cell) for first, end in (view.covered(0), view.covered(1)))
    seen = torch.zeros(rows, columns, dtype=torch.bool, device=original.device)
    seen[y0:y1, x0:x1] = True
    for pixels in (whole, other):
        if pixels.shape[-1] == 4:
            seen &= pixels[..., 3] > _VISIBLE
    return find_tone(*(_lab(colours(pixels)[seen]) for pixels in (whole, other)))


def _lab(colour: torch.Tensor) -> torch.Tensor:
    return rgb_to_lab(colour.reshape(-1, colour.shape[-1]).T.float())
