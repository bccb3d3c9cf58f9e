"""The pictures on the help pages, made by Tilework itself: .host/venv/bin/python -m tools.help.pages [FOLDER]

Each is what `blending` gives for a photograph, or for a model small enough to be written down here. Run it again when what a
page shows has changed, and look at the pictures.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from ..process.guarded import guarded, say
from ..setup.environment import REPOSITORY
from .aligned import alignment
from .attention import attention
from .band_guidance import band_guidance
from .changes import only_changes
from .coherent_tiles import coherent
from .composition import composition
from .detail import detail
from .detected import detected
from .fidelity import fidelity
from .held_bands import held_bands
from .inversion import inversion
from .kept_tiles import kept_tiles
from .models import budget, decoder_and_encoder, materials, reach, upscaled
from .regions import regions
from .retouch import bands_and_retouch
from .sequence import one_by_one
from .sheet import UPPER, apart, shaded, write
from .tile_files import tile_files
from .views import whole_canvas_views

FOLDER = REPOSITORY / "web" / "docs" / "pictures"
STRIPES = (128, 176)
TILE, OVERLAP, CELL = 80, 32, 8
# What each of six tiles is told to paint: the width of its stripes in pixels, their direction in radians.
PROMPTS = ((7, 0.2), (13, 1.2), (9, -0.7), (16, 2.4), (8, 1.57), (11, -0.1))


def drifted(tiles: Iterable[torch.Tensor], amount: float) -> list[torch.Tensor]:
    """Each tile with a tone of its own, as from a model that looks at one tile at a time."""
    made = torch.Generator().manual_seed(4)
    return [
        tile * (1 + amount * (torch.rand(3, generator=made) - 0.5)) + 0.3 * amount * (torch.rand(1, generator=made) - 0.5) for tile in tiles
    ]


def split_and_blend(photo: torch.Tensor, folder: Path) -> None:
    """Tile Split, Seam Blend, Color Match, Seam Check."""
    from blending import TileLayout, compose, cut
    from blending.color.gain import compensate
    from blending.seam_check.check import check_seams
    from blending.seam_check.heat_map import heat_map, worst_strips

    layout = TileLayout.grid(*photo.shape[1:3], 208, 208, overlap=48, multiple_of=8)
    tiles = list(cut(photo, layout))
    whole = [("the picture, overlaps shaded", shaded(photo, layout)), ("its 9 tiles, a list", apart(tiles, 3, 24))]
    write(folder, "TileworkTileSplit", whole)
    spoilt = drifted(tiles, 0.3)
    named = {"none": "none: a cut", "hann": "hann: a smooth ramp", "gradient": "gradient, with reference"}
    references = {"gradient": photo}
    blended = [(title, compose(spoilt, layout, method, reference=references.get(method))) for method, title in named.items()]
    write(folder, "TileworkSeamBlend", [(title, picture[0, 135:225, 50:200]) for title, picture in blended])
    spoilt = drifted(tiles, 0.6)
    gains = compensate(iter(spoilt), layout, photo)
    matched = compose([gains.apply(tile, i) for i, tile in enumerate(spoilt)], layout)
    three = {"tiles that drift, blended": compose(spoilt, layout), "gain compensation first": matched, "the original": photo}
    write(folder, "TileworkColorMatch", [(title, picture[0, :UPPER]) for title, picture in three.items()])
    faint = compose(drifted(tiles, 0.08), layout, "none")
    report = check_seams(faint, layout)
    panels = [("the finished picture", faint[0, :UPPER]), ("heatmap", heat_map(faint, report)[0, :UPPER])]
    panels.append(("worst, at 400 %", worst_strips(faint, report)[0, 96:416]))
    write(folder, "TileworkSeamCheck", panels)


def solar(folder: Path) -> None:
    """Solar Curve Preview, on a grainy sky with a spot that nobody sees."""
    from blending.solar.curves import solar_curve
    from blending.solar.solarize import edges, solarize

    y, x = torch.meshgrid(torch.arange(330.0), torch.arange(512.0), indexing="ij")
    grain = torch.randn(330, 512, 1, generator=torch.Generator().manual_seed(1)) / 255
    disc = (torch.hypot(y - 160, x - 290) < 80).float()[..., None]
    sky = (0.42 + 0.2 * (y / 329)[..., None] + 2 / 255 * disc + grain).expand(-1, -1, 3)[None]
    curve = solar_curve("six points")
    panels = [
        ("a sky, a spot of 2 levels in it", sky[0]),
        ("image: six points", solarize(sky, curve)[0]),
        ("edges, x 4", 4 * edges(sky, curve)[0]),
    ]
    write(folder, "TileworkSolarCurvePreview", panels)


def band(wavelength: float, angle: float) -> torch.Tensor:
    """A filter that keeps stripes of one width and, softly, of one direction: [1, 1, 25, 25]."""
    at = torch.arange(-12.0, 13.0)
    y, x = torch.meshgrid(at, at, indexing="ij")
    wave = torch.cos(2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / wavelength)
    kernel = wave * torch.exp(-(x * x + y * y) / (2 * 4.5**2))
    kernel -= kernel.mean()
    return (kernel / kernel.abs().sum())[None, None]


def painter(kernel: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """A model that makes stripes of noise, as a diffusion model makes pictures of it: what it paints follows what it sees."""
    return lambda x: torch.tanh(4 * torch.nn.functional.conv2d(torch.nn.functional.pad(x, (12,) * 4, mode="reflect"), kernel))


def sample(noise: torch.Tensor, predict: Callable[[torch.Tensor], torch.Tensor], steps: int = 30) -> torch.Tensor:
    """Noise [1, 1, H, W] to a picture, by Euler's method."""
    x = noise
    for step in range(steps):
        x = x + (predict(x) - x) / (steps - step) ** 0.7
    return x


def seen(latent: torch.Tensor) -> torch.Tensor:
    """A latent [1, 1, H, W] of about -1..1 in 0..1 [H, W]."""
    return 0.5 + 0.45 * latent[0, 0]


def sampling(folder: Path) -> None:
    """Latent Tile Denoise, Tiled Sampling, Tile Prompts, Latent Seam Blend: a small model in place of a large one, all else as it is."""
    from blending import compose
    from blending.fusion.fuse import fuse
    from blending.fusion.views import grid_views, plan_canvas

    layout = plan_canvas(*STRIPES, TILE, TILE, OVERLAP, 1, 1)
    views = grid_views(layout, "hann")
    noise = torch.randn(1, 1, *STRIPES, generator=torch.Generator().manual_seed(11))
    model = painter(band(9, 0.7) + band(9, -0.6))

    def by_hann(tiles: list[torch.Tensor]) -> torch.Tensor:
        return compose([tile.movedim(1, -1) for tile in tiles], layout).movedim(-1, 1)

    def fused(models: list[Callable]) -> torch.Tensor:
        def predict(x: torch.Tensor) -> torch.Tensor:
            return fuse(lambda tiles, chunk: [models[chunk[0].index % len(models)](tiles)], x, views)[0]

        return sample(noise, predict)

    seeds = [torch.Generator().manual_seed(20 + i) for i in range(len(views))]
    alone = by_hann([sample(torch.randn(1, 1, *view.shape, generator=seed), model) for view, seed in zip(views, seeds, strict=True)])
    whole, tiled = sample(noise, model), fused([model])
    write(folder, "TileworkLatentTileDenoise", [("tiles one by one, then blended", seen(alone)), ("fused at every step", seen(tiled))])
    wide = grid_views(layout, "hann", trim=12)
    exact = sample(noise, lambda x: fuse(lambda tiles, _: [model(tiles)], x, wide)[0])
    say(f"  one step, trim 12: {float((fuse(lambda t, _: [model(t)], noise, wide)[0] - model(noise)).abs().max()):.1e} from untiled")
    panels = [
        ("without tiles", seen(whole)),
        ("Tiled Sampling, trim 12", seen(exact)),
        ("difference x 1000", 1000 * (exact - whole)[0, 0].abs()),
    ]
    write(folder, "TileworkTiledModel", panels)
    prompts = [painter(band(length, angle)) for length, angle in PROMPTS]
    write(folder, "TileworkTilePrompts", [("one prompt for all tiles", seen(tiled)), ("each tile its own", seen(fused(prompts)))])
    agree = by_hann([view.gather(whole) for view in views])
    write(folder, "TileworkLatentSeamBlend", [("tiles that agree", seen(agree)), ("tiles that each painted their own", seen(alone))])


def latent(photo: torch.Tensor, folder: Path) -> None:
    """Latent Tile Split: an eighth of the size, cut on whole cells."""
    from blending import TileLayout, cut_cells

    cells = torch.nn.functional.avg_pool2d(photo.movedim(-1, 1), CELL)
    layout = TileLayout.grid(*photo.shape[1:3], 208, 208, overlap=48, multiple_of=8, unit=CELL)
    tiles = [tile.movedim(1, -1) for tile in cut_cells(cells, layout)]
    panels = [("the latent: 64 x 64 cells of 8 px", cells[0].movedim(0, -1)), ("9 tiles of 26 x 26 cells", apart(tiles, 3, 3))]
    write(folder, "TileworkLatentTileSplit", panels)


def main() -> int:
    """Make all of them; the exit status."""
    folder, photo, upscaler = materials(FOLDER)
    for make in (
        split_and_blend,
        latent,
        decoder_and_encoder,
        regions,
        one_by_one,
        alignment,
        only_changes,
        detected,
        fidelity,
        composition,
        whole_canvas_views,
        attention,
        coherent,
        inversion,
        bands_and_retouch,
        detail,
        held_bands,
        kept_tiles,
        tile_files,
    ):
        make(photo, folder)
    for make in (solar, sampling, budget, band_guidance):
        make(folder)
    upscaled(photo, upscaler, folder)
    reach(upscaler, folder)
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
