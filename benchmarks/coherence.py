"""Whether a large picture is one picture: suns and houses counted in what each method makes, its sharpness, its time.

    OMP_NUM_THREADS=1 .host/venv/bin/python benchmarks/coherence.py [--kinds dit unet] [--scales 2 3] [--methods NAME ...]

Two small models that were trained on drawn scenes with one sun and one house (tests/pack/coherence) make pictures of two and
three times the size they know, through the pack's own nodes: 10 steps of dpmpp_2m, tiles of the native 32 cells with an
overlap of 8, hann. What is enlarged is a drawn scene. Every row: share of pictures with one sun and with one house, suns and
houses per picture, horizons too many, drift of the sky, texture of the ground as a share of a native scene's, and the
processor's time over that of plain tiles. A contact sheet per row lies in output/coherence afterwards.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from loading import PACK, load_host, load_pack, note, run_node

SHEETS = PACK / "output" / "coherence"
COLUMNS = ("method", "one sun", "one house", "suns", "houses", "horizons too many", "drift", "sharpness", "time over plain")
NATIVE = 256  # image pixels of the small models' side


def test_pack(module: str) -> Any:
    """A module of the coherence test bed."""
    if "tilework_test" not in sys.modules:
        folder = PACK / "tests" / "pack"
        spec = importlib.util.spec_from_file_location("tilework_test", folder / "__init__.py", submodule_search_locations=[str(folder)])
        sys.modules["tilework_test"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["tilework_test"])
    return importlib.import_module(f"tilework_test.coherence.{module}")


@cache
def _nodes() -> dict[str, Any]:
    import asyncio

    entry = importlib.import_module("tilework.nodes").Tilework()
    return {node.define_schema().node_id: node for node in asyncio.run(entry.get_node_list())}


def apply(name: str, **values: Any) -> tuple[Any, ...]:
    """The outputs of one of the pack's nodes."""
    return run_node(_nodes()[name], **values)


class Subject(NamedTuple):
    """A model, and what it is to make."""

    model: Any
    job: Any

    def patched(self, name: str, **values: Any) -> Subject:
        """With one of the pack's patches on the model."""
        return self._replace(model=apply(name, model=self.model, **values)[0])

    def guided(self, method: str = "structure", **values: Any) -> Subject:
        """With Canvas Guide and the small picture."""
        return self.patched("TileworkCanvasGuide", method=method, reference={"samples": self.job.small()}, **values)

    def tiles(self) -> Subject:
        """In tiles, outside or inside of the other patches as they need it."""
        sizes = {"tile_width": NATIVE, "tile_height": NATIVE, "overlap": self.job.overlap * 8, "tile_batch": 1}
        return self.patched("TileworkTiledModel", **sizes)

    def made(self, start: torch.Tensor | None = None, denoise: float = 1.0) -> torch.Tensor:
        """Sampled."""
        from dataclasses import replace

        return test_pack("bed").sample(self.model, replace(self.job, denoise=denoise), start)


def native(subject: Subject) -> torch.Tensor:
    """Pictures of the size that the model knows, from text."""
    from dataclasses import replace

    return test_pack("bed").sample(subject.model, replace(subject.job, scale=1))


def bicubic(subject: Subject) -> torch.Tensor:
    """The small picture enlarged, and nothing else: always one picture, and soft."""
    return subject.job.enlarged()


def image_to_image(subject: Subject, denoise: float = 0.55) -> torch.Tensor:
    """The artists' recipe: enlarge, and repaint in tiles at a lower denoise."""
    return subject.tiles().made(subject.job.enlarged(), denoise)


def flow(subject: Subject, structure: bool = False) -> torch.Tensor:
    """HiFlow along the recorded run of the small picture."""
    from dataclasses import replace

    small = replace(subject.job, scale=1)
    recorded, trajectory = apply("TileworkRecordRun", model=subject.model)
    samples = test_pack("bed").sample(recorded, small)
    guided = subject.patched("TileworkCanvasGuide", method="flow", reference={"samples": samples}, trajectory=trajectory)
    return (guided.guided() if structure else guided).tiles().made()


def pyramid(subject: Subject, structure: bool = False) -> torch.Tensor:
    """From text alone: the canvas made small is asked about at every step."""
    subject = subject.patched("TileworkCanvasGuide", method="pyramid", cutoff=1 / subject.job.scale, start=0.0, end=1.0)
    return (subject.guided() if structure else subject).tiles().made()


VIEWS = {"native_width": NATIVE, "native_height": NATIVE}


def attention(subject: Subject, method: str, structure: bool = False, tiles: bool = False) -> torch.Tensor:
    """Tiled Attention on the whole canvas, or beside tiles."""
    subject = subject.patched("TileworkTiledAttention", method=method, **VIEWS)
    subject = subject.guided() if structure else subject
    return (subject.tiles() if tiles else subject).made()


def patch(subject: Subject, name: str, structure: bool = False, **values: Any) -> torch.Tensor:
    """Plain tiles with one patch more."""
    subject = subject.patched(name, **values)
    return (subject.guided() if structure else subject).tiles().made()


def noise_and_back(subject: Subject, bands: bool = True, follow: bool = True) -> torch.Tensor:
    """HiWave: the enlarged picture inverted, and sampled again from its noise; with guidance by bands, and along the way it took."""
    bed, models = test_pack("bed"), test_pack("models")
    job, enlarged = subject.job, {"samples": subject.job.enlarged()}
    tiled = subject.tiles().model
    _, noise, way = apply(
        "TileworkInvert",
        model=tiled,
        positive=models.scene_prompt(*job.prompt),
        latent=enlarged,
        steps=job.steps,
        scheduler=bed.SCHEDULERS[job.kind],
    )
    if follow:
        subject = subject.patched("TileworkCanvasGuide", method="skip residual", reference=enlarged, trajectory=way)
    if bands:
        subject = subject.patched("TileworkBandGuidance")
    return bed.sample(subject.tiles().model, job, noise=noise.generate_noise({"samples": job.empty()}))


def held(subject: Subject, **values: Any) -> torch.Tensor:
    """Plain tiles whose bands are held to the enlarged picture."""
    return patch(subject, "TileworkFrequencyGuidance", reference={"samples": subject.job.enlarged()}, **values)


def edited(subject: Subject, **values: Any) -> torch.Tensor:
    """Plain tiles that keep to the enlarged picture by its keys and values."""
    return patch(subject, "TileworkWaveletEdit", source={"samples": subject.job.enlarged()}, **values)


METHODS: dict[str, Callable[[Subject], torch.Tensor]] = {
    "plain tiles": lambda subject: subject.tiles().made(),
    "untiled": lambda subject: subject.made(),
    "bicubic": bicubic,
    "image to image 0.55": image_to_image,
    "structure": lambda subject: subject.guided().tiles().made(),
    "structure, haar": lambda subject: subject.guided(filter="haar").tiles().made(),
    "structure, butterworth": lambda subject: subject.guided(filter="butterworth").tiles().made(),
    "skip residual": lambda subject: subject.guided("skip residual").tiles().made(),
    "skip residual, structure": lambda subject: subject.guided("skip residual").guided().tiles().made(),
    "dilated views": partial(patch, name="TileworkDilatedViews", **VIEWS),
    "dilated views, structure": partial(patch, name="TileworkDilatedViews", structure=True, **VIEWS),
    "dilated views, interaction": partial(patch, name="TileworkDilatedViews", interaction=True, **VIEWS),
    "dilated views, interaction, structure": partial(patch, name="TileworkDilatedViews", interaction=True, structure=True, **VIEWS),
    "skip residual, dilated views": lambda subject: subject.guided("skip residual").patched("TileworkDilatedViews", **VIEWS).tiles().made(),
    "skip residual, dilated views, interaction": lambda subject: (
        subject.guided("skip residual").patched("TileworkDilatedViews", interaction=True, **VIEWS).tiles().made()
    ),
    "flow": flow,
    "flow, structure": partial(flow, structure=True),
    "pyramid": pyramid,
    "pyramid, structure": partial(pyramid, structure=True),
    "neighbourhood": partial(attention, method="neighbourhood"),
    "neighbourhood, structure": partial(attention, method="neighbourhood", structure=True),
    "scale fusion": partial(attention, method="scale fusion"),
    "scale fusion, structure": partial(attention, method="scale fusion", structure=True),
    "global tokens": partial(attention, method="global tokens", tiles=True),
    "global tokens, structure": partial(attention, method="global tokens", tiles=True, structure=True),
    "sync": partial(patch, name="TileworkSyncTiles"),
    "sync, structure": partial(patch, name="TileworkSyncTiles", structure=True),
    **{
        f"context {method}{', structure' if structure else ''}": partial(
            patch, name="TileworkTileContext", method=method, structure=structure
        )
        for method in ("footprint", "running", "scan")
        for structure in (False, True)
    },
    "patch shift": partial(patch, name="TileworkPatchShift"),
    "patch shift, structure": partial(patch, name="TileworkPatchShift", structure=True),
    "guidance by bands": partial(patch, name="TileworkBandGuidance"),
    "guidance by bands, structure": partial(patch, name="TileworkBandGuidance", structure=True),
    "picture to noise": partial(noise_and_back, bands=False, follow=False),
    "picture to noise, skip residual": partial(noise_and_back, bands=False),
    "picture to noise, skip residual, guidance by bands": noise_and_back,
    "hold bands": held,
    "hold bands, high 0": partial(held, high=0.0),
    "wavelet edit": edited,
    "wavelet edit, all blocks": partial(edited, blocks="all"),
}


def row(name: str, subject: Subject, texture: float, plain: float) -> float:
    """Make the pictures of a method, print its row and save its sheet; the processor's seconds it took."""
    bed, figures, scenes = (test_pack(module) for module in ("bed", "figures", "scenes"))
    latents, seconds = bed.timed(lambda: METHODS[name](subject))
    found = figures.mean_figures(latents, subject.job.scale)
    print(bed.told(name, found, texture, seconds, plain or seconds), flush=True)
    scenes.save_sheet(scenes.rgb(latents[:12]), SHEETS / f"{subject.job.kind} {subject.job.scale}x {name}.png", 6, 6 // subject.job.scale)
    return seconds


def table(kind: str, scale: int, names: list[str], count: int, seed: int) -> None:
    """Of one model and size; plain tiles come first, for their time."""
    bed, figures, models = (test_pack(module) for module in ("bed", "figures", "models"))
    subject = Subject(models.scene_model(kind), bed.Job(kind=kind, scale=scale, count=count, seed=seed))
    print(f"\n#### {kind}, {scale} times its size, {count} scenes\n")
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    texture = bed.native_texture()
    small = figures.mean_figures(native(subject), 1)
    print(bed.told("its own pictures, native size", small, texture, 1.0, float("nan")), flush=True)
    plain = row("plain tiles", subject, texture, 0.0)
    for name in names:
        if name != "plain tiles":
            row(name, subject, texture, plain)


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=["dit", "unet"], choices=["dit", "unet"])
    parser.add_argument("--scales", nargs="+", type=int, default=[2, 3])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="NAME")
    parser.add_argument("--count", type=int, default=16, help="scenes of each row")
    parser.add_argument("--seed", type=int, default=1, help="1 are the scenes that are reported, 0 those that numbers were chosen on")
    options = parser.parse_args()
    if not load_host():
        raise SystemExit("a ComfyUI is needed: python dev.py setup, or COMFYUI_PATH")
    load_pack()
    torch.set_num_threads(1)
    SHEETS.mkdir(parents=True, exist_ok=True)
    for kind in options.kinds:
        for scale in options.scales:
            note(f"{kind}, {scale} times")
            table(kind, scale, options.methods, options.count, options.seed)


if __name__ == "__main__":
    main()
