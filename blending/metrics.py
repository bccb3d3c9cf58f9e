"""What a seam looks like to a person, as a number.

Every boundary of the layout is looked at on its own, and judged by the picture right beside it
(`controls.py`): a step on one of its lines or detail that breaks off there (`step_test.py`), a
drift or a loss of detail spread over the overlap (`band_test.py`). A boundary fails where the
figure stands out by more than the threshold AND is large enough to be seen.

Three verdicts. "seam". "edge or seam": a step as large as edges of the scene are, with nothing
to compare it with. It fails, too: an edge that follows a boundary to the pixel and along its
whole length is rare, and a seam that passes in silence is the one thing this is here to prevent.
With a reference, or tiles that overlap, the two can be told apart. "clean": all else.

The per-boundary verdict, controls and thresholds: METHODS D2, measured on synthetic pictures
(tests/unit/test_seam_rates.py prints the rates).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from .band_test import LEAST_BAND, fade_test, tone_test
from .beside_reference import fitted, gains
from .boundaries import Boundary, boundaries
from .delta_e import ciede2000, srgb_to_lab
from .layout import TileLayout
from .overlap_test import VISIBLE_GHOST, Apart, TilesApart
from .seam_report import CLEAN, EITHER, SEAM, UNJUDGED, SeamReport, SeamRow, in_order
from .step_test import SHARP, Finding, along, detail_test, opponent, step_test, steps
from .strips import Strip, can_be_judged, control_columns, read_strip

THRESHOLD = 5.0
EDGE_STEP = 12.0  # levels; most tiles drift less, most edges of a scene are stronger
STEPS = ("step", "wavering step")
TONES = (*STEPS, "tone drift")
PIXELS_AT_ONCE = 1 << 23
TRACE = 0.1  # of the edge in the reference
SAME_DRIFT = 0.35  # of the drift: nearer than this, it is the one that the tiles have


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
    if reference is not None:
        reference = fitted(_check_picture(reference, "reference"), image)
        gain = gains(image, reference, found)
    overlaps = None if tiles is None else TilesApart(tiles, layout.in_pixels(), image)
    rows: list[SeamRow] = []
    for index, boundary in enumerate(found):
        rows += _check_boundary(image, boundary, None if reference is None else (reference, gain), overlaps, threshold)
        if watch is not None:
            watch(index + 1, len(found))
    compared = " and ".join(name for name, there in (("reference", reference), ("tiles", overlaps)) if there is not None)
    return SeamReport(in_order(rows), float(threshold), (height, width), len(image), compared)


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


def _check_boundary(
    image: torch.Tensor,
    boundary: Boundary,
    beside: tuple[torch.Tensor, torch.Tensor] | None,
    overlaps: TilesApart | None,
    threshold: float,
) -> list[SeamRow]:
    """One row per picture, a few pictures at a time; `beside` is the reference and its gains."""
    size = image.shape[2 if boundary.vertical else 1]
    if not can_be_judged(boundary, size):
        return [_unjudged(boundary, picture) for picture in range(len(image))]
    columns = 2 * boundary.tile + 256
    each = max(1, PIXELS_AT_ONCE // (min(256, boundary.along[1] - boundary.along[0]) * columns * min(image.shape[-1], 3)))
    rows = []
    for first in range(0, len(image), each):
        part = slice(first, first + each)
        before = None if beside is None else (beside[0] if len(beside[0]) == 1 else beside[0][part], beside[1][part])
        tiles = None if overlaps is None else overlaps.pair(boundary, part)
        rows += _judge(_gather(image[part], boundary, before), boundary, before is not None, tiles, threshold, first)
    return rows


def _gather(image: torch.Tensor, boundary: Boundary, before: tuple[torch.Tensor, torch.Tensor] | None) -> _Evidence:
    """Read the surroundings and run every test."""
    plain = read_strip(image, boundary)
    strip = plain if before is None else read_strip(image, boundary, *before)
    size = image.shape[2 if boundary.vertical else 1]
    columns = torch.tensor([strip.at(x) for x in control_columns(boundary, size)], device=image.device)
    lines = tuple(strip.at(line) for line in boundary.lines)
    step, *waver = step_test(strip, lines, columns)
    findings = [step, detail_test(strip, lines, columns), *waver, tone_test(strip, boundary, before is not None)]
    findings.append(fade_test(plain, boundary, None if before is None else read_strip(before[0], boundary)))
    return _Evidence(strip, plain, [finding for finding in findings if finding is not None])


def _judge(evidence: _Evidence, boundary: Boundary, compared: bool, tiles: Apart | None, threshold: float, first: int) -> list[SeamRow]:
    """One row per picture."""
    findings = evidence.findings if tiles is None else [*evidence.findings, _ghost_finding(evidence, tiles, threshold)]
    lists = [[part.tolist() if isinstance(part, torch.Tensor) else part for part in finding[:5]] for finding in findings]
    rows = []
    for picture in range(len(evidence.strip.mean)):
        tests = [_Test(*(part if isinstance(part, str) else part[picture] for part in values)) for values in lists]
        if tiles is not None:
            tests = [_confirmed(test, tiles, picture) for test in tests]
        fired = [test for test in tests if test.counts and test.z > threshold]
        # What fired is named in the order of the tests: a step also looks like a drift, not the other way round.
        chosen = fired[0] if fired else _nearest(tests, threshold)
        line = boundary.lines[chosen.line]
        verdict, reasons = CLEAN, []
        if fired:
            verdict, reason = _verdict(evidence, chosen, compared, tiles, picture, line)
            others = [test for test in fired if test.name not in TONES]
            if verdict == CLEAN and others:  # an edge of the scene explains a change of tone, nothing else
                chosen, verdict, reason = others[0], SEAM, ""
            reasons.append(reason)
        elif chosen.z > threshold:
            reasons.append("too faint to be seen")
        reasons.append("" if tiles is None else tiles.note(picture))
        if abs(boundary.band[1] - boundary.band[0]) >= LEAST_BAND and not any(test.name == "tone drift" for test in tests):
            reasons.append("drift not judged: too little picture beside it")
        rows.append(
            SeamRow(
                picture=first + picture,
                tiles=boundary.tiles,
                vertical=boundary.vertical,
                line=line,
                middle=boundary.lines[0],
                along=boundary.along,
                worst=evidence.strip.ends[int(findings[tests.index(chosen)].where[picture].abs().argmax())],
                step=round(chosen.size, 3),
                delta_e=round(_delta_e(evidence, picture, line, chosen), 3),
                z=round(max((test.z for test in fired), default=chosen.z), 2),
                test=chosen.name,
                verdict=verdict,
                rule=round(_rule(evidence.plain, picture, line), 3),
                note="; ".join(filter(None, reasons)),
            )
        )
    return rows


def _nearest(tests: list[_Test], threshold: float) -> _Test:
    """What comes nearest to firing: a drift or fade that has not the shape of a seam is the scene's and says nothing."""
    candidates = [test for test in tests if test.counts or test.name == "step" or test.z <= threshold]
    return max(candidates, key=lambda test: (test.counts, test.z))


class _Test(NamedTuple):
    """One test on one picture: see `Finding`."""

    name: str
    z: float
    size: float
    line: int
    counts: bool


def _ghost_finding(evidence: _Evidence, tiles: Apart, threshold: float) -> Finding:
    """The ghost has no controls: its z is the threshold where it begins to be seen."""
    where = evidence.strip.rough.mean(-1)
    z = tiles.ghost * (threshold / VISIBLE_GHOST)
    return Finding("ghost", z, tiles.ghost, torch.zeros_like(z, dtype=torch.int64), tiles.ghostly, where)


def _confirmed(test: _Test, tiles: Apart, picture: int) -> _Test:
    """A drift of the very size by which the tiles differ is no shading of the scene."""
    if test.name != "tone drift" or test.counts:
        return test
    own = float(tiles.drift[picture].mean())
    return test._replace(counts=abs(own) > 1 and abs(test.size - own) < SAME_DRIFT * abs(own))


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
