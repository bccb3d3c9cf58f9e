"""The help pages' pictures of what is done to upscale models and VAEs: the small upscaler that is trained here, and a VAE that is
written down here. `pages.py` makes them with the others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torchvision.transforms.functional import to_tensor

from ..demo.materials import ensure_photograph, ensure_upscaler
from ..process.guarded import say
from ..setup.environment import find_host
from .sheet import PANEL, UPPER, shaded, write

# The VAE: image pixels per cell of its latent, the share of the picture that goes through its norm, tiles in cells.
CELL = 8
BRANCH = 0.5
VAE_TILE, VAE_OVERLAP = 20, 5

# The upscaler: tiles that are small enough for the photograph to have several, and how far it sees.
TILE, RADIUS = 128, 6
# A close-up of a boundary between such tiles: how much it is enlarged, its middle row and its first column in the photograph.
ZOOM, BOUNDARY, COLUMN = 4, 2 * TILE, 316

# An upscale model of four times the side, as ComfyUI itself reckons its memory: bytes for each pixel of the tile.
GB = 1024**3
PER_PIXEL = 3 * 4 * 4 * 384
BUDGET_FREE, MARGIN, BUDGET_PICTURE, BUDGET_OVERLAP = 8 * GB, 0.1, (4096, 3072), 32
# Of the words in the budget's picture, which is as wide as a panel.
LETTERS = 15


def materials(folder: Path) -> tuple[Path, torch.Tensor, Path]:
    """Where the pictures go, a folder that the command line may name; the photograph, and the small upscaler's file."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else folder
    folder.mkdir(parents=True, exist_ok=True)
    host = find_host()
    photo = to_tensor(Image.open(ensure_photograph(host, say)).convert("RGB"))
    return folder, photo.movedim(0, -1)[None], ensure_upscaler(host, say)


def chain(photo: torch.Tensor, decode: bool) -> tuple[list[Any], torch.Tensor]:
    """A decoder, or an encoder, with a group norm in it, as steps; and what goes in, [1, C, h, w].

    A residual block adds what the norm makes of the picture to the picture. Gain and bias are such that the picture comes out as
    it went in, normalised as a whole.
    """
    from blending.stages.steps import Add, Keep, Local, Norm

    x = photo.movedim(-1, 1)
    given = torch.nn.functional.pixel_unshuffle(x, CELL) if decode else x
    groups = given.unflatten(1, (3, -1)).flatten(2)
    count = given.shape[1] // 3
    gain, bias = BRANCH * groups.std(2, correction=0)[0], BRANCH * groups.mean(2)[0]
    norm = Norm(3, 1e-6, lambda _: (gain.repeat_interleave(count), bias.repeat_interleave(count)))
    block = [Keep(), norm, Add()]
    shrink = Local(lambda z: torch.nn.functional.avg_pool2d(z, CELL), down=CELL)
    grow = Local(lambda z: torch.nn.functional.pixel_shuffle(z, CELL), up=CELL)
    return [Local(lambda z: z * (1 - BRANCH)), *block, grow if decode else shrink], given


def untiled(steps: list[Any], x: torch.Tensor) -> torch.Tensor:
    """The chain of a single residual block on what it is given, with torch's own norm."""
    first, _, norm, _, last = steps
    x = first.run(x)
    return last.run(x + torch.nn.functional.group_norm(x, norm.groups, *norm.affine(x), norm.eps))


def decoder_and_encoder(photo: torch.Tensor, folder: Path) -> None:
    """Tiled VAE Decode, Tiled VAE Encode: tiles that normalise by themselves, and in the statistics of the whole picture."""
    for way in ("Decode", "Encode"):
        decode = way == "Decode"
        steps, given = chain(photo, decode)
        # In float64: PyTorch's norm loses more on a whole picture than the one that is pooled from tiles.
        whole = untiled(*chain(photo.double(), decode))
        alone, exact = one_by_one(steps, given, decode), in_stages(steps, given, whole.shape)
        difference = (exact - whole).abs()
        say(f"  {way}: {float(difference.max()):.1e} from untiled; each tile by itself {float((alone - whole).abs().max()):.2f}")
        panels = [("each tile by itself, blended", alone), (f"Tiled VAE {way}, exact", exact)]
        panels.append(("difference from untiled x 1000", 1000 * difference.float()))
        rows = UPPER if decode else UPPER // CELL
        write(folder, f"TileworkTiledVAE{way}", [(title, pixels[0, :, :rows].movedim(0, -1)) for title, pixels in panels])


def cells(photo_or_latent: torch.Tensor, decode: bool) -> tuple[int, int]:
    """(height, width) of the latent of what goes in, [1, C, h, w]."""
    height, width = photo_or_latent.shape[2:]
    return (height, width) if decode else (height // CELL, width // CELL)


def one_by_one(steps: list[Any], given: torch.Tensor, decode: bool) -> torch.Tensor:
    """Every tile normalised by itself, then blended: [1, C, h, w]."""
    from blending import TileLayout, compose

    layout, side = TileLayout.grid(*cells(given, decode), VAE_TILE, VAE_TILE, VAE_OVERLAP), 1 if decode else CELL
    places = [[slice(start * side, (start + VAE_TILE) * side) for start in (one.y, one.x)] for one in layout.tiles]
    tiles = [untiled(steps, given[:, :, rows, columns]) for rows, columns in places]
    return compose([tile.movedim(1, -1) for tile in tiles], layout).movedim(-1, 1)


def in_stages(steps: list[Any], given: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """The same tiles as the nodes run them in mode exact; `shape` of the result."""
    from blending.stages.plan import StagePlan
    from blending.stages.run import StageRun, Workplace

    plan, out = StagePlan.exact(steps), torch.empty(shape)
    size = tuple(side // plan.scale[0] for side in given.shape[2:])
    StageRun(plan, Workplace(), size, (VAE_TILE, VAE_TILE)).run(given, out)
    return out


def spandrels(file: Path) -> Any:
    """The small upscaler, as ComfyUI loads it."""
    import spandrel

    return spandrel.ModelLoader().load_from_file(file).eval()


def close_up(pixels: torch.Tensor, middle: int, left: int) -> torch.Tensor:
    """A part of [H, W, C], every pixel ZOOM times as large."""
    half = 28
    part = pixels[middle - half : middle + half, left : left + PANEL // ZOOM]
    return part.repeat_interleave(ZOOM, 0).repeat_interleave(ZOOM, 1)


def upscaled(photo: torch.Tensor, file: Path, folder: Path) -> None:
    """Tiled Upscale: tiles side by side, and blended where the model could see."""
    from blending import TileLayout, compose, cut
    from blending.layout.pieces import snug_grid
    from blending.networks.channels import Channels
    from blending.networks.tiled_run import TiledRun

    model = spandrels(file)
    size, overlap = photo.shape[1:3], 4 * RADIUS
    layout, hard = snug_grid(*size, TILE + overlap, TILE + overlap, overlap, 8), TileLayout.grid(*size, TILE, TILE, 0)
    with torch.inference_mode():
        ours = TiledRun(model, layout, Channels(3, 3, 3), model.scale, RADIUS)(photo)[0]
        tiles = [model(tile.movedim(-1, 1)).movedim(1, -1) for tile in cut(photo, hard)]
        side_by_side = compose(tiles, hard, "none")[0].clamp(0, 1)
        whole = model(photo.movedim(-1, 1))[0].movedim(0, -1).clamp(0, 1)
    left, apart = (float((picture - whole).abs().max()) for picture in (ours, side_by_side))
    say(f"  Tiled Upscale: {left:.1e} from untiled; side by side {apart:.2f}")
    place = BOUNDARY * model.scale, COLUMN * model.scale
    panels = [
        (f"{len(layout)} tiles, overlaps shaded", shaded(photo, layout)[:UPPER]),
        ("tiles side by side, at 400 %", close_up(side_by_side, *place)),
        ("Tiled Upscale, at 400 %", close_up(ours, *place)),
    ]
    write(folder, "TileworkTiledUpscale", panels)


def field_of(file: Path) -> Any:
    """The receptive field of the small upscaler, measured."""
    from blending.receptive_field.measure import measure

    model = spandrels(file)
    with torch.inference_mode():
        return measure(model, 3, model.scale, size=64, largest=64, strip=0, network=model.model)


def reach(file: Path, folder: Path) -> None:
    """Measure Safe Overlap, on the small upscaler."""
    from pictures.influence import influence_curves, influence_map

    field = field_of(file)
    say(f"  radius {field.radius}, overlap {field.overlap}, trim {field.trim}")
    panels = [("a tile; white: the trim", influence_map(field)), ("change in levels, by distance", influence_curves(field))]
    write(folder, "TileworkReceptiveField", [(title, to_tensor(drawn).movedim(0, -1)) for title, drawn in panels])


def budget(folder: Path) -> None:
    """Tile Size for VRAM, for an upscale model on a card with 8 GB free."""
    from blending.layout.captions import in_words
    from blending.networks.memory_fit import MemoryFit
    from blending.networks.tile_plan import plan_tiles
    from blending.pixels.counted import counted
    from pictures.budget import budget_picture

    plan = plan_tiles(*BUDGET_PICTURE, MemoryFit(0, PER_PIXEL), BUDGET_FREE, margin=MARGIN, overlap=BUDGET_OVERLAP)
    rows = []
    for one in plan.candidates:
        verdict = "chosen" if one.chosen else "computes more" if one.fits else "too large"
        rows.append(("{} x {}".format(*one.size), f"{counted(one.tiles, 'tile')}, {in_words(one.bytes)}: {verdict}"))
    drawn = budget_picture(plan, rows, BUDGET_FREE, MARGIN, in_words(BUDGET_FREE), PANEL, LETTERS)
    write(folder, "TileworkTileSize", [("x4 upscaler, {} x {} px".format(*BUDGET_PICTURE), to_tensor(drawn).movedim(0, -1))])
