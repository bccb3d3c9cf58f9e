"""Thumbnails of templates, made by Tilework itself: .host/venv/bin/python -m tools.help.template_pictures [FOLDER]

Run it again when what they show has changed, and look at them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..process.guarded import guarded, say
from ..setup.environment import REPOSITORY
from .aligned import aligned_halves
from .attention import in_one_piece
from .band_guidance import three_ways
from .changes import edited
from .coherent_tiles import one_light, structure_halves, words_per_tile
from .composition import runs
from .detail import texture_alone
from .detected import detect_and_segment
from .fidelity import nothing_invented
from .held_bands import held_light
from .inversion import there_and_back
from .kept_tiles import stopped_and_finished
from .models import CELL, field_of, materials, spandrels
from .pages import drifted
from .retouch import spots_gone
from .sequence import tile_after_tile
from .views import demofusion

FOLDER = REPOSITORY / "example_workflows"
SIDE, HALF, CASE, GAP = 512, 400, 256, 8
DRIFT = 0.3  # of tiles, as on the help page of Seam Blend
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


def halves(*two: tuple[torch.Tensor, str], way: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
    """Two pictures [h, w, 3] side by side, each with its words."""
    both = Image.new("RGB", (2 * HALF + GAP, HALF), BACKGROUND)
    for index, (pixels, words) in enumerate(two):
        both.paste(captioned(picture(pixels).resize((HALF, HALF), way), words, 24), (index * (HALF + GAP), 0))
    return both


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


def objects_whole(photo: torch.Tensor) -> Image.Image:
    """Tiles around a face and a badge; what no border can miss in a tile of its own."""
    from blending.regions.object_tiles import OWN, object_layout
    from pictures.grid import with_grid

    marked = np.zeros(photo.shape[1:3], bool)
    for rows, columns in ((slice(40, 230), slice(140, 290)), (slice(345, 425), slice(155, 215))):
        marked[rows, columns] = True
    layout = object_layout(marked.shape, (256, 256), 32, CELL, marked, objects=OWN, margin=24, largest=512).layout
    shown = photo.clone()
    shown[0][torch.from_numpy(~marked)] *= 0.55
    return captioned(with_grid(picture(shown[0]), layout), "tiles that miss what must not be cut")


def single_tiles(photo: torch.Tensor) -> Image.Image:
    """Two tiles of a grid, the rest dimmed."""
    from blending import TileLayout
    from blending.regions.tile_numbers import chosen
    from pictures.grid import with_grid

    layout = chosen(TileLayout.grid(*photo.shape[1:3], 192, 192, 48, CELL), "5, 6")
    return captioned(with_grid(picture(photo[0]), layout), "redo two tiles, keep the rest")


def seams_alone(photo: torch.Tensor) -> Image.Image:
    """Tiles that drifted, cut hard; the tiles that lie along what Seam Check found."""
    from blending import TileLayout, compose, cut
    from blending.regions.mask_regions import COVER, mask_layout
    from blending.seam_check.check import check_seams
    from blending.seam_check.failed_mask import failed_mask
    from pictures.grid import with_grid

    layout = TileLayout.grid(*photo.shape[1:3], 208, 208, 48, 8)
    tiles = [tile * (0.8 if index == 4 else 1.0) for index, tile in enumerate(cut(photo, layout))]
    seamed = compose(tiles, layout, "none")
    mask = failed_mask(check_seams(seamed, layout, photo), layout)
    planned = mask_layout(mask, 160, 160, 32, 24, CELL, COVER)
    return captioned(with_grid(picture(seamed[0]), planned), "only the seams are painted anew")


def only_changes(photo: torch.Tensor) -> Image.Image:
    """Left what an edit model changed beside what was asked for, right what is merged of it."""
    from blending.changes.merge import merge_changes

    model = edited(photo)
    merged = merge_changes(photo, model).image
    both = Image.new("RGB", (2 * HALF + GAP, HALF), BACKGROUND)
    for index, (pixels, words) in enumerate(
        (((model - photo).abs() * 10, "an edit changes everything (x 10)"), (merged, "merged: only the edit"))
    ):
        half = picture(pixels[0]).resize((HALF, HALF), Image.Resampling.LANCZOS)
        both.paste(captioned(half, words, 22), (index * (HALF + GAP), 0))
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


def second_eyes(photo: torch.Tensor) -> Image.Image:
    """The worst places of tiles that drifted, at 400 %, as Seam Check gives them to a model that looks."""
    from blending import TileLayout, compose, cut
    from blending.seam_check.check import check_seams
    from blending.seam_check.heat_map import worst_strips

    layout = TileLayout.grid(*photo.shape[1:3], 208, 208, 48, 8)
    blended = compose(drifted(cut(photo, layout), DRIFT), layout, "none")
    sheet = Image.new("RGB", (2 * CASE + GAP, 2 * CASE + GAP), BACKGROUND)
    for index, strip in enumerate(worst_strips(blended, check_seams(blended, layout, photo))):
        place = picture(strip).resize((CASE, CASE), Image.Resampling.LANCZOS)
        sheet.paste(place, (index % 2 * (CASE + GAP), index // 2 * (CASE + GAP)))
    return captioned(sheet, "\u201ca step of tone between the marks\u201d", 26)


def kept_composition() -> Image.Image:
    """Left plain tiles, each with a sun of its own; right the same noise, kept to a small picture."""
    both = Image.new("RGB", (2 * HALF + GAP, HALF), BACKGROUND)
    for index, (name, words) in enumerate((("plain", "every tile its own scene"), ("kept", "one composition"))):
        half = picture(runs()[name][0]).resize((HALF, HALF), Image.Resampling.LANCZOS)
        both.paste(captioned(half, words, 24), (index * (HALF + GAP), 0))
    return both


def noise_and_back() -> Image.Image:
    """Left the noise of a picture; right what is made of it again."""
    found = there_and_back()
    return halves((found["noise"], "a picture's noise"), (found["back 1"], "made of it again"))


def held_to_a_reference(photo: torch.Tensor) -> Image.Image:
    """Left a prediction in a light and a texture of its own; right the same, its light held to the photograph's."""
    return halves(*((pixels[0], words) for pixels, words in zip(held_light(photo), ("free", "the old light, held"), strict=True)))


def demofusion_halves() -> Image.Image:
    """Left plain tiles; right the same noise under skip residual and Whole-Canvas Views."""
    both = Image.new("RGB", (2 * HALF + GAP, HALF), BACKGROUND)
    for index, (pixels, words) in enumerate(((runs()["plain"], "every tile its own scene"), (demofusion(), "DemoFusion"))):
        half = picture(pixels[0]).resize((HALF, HALF), Image.Resampling.LANCZOS)
        both.paste(captioned(half, words, 24), (index * (HALF + GAP), 0))
    return both


def one_piece() -> Image.Image:
    """Left the small picture, right one that is 3 times larger and was never in tiles."""
    both = Image.new("RGB", (2 * HALF + GAP, HALF), BACKGROUND)
    for index, (pixels, words) in enumerate(zip(in_one_piece(), ("a small picture", "larger, in one piece"), strict=True)):
        way = Image.Resampling.LANCZOS if index else Image.Resampling.BICUBIC
        both.paste(captioned(picture(pixels).resize((HALF, HALF), way), words, 24), (index * (HALF + GAP), 0))
    return both


def guided_by_bands() -> Image.Image:
    """Left plain guidance, right as much of it in the fine alone."""
    _, *two = three_ways().values()
    return halves(*zip(two, ("plain guidance", "guidance by bands"), strict=True), way=Image.Resampling.BICUBIC)


def refined(photo: torch.Tensor, upscaler: Path) -> Image.Image:
    """Left a small picture enlarged, right painted anew at that size, here by an upscale model."""
    small = torch.nn.functional.avg_pool2d(photo.movedim(-1, 1), 2)[..., 10:130, 70:190]
    large = torch.nn.functional.interpolate(small, scale_factor=2, mode="bicubic").clamp(0, 1)
    with torch.inference_mode():
        painted = spandrels(upscaler)(small).clamp(0, 1)
    both = Image.new("RGB", (2 * HALF + GAP, HALF), BACKGROUND)
    for index, (pixels, words) in enumerate(((large, "only enlarged"), (painted, "refined"))):
        half = picture(pixels[0].movedim(0, -1)).resize((HALF, HALF), Image.Resampling.BICUBIC)
        both.paste(captioned(half, words, 24), (index * (HALF + GAP), 0))
    return both


def edit_at_full_size(photo: torch.Tensor, upscaler: Path) -> Image.Image:
    """Left an edit that was made at half the size, as it is merged; right painted anew where it is, here by an upscale model."""
    from blending.changes.merge import merge_changes

    small = edited(torch.nn.functional.avg_pool2d(photo.movedim(-1, 1), 2).movedim(1, -1))
    merged = merge_changes(photo, small)
    with torch.inference_mode():
        painted = spandrels(upscaler)(small.movedim(-1, 1)).movedim(1, -1).clamp(0, 1)
    painted = merge_changes(photo, painted).image
    both = Image.new("RGB", (2 * HALF + GAP, HALF), BACKGROUND)
    for index, (pixels, words) in enumerate(((merged.image, "an edit, done small"), (painted, "at full size"))):
        half = picture(pixels[0, :240, :240]).resize((HALF, HALF), Image.Resampling.LANCZOS)
        both.paste(captioned(half, words, 24), (index * (HALF + GAP), 0))
    return both


def retouched(photo: torch.Tensor) -> Image.Image:
    """Left a face with spots, right without them, its texture kept."""
    return halves(*zip(spots_gone(photo), ("a face", "without its spots"), strict=True))


def gate(photo: torch.Tensor) -> Image.Image:
    """Left the map of detail; right the picture, dimmed where nothing is painted."""
    return halves(
        *((pixels[0], words) for pixels, words in zip(texture_alone(photo), ("where the detail is", "flat parts stay"), strict=True))
    )


def stopped(photo: torch.Tensor) -> Image.Image:
    """The tiles of a run that was stopped: those that are done, and those that are missing."""
    first, _ = stopped_and_finished(photo, 5)
    return captioned(picture(first).resize((HALF, HALF), Image.Resampling.LANCZOS), "stopped here: go on here", 24)


def main() -> int:
    """Make all of them; the exit status."""
    folder, photo, upscaler = materials(FOLDER)
    made = {
        "01 Start here - which node do I need": start_here(),
        "08 Latents tile by tile": latent_tiles(photo),
        "04 Measure the overlap, then upscale": measure_and_upscale(photo, upscaler),
        "13 Keep objects whole": objects_whole(photo),
        "14 Redo single tiles": single_tiles(photo),
        "15 Repair seams alone": seams_alone(photo),
        "19 Tile after tile, each sees the finished ones": captioned(tile_after_tile(photo), "each sees the finished ones"),
        "21 A second pair of eyes": second_eyes(photo),
        "18 Align tiles that shifted": captioned(aligned_halves(photo, SIDE), "as they came, and aligned"),
        "16 Merge only what an edit changed": only_changes(photo),
        "17 Detect and segment in tiles": captioned(detect_and_segment(photo), "boxes and masks, tile by tile"),
        "25 One style over a panorama": captioned(one_light(), "each in its own light, and in one"),
        "26 Words that belong to each tile": words_per_tile(),
        "20 Check that nothing was invented": captioned(picture(nothing_invented(photo)), "what a result changed"),
        "22 Keep the composition at four times the size": kept_composition(),
        "23 DemoFusion, with any model": demofusion_halves(),
        "24 ScaleDiff, with any model": one_piece(),
        "27 An edit done small, at full size": edit_at_full_size(photo, upscaler),
        "28 Refine an enlarged latent": refined(photo, upscaler),
        "34 Edit and keep the structure": captioned(structure_halves(), "the source, and its structure in another"),
        "31 Guidance by bands": guided_by_bands(),
        "33 Picture to noise and back, larger": noise_and_back(),
        "29 Frequency separation and retouch": retouched(photo),
        "30 Repaint texture, leave flat parts alone": gate(photo),
        "32 Repaint the texture, keep the light": held_to_a_reference(photo),
        "35 Go on where a run stopped": stopped(photo),
    }
    for name, drawn in made.items():
        file = folder / f"{name}.jpg"
        drawn.save(file, quality=88, optimize=True)
        say(f"  {file.name:28} {drawn.width} x {drawn.height}, {file.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
