"""Every node that works on a model's sampling, with a tiny random model of every family: what runs, what does nothing, what is refused.

    .host/venv/bin/python tests/sampling/compatibility_runs.py COMFYUI_FOLDER [FAMILY ...] [--write]

Prints the cells as JSON; `--write` makes docs/compatibility.md of them. A cell says *works* where the run ended with the right
shape and finite values, was changed by the node, and where strength 0 (or an empty range) gave the plain run back bit for
bit; the laws of each method hold in tests/sampling on small models.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "compatibility.md"
COMFY, *ARGUMENTS = sys.argv[1:]
sys.path.insert(0, COMFY)
sys.argv = [sys.argv[0], "--cpu", "--use-pytorch-cross-attention"]
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
import torch  # noqa: E402

torch.set_num_threads(1)
logging.getLogger().setLevel(logging.INFO)
WORKS, NOTHING = "works", "no effect"
# Image pixels: of the canvas, of a tile, and of what stands for the model's own size.
WIDTH, HEIGHT, TILE, OVERLAP, NATIVE = 192, 128, 128, 64, (96, 64)


def _pack(name: str, path: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, path / "__init__.py", submodule_search_locations=[str(path)])
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


_pack("tilework", ROOT)
_pack("tilework_test", ROOT / "tests" / "pack")
families = importlib.import_module("tilework_test.families")
NODES = {node.define_schema().node_id: node for node in asyncio.run(importlib.import_module("tilework.nodes").Tilework().get_node_list())}


def node(name: str, **values: Any) -> Any:
    """The first output of one of the pack's nodes, with its defaults where nothing is given."""
    cls = NODES[name]
    defaults = {one.id: one.default for one in cls.define_schema().inputs if getattr(one, "default", None) is not None}
    return cls.PREPARE_CLASS_CLONE(None).execute(**{**defaults, **values}).result[0]


class Case(NamedTuple):
    """A family's model and what it samples.

    Attributes:
        family: its name.
        model: a MODEL.
        latent: of the canvas.
    """

    family: str
    model: Any
    latent: torch.Tensor

    def reference(self) -> dict[str, torch.Tensor]:
        """A small picture of half the canvas' sides."""
        shape = (*self.latent.shape[:-2], *(side // 2 for side in self.latent.shape[-2:]))
        return {"samples": torch.randn(shape, generator=torch.Generator().manual_seed(5))}

    def sample(self, model: Any, latent: torch.Tensor | None = None, sampler: Any = None, positive: list | None = None) -> torch.Tensor:
        """Two steps: from pure noise, or from a latent that is noised half-way."""
        samplers, sampling = (importlib.import_module(f"comfy.{name}") for name in ("samplers", "sample"))
        sigmas = samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", 2 if latent is None else 4)[-3:]
        start = self.latent if latent is None else latent
        noise = torch.randn(start.shape, generator=torch.Generator().manual_seed(3))
        prompts = (families.prompt_of(self.family, seed) for seed in (1, 2))
        wanted, unwanted = prompts
        with torch.inference_mode():
            return sampling.sample_custom(
                model, noise, 2.0, sampler or samplers.sampler_object("euler"), sigmas, positive or wanted, unwanted, start.clone(),
                disable_pbar=True, seed=3,
            ).clone()  # fmt: skip


def in_tiles(model: Any) -> Any:
    """Tiled Sampling."""
    return node("TileworkTiledModel", model=model, tile_width=TILE, tile_height=TILE, overlap=OVERLAP, tile_batch=1)


# (case, whether the node is on) -> what is sampled.
Run = Callable[[Case, bool], torch.Tensor]


def patch(name: str, off: dict[str, Any], tiles: bool = True, reference: bool = False, **values: Any) -> Run:
    """A patch of the model; `off` are the inputs that make it do nothing."""

    def run(case: Case, on: bool) -> torch.Tensor:
        more = {"reference": case.reference()} if reference else {}
        model = node(name, model=case.model, **{**values, **more, **({} if on else off)})
        return case.sample(in_tiles(model) if tiles else model)

    return run


def flow(case: Case, on: bool) -> torch.Tensor:
    """Keep Composition along a recorded run."""
    recorded, trajectory = NODES["TileworkRecordRun"].execute(model=case.model).result
    small = case.sample(recorded, torch.zeros_like(case.reference()["samples"]))
    values = {"method": "flow", "reference": {"samples": small}, "trajectory": trajectory, "strength": float(on)}
    return case.sample(in_tiles(node("TileworkCanvasGuide", model=case.model, **values)))


def tiled(case: Case, on: bool) -> torch.Tensor:
    """Tiled Sampling itself: one tile over all is the run without it."""
    if on:
        return case.sample(in_tiles(case.model))
    return case.sample(node("TileworkTiledModel", model=case.model, tile_width=4096, tile_height=4096, overlap=OVERLAP))


def positions(case: Case, on: bool) -> torch.Tensor:
    """Tiles that are told where they lie."""
    where = {"tile_width": TILE, "tile_height": TILE, "overlap": OVERLAP, "tile_batch": 1, "positions": "canvas" if on else "local"}
    return case.sample(node("TileworkTiledModel", model=case.model, **where))


def prompts(case: Case, on: bool) -> torch.Tensor:
    """Another prompt for each tile."""
    layout = NODES["TileworkTileSplit"].PREPARE_CLASS_CLONE(None).execute(
        image=torch.zeros(1, HEIGHT, WIDTH, 3), tile_width=TILE, tile_height=TILE, overlap=OVERLAP, multiple_of=16
    ).result[1]  # fmt: skip
    base = families.prompt_of(case.family, 1)
    each = [families.prompt_of(case.family, 10 + index) if on else base for index in range(len(layout))]
    told = NODES["TileworkTilePrompts"].PREPARE_CLASS_CLONE(None).execute(
        layout=[layout], conditioning=[base], tile_conditioning=each, strength=[1.0]
    ).result[0]  # fmt: skip
    return case.sample(node("TileworkTiledModel", model=case.model, layout=layout, tile_batch=1), positive=told)


def latents(name: str, **values: Any) -> Run:
    """A node that changes the latent a run starts from."""

    def run(case: Case, on: bool) -> torch.Tensor:
        start = torch.randn(case.latent.shape, generator=torch.Generator().manual_seed(7))
        given = {key: case.reference() if value == "reference" else {"samples": start} for key, value in values.items()}
        return case.sample(in_tiles(case.model), node(name, **given)["samples"] if on else start)

    return run


def sigmas(case: Case, on: bool) -> torch.Tensor:
    """Shift Sigmas for Size: the levels are looked at, a sampler takes any."""
    samplers = importlib.import_module("comfy.samplers")
    plain = samplers.calculate_sigmas(case.model.get_model_object("model_sampling"), "simple", 4)
    return node("TileworkShiftSigmas", sigmas=plain, model=case.model, scale=2.0 if on else 1.0)


def few_steps(case: Case, on: bool) -> torch.Tensor:
    """Few-Step Refine as the sampler of a tiled run."""
    start = torch.randn(case.latent.shape, generator=torch.Generator().manual_seed(7))
    return case.sample(in_tiles(case.model), start, node("TileworkFewStepRefine") if on else None)


VIEWS = {"native_width": NATIVE[0], "native_height": NATIVE[1]}
OFF, NO_RANGE = {"strength": 0.0}, {"start": 0.0, "end": 0.0}
RUNS: dict[str, Run] = {
    "Tiled Sampling, Latent Tile Denoise": tiled,
    "positions = canvas": positions,
    "Tile Prompts": prompts,
    "Keep Composition: structure": patch("TileworkCanvasGuide", OFF, reference=True, method="structure"),
    "Keep Composition: skip residual": patch("TileworkCanvasGuide", OFF, reference=True, method="skip residual"),
    "Keep Composition: flow, with Record Run": flow,
    "Keep Composition: pyramid": patch("TileworkCanvasGuide", OFF, method="pyramid", cutoff=0.5),
    "Whole-Canvas Views": patch("TileworkDilatedViews", OFF, **VIEWS),
    "Tiled Attention: neighbourhood": patch("TileworkTiledAttention", OFF, tiles=False, method="neighbourhood", **VIEWS),
    "Tiled Attention: scale fusion": patch("TileworkTiledAttention", OFF, tiles=False, method="scale fusion", **VIEWS),
    "Tiled Attention: global tokens": patch("TileworkTiledAttention", OFF, method="global tokens", **VIEWS),
    "Unify Tile Style": patch("TileworkSyncTiles", OFF, end=1.0),
    "Neighbour Context": patch("TileworkTileContext", OFF, strength=0.5, end=1.0),
    "Hide Patch Grid": patch("TileworkPatchShift", {"end": 0.0}),
    "Hold Bands to Reference": patch("TileworkFrequencyGuidance", {"low": 0.0, "high": 0.0}, reference=True, operator="averaged"),
    "Guidance by Bands": patch("TileworkBandGuidance", NO_RANGE),
    "Latent Frequency Mix": latents("TileworkLatentMix", detail="start", structure="reference"),
    "Match Latent Statistics": latents("TileworkMatchLatents", samples="start", reference="reference"),
    "Shift Sigmas for Size": sigmas,
    "Few-Step Refine": few_steps,
}
# Here the node that is switched off is another run altogether, and says nothing of whether it does anything.
OTHER_RUNS = {"Few-Step Refine", "Tiled Sampling, Latent Tile Denoise"}


class Said(logging.Handler):
    """What the log says."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def cell(case: Case, name: str) -> str:
    """One word, and the reason where it is not *works*."""
    run, said = RUNS[name], Said()
    logging.getLogger().addHandler(said)
    try:
        made = run(case, True)
    except ValueError as error:
        return f"refused: {error}"
    except Exception as error:
        return f"broken: {type(error).__name__}: {error}"
    finally:
        logging.getLogger().removeHandler(said)
    wanted = (5,) if name == "Shift Sigmas for Size" else tuple(case.latent.shape)
    assert tuple(made.shape) == wanted, f"{name}, {case.family}: shape {tuple(made.shape)}"
    assert bool(made.isfinite().all()), f"{name}, {case.family}: NaN or Inf"
    off = run(case, False)
    if name in OTHER_RUNS:
        return WORKS
    if not torch.equal(made, off):
        plain = case.sample(in_tiles(case.model)) if name.startswith(("Keep", "Whole", "Unify", "Neighbour", "Hide", "Guidance")) else off
        assert torch.equal(off, plain), f"{name}, {case.family}: switched off it is not the plain run"
        return WORKS
    reasons = [line.removeprefix("Tilework: ") for line in said.lines if line.startswith("Tilework")]
    return f"{NOTHING}: {reasons[0] if reasons else ''}"


def column(family: str) -> dict[str, str]:
    """All cells of a family."""
    case = Case(family, families.tiny_of(family), families.latent_of(family, HEIGHT, WIDTH))
    return {name: cell(case, name) for name in RUNS}


def table(cells: dict[str, dict[str, str]]) -> str:
    """docs/compatibility.md."""
    names = [*cells, *families.NOT_IN_COMFYUI]
    lines = [
        "# Which node works with which model",
        "",
        "Made by `tests/sampling/compatibility_runs.py`: every cell is a run of two steps with a tiny random model in ComfyUI's own",
        "class. *works*: it ended with the right shape and finite values, the node changed the picture, and switched off it changed",
        "nothing, bit for bit. Nodes that are not in the table (Tile Split, Seam Blend, Seam Check and all that work on pictures)",
        "never see the model, and work with any.",
        "",
        f"| node | {' | '.join(names)} |",
        f"|---{'|---' * len(names)}|",
    ]
    notes: list[str] = []
    for run in RUNS:
        row = []
        for family in cells:
            word, _, reason = cells[family][run].partition(": ")
            if reason and reason not in notes:
                notes.append(reason)
            row.append(word + (f" ({notes.index(reason) + 1})" if reason else ""))
        row += ["not possible (S)"] * len(families.NOT_IN_COMFYUI)
        lines.append(f"| {run} | {' | '.join(row)} |")
    lines += ["", *(f"{index}. {reason}" for index, reason in enumerate(notes, 1)), ""]
    lines += [
        "S. ComfyUI has no class for SANA: its packs bring samplers of their own, which no patch of a MODEL reaches. Its pictures can be",
        "cut and blended with Tile Split and Seam Blend as any others. (Its transformer has no positions at all, so that its tiles know",
        "nothing of where they lie.)",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the families that are named, or all."""
    chosen = [name for name in ARGUMENTS if not name.startswith("--")] or list(families.FAMILIES)
    cells = {family: column(family) for family in chosen}
    print("RESULT" + json.dumps(cells), flush=True)
    if "--write" in ARGUMENTS:
        TABLE.write_text(table(cells), "utf-8")


if __name__ == "__main__":
    main()
