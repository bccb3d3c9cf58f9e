"""Thumbnails of templates, made by Tilework itself: .host/venv/bin/python -m tools.help.template_pictures [FOLDER]

Run it again when what they show has changed, and look at them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..process.guarded import guarded, say
from ..setup.environment import REPOSITORY
from .fidelity import nothing_invented
from .models import CELL, field_of, materials

FOLDER = REPOSITORY / "example_workflows"
SIDE, HALF, CASE, GAP = 512, 400, 256, 8
BACKGROUND, BAR, INK = (24, 26, 30), (24, 26, 30, 215), (255, 255, 255)


def picture(pixels: torch.Tensor) -> Image.Image:
    """Pixels [H, W, 3] in 0..1 as a picture."""
    return Image.fromarray((pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy())


def captioned(drawn: Image.Image, words: str, size: int = 28) -> Image.Image:
    """The picture with a line of words over its lower edge."""
    draw = ImageDraw.Draw(drawn, "RGBA")
    top = drawn.height - round(2.1 * size)
    draw.rectangle((0, top, drawn.width, drawn.height), fill=BAR)
    draw.text((drawn.width / 2, (top + drawn.height) / 2), words, INK, ImageFont.load_default(size), anchor="mm")
    return drawn


def latent_tiles(photo: torch.Tensor) -> Image.Image:
    """Left a latent, drawn as the mean colour of its cells, with its grid; right the picture that comes of it."""
    from blending import TileLayout
    from pictures.grid import with_grid

    layout = TileLayout.grid(*photo.shape[1:3], 208, 208, 48, CELL, unit=CELL)
    cells = torch.nn.functional.avg_pool2d(photo.movedim(-1, 1), CELL).repeat_interleave(CELL, 2).repeat_interleave(CELL, 3)
    drawn, middle = picture(photo[0]), photo.shape[2] // 2
    drawn.paste(with_grid(picture(cells[0].movedim(0, -1)), layout).crop((0, 0, middle, photo.shape[1])))
    ImageDraw.Draw(drawn).line((middle, 0, middle, drawn.height), fill=INK, width=3)
    return captioned(drawn.resize((SIDE, SIDE), Image.Resampling.LANCZOS), "latents, tile by tile")


def measure_and_upscale(photo: torch.Tensor, upscaler: Path) -> Image.Image:
    """Left a tile as its border reaches into it, the trim framed; right the tiles, which overlap as was measured."""
    from blending import TileLayout
    from pictures.grid import with_grid
    from pictures.influence import influence_map

    field = field_of(upscaler)
    influence = influence_map(field).resize((HALF, HALF), Image.Resampling.NEAREST)
    layout = TileLayout.grid(*photo.shape[1:3], 192, 192, field.overlap, 8)
    tiles = with_grid(picture(photo[0]), layout).resize((HALF, HALF), Image.Resampling.LANCZOS)
    both = Image.new("RGB", (2 * HALF + GAP, HALF), BACKGROUND)
    both.paste(captioned(influence, "how far a border reaches", 24))
    both.paste(captioned(tiles, "overlap and trim to match", 24), (HALF + GAP, 0))
    return both


def start_here() -> Image.Image:
    """The five cases, each by the picture of its template."""
    cases = {
        "1  enlarge": "02 Upscale a picture of any size",
        "2  any nodes": "03 Any nodes, tile by tile",
        "3  repaint": "05 Enlarge and repaint with one sampler",
        "4  seams": "11 Repair seams and colour drift",
        "5  memory": "09 VAE for large pictures",
    }
    drawn = Image.new("RGB", (3 * CASE + 2 * GAP, 2 * CASE + GAP), BACKGROUND)
    for index, (words, name) in enumerate(cases.items()):
        case = ImageOps.fit(Image.open(FOLDER / f"{name}.jpg").convert("RGB"), (CASE, CASE), Image.Resampling.LANCZOS)
        ImageDraw.Draw(case).rectangle((0, CASE - 50, CASE, CASE), fill=BACKGROUND)  # over the template's own caption
        drawn.paste(captioned(case, words, 24), (index % 3 * (CASE + GAP), index // 3 * (CASE + GAP)))
    middle = 2 * (CASE + GAP) + CASE / 2, CASE + GAP + CASE / 2
    ImageDraw.Draw(drawn).multiline_text(middle, "Which node\ndo I need?", INK, ImageFont.load_default(32), anchor="mm", align="center")
    return drawn


def main() -> int:
    """Make all of them; the exit status."""
    folder, photo, upscaler = materials(FOLDER)
    made = {
        "01 Start here - which node do I need": start_here(),
        "08 Latents tile by tile": latent_tiles(photo),
        "04 Measure the overlap, then upscale": measure_and_upscale(photo, upscaler),
        "20 Check that nothing was invented": captioned(picture(nothing_invented(photo)), "what a result changed"),
    }
    for name, drawn in made.items():
        file = folder / f"{name}.jpg"
        drawn.save(file, quality=88, optimize=True)
        say(f"  {file.name:28} {drawn.width} x {drawn.height}, {file.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
