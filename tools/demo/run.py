"""The demonstration: a photograph upscaled in tiles on a real ComfyUI, and what became of the seams.

`python dev.py demo` starts it in the virtual environment's Python. All it shows comes from the workflow in example_workflows.
"""

from __future__ import annotations

import io
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torchvision.transforms.functional import to_tensor

from ..process.guarded import guarded, say
from ..server.comfy import Server
from ..server.loopback import get_json
from ..server.workflow import WorkflowError, convert, fetch, images, run
from ..setup.environment import REPOSITORY, find_host
from .materials import ensure_photograph, ensure_upscaler

WORKFLOW = REPOSITORY / "example_workflows" / "03 Any nodes, tile by tile.json"
OUTPUT = REPOSITORY / "output"
RESULT = "tiled_upscale.png"
STRIP = "seams_at_400_percent.png"

SPLIT, BLEND = "TileworkTileSplit", "TileworkSeamBlend"
TITLES = {"hard": "hard tiles", "average": "average", "cut": "cut in the middle", "Hann": "Hann"}
SHOWN = ("hard", "average", "Hann")
GAIN = 8
# Where a seam shows: pixels that are looked at together (odd), the texture that hides half of it, and what is not looked at.
NEAR, EVEN, BORDER = 49, 2 / 255, 80
NOTES = (
    "Above: the place where hard tiles show most, at 400 %, and the same place of the others. The marks point at the line between tiles.",
    f"Below: the same, as the difference from the picture upscaled in one piece, x {GAIN}: even grey is none.",
)
GAP, HEAD, LINE = 14, 44, 30
PAPER, INK, PALE = (250, 250, 250), (20, 20, 20), (95, 95, 95)

Prompt = dict[str, Any]


def node(prompt: Prompt, kind: str) -> str:
    """The number of the one node of `kind` in `prompt`."""
    found = [number for number, one in prompt.items() if one["class_type"] == kind]
    if len(found) != 1:
        raise WorkflowError(f"The example workflow has {len(found)} nodes of the type {kind}; the demonstration needs one.")
    return found[0]


def with_values(prompt: Prompt, kind: str, **values: Any) -> Prompt:
    """`prompt` with some inputs of its node of `kind` set."""
    number = node(prompt, kind)
    return {**prompt, number: {**prompt[number], "inputs": {**prompt[number]["inputs"], **values}}}


def versions(prompt: Prompt) -> dict[str, Prompt]:
    """What the demonstration runs: the workflow as it is saved, and what it is compared with."""
    # The photograph goes to the upscaler whole and from there to the file.
    whole = with_values(prompt, "ImageUpscaleWithModel", image=[node(prompt, "LoadImage"), 0])
    whole = with_values(whole, "SaveImage", images=[node(prompt, "ImageUpscaleWithModel"), 0])
    return {
        "Hann": prompt,
        "average": with_values(prompt, BLEND, method="average"),
        "cut": with_values(prompt, BLEND, method="none"),
        # With an overlap, a cut in its middle lies far from what the tiles' borders spoilt: hard tiles have none.
        "hard": with_values(with_values(prompt, SPLIT, overlap=0), BLEND, method="none"),
        "untiled": {number: one for number, one in whole.items() if not one["class_type"].startswith("Tilework")},
    }


def planned(prompt: Prompt, size: tuple[int, int]) -> Any:
    """The layout that Tile Split makes in `prompt` for a picture of (height, width)."""
    # The pack's own planner, found because the repository is the working folder.
    from blending import TileLayout

    plan = prompt[node(prompt, SPLIT)]["inputs"]
    return TileLayout.grid(*size, plan["tile_height"], plan["tile_width"], plan["overlap"], plan["multiple_of"])


def measured(title: str, picture: torch.Tensor, whole: torch.Tensor, layout: Any) -> tuple[str, Any]:
    """A line on a tiled picture beside the one upscaled in one piece, and Seam Check's report on it."""
    from blending.seam_check.check import check_seams

    report = check_seams(picture, layout, reference=whole)
    title = f"{title}, overlap {min(axis.overlap or 0 for axis in layout.axes)}"
    step, apart = max(abs(row.step) for row in report.rows), 255 * float((picture - whole).abs().max())
    return f"  {title:30}{apart:20.0f}{step:18.2f}{report.rows[0].z:8.1f}", report


def shown_place(picture: torch.Tensor, whole: torch.Tensor, report: Any) -> Any:
    """`report` with one row: the place of its boundaries where `picture` less `whole` changes most, beside what goes on there."""

    def around(plane: torch.Tensor) -> torch.Tensor:
        # One side after the other: both at once takes twenty times as long.
        for size in ((NEAR, 1), (1, NEAR)):
            plane = torch.nn.functional.avg_pool2d(plane, size, 1, tuple(side // 2 for side in size), count_include_pad=False)
        return plane

    def detail(plane: torch.Tensor) -> torch.Tensor:
        return around((plane - around(plane)).abs())

    tiled, plain = (one.mean(-1)[None] for one in (picture, whole))
    # Texture hides a line, and so does darkness.
    seen = (detail(tiled - plain) * around(plain) / (EVEN + detail(plain)))[0, 0]
    # The network has never learnt the picture's own border, with tiles or without.
    seen = torch.nn.functional.pad(seen[BORDER:-BORDER, BORDER:-BORDER], (BORDER,) * 4)
    lines = [(seen[:, row.line] if row.vertical else seen[row.line])[slice(*row.along)] for row in report.rows]
    row, line = max(zip(report.rows, lines, strict=True), key=lambda one: float(one[1].max()))
    at = row.along[0] + int(line.argmax())
    return replace(report, rows=[replace(row, worst=(at, at + 1))])


def sheet(pictures: dict[str, torch.Tensor], whole: torch.Tensor, place: Any) -> Image.Image:
    """The place of a report's one row in every picture, and below it how the picture differs there from `whole`."""
    from blending.seam_check.heat_map import worst_strips

    rows = [[worst_strips(shown, place)[0] for shown in (picture, 0.5 + GAIN * (picture - whole))] for picture in pictures.values()]
    side = rows[0][0].shape[1] + GAP
    drawn = Image.new("RGB", (GAP + side * len(rows), HEAD + 2 * side + len(NOTES) * LINE), PAPER)
    pen = ImageDraw.Draw(drawn)
    for column, (title, strips) in enumerate(zip(pictures, rows, strict=True)):
        pen.text((GAP + column * side, HEAD / 2), title, INK, ImageFont.load_default(24), anchor="lm")
        for row, strip in enumerate(strips):
            shown = Image.fromarray((255 * strip.clamp(0, 1)).round().to(torch.uint8).numpy())
            drawn.paste(shown, (GAP + column * side, HEAD + row * side))
    for row, note in enumerate(NOTES):
        pen.text((GAP, HEAD + 2 * side + row * LINE), note, PALE, ImageFont.load_default(17))
    return drawn


def show(prompts: dict[str, Prompt], files: dict[str, bytes], photograph: Path) -> None:
    """Write the result and the sheet, and print how far every version is from the picture in one piece."""
    with Image.open(photograph) as image:
        width, height = image.size
    pictures = {name: to_tensor(Image.open(io.BytesIO(file)).convert("RGB")).movedim(0, -1)[None] for name, file in files.items()}
    whole = pictures.pop("untiled")
    found = {name: measured(title, pictures[name], whole, planned(prompts[name], (height, width))) for name, title in TITLES.items()}
    place = shown_place(pictures["hard"], whole, found["hard"][1])
    OUTPUT.mkdir(parents=True, exist_ok=True)
    sheet({TITLES[name]: pictures[name] for name in SHOWN}, whole, place).save(OUTPUT / STRIP)
    (OUTPUT / RESULT).write_bytes(files["Hann"])
    say(f"\n  {'in levels of 0..255':30}{'largest difference':>20}{'step at a seam':>18}{'z':>8}")
    say("\n".join(line for line, _ in found.values()))
    say("  The difference is that from the picture upscaled in one piece. Step and z are what Seam Check finds at the worst boundary;")
    say("  from z 5 on it stands out from the picture beside it. This model sees only a few pixels, so its tiles agree in the middle")
    say("  of the overlap and a cut there shows nothing; where tiles differ in tone, a cut shows the whole step and Hann a slope.")
    say(f"\n  {width} x {height} -> {pictures['Hann'].shape[2]} x {pictures['Hann'].shape[1]}:  {OUTPUT / RESULT}")
    say(f"  before and after at a seam:  {OUTPUT / STRIP}")


def main() -> int:
    """Start the server, run the workflow and its variants, and show what came of it; the exit status."""
    start = time.monotonic()
    host = find_host()
    photograph = ensure_photograph(host, say)
    models = {"upscale_models": [ensure_upscaler(host, say)]}
    say("Starting ComfyUI with Tilework in it (about ten seconds).")
    files = {}
    with Server(host, "demo", models=models, inputs=[photograph], report=say) as server:
        say(f"ComfyUI answers after {time.monotonic() - start:.0f} s. Running {WORKFLOW.name} and what it is compared with:")
        prompts = versions(convert(WORKFLOW, get_json(server.url + "/object_info")))
        for name, prompt in prompts.items():
            asked = time.monotonic()
            files[name] = fetch(server.url, images(run(server.url, prompt))[0])
            say(f"  {name:8} {time.monotonic() - asked:5.1f} s")
    show(prompts, files, photograph)
    say(f"\nDone in {time.monotonic() - start:.0f} s; the server is stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
