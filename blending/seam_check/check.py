"""What a seam looks like to a person, as a number.

Every boundary of the layout is looked at on its own, and judged by the picture right beside it
(`controls.py`): a step on one of its lines or detail that breaks off there (`step_test.py`), a
drift or a loss of detail spread over the overlap (`band_test.py`). A boundary fails where the
figure stands out by more than the threshold AND is large enough to be seen.

Three verdicts. "seam". "edge or seam": a step as large as edges of the scene are, with nothing
to compare it with. It fails, too: an edge that follows a boundary to the pixel and along its
whole length is rare, and a seam that passes in silence is the one thing this is here to prevent.
With a reference, or tiles that overlap, the two can be told apart. "clean": all else.

The verdict is one per boundary, because a z value per segment of it blames more clean pictures than it finds seams.
Controls and thresholds are measured on synthetic pictures (tests/unit/test_seam_rates.py prints the rates).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from ..layout.tile_layout import TileLayout
from ..pixels.delta_e import ciede2000, srgb_to_lab
from .beside_reference import fitted, gains
from .boundaries import Boundary, boundaries
from .detail import detail_test
from .drift import LEAST_BAND, Drift, fade_test, tone_test
from .drift_ends import ending_drifts
from .report import CLEAN, EITHER, SEAM, THRESHOLD, UNJUDGED, SeamReport, SeamRow, in_order
from .step_filters import SHARP, steps
from .steps import MOST_Z, Finding, along, opponent, step_test
from .surroundings import Strip, can_be_judged, control_columns, read_strip
from .tiles_apart import CLEAR_DRIFT, VISIBLE_GHOST, Apart, TilesApart

EDGE_STEP = 12.0  # levels; most tiles drift less, most edges of a scene are stronger
STEPS = ("step", "wavering step")
TONES = (*STEPS, "tone drift")
PIXELS_AT_ONCE = 1 << 23
ENDS = "the drift ends where the tile ends"
TRACE = 0.1  # of the edge in the reference


def check_seams(
    image: torch.Tensor,
    layout: TileLayout,
    reference: torch.Tensor | None = None,
    tiles: Sequence[torch.Tensor] | None = None,
    threshold: float = THRESHOLD,
    watch: Callable[[int, int], None] | None = None,
) -> SeamReport:
    """Look for seams at every boundary of `layout`.

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
    found = boundaries(layout.in_pixels(), height, width)
    if not math.isfinite(threshold) or threshold <= 0:
        raise ValueError(f"threshold {threshold} is not a z value: use a number above 0, for example 5")
    alone = reference is not None and image.shape[-1] == 4 and reference.shape[-1] != 4
    if reference is not None:
        reference = _under_alpha(fitted(_check_picture(reference, "reference"), image), image)
        gain = gains(image, reference, found)
    overlaps = None if tiles is None else TilesApart(tiles, layout.in_pixels(), image)
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
    if alone:
        _add_alpha(rows, check_seams(image[..., 3:].clamp(0, 1), layout, threshold=threshold))
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


class _Evidence(NamedTuple):
    """What is known of a boundary in N pictures."""

    strip: Strip
    plain: Strip
    findings: list[Finding]
    drift: Drift | None = None


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
        return [_unjudged(boundary, picture) for picture in range(len(image))], None
    columns = 2 * boundary.tile + 256
    each = max(1, PIXELS_AT_ONCE // (min(256, boundary.along[1] - boundary.along[0]) * columns * min(image.shape[-1], 3)))
    rows, drifts = [], []
    for first in range(0, len(image), each):
        part = slice(first, first + each)
        before = None if beside is None else (beside[0] if len(beside[0]) == 1 else beside[0][part], beside[1][part])
        tiles = None if overlaps is None else overlaps.pair(boundary, part)
        evidence = _gather(image[part], boundary, before)
        rows += _judge(evidence, boundary, before is not None, tiles, threshold, first)
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
            test = _Test("tone drift", z, size, 0, True)
            where = int(drift.where[picture, plane].abs().argmax())
            changed = _described(row, evidence, 0, boundary, test, evidence.strip.ends[where])
            rows[index][picture] = replace(changed, z=_down(z), verdict=EITHER, note="; ".join(filter(None, (ENDS, row.note))))


def _gather(image: torch.Tensor, boundary: Boundary, before: tuple[torch.Tensor, torch.Tensor] | None) -> _Evidence:
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
    return _Evidence(strip, plain, [finding for finding in findings if finding is not None], drift)


def _judge(evidence: _Evidence, boundary: Boundary, compared: bool, tiles: Apart | None, threshold: float, first: int) -> list[SeamRow]:
    """One row per picture."""
    findings = evidence.findings if tiles is None else [*evidence.findings, _ghost_finding(evidence, tiles)]
    lists = [[part.tolist() if isinstance(part, torch.Tensor) else part for part in finding[:5]] for finding in findings]
    rows = []
    for picture in range(len(evidence.strip.mean)):
        tests = [_Test(*(part if isinstance(part, str) else part[picture] for part in values)) for values in lists]
        wheres = [finding.where[picture] for finding in findings]
        if tiles is not None:
            shown = _shown_drift(evidence, tiles, picture)
            if shown is not None:
                at = next((i for i, test in enumerate(tests) if test.name == "tone drift"), len(tests))
                tests[at : at + 1], wheres[at : at + 1] = [shown], [wheres[0] if at == len(wheres) else wheres[at]]
        fired = [test for test in tests if test.counts and test.z > threshold]
        # What fired is named in the order of the tests: a step also looks like a drift, not the other way round.
        chosen = fired[0] if fired else _nearest(tests)
        line = boundary.lines[chosen.line]
        verdict, reasons = CLEAN, []
        if fired:
            verdict, reason = _verdict(evidence, chosen, compared, tiles, picture, line)
            others = [test for test in fired if test.name not in TONES]
            if verdict == CLEAN and others:  # an edge of the scene explains a change of tone, nothing else
                chosen, verdict, reason = others[0], SEAM, ""
            reasons.append(reason)
        elif chosen.z > threshold:
            reasons.append("above the threshold, but too faint to be seen")
        reasons.append("" if tiles is None else tiles.note(picture))
        judged = tiles is not None or any(test.name == "tone drift" for test in tests)
        judged = judged or abs(boundary.band[1] - boundary.band[0]) < LEAST_BAND
        if not judged:
            reasons.append("drift not judged: too little picture beside it")
        blank = _unjudged(boundary, first + picture)
        row = _described(blank, evidence, picture, boundary, chosen, evidence.strip.ends[int(wheres[tests.index(chosen)].abs().argmax())])
        z = _down(max((test.z for test in fired), default=chosen.z))
        rows.append(replace(row, z=z, verdict=verdict, note="; ".join(filter(None, reasons)), drift_judged=judged))
    return rows


def _described(row: SeamRow, evidence: _Evidence, picture: int, boundary: Boundary, test: _Test, worst: tuple[int, int]) -> SeamRow:
    """`row` with what `test` found."""
    line = boundary.lines[test.line]
    tone = round(_delta_e(evidence, picture, line, test), 3)
    rule = round(_rule(evidence.plain, picture, line), 3)
    return replace(row, line=line, worst=worst, step=round(test.size, 3), delta_e=tone, test=test.name, rule=rule)


def _down(z: float) -> float:
    """Two digits, never rounded up: what lies below the threshold must not read as if it reached it."""
    return math.floor(z * 100) / 100


def _nearest(tests: list[_Test]) -> _Test:
    """What comes nearest to firing, whatever the threshold: what has not the shape of a seam is the scene's and says nothing."""
    return max((test for test in tests if test.counts or test.name == "step"), key=lambda test: (test.counts, test.z))


class _Test(NamedTuple):
    """One test on one picture: see `Finding`."""

    name: str
    z: float
    size: float
    line: int
    counts: bool


def _ghost_finding(evidence: _Evidence, tiles: Apart) -> Finding:
    """The ghost has no controls: its z is the usual threshold where it begins to be seen."""
    where = evidence.strip.rough.mean(-1)
    z = tiles.ghost * (THRESHOLD / VISIBLE_GHOST)
    return Finding("ghost", z, tiles.ghost, torch.zeros_like(z, dtype=torch.int64), tiles.ghostly, where)


def _shown_drift(evidence: _Evidence, tiles: Apart, picture: int) -> _Test | None:
    """A drift of the very size by which the tiles differ is no shading of the scene; None where the picture shows none.

    Its z is the usual threshold where a drift begins to be clear, or more where it stands out from the picture by more.
    """
    drift = evidence.drift
    plane = tiles.seen(picture, None if drift is None else drift.size[picture].tolist())
    if plane is None:
        return None
    own = float(tiles.tone[picture, plane])
    z = abs(own) * THRESHOLD / CLEAR_DRIFT / (1 if plane == 0 else 2)
    if drift is not None and abs(float(drift.size[picture, plane]) - own) < abs(own) / 2:
        z = max(z, float(drift.z[picture, plane]))
    return _Test("tone drift", min(z, MOST_Z), own, 0, True)


def _verdict(evidence: _Evidence, test: _Test, compared: bool, tiles: Apart | None, picture: int, line: int) -> tuple[str, str]:
    """A verdict on a test that fired, and what it rests on."""
    if test.name not in TONES:
        return SEAM, ""
    if compared:
        return (CLEAN, "a trace of an edge that the reference has") if _is_trace(evidence, test, picture, line) else (SEAM, "")
    if test.name not in STEPS:
        return (EITHER if tiles is None else SEAM), ""
    explained = None if tiles is None else tiles.explains(picture, line, opponent(_colour_step(evidence, picture, line)[None])[0])
    if explained:
        return CLEAN, "the tiles themselves have this edge"
    return (EITHER if explained is None and abs(test.size) > EDGE_STEP else SEAM), ""


def _is_trace(evidence: _Evidence, test: _Test, picture: int, line: int) -> bool:
    """Whether a step in the difference is a small part of an edge that picture and reference share.

    No process keeps an edge to the last level, and no eye sees a step that small on top of it.
    """
    left_over = _colour_step(evidence, picture, line)
    plain = _Evidence(evidence.plain, evidence.plain, [])
    size = float(left_over.abs().max()) if test.name in STEPS else abs(test.size)
    return size < TRACE * float((_colour_step(plain, picture, line) - left_over).abs().max())


def _rule(plain: Strip, picture: int, line: int) -> float:
    """The 3x rule's figure: mean gradient across the line over the mean gradient around it."""
    gradient = plain.slope[picture]
    return float(gradient[plain.at(line)] / gradient[1:].mean().clamp_min(1e-6))


def _colour_step(evidence: _Evidence, picture: int, line: int) -> torch.Tensor:
    """The step of each channel, [c], in levels."""
    at = line - evidence.strip.left
    around = evidence.strip.mean[picture][..., max(at - SHARP[0], 0) : at + SHARP[0]]
    if around.shape[-1] < 2 * SHARP[0]:
        return around.new_zeros(len(around))
    return along(steps(around, SHARP))[..., SHARP[0]]


def _delta_e(evidence: _Evidence, picture: int, line: int, test: _Test) -> float:
    """CIEDE2000 across the line: the mean colour beside it, plus and minus half the step. 0 for tests of detail."""
    if test.name not in TONES:
        return 0.0
    at = line - evidence.plain.left
    colour = evidence.plain.mean[picture][..., max(at - 4, 0) : at + 4].mean((1, 2))
    step = _colour_step(evidence, picture, line) if test.name in STEPS else torch.full_like(colour, test.size)
    pair = [srgb_to_lab((colour + sign * step / 2) / 255) for sign in (-1, 1)]
    return float(ciede2000(*pair))


def _unjudged(boundary: Boundary, picture: int) -> SeamRow:
    middle = boundary.lines[0]
    return SeamRow(
        picture=picture,
        tiles=boundary.tiles,
        vertical=boundary.vertical,
        line=middle,
        middle=middle,
        along=boundary.along,
        worst=boundary.along,
        step=0.0,
        delta_e=0.0,
        z=0.0,
        test="none",
        verdict=UNJUDGED,
        rule=0.0,
        note="too little picture beside it",
    )
