"""The pictures of Keep Composition, Record Run and Latent Frequency Mix: runs of a small model that knows one scene.

The model and its runs are those of the test bed, in ComfyUI's own process.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch

from ..setup.environment import REPOSITORY, find_host
from .sheet import apart, write

SEED, COUNT, PICTURE = 5, 4, 0
LARGER = 3
EDGE = 320  # pixels of the part of the photograph that is mixed


@functools.cache
def bed() -> ModuleType:
    """The test bed, with ComfyUI set up around it."""
    said, sys.argv = sys.argv, ["comfy", "--cpu", "--use-pytorch-cross-attention"]
    sys.path.insert(0, str(find_host().comfy))
    try:
        import comfy.options

        comfy.options.enable_args_parsing()
        import comfy.samplers
    finally:
        sys.argv = said
    for name, folder in (("tilework", REPOSITORY), ("tilework_test", REPOSITORY / "tests" / "pack")):
        spec = importlib.util.spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return importlib.import_module("tilework_test.coherence.bed")


@functools.cache
def runs() -> dict[str, torch.Tensor]:
    """A small picture, six predictions of its run, and large ones in tiles: plain, and kept to the small one; [n, h, w, 3] each."""
    made = bed()
    model = importlib.import_module("tilework_test.coherence.models").scene_model("dit")
    guide, recording, trajectory, ranges = (
        importlib.import_module(f"tilework.{name}")
        for name in ("sampling.canvas_guide", "sampling.recording", "blending.coherence.trajectory", "sampling.sampling_range")
    )
    small, large = (made.Job(scale=scale, count=1, seed=SEED, steps=8) for scale in (1, LARGER))
    way = trajectory.Trajectory()
    first = made.sample(recording.recorded(model, way), small)
    kept = guide.guided(model, guide.Guide("structure", first, 256, ranges.SamplingRange(0.0, 0.8), cutoff=1 / LARGER))
    levels = [way.levels[at] for at in (-1, -2, -3, -4, -6, 0)]
    found = {
        "small": first,
        "predictions": torch.cat([way.at(level) for level in levels]),
        "plain": made.sample(made.in_tiles(model, large), large),
        "kept": made.sample(made.in_tiles(kept, large), large),
    }
    rgb = importlib.import_module("tilework_test.coherence.scenes").rgb
    return {name: rgb(latents).movedim(1, -1) for name, latents in found.items()}


def composition(photo: torch.Tensor, folder: Path) -> None:
    """Keep Composition, Record Run, Latent Frequency Mix."""
    from blending.frequency.mix import mix

    found = runs()
    panels = [("the small picture", "small"), ("3 times larger, plain tiles", "plain"), ("with Keep Composition", "kept")]
    write(folder, "TileworkCanvasGuide", [(title, found[name][0]) for title, name in panels])
    steps = [one.repeat_interleave(5, 0).repeat_interleave(5, 1)[None] for one in found["predictions"]]
    write(folder, "TileworkRecordRun", [("what is predicted, from the first step on", apart(steps, 2, 6))])
    detail = photo[:, :EDGE, 90 : 90 + EDGE].movedim(-1, 1)
    y, x = torch.meshgrid(torch.linspace(-1, 1, EDGE), torch.linspace(-1, 1, EDGE), indexing="ij")
    light = 0.55 + 0.35 * torch.stack([x, 0.3 * x - 0.2 * y, -x])[None]
    mixed = mix(detail, light, "resize", 32)
    names = ("detail", "structure", "the coarse of one, the fine of the other")
    write(folder, "TileworkLatentMix", [(title, one[0].movedim(0, -1)) for title, one in zip(names, (detail, light, mixed), strict=True)])
