"""How often Fidelity Check is right: faithful results and results of six trained networks, clean and with one fault each.

    OMP_NUM_THREADS=1 .host/venv/bin/python benchmarks/fidelity_rates.py [--kinds NAME ...] [--crops N] [--keep FOLDER] [--tried]

24 crops of photographs, 256 x 256, with lettering and a weave on them, enlarged twice (networks that enlarge four times are
brought back to twice). Each result is checked as it is, and with a letter changed, an edge moved by two pixels of the result, a
64 px patch of weave flattened, and an object duplicated; a fault is found where a place that is blamed touches it. Then a
tile of nine gets a tone step of two levels, as Seam Blend's hann leaves it, and the check gets the layout. --tried takes the
photographs that the limits were chosen on. --keep stores what networks made as .npz, so that the next run begins with the
check. The networks are fetched by name once (118 MB, see real_networks.py). Prints Markdown.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any, NamedTuple

import torch
from loading import blending, load_pack, note

load_pack()
networks = importlib.import_module("tilework.benchmarks.real_networks")
scenes = importlib.import_module("tilework.tests.unit.fidelity.fidelity_scenes")

KINDS = (*scenes.FAITHFUL, "waifu2x-cunet-2x", *(name for name in networks.NETWORKS if name != "waifu2x-cunet-2x"))
HAVE_TO = (*scenes.FAITHFUL, "waifu2x-cunet-2x")  # kinds that rates are promised of
MOST_BLAMED, LEAST_FOUND = 0.02, 0.95
TILE, OVERLAP, LEVELS = 104, 24, 2
STEPPED = (0, 4, 5)  # a tile at a corner, in the middle, at a side


class Made(NamedTuple):
    """What one process made of a crop and of the crop with another letter, each [1, 512, 512, 3]."""

    result: torch.Tensor
    altered: torch.Tensor


def made(kind: str, crop: tuple[str, int, int], scene: Any, model: Any, keep: Path | None) -> Made:
    """Run the process, or read what it made before."""
    import numpy

    if model is None:
        return Made(*(scenes.enlarged(source, kind, 1) for source in (scene.source, scene.altered)))
    file = keep and keep / f"{kind}--{crop[0]}-{crop[1]}-{crop[2]}.npz"
    if file and file.is_file():
        stored = numpy.load(file)
        return Made(*(torch.from_numpy(stored[key]).float() for key in ("r", "a")))
    note(f"{kind}: {crop}")
    whole = [_run(model, source) for source in (scene.source, scene.altered)]
    if file:
        numpy.savez(file, **{key: one.numpy().astype("f2") for key, one in zip("ra", whole, strict=True)})
    return Made(*whole)


def _run(model: Any, source: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        out = model(source.movedim(-1, 1).contiguous()).clamp(0, 1)
        out = torch.nn.functional.avg_pool2d(out, 2) if model.scale == 4 else out
        return out.movedim(1, -1).contiguous()


def touches(place: Any, box: Any) -> bool:
    """Whether a place that was blamed and a fault have a pixel in common."""
    y, x, height, width = place.box
    return not scenes.Box(y, x, height, width).apart(box, 0)


def stepped(result: torch.Tensor, layout: Any, tile: int, sign: int) -> torch.Tensor:
    """The result with one tile lighter or darker by LEVELS, as Seam Blend blends it."""
    scale = scenes.SCALE
    alone = [torch.full((1, one.height * scale, one.width * scale, 1), float(i == tile)) for i, one in enumerate(layout.tiles)]
    return result + sign * LEVELS / 255 * blending().compose(alone, layout, "hann")


def rates(kind: str, crops: list[tuple[str, int, int]], keep: Path | None) -> dict[str, Any]:
    """(right, of) for clean results, every fault and the tone step, and the profile of the first crop."""
    check = blending("fidelity.check").check_fidelity
    layout = blending().TileLayout.grid(scenes.SIDE, scenes.SIDE, TILE, TILE, OVERLAP)
    counts: dict[str, list[int]] = {
        name: [0, 0] for name in ("blamed", *scenes.FAULTS, "elsewhere", "step", "step elsewhere", "blamed, layout")
    }
    model = None if kind in scenes.FAITHFUL else _model(kind)
    profiles = []

    def count(name: str, hit: bool) -> None:
        counts[name][0] += hit
        counts[name][1] += 1

    for crop in crops:
        scene = scenes.scene(*crop)
        both = made(kind, crop, scene, model, keep)
        clean = check(both.result, scene.source)
        profiles.append(clean.profiles[0])
        count("blamed", not clean.passed)
        for place in clean.failing:
            note(f"{kind} {crop} clean: {place.sentence()}")
        for fault in scenes.FAULTS:
            faulty, box = scenes.faulty(*both, scene, fault)
            report = check(faulty, scene.source)
            hit = any(touches(place, box) for place in report.failing)
            count(fault, hit)
            count("elsewhere", any(not touches(place, box) for place in report.failing))
            if not hit:
                note(f"{kind} {crop} {fault}: not found")
        tiled = check(both.result, scene.source, layout)
        count("blamed, layout", any(row.by_step > 1 for row in tiled.tiles))
        for tile in STEPPED:
            sign = 1 if (tile + crop[1] + crop[2]) % 2 else -1
            report = check(stepped(both.result, layout, tile, sign), scene.source, layout)
            named = {int(place.what.split()[1]) for place in report.failing if place.measure == "tone of a tile"}
            count("step", tile in named)
            count("step elsewhere", bool(named - {tile}))
            if tile not in named:
                note(f"{kind} {crop} step of tile {tile}: not found")
    return {"counts": counts, "profiles": profiles}


def _model(kind: str) -> Any:
    import spandrel

    return spandrel.ModelLoader(device="cpu").load_from_file(str(networks.trained_network(kind, note))).eval()


def _share(pair: list[int]) -> str:
    return f"{pair[0]} of {pair[1]}" if pair[1] else "-"


def main() -> None:
    """Every kind of result, one row each, then the profile of its first crop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="NAME")
    parser.add_argument("--crops", type=int, default=24, help="of each kind (default %(default)s)")
    parser.add_argument("--keep", type=Path, help="folder for what networks made")
    parser.add_argument("--kept-only", action="store_true", help="only crops whose result is in --keep already")
    parser.add_argument("--tried", action="store_true", help="the photographs that the limits were chosen on")
    asked = parser.parse_args()
    if asked.keep:
        asked.keep.mkdir(parents=True, exist_ok=True)
    heads = (
        "result",
        "clean, blamed",
        *scenes.FAULTS,
        "blamed elsewhere",
        "clean, tone of a tile blamed",
        "tone step found",
        "another tile blamed",
    )
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads), flush=True)
    words, sums = [], {}
    for kind in asked.kinds:
        crops = (scenes.TRIED if asked.tried else scenes.REPORTED)[: asked.crops]
        if asked.kept_only and kind not in scenes.FAITHFUL:
            crops = [crop for crop in crops if (asked.keep / f"{kind}--{crop[0]}-{crop[1]}-{crop[2]}.npz").is_file()]
        found = rates(kind, crops, asked.keep)
        counts = found["counts"]
        row = [counts[name] for name in ("blamed", *scenes.FAULTS, "elsewhere", "blamed, layout", "step", "step elsewhere")]
        print(f"| {kind} | " + " | ".join(map(_share, row)) + " |", flush=True)
        words += [f"- {kind}, {crops[0][0]}: {found['profiles'][0].words()}"] if crops else []
        sums[kind] = counts
    print("\n" + "\n".join(words) + "\n")
    _promises(sums)


def _promises(sums: dict[str, dict[str, list[int]]]) -> None:
    """Each promised rate, and whether it is kept."""

    def told(name: str, kinds: list[str], most: float | None = None, least: float | None = None) -> None:
        right, of = (sum(sums[kind][name][k] for kind in kinds) for k in (0, 1))
        if of:
            kept = right / of <= most if most is not None else right / of >= least
            limit = f"at most {most:.0%}" if most is not None else f"at least {least:.0%}"
            print(f"- {name}: {right} of {of}, {right / of:.1%}, {limit}: {'met' if kept else 'NOT met'}")

    promised = [kind for kind in HAVE_TO if kind in sums]
    told("blamed", promised, most=MOST_BLAMED)
    for fault in scenes.FAULTS:
        told(fault, promised, least=LEAST_FOUND)
    told("step", list(sums), least=LEAST_FOUND)


if __name__ == "__main__":
    main()
