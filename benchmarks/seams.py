"""What is left of seams, drift and the picture itself: Tilework beside its peers on the same tiles.

    python benchmarks/seams.py [--quick] [--parts seams drift identity time] [--widths 8192] [--pictures FOLDER] [--json FILE]

Prints Markdown tables on stdout and progress on stderr. README.md says what every figure is.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import crops
import mosaics
import seam_figures
import tones
import torch
from contestants import paint
from loading import blending, note
from mergers import Merger, Work, all_mergers, find
from quiet import Neighbours
from resident import extra_peak
from split_blend import QUIET, machine
from standings import Figure, Row, away_from_one, not_first, table

PARTS = ("seams", "drift", "identity", "time")
FULL = {"tile": 512, "overlap": 64, "count": 4, "timed": ((1024, 128, 5), (1024, 128, 9)), "runs": 3}
QUICK = {"tile": 256, "overlap": 32, "count": 4, "timed": ((512, 64, 5),), "runs": 1}
COPY, REFERENCE = "copy", "-reference"
SLOW = 15.0  # seconds; a call that takes longer is measured once
GIVE_UP = 180  # seconds for one contestant at one size
PATIENCE = 30.0  # seconds per contestant, for a quiet machine and for measuring again what others disturbed
BYTES_PER_PIXEL = 3 * 4


def present(mergers: list[Merger]) -> list[Merger]:
    """Those that can take part."""
    return [merger for merger in mergers if merger.absent is None]


def _default_key() -> str:
    return "tilework-auto"


def _row(merger: Merger, values: dict[str, Any]) -> Row:
    return Row(merger.label, merger.ours, merger.key == _default_key(), not merger.key.endswith(REFERENCE), values)


def attempt(merger: Merger, work: Work) -> torch.Tensor | str:
    """The merged picture, or in words why there is none."""
    try:
        came = merger.merge(work)
    except Exception as error:  # a contestant that breaks is a result, and must not take the others with it
        return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    return came if bool(torch.isfinite(came).all()) else "its result is not finite"


def seam_check(came: torch.Tensor, layout: Any) -> tuple[float, int] | None:
    """Tilework's own Seam Check, where this version has one: its score, and how many boundaries fail."""
    try:
        check = blending("seam_check.check").check_seams
    except (ModuleNotFoundError, AttributeError):
        return None
    report = check(came, layout)
    return report.score, len(report.failing)


def figures_of(came: torch.Tensor, made: mosaics.Made) -> dict[str, Any]:
    """Every figure that is defined for this mosaic."""
    z, flagged, count = seam_figures.signed_test(came, made.layout)
    values = {"step": seam_figures.line_step(came, made.truth, made.layout), "z": z, "flagged": flagged, "boundaries": count}
    values["check"] = seam_check(came, made.layout)
    if made.smooth_faults:
        values["local"] = seam_figures.local_step(came, made.truth)
        values["error"] = seam_figures.error_without_mean(came, made.truth)
    if made.disagree is not None:
        sharp = seam_figures.ghosting(came, made.seamless, made.layout, made.disagree)
        values["ghosting"], values["worst_line"] = sharp
    return values


def seam_columns(made: mosaics.Made, floor: dict[str, Any], has_check: bool) -> list[Figure]:
    """The columns of one mosaic's table; what the seamless picture shows counts as nothing."""
    columns = [Figure("line step, levels", "step", least=1.1 * floor["step"], ratio=made.smooth_faults)]
    if made.smooth_faults:
        columns.append(Figure("local step, levels", "local", ratio=True))
    columns.append(Figure("z", "z", "{:.1f}".format, distance=None))
    columns.append(Figure(f"boundaries flagged of {floor['boundaries']}", "flagged", str))
    if has_check:
        columns.append(Figure("Seam Check: score, failing", "check", lambda pair: f"{pair[0]:.1f}, {pair[1]}", distance=None))
    if made.smooth_faults:
        columns.append(Figure("error without mean, levels", "error"))
    if made.disagree is not None:
        columns.append(Figure("texture in overlap", "ghosting", distance=away_from_one, least=0.02))
        columns.append(Figure("worst line", "worst_line", distance=away_from_one, least=0.06))
    return columns


def seams(setting: dict[str, Any], pictures: Path | None) -> tuple[list[str], dict[str, Any]]:
    """Part 1: one table per mosaic, and the picture where it is wanted."""
    layout = mosaics.plan(setting["tile"], setting["overlap"], setting["count"])
    lines, record, crops_of = [], {}, {}
    wanted = {"a": "left: (a) studio gradient", "c": "right: (c) textures"}
    for maker in mosaics.MAKERS:
        made = maker(layout)
        floor = figures_of(made.seamless, made)
        rows = [Row("never in tiles (floor)", ranked=False, values=floor)]
        shown, remarks = {"never in tiles": made.seamless}, []
        work, plain = Work(made.tiles, layout, made.reference), {}
        for merger in present(all_mergers()):
            note(f"{made.label}: {merger.label}")
            came = attempt(merger, work)
            if isinstance(came, str):
                if not merger.key.endswith(REFERENCE):
                    remarks.append(f"- {merger.label} has no figures: {came}")
                    rows.append(_row(merger, {}))
                continue
            if merger.key.endswith(REFERENCE) and torch.equal(came, plain.get(merger.key.removesuffix(REFERENCE), came[:, :1])):
                continue  # a method that has no use for a reference
            if merger.ours:
                plain[merger.key] = came
            rows.append(_row(merger, figures_of(came, made)))
            shown[merger.label] = came
        columns = seam_columns(made, floor, any(row.values.get("check") is not None for row in rows))
        height, width = layout.canvas
        lines += [
            f"### {made.label}",
            "",
            f"{width} x {height}, tile {setting['tile']}, overlap {setting['overlap']}: {len(layout)} tiles",
            "",
        ]
        lines += [*table(rows, columns), "", *remarks, *([""] if remarks else []), *not_first(rows, columns), ""]
        record[made.key] = {row.label: row.values for row in rows}
        if made.key in wanted:
            at = crops.widest_apart(made.tiles, layout)
            for label, picture in shown.items():
                crops_of.setdefault(label, {})[made.key] = crops.corner(picture, at).clone()
    if pictures:
        note(f"wrote {crops.save(pictures, crops_of, wanted)}")
    return lines, record


def drift(setting: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Part 2: colour drift taken out of the tiles, and all of them blended alike, by hann."""
    layout = mosaics.plan(setting["tile"], setting["overlap"], setting["count"])
    measure, whose = tones.delta_e()
    lines, record = [], {}
    columns = [
        Figure("looks at the source", "source", distance=None, show=str),
        Figure("mean CIEDE2000", "delta_e", ratio=True),
        Figure("tile spread, levels", "spread", ratio=True),
        Figure("line step, levels", "step"),
        Figure("seconds", "seconds", distance=None),
    ]
    for kind, what in mosaics.DRIFTS.items():
        scene = mosaics.drifted(layout, kind)
        rows, remarks = [], []

        def add(row: Row, tiles: list[torch.Tensor], scene: mosaics.Drifted = scene, rows: list[Row] = rows) -> None:
            came = blending().compose(iter(tiles), layout)
            row.values["delta_e"] = measure(came, scene.truth) if measure else None
            row.values["spread"] = seam_figures.tile_spread(came, scene.truth, layout)
            row.values["step"] = seam_figures.line_step(came, scene.truth, layout)
            rows.append(row)

        add(Row("tiles without drift (floor)", ranked=False, values={"source": "-"}), list(blending().cut(scene.truth, layout)))
        add(Row("nothing corrected", ranked=False, values={"source": "no"}), scene.tiles)
        for corrector in tones.all_correctors():
            if corrector.absent:
                continue
            note(f"drift: {corrector.label}")
            start = time.perf_counter()
            try:
                tiles = corrector.correct(scene.tiles, layout, scene.source)
                seconds = time.perf_counter() - start
                add(Row(corrector.label, corrector.ours, values={"source": "yes" if corrector.source else "no", "seconds": seconds}), tiles)
            except Exception as error:  # as in attempt()
                remarks.append(f"- {corrector.label} has no figures: {type(error).__name__}: {str(error)[:160]}")
        lines += [
            f"### Colour drift: {what}",
            "",
            *table(rows, columns, rows[1], "uncorrected"),
            "",
            *remarks,
            *([""] if remarks else []),
        ]
        lines += [*not_first(rows, columns), ""]
        record[kind] = {row.label: row.values for row in rows}
    lines += [f"- CIEDE2000 by {whose}"] + [f"- left out: {c.label}: {c.absent}" for c in tones.all_correctors() if c.absent] + [""]
    return lines, record


def _largest(came: torch.Tensor | str, truth: torch.Tensor) -> float | None:
    if isinstance(came, str) or came.shape != truth.shape:
        return None
    return float((came - truth).abs().max()) * 255


def identity(setting: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Part 3: tiles that nobody touched."""
    layout = mosaics.plan(setting["tile"], setting["overlap"], setting["count"])
    picture = mosaics.shifted(layout).seamless
    wide = picture * 2 - 0.5
    height, width = layout.canvas
    fade = (torch.linspace(-0.5, 1.5, height)[:, None] * torch.linspace(0.5, 1, width)).clamp(0, 1)[None, ..., None]
    clear = torch.cat([picture, fade], dim=3)
    rows, remarks = [], []
    for merger in present(all_mergers()):
        if merger.key.endswith(REFERENCE):
            continue
        note(f"identity: {merger.label}")
        row = _row(merger, {"depth": merger.depth})
        asked = (("plain", picture, None), ("wide", wide, merger.no_float), ("alpha", clear, merger.no_alpha))
        for name, truth, reason in asked:
            came = reason or attempt(merger, Work(list(blending().cut(truth, layout)), layout))
            row.values[name] = _largest(came, truth)
            if isinstance(came, str):
                remarks.append(f"- {merger.label}, {dict(plain='0..1', wide='-0.5..1.5', alpha='alpha')[name]}: {came}")
        rows.append(row)
    tiny = 1e-3  # levels; rounding of float32
    columns = [Figure("counts in", "depth", str, distance=None)] + [
        Figure(f"max error, levels, {name}", key, "{:.2g}".format, least=tiny)
        for name, key in (("0..1", "plain"), ("-0.5..1.5", "wide"), ("with alpha", "alpha"))
    ]
    lines = ["### Identity", "", *table(rows, columns), "", *remarks, *([""] if remarks else []), *not_first(rows, columns), ""]
    return lines, {row.label: row.values for row in rows}


def _clock(merger: Merger, work: Work, runs: int) -> dict[str, Any]:
    """Peak of a first call, then the times of `runs` more that nobody disturbed; a slow first call is all there is."""
    run = merger.prepare(work)
    neighbours, until = Neighbours(), time.monotonic() + (PATIENCE if runs > 1 else PATIENCE / 10)

    def once() -> tuple[float, float]:
        neighbours.wait(QUIET, until)
        with neighbours.watched():
            start = time.perf_counter()
            run()
            seconds = time.perf_counter() - start
        return seconds, neighbours.cores

    peak, first = extra_peak(once)
    if merger.outside:
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    kept = [first] if first[0] > SLOW else []
    while len(kept) < runs and first[0] <= SLOW:
        came = once()
        if came[1] <= QUIET or time.monotonic() > until or merger.outside:
            kept.append(came)
    others = None if merger.outside else max(cores for _, cores in kept)  # its own process would be counted among the others
    return {"seconds": [seconds for seconds, _ in kept], "peak": peak, "others": others}


def _copy(work: Work) -> Any:
    empty = blending("pixels.memory").empty  # huge pages where they are at hand, as for our own outputs
    return lambda: empty(work.reference.shape).copy_(work.reference)


def time_in_here(key: str, plan: tuple[int, int, int], runs: int) -> dict[str, Any]:
    """Times and peak of one contestant; for a process of its own."""
    merger = Merger(COPY, "", _copy) if key == COPY else find(key)
    small = mosaics.plan(64, 16, 2)
    picture = paint(*small.canvas)
    merger.prepare(Work(list(blending().cut(picture, small)), small, picture))()  # what is loaded on first use is no part of the answer
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(torch.get_num_threads())  # as many for everybody
    layout = mosaics.plan(*plan)
    picture = paint(*layout.canvas)
    return _clock(merger, Work(list(blending().cut(picture, layout)), layout, picture), runs)


def time_in_child(key: str, plan: tuple[int, int, int], runs: int) -> dict[str, Any] | str:
    """`time_in_here` in a fresh process, so that nobody inherits another's memory."""
    command = [sys.executable, __file__, "--time-of", key, "--plan", *map(str, plan), "--runs", str(runs)]
    # A session of its own and a folder of ours, so that a contestant that is given up leaves neither a process nor files.
    with (
        tempfile.TemporaryDirectory(prefix="tilework-benchmark-") as folder,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "TMPDIR": folder},
        ) as child,
    ):
        try:
            out, err = child.communicate(timeout=GIVE_UP)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            return f"no answer within {GIVE_UP} seconds"
    if child.returncode:
        return (err.strip().splitlines() or ["it ended without a word"])[-1][:160]
    return json.loads(out.strip().splitlines()[-1])


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f}"


def times(setting: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Part 4: time and memory of the merge alone, tiles at hand in the form that the contestant takes."""
    lines, record = [], {}
    for plan in setting["timed"]:
        layout = mosaics.plan(*plan)
        height, width = layout.canvas
        if setting["widths"] and width not in setting["widths"]:
            continue
        canvas = height * width * BYTES_PER_PIXEL
        rows, remarks = [Row("one plain copy (floor)", ranked=False)], []
        entries = [(COPY, rows[0])]
        for merger in present(all_mergers()):
            if merger.timed:
                rows.append(_row(merger, {}))
                entries.append((merger.key, rows[-1]))
        for key, row in entries:
            note(f"[{width} x {height}] {row.label}")
            came = time_in_child(key, plan, setting["runs"])
            if isinstance(came, str):
                remarks.append(f"- {row.label} has no figures: {came}")
                continue
            median = statistics.median(came["seconds"])
            row.values.update(median=median, least=min(came["seconds"]), runs=len(came["seconds"]), others=came["others"])
            row.values["peak"] = None if came["peak"] is None else came["peak"] / canvas
        for row in rows:
            if "median" in row.values and "median" in rows[0].values:
                row.values["copies"] = row.values["median"] / rows[0].values["median"]
        columns = [
            Figure("ms, median", "median", _milliseconds, ratio=True),
            Figure("ms, least", "least", _milliseconds, distance=None),
            Figure("x copy", "copies", "{:.1f}".format, distance=None),
            Figure("extra peak, canvases", "peak", least=1.1),
            Figure("runs", "runs", str, distance=None),
            Figure("others' cores", "others", distance=None),
        ]
        lines += [f"### Time and memory: {width} x {height}, tile {plan[0]}, overlap {plan[1]}, {len(layout)} tiles", ""]
        lines += [*table(rows, columns), "", *remarks, *([""] if remarks else []), *not_first(rows, columns), ""]
        record[f"{width}x{height}"] = {row.label: row.values for row in rows}
    return lines, record


def main() -> None:
    """Measure, print, and write the record where asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small pictures and one run: whether everything works, no figures to quote")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="which tables (default all)")
    parser.add_argument("--widths", nargs="+", type=int, help="time only pictures this wide (default all)")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="also write corners.png there: the corner of four tiles, enlarged")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    parser.add_argument("--time-of", help=argparse.SUPPRESS)
    parser.add_argument("--plan", nargs=3, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    with torch.inference_mode():  # as the host runs nodes
        if options.time_of:
            print(json.dumps(time_in_here(options.time_of, tuple(options.plan), options.runs)))
            return
        setting = {**(QUICK if options.quick else FULL), "widths": options.widths}
        record: dict[str, Any] = {"machine": machine(), "quick": options.quick}
        print(", ".join(f"{key} {value}" for key, value in record["machine"].items()), end="\n\n")
        parts = {"seams": lambda: seams(setting, options.pictures), "drift": lambda: drift(setting)}
        parts |= {"identity": lambda: identity(setting), "time": lambda: times(setting)}
        for part in (part for part in PARTS if part in options.parts):
            lines, record[part] = parts[part]()
            print(*lines, sep="\n", flush=True)
        missing = [f"- {merger.label}: {merger.absent}" for merger in all_mergers() if merger.absent]
        print(*(["Not here:", "", *missing] if missing else ["Every contestant took part."]), sep="\n")
    if options.json:
        options.json.write_text(json.dumps(record, indent=1, default=lambda value: None if math.isnan(value) else float(value)) + "\n")


if __name__ == "__main__":
    main()
