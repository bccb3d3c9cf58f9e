"""What a seam looks like to a person, as a number.

Every boundary of the layout is looked at on its own, and judged by the picture right beside it
(`controls.py`): a step on one of its lines or detail that breaks off there (`steps.py`, `detail.py`), a
drift or a loss of detail spread over the overlap (`drift.py`, `fade.py`). A boundary fails where the
figure stands out by more than the threshold AND is large enough to be seen.

Three verdicts. "seam". "edge or seam": a step as large as edges of the scene are, with nothing
to compare it with. It fails, too: an edge that follows a boundary to the pixel and along its
whole length is rare, and a seam that passes in silence is the one thing this is here to prevent.
With a reference, or tiles that overlap, the two can be told apart. "clean": all else.

The verdict is one per boundary, because a z value per segment of it blames more clean pictures than it finds seams.
Controls and thresholds are measured on synthetic pictures (tests/unit/seam_check/test_rates.py prints the rates).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from ..layout.tile_layout import TileLayout
from .beside_reference import fitted, gains
from .border import continued_picture, far_ends, moved, moved_back
from .boundaries import Boundary, boundaries
from .detail import detail_test
from .drift import LEAST_BAND, Drift, tone_test
from .drift_ends import ending_drifts
from .fade import fade_test
from .judge import Evidence, FiredTest, described, judge, rounded_down, unjudged
from .report import EITHER, THRESHOLD, SeamReport, SeamRow, in_order
from .steps import step_test
from .surroundings import can_be_judged, control_columns, read_strip
from .tiles_apart import TilesApart

PIXELS_AT_ONCE = 1 << 23
ENDS = "the drift ends where the tile ends"


def check_seams(
    image: torch.Tensor,
    layout: TileLayout,
    reference: torch.Tensor | None = None,
    tiles: Sequence[torch.Tensor] | None = None,
    threshold: float = THRESHOLD,
    watch: Callable[[int, int], None] | None = None,
) -> SeamReport:
    """Look for seams at every boundary of `layout`.

        >>> layout = TileLayout.grid(256, 256, 160, 160, overlap=64)
        >>> picture = torch.linspace(0.2, 0.8, 256).expand(1, 256, 256)[..., None] + 0.01 * torch.rand(1, 256, 256, 3)
        >>> check_seams(picture, layout).passed
        True

    Args:
        image: floating point [B, H, W, C], C = 1, 3 or 4, about 0..1; its size is the layout's canvas at one scale.
            RGBA is looked at as it is seen on grey.
        layout: where the tiles were.
        reference: [1 or B, h, w, C], the picture as it would be without tiles: the source, or the same process
            in one piece. Any size; it is resized. All tests then run on the difference.
        tiles: the processed tiles, one [B, th, tw, C] per tile in the layout's order, before they were blended: their
            overlaps tell edges of the scene from seams, and how far neighbours disagree.
        threshold: the z from which a boundary fails, above 0.
        watch: called with (done, total) after every boundary; may raise to stop.

    Returns:
        the report; pictures of a batch are judged one by one and listed together.

    Raises:
        ValueError: for a size, batch or threshold that does not fit, and for NaN or Inf.
    """
    image = _check_picture(image, "image")
    height, width = image.shape[1:3]
    plan = layout.in_pixels()
    found = boundaries(plan, height, width)
    if not math.isfinite(threshold) or threshold <= 0:
        raise ValueError(f"threshold {threshold} is not a z value: use a number above 0, for example 5")
    whole, ends = image, far_ends(plan, found, height, width)
    found = [moved(boundary, ends, height, width) for boundary in found]
    image = continued_picture(whole, ends)
    alone = reference is not None and image.shape[-1] == 4 and reference.shape[-1] != 4
    if reference is not None:
        reference = continued_picture(fitted(_check_picture(reference, "reference"), whole), ends)
        reference = _under_alpha(reference, image)
        gain = gains(image, reference, found)
    overlaps = None if tiles is None else TilesApart(tiles, plan, image, ends)
    rows: list[list[SeamRow]] = []
    drifts: list[Drift | None] = []
    for index, boundary in enumerate(found):
        judged, drift = _check_boundary(image, boundary, None if reference is None else (reference, gain), overlaps, threshold)
        rows.append(judged)
        drifts.append(drift)
        if watch is not None:
            watch(index + 1, len(found))
    if reference is None and overlaps is None:
        _add_ending(rows, found, drifts, image, threshold)
    rows = [[moved_back(row, ends, height, width) for row in some] for some in rows]
    if alone:
        _add_alpha(rows, check_seams(whole[..., 3:].clamp(0, 1), layout, threshold=threshold))
    overlap = max((abs(b.band[1] - b.band[0]) for b in found), default=0)
    compared = " and ".join(name for name, there in (("reference", reference), ("tiles", overlaps)) if there is not None)
    in_one = in_order([row for some in rows for row in some])
    return SeamReport(in_one, float(threshold), (height, width), len(image), compared, overlap if overlap >= LEAST_BAND else 0)


def _add_alpha(rows: list[list[SeamRow]], alpha: SeamReport) -> None:
    """Blame the clean boundaries at which the alpha itself has a seam: a reference without alpha says nothing of it."""
    blamed = {(row.picture, row.tiles): row for row in alpha.failing}
    for some in rows:
        for index, row in enumerate(some):
            found = blamed.get((row.picture, row.tiles))
            if found is not None and not row.fails:
                some[index] = replace(found, note="; ".join(filter(None, ("in the alpha", found.note, row.note))))


def _under_alpha(reference: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """A reference that came without alpha (as a loaded picture does), seen through the image's: what is hidden is no drift."""
    if image.shape[-1] != 4 or reference.shape[-1] == 4:
        return reference
    colour = reference.expand(len(image), -1, -1, 3)
    return torch.cat((colour.to(image.dtype), image[..., 3:]), -1)


def _check_picture(image: torch.Tensor, name: str) -> torch.Tensor:
    if image.ndim != 4 or not image.is_floating_point() or 0 in image.shape or image.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"{name} is {image.dtype} of shape {tuple(image.shape)}: expected floating point [batch, height, width, 1, 3 or 4 channels]"
        )
    for index, picture in enumerate(image):
        # Row blocks: one sum over a picture in float32 could overflow, and a whole mask of it would be a copy.
        for block in picture.split(512):
            if not torch.isfinite(block.sum(dtype=torch.float64)):
                what = "NaN" if torch.isnan(block).any() else "Inf"
                raise ValueError(
                    f"picture {index} of {name} has {what} in it: look at the node that made it; fp16 overflow is the usual cause"
                )
    return image.detach()


def _check_boundary(
    image: torch.Tensor,
    boundary: Boundary,
    beside: tuple[torch.Tensor, torch.Tensor] | None,
    overlaps: TilesApart | None,
    threshold: float,
) -> tuple[list[SeamRow], Drift | None]:
    """One row per picture, a few pictures at a time, and how the tone drifts; `beside` is the reference and its gains."""
    size = image.shape[2 if boundary.vertical else 1]
    if not can_be_judged(boundary, size):
        return [unjudged(boundary, picture) for picture in range(len(image))], None
    columns = 2 * boundary.tile + 256
    each = max(1, PIXELS_AT_ONCE // (min(256, boundary.along[1] - boundary.along[0]) * columns * min(image.shape[-1], 3)))
    rows, drifts = [], []
    for first in range(0, len(image), each):
        part = slice(first, first + each)
        before = None if beside is None else (beside[0] if len(beside[0]) == 1 else beside[0][part], beside[1][part])
        tiles = None if overlaps is None else overlaps.pair(boundary, part)
        evidence = _gather(image[part], boundary, before)
        rows += judge(evidence, boundary, before is not None, tiles, threshold, first)
        drifts.append(evidence.drift)
    if drifts[0] is None:
        return rows, None
    return rows, Drift(drifts[0].finding, *(torch.cat(parts) for parts in list(zip(*drifts, strict=True))[1:]))


def _add_ending(
    rows: list[list[SeamRow]], found: Sequence[Boundary], drifts: Sequence[Drift | None], image: torch.Tensor, threshold: float
) -> None:
    """Blame the clean boundaries whose drift ends with its tile."""
    for index, ending in enumerate(ending_drifts(found, drifts)):
        if ending is None:
            continue
        boundary, drift = found[index], drifts[index]
        for picture, row in enumerate(rows[index]):
            plane = int(ending[1][picture])
            z, size = float(drift.z[picture, plane]), float(drift.size[picture, plane])
            if not ending[0][picture] or row.fails or z <= threshold:
                continue
            evidence = _gather(image[picture : picture + 1], boundary, None)
            test = FiredTest("tone drift", z, size, 0, True)
            where = int(drift.where[picture, plane].abs().argmax())
            changed = described(row, evidence, 0, boundary, test, evidence.strip.ends[where])
            rows[index][picture] = replace(changed, z=rounded_down(z), verdict=EITHER, note="; ".join(filter(None, (ENDS, row.note))))


def _gather(image: torch.Tensor, boundary: Boundary, before: tuple[torch.Tensor, torch.Tensor] | None) -> Evidence:
    """Read the surroundings and run every test."""
    plain = read_strip(image, boundary)
    strip = plain if before is None else read_strip(image, boundary, *before)
    size = image.shape[2 if boundary.vertical else 1]
    columns = torch.tensor([strip.at(x) for x in control_columns(boundary, size)], device=image.device)
    lines = tuple(strip.at(line) for line in boundary.lines)
    step, *waver = step_test(strip, lines, columns)
    drift = tone_test(strip, boundary, before is not None)
    findings = [step, detail_test(strip, lines, columns), *waver, None if drift is None else drift.finding]
    findings.append(fade_test(plain, boundary, None if before is None else read_strip(before[0], boundary)))
    return Evidence(strip, plain, [finding for finding in findings if finding is not None], drift)
