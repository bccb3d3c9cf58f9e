"""Six trained upscale networks in tiles, beside the same picture without tiles.

    .host/venv/bin/python benchmarks/real_upscalers.py [--networks NAME ...] [--parts PART ...] [--size 420x300 ...] [--photo NAME]

- measured: what Measure Safe Overlap finds, and what that costs, in pixels through the network; then the same in a second process.
- tiled: Tiled Upscale against untiled, and ComfyUI's own Upscale Image (using Model) beside it, with tiles of the same size.
- seams: tiles upscaled one by one with no overlap, and with 64 px blended by average and by Hann: the step at their seams.
- distance: what a tile's border does to it, by the distance from there.
- blends: the same tiles, overlapping by 64 and by 32 px, blended by Seam Blend's hann and by its auto.
- memory: the estimate that tiles are planned with, against what the process takes.

Each part prints its table row by row. The networks are fetched by name once (118 MB, see real_networks.py).
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from loading import blending, load_host, load_pack, note, run_node
from real_subject import PASS, Photograph, StoppedError, Subject, networks
from resident import extra_peak
from split_blend import machine

load_pack()
tiles_beside = importlib.import_module("tilework.benchmarks.real_tiles")
child, guarded, steps = (importlib.import_module(f"tilework.tools.process.{name}") for name in ("child", "guarded", "long_step"))

# The core's node has a fixed tile of 512 px: it is given ours, and keeps its overlap.
CORE_OVERLAP = 32
# Of Tiled Upscale. Everything planned: with memory for one tile of that side and not for two; where that is refused because the
# network sees too far for such a tile, of the next one.
TILE, PLANNED = 128, (192, 256, 320)
NOT_SQUARE = (160, 128)  # width, height
# Both grids of tiles, 64 and 32 px of overlap, end where this canvas ends.
CANVAS = (320, 448)
HARD, WIDE, NARROW = ((2, 4), 0), ((2, 3), 64), ((2, 4), 32)
BORDER = 16  # source pixels at the picture's own sides that are looked at apart
MEMORY_SIDES = (256, 384)
WARM_UP = 64
QUIET = 60.0  # seconds between two signs of life of such a process
ENOUGH = 24.0  # passes over a picture of some two; tiles that hardly leave their overlap are not run to the end
MORE_THAN_ONCE = 1.0  # passes; a second measurement that costs more is stopped: it is none that was kept


def heading(title: str, *columns: str) -> None:
    """The head of a table."""
    print(f"\n#### {title}\n\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|", flush=True)


def row(*cells: Any) -> None:
    """A row of it."""
    print(f"| {' | '.join(_cell(cell) for cell in cells)} |", flush=True)


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) and value < 0.1 else f"{value:.2f}" if isinstance(value, float) else str(value)


def measured(subjects: list[Subject], photo: Photograph, options: argparse.Namespace) -> None:
    """What Measure Safe Overlap finds, and what that costs."""
    title = "Measure Safe Overlap: what was found, and what it cost in untiled passes of 256 x 256"
    heading(title, "network", "found", "named", "passes", "s", "one pass, s", "passes, second process", "s")
    for subject in subjects:
        note(f"measured: {subject.name}")
        _, _, one = subject.cost(lambda subject=subject: subject(photo.crop(256, 256)))
        found, passes, seconds = subject.cost(subject.field)
        again = in_a_process_of_its_own("again", subject.name, user_folder())
        more = f"more than {MORE_THAN_ONCE:g}" if again["stopped"] else again["passes"]
        named = ", ".join(found.field.statistics) or "-"
        row(subject.name, found.headline, named, passes, seconds, one, more, again["seconds"])


def tiled(subjects: list[Subject], photo: Photograph, options: argparse.Namespace) -> None:
    """Tiled Upscale and the core's node against untiled."""
    for index, (width, height) in enumerate(options.size):
        picture = photo.crop(height, width)
        heading(
            f"Tiled against untiled: {photo.name}, {width} x {height}, levels of 255",
            *("network", "node", "tiles", "overlap", "max", "mean", f"max, {BORDER} px at the picture's sides", "passes", "s"),
        )
        for subject in subjects:
            note(f"tiled, {width} x {height}: {subject.name}")
            whole = subject.untiled(picture)
            for label, run in contestants(subject, picture, with_core=index == 0):
                subject.most = subject.pixels / PASS + ENOUGH
                try:
                    (came, layout), passes, seconds = subject.cost(run)
                except (ValueError, StoppedError) as end:
                    why = str(end).split(":")[0] or f"stopped after {ENOUGH:g} passes"
                    row(subject.name, label, why, *["-"] * 6)
                    continue
                finally:
                    subject.most = float("inf")
                apart = tiles_beside.error(came, whole)
                sides = _at_sides(came, whole, BORDER * subject.scale)
                high, wide = layout.tile_size
                overlap = min((axis.overlap for axis in layout.axes if axis.overlap is not None), default="-")
                row(subject.name, label, f"{len(layout)} of {wide} x {high}", overlap, *apart, sides, passes, seconds)


def _at_sides(came: torch.Tensor, whole: torch.Tensor, border: int) -> float:
    inside = slice(border, -border)
    apart = (came - whole).abs()
    apart[:, inside, inside] = 0
    return float(apart.max()) * tiles_beside.LEVELS


def contestants(subject: Subject, picture: torch.Tensor, with_core: bool) -> Iterator[tuple[str, Callable[[], tuple[torch.Tensor, Any]]]]:
    """(label, run -> (result, layout)) of every way to tile that is compared."""
    upscale = importlib.import_module("tilework.models.tiled_upscale")

    def ours(*sizes: int, statistics: str = "tile") -> tuple[torch.Tensor, Any]:
        return upscale.upscale(subject.model, picture, upscale.Request(*sizes, statistics=statistics))[:2]

    def planned(statistics: str) -> tuple[torch.Tensor, Any]:
        for side in PLANNED[:-1]:
            try:
                with memory_for_a_tile(subject, picture, side):
                    return ours(statistics=statistics)
            except ValueError as refused:
                note(f"{subject.name}, memory for one tile of {side} px: {refused}")
        with memory_for_a_tile(subject, picture, PLANNED[-1]):
            return ours(statistics=statistics)

    if with_core:
        yield "Upscale Image (using Model)", partial(core, subject, picture)
    everything = subject.field().field.sees_everything
    for statistics in ("tile", "image") if everything else ("tile",):
        behind = ", statistics of the image" if statistics == "image" else ""
        yield f"Tiled Upscale, all planned{behind}", partial(planned, statistics)
        yield f"Tiled Upscale, tile {TILE}{behind}", partial(ours, TILE, TILE, statistics=statistics)
        if everything:
            yield f"Tiled Upscale, not square{behind}", partial(ours, *NOT_SQUARE, statistics=statistics)


def core(subject: Subject, picture: torch.Tensor) -> tuple[torch.Tensor, Any]:
    """The core's node with a tile of TILE px."""
    import comfy.utils

    scaled, layouts = comfy.utils.tiled_scale, blending("layout.tile_layout")

    def forced(*given: Any, **more: Any) -> torch.Tensor:
        return scaled(*given, **{**more, "tile_x": TILE, "tile_y": TILE, "overlap": CORE_OVERLAP})

    node = importlib.import_module("comfy_extras.nodes_upscale_model").ImageUpscaleWithModel
    with patch.object(comfy.utils, "tiled_scale", forced):
        came = run_node(node, upscale_model=subject.model, image=picture)[0]
    height, width = picture.shape[1:3]
    places = [range(0, max(size - CORE_OVERLAP, 1), TILE - CORE_OVERLAP) for size in (height, width)]
    rects = tuple(layouts.Rect(y, x, TILE, TILE) for y in places[0] for x in places[1])
    return came, blending("layout.grid_layout").GridLayout((height, width), rects)


@contextmanager
def memory_for_a_tile(subject: Subject, picture: torch.Tensor, side: int) -> Iterator[None]:
    """As on a machine with memory for the result and for one tile of `side` px, and for no larger one."""
    import comfy.model_management as management

    upscale = importlib.import_module("tilework.models.tiled_upscale")
    needed = upscale.Upscaler(subject.model).fit.needs(side, side) * (1 + upscale.MARGIN)
    free = int(1.01 * needed + picture.nbytes * subject.scale**2 + management.extra_reserved_memory())

    def free_memory(dev: Any = None, torch_free_too: bool = False) -> Any:
        return (free, free) if torch_free_too else free

    with patch.object(management, "get_free_memory", free_memory):
        yield


def seams(subjects: list[Subject], photo: Photograph, options: argparse.Namespace) -> None:
    """Hard tiles, the average and Hann, as in the table that this pack set out from."""
    heading(
        f"Steps at the seams: {photo.name}, {CANVAS[1]} x {CANVAS[0]}, tiles upscaled one by one, levels of 255",
        *("network", "tiles", "at the seam", "beside it", "untiled, same place", "the error's, at the seam", "beside it", "max", "mean"),
    )
    picture = photo.crop(*CANVAS)
    hard, wide = (tiles_beside.whole_grid(CANVAS, *plan) for plan in (HARD, WIDE))
    for subject in subjects:
        note(f"seams: {subject.name}")
        whole = subject.untiled(picture)
        for label, layout, method in (("hard", hard, "none"), ("average", wide, "average"), ("Hann", wide, "hann")):
            came = blending().compose(subject.tiles(picture, layout), layout, method)
            found = tiles_beside.steps(came, whole, layout, subject.scale)
            high, across = layout.tile_size
            overlap = layout.axes[0].overlap
            row(subject.name, f"{label}, {across} x {high}, overlap {overlap}", *found, *tiles_beside.error(came, whole))


def distance(subjects: list[Subject], photo: Photograph, options: argparse.Namespace) -> None:
    """What a tile's border does to it."""
    spans = [f"{a}" if b == a + 1 else f"{a} to {b - 1}" for a, b in zip(tiles_beside.DISTANCES, tiles_beside.DISTANCES[1:], strict=False)]
    layout = tiles_beside.whole_grid(CANVAS, *WIDE)
    heading(
        f"Error by distance from a tile's border, px of the source: {photo.name}, {len(layout)} tiles of "
        f"{layout.tile_size[1]} x {layout.tile_size[0]}; largest (mean), levels of 255",
        *("network", *spans, f"{tiles_beside.DISTANCES[-1]} and more"),
    )
    picture = photo.crop(*CANVAS)
    for subject in subjects:
        note(f"distance: {subject.name}")
        found = tiles_beside.by_distance(subject.tiles(picture, layout), subject.untiled(picture), layout, subject.scale)
        row(subject.name, *(f"{_cell(one.largest)} ({_cell(one.mean)})" for one in found))


def blends(subjects: list[Subject], photo: Photograph, options: argparse.Namespace) -> None:
    """Seam Blend's hann beside its auto."""
    heading(
        f"Seam Blend, hann and auto: {photo.name}, {CANVAS[1]} x {CANVAS[0]}, tiles upscaled one by one, against untiled, levels of 255",
        *("network", "overlap", "method", "max", "mean", "mean in the overlaps", "step of a whole line", "step of any shape"),
    )
    picture = photo.crop(*CANVAS)
    for subject in subjects:
        for layout in (tiles_beside.whole_grid(CANVAS, *plan) for plan in (WIDE, NARROW)):
            note(f"blends, overlap {layout.axes[0].overlap}: {subject.name}")
            for method in ("hann", "auto"):
                came = blending().compose(subject.tiles(picture, layout), layout, method)
                found = tiles_beside.blended(came, subject.untiled(picture), layout, subject.scale)
                row(subject.name, layout.axes[0].overlap, method, *found.error, *found[1:])


def memory(subjects: list[Subject], photo: Photograph, options: argparse.Namespace) -> None:
    """The estimate of a tile's memory against the peak of a process that runs it."""
    heading(
        "Memory of one tile: estimate against peak, weights not counted, MB = 1e6 bytes",
        *("network", "tile", "estimate, MB", "peak, MB", "estimate / peak", "passes for the estimate"),
    )
    for subject in subjects:
        for side in MEMORY_SIDES:
            note(f"memory, {side} px: {subject.name}")
            came = in_a_process_of_its_own("memory", subject.name, str(side))
            estimate, peak = (None if came[key] is None else came[key] / 1e6 for key in ("estimate", "peak"))
            ratio = "-" if peak is None else estimate / peak
            row(subject.name, f"{side} x {side}", f"{estimate:.0f}", "-" if peak is None else f"{peak:.0f}", ratio, came["passes"])


def in_a_process_of_its_own(task: str, *words: str) -> dict[str, Any]:
    """What one of TASKS finds in a fresh process, which does not outlive this one."""
    command = [sys.executable, __file__, "--task", task, *words]
    with tempfile.TemporaryDirectory(prefix="tilework-benchmark-") as folder:
        log = Path(folder) / "log"
        status = steps.run_step(command, log, child.program_environment(), note, QUIET)
        if status:
            raise RuntimeError(f"{task} {' '.join(words)} ended with status {status}:\n{log.read_text('utf-8', 'replace')}")
        return json.loads(next(line for line in reversed(log.read_text("utf-8").splitlines()) if line.startswith("{")))


def user_folder() -> str:
    """Where the host keeps what belongs to its user: with what was measured in it, a process finds that again."""
    import folder_paths

    return folder_paths.get_user_directory()


def measure_again(name: str, folder: str) -> dict[str, Any]:
    """Measure once more, with the user's folder of another process."""
    import folder_paths

    folder_paths.set_user_directory(folder)
    subject, stopped, start = Subject(name, MORE_THAN_ONCE), False, time.perf_counter()
    try:
        subject.field()
    except StoppedError:
        stopped = True
    return {"passes": subject.pixels / PASS, "seconds": time.perf_counter() - start, "stopped": stopped}


def measure_memory(name: str, side: str) -> dict[str, Any]:
    """The peak of one tile, then the estimate."""
    subject = Subject(name)
    tile = torch.rand(1, 3, int(side), int(side), generator=torch.Generator().manual_seed(1))
    subject.model(tile[..., :WARM_UP, :WARM_UP])  # what is loaded and kept at the first run is no part of the answer
    peak, _ = extra_peak(lambda: subject.model(tile))
    upscaler = importlib.import_module("tilework.models.upscaler").Upscaler(subject.model)
    found, passes, _ = subject.cost(lambda: upscaler.fit)
    return {"peak": peak, "estimate": found.needs(int(side), int(side)), "passes": passes}


PARTS = {"measured": measured, "tiled": tiled, "seams": seams, "distance": distance, "blends": blends, "memory": memory}
TASKS = {"again": measure_again, "memory": measure_memory}


def size(text: str) -> tuple[int, int]:
    """420x300 -> (420, 300)."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 2 * BORDER for side in sides):
        raise argparse.ArgumentTypeError(f"{text!r} is no width and height: use for example 420x300")
    return int(sides[0]), int(sides[1])


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=networks.NETWORKS, default=list(networks.NETWORKS), metavar="NAME")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--size", nargs="+", type=size, default=[(420, 300), (423, 301)], help="of the pictures of part tiled")
    parser.add_argument("--photo", default="astronaut", help="of scikit-image, or a file")
    parser.add_argument("--task", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Run the parts that were asked for; the status is 0."""
    options = arguments()
    if not load_host():
        sys.exit("this benchmark needs ComfyUI: set COMFYUI_PATH, or run `python dev.py demo` once")
    with torch.inference_mode():
        if options.task:
            task, *words = options.task
            print(json.dumps(TASKS[task](*words)))
            return 0
        start = time.perf_counter()
        print(f"{datetime.date.today()}, {', '.join(f'{key} {value}' for key, value in machine().items())}", flush=True)
        photo = Photograph(options.photo)
        for width, height in [*options.size, CANVAS[::-1]]:
            photo.crop(height, width)  # whether it is large enough shows now and not in an hour
        subjects = [Subject(name) for name in options.networks]
        for part in options.parts:
            PARTS[part](subjects, photo, options)
        print(f"\n{(time.perf_counter() - start) / 60:.1f} minutes", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(guarded.guarded(main))
