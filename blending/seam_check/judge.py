"""The verdict on one boundary: which test fired, what it found, and whether that is a seam, an edge of the scene, or nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch

from ..pixels.delta_e import ciede2000
from ..pixels.lab import rgb_to_lab
from .boundaries import Boundary
from .drift import LEAST_BAND, Drift
from .report import CLEAN, EITHER, SEAM, THRESHOLD, UNJUDGED, SeamRow
from .step_filters import SHARP, steps
from .steps import MOST_Z, Response, along, opponent
from .surroundings import Strip
from .tiles_apart import CLEAR_DRIFT, VISIBLE_GHOST, Apart

EDGE_STEP = 12.0  # levels; most tiles drift less, most edges of a scene are stronger
STEP_TESTS = ("step", "wavering step")
TONES = (*STEP_TESTS, "tone drift")
TRACE = 0.1  # of the edge in the reference


class Evidence(NamedTuple):
    """What is known of a boundary in N pictures."""

    strip: Strip
    plain: Strip
    findings: list[Response]
    drift: Drift | None = None


def judge(evidence: Evidence, boundary: Boundary, compared: bool, tiles: Apart | None, threshold: float, first: int) -> list[SeamRow]:
    """One row per picture."""
    findings = evidence.findings if tiles is None else [*evidence.findings, _ghost_finding(evidence, tiles)]
    lists = [[part.tolist() if isinstance(part, torch.Tensor) else part for part in finding[:5]] for finding in findings]
    rows = []
    for picture in range(len(evidence.strip.mean)):
        tests = [FiredTest(*(part if isinstance(part, str) else part[picture] for part in values)) for values in lists]
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
        blank = unjudged(boundary, first + picture)
        row = described(blank, evidence, picture, boundary, chosen, evidence.strip.ends[int(wheres[tests.index(chosen)].abs().argmax())])
        z = rounded_down(max((test.z for test in fired), default=chosen.z))
        rows.append(replace(row, z=z, verdict=verdict, note="; ".join(filter(None, reasons)), drift_judged=judged))
    return rows


def described(row: SeamRow, evidence: Evidence, picture: int, boundary: Boundary, test: FiredTest, worst: tuple[int, int]) -> SeamRow:
    """`row` with what `test` found."""
    line = boundary.lines[test.line]
    tone = round(_delta_e(evidence, picture, line, test), 3)
    rule = round(_rule(evidence.plain, picture, line), 3)
    return replace(row, line=line, worst=worst, step=round(test.size, 3), delta_e=tone, test=test.name, rule=rule)


def rounded_down(z: float) -> float:
    """Two digits, never rounded up: what lies below the threshold must not read as if it reached it."""
    return math.floor(z * 100) / 100


def _nearest(tests: list[FiredTest]) -> FiredTest:
    """What comes nearest to firing, whatever the threshold: what has not the shape of a seam is the scene's and says nothing."""
    return max((test for test in tests if test.counts or test.name == "step"), key=lambda test: (test.counts, test.z))


class FiredTest(NamedTuple):
    """One test on one picture: see `Response`."""

    name: str
    z: float
    size: float
    line: int
    counts: bool


def _ghost_finding(evidence: Evidence, tiles: Apart) -> Response:
    """The ghost has no controls: its z is the usual threshold where it begins to be seen."""
    where = evidence.strip.rough.mean(-1)
    z = tiles.ghost * (THRESHOLD / VISIBLE_GHOST)
    return Response("ghost", z, tiles.ghost, torch.zeros_like(z, dtype=torch.int64), tiles.ghostly, where)


def _shown_drift(evidence: Evidence, tiles: Apart, picture: int) -> FiredTest | None:
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
    return FiredTest("tone drift", min(z, MOST_Z), own, 0, True)


def _verdict(evidence: Evidence, test: FiredTest, compared: bool, tiles: Apart | None, picture: int, line: int) -> tuple[str, str]:
    """A verdict on a test that fired, and what it rests on."""
    if test.name not in TONES:
        return SEAM, ""
    if compared:
        return (CLEAN, "a trace of an edge that the reference has") if _is_trace(evidence, test, picture, line) else (SEAM, "")
    if test.name not in STEP_TESTS:
        return (EITHER if tiles is None else SEAM), ""
    explained = None if tiles is None else tiles.explains(picture, line, opponent(_colour_step(evidence, picture, line)[None])[0])
    if explained:
        return CLEAN, "the tiles themselves have this edge"
    return (EITHER if explained is None and abs(test.size) > EDGE_STEP else SEAM), ""


def _is_trace(evidence: Evidence, test: FiredTest, picture: int, line: int) -> bool:
    """Whether a step in the difference is a small part of an edge that picture and reference share.

    No process keeps an edge to the last level, and no eye sees a step that small on top of it.
    """
    left_over = _colour_step(evidence, picture, line)
    plain = Evidence(evidence.plain, evidence.plain, [])
    size = float(left_over.abs().max()) if test.name in STEP_TESTS else abs(test.size)
    return size < TRACE * float((_colour_step(plain, picture, line) - left_over).abs().max())


def _rule(plain: Strip, picture: int, line: int) -> float:
    """The 3x rule's figure: mean gradient across the line over the mean gradient around it."""
    gradient = plain.slope[picture]
    return float(gradient[plain.at(line)] / gradient[1:].mean().clamp_min(1e-6))


def _colour_step(evidence: Evidence, picture: int, line: int) -> torch.Tensor:
    """The step of each channel, [c], in levels."""
    at = line - evidence.strip.left
    around = evidence.strip.mean[picture][..., max(at - SHARP[0], 0) : at + SHARP[0]]
    if around.shape[-1] < 2 * SHARP[0]:
        return around.new_zeros(len(around))
    return along(steps(around, SHARP))[..., SHARP[0]]


def _delta_e(evidence: Evidence, picture: int, line: int, test: FiredTest) -> float:
    """CIEDE2000 across the line: the mean colour beside it, plus and minus half the step. 0 for tests of detail."""
    if test.name not in TONES:
        return 0.0
    at = line - evidence.plain.left
    colour = evidence.plain.mean[picture][..., max(at - 4, 0) : at + 4].mean((1, 2))
    step = _colour_step(evidence, picture, line) if test.name in STEP_TESTS else torch.full_like(colour, test.size)
    pair = [rgb_to_lab(((colour + sign * step / 2) / 255).double().expand(3)[:, None])[:, 0] for sign in (-1, 1)]
    return float(ciede2000(*pair))


def unjudged(boundary: Boundary, picture: int) -> SeamRow:
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
