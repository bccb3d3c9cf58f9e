"""The demonstration: a photograph upscaled in tiles on a real ComfyUI, and what became of the seams.

Started by `python dev.py demo` in the virtual environment's Python. Everything it shows
comes from the workflow in example_workflows, run by ComfyUI's own nodes and Tilework's.
"""

from __future__ import annotations

import copy
import io
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy
from PIL import Image

from ..process.guarded import guarded, say
from ..server.comfy import Server
from ..server.loopback import get_json
from ..server.workflow import WorkflowError, convert, fetch, images, run
from ..setup.environment import REPOSITORY, find_host
from .materials import ensure_photograph, ensure_upscaler
from .seam_step import Seam, luminance, most_visible, seam_step, worst_step
from .strip import Panel, draw_strip

WORKFLOW = REPOSITORY / "example_workflows" / "tiled_upscale.json"
OUTPUT = REPOSITORY / "output"
RESULT = "tiled_upscale.png"
STRIP = "seams_at_400_percent.png"

SPLIT, BLEND, UPSCALE, LOAD, SAVE = (
    "TileworkTileSplit",
    "TileworkSeamBlend",
    "ImageUpscaleWithModel",
    "LoadImage",
    "SaveImage",
)
NOTES = [
    "Seam step: the largest jump between neighbouring pixels within 16 px of the seam that the same picture upscaled in one piece lacks,",
    "in levels of 0..255 (luminance of the difference, averaged over 48 px along the seam). Upper row: 400 %, pixels not smoothed.",
]

Prompt = dict[str, Any]


def node(prompt: Prompt, kind: str) -> str:
    """The number of the one node of `kind` in `prompt`."""
    found = [number for number, one in prompt.items() if one["class_type"] == kind]
    if len(found) != 1:
        raise WorkflowError(f"The example workflow has {len(found)} nodes of the type {kind}; the demonstration needs one.")
    return found[0]


def with_values(prompt: Prompt, kind: str, **values: Any) -> Prompt:
    """`prompt` with some inputs of its node of `kind` set."""
    changed = copy.deepcopy(prompt)
    changed[node(prompt, kind)]["inputs"].update(values)
    return changed


def untiled(prompt: Prompt) -> Prompt:
    """`prompt` with the photograph going to the upscaler whole and from there to the file."""
    whole = with_values(prompt, UPSCALE, image=[node(prompt, LOAD), 0])
    whole = with_values(whole, SAVE, images=[node(prompt, UPSCALE), 0])
    return {number: one for number, one in whole.items() if not one["class_type"].startswith("Tilework")}


def versions(prompt: Prompt) -> dict[str, Prompt]:
    """What the demonstration runs: the workflow as it is saved, and what it is compared with."""
    return {
        "Hann": prompt,
        "average": with_values(prompt, BLEND, method="average"),
        "cut": with_values(prompt, BLEND, method="none"),
        # With an overlap, a cut in its middle lies far from what the tiles' borders spoilt: hard tiles have none.
        "hard": with_values(with_values(prompt, SPLIT, overlap=0), BLEND, method="none"),
        "untiled": untiled(prompt),
    }


def planned(prompt: Prompt, size: tuple[int, int]) -> Any:
    """The layout that Tile Split makes in `prompt` for a picture of (height, width)."""
    # The pack's own planner, found because the repository is the working folder.
    from blending import TileLayout

    plan = prompt[node(prompt, SPLIT)]["inputs"]
    return TileLayout.grid(*size, plan["tile_height"], plan["tile_width"], plan["overlap"], plan["multiple_of"])


def boundaries(layout: Any, scale: float) -> list[list[int]]:
    """Where the tiles meet (the middle of each overlap), (y, x), in pixels of the finished picture."""
    return [
        [round(scale * (low + axis.tile + high) / 2) for low, high in zip(axis.origins, axis.origins[1:], strict=False)]
        for axis in layout.axes
    ]


def titles(prompts: dict[str, Prompt], size: tuple[int, int]) -> dict[str, str]:
    """What to call each version: with the overlap that the tiles have, which is more than was asked where they fit so."""
    words = {"hard": "hard tiles", "average": "average", "cut": "cut in the middle", "Hann": "Hann"}
    overlaps = {name: min((axis.overlap or 0) for axis in planned(prompts[name], size).axes) for name in words}
    return {name: f"{word}, overlap {overlaps[name]}" for name, word in words.items()}


def pixels(file: bytes) -> numpy.ndarray:
    """A picture file as uint8 [H, W, 3]."""
    with Image.open(io.BytesIO(file)) as image:
        return numpy.asarray(image.convert("RGB"))


def run_all(url: str, prompts: dict[str, Prompt]) -> dict[str, bytes]:
    """Every version's picture file, saying how long each took."""
    files = {}
    for name, prompt in prompts.items():
        start = time.monotonic()
        entry = run(url, prompt)
        written = images(entry)
        if not written:
            raise WorkflowError(f"The version {name!r} of the workflow wrote no picture.")
        files[name] = fetch(url, written[0])
        say(f"  {name:8} {time.monotonic() - start:5.1f} s")
    return files


def table(rows: list[tuple[str, numpy.ndarray]], seam: Seam, places: list[list[int]]) -> list[str]:
    """The steps of every version, as lines of text."""
    lines = [f"  {'seam step in 8-bit levels':38}{'shown place':>12}{'worst place':>13}"]
    lines += [f"  {title:38}{seam_step(error, seam):12.2f}{worst_step(error, places):13.2f}" for title, error in rows]
    return lines


def write(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def show(prompts: dict[str, Prompt], files: dict[str, bytes], photograph: Path) -> None:
    """Write the result and the strip, and print the table."""
    with Image.open(photograph) as image:
        width, height = image.size
    pictures = {name: pixels(file) for name, file in files.items()}
    scale = pictures["untiled"].shape[0] / height
    places = boundaries(planned(prompts["hard"], (height, width)), scale)
    reference = luminance(pictures["untiled"])
    errors = {name: luminance(picture) - reference for name, picture in pictures.items()}
    seam = most_visible(errors["hard"], reference, places)
    names = titles(prompts, (height, width))
    panels = [Panel(names[name], pictures[name], seam_step(errors[name], seam)) for name in ("hard", "average", "Hann")]
    drawn = io.BytesIO()
    draw_strip(panels, seam, NOTES).save(drawn, "PNG")
    write(OUTPUT / RESULT, files["Hann"])
    write(OUTPUT / STRIP, drawn.getvalue())
    say("\n" + "\n".join(table([(title, errors[name]) for name, title in names.items()], seam, places)))
    say("  This model sees only a few pixels, so its tiles agree in the middle of the overlap and a cut there shows nothing;")
    say("  where tiles differ in tone, a cut shows the whole difference and Hann a gentle slope.")
    say(f"\n  {width} x {height} -> {pictures['Hann'].shape[1]} x {pictures['Hann'].shape[0]}:  {OUTPUT / RESULT}")
    say(f"  before and after at a seam:  {OUTPUT / STRIP}")


def demonstrate() -> None:
    """Start the server, run the workflow and its variants, and show what came of it."""
    start = time.monotonic()
    host = find_host()
    photograph = ensure_photograph(host, say)
    models = {"upscale_models": [ensure_upscaler(host, say)]}
    say("Starting ComfyUI with Tilework in it (about ten seconds).")
    with Server(host, "demo", models=models, inputs=[photograph], report=say) as server:
        say(f"ComfyUI answers after {time.monotonic() - start:.0f} s. Running {WORKFLOW.name} and what it is compared with:")
        prompts = versions(convert(WORKFLOW, get_json(server.url + "/object_info")))
        files = run_all(server.url, prompts)
    show(prompts, files, photograph)
    say(f"\nDone in {time.monotonic() - start:.0f} s; the server is stopped.")


def main() -> int:
    """Demonstrate; the exit status."""
    demonstrate()
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
