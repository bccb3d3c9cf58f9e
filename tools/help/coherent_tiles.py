"""Pictures of tiles that know of one another: words that belong to each, one style, neighbours' tone. For `pages.py`."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from .sheet import write

SIDE, TILE = 480, 240
WORDS = ("sky", "sun", "hills", "lake")
INK, SHADE = (255, 255, 255), (0, 0, 0)
TONES = ((0.16, -0.02, -0.14), (-0.05, 0.02, 0.10), (0.0, 0.0, 0.0), (-0.14, -0.12, -0.02), (0.08, 0.12, 0.02))


def landscape() -> tuple[torch.Tensor, torch.Tensor]:
    """A drawn picture [H, W, 3], and where in it each of WORDS is, [words, H, W]."""
    y, x = torch.meshgrid(*[torch.linspace(0, 1, SIDE)] * 2, indexing="ij")
    hill = 0.55 - 0.10 * torch.sin(4.5 * x + 0.4) - 0.05 * torch.sin(11 * x)
    shore = 0.76 + 0.02 * torch.sin(9 * x)
    sun = torch.hypot(y - 0.2, x - 0.76) < 0.13
    sky, hills, lake = (y < hill) & ~sun, (y >= hill) & (y < shore), y >= shore
    tones = ((0.36, 0.60, 0.88), (1.0, 0.86, 0.40), (0.30, 0.48, 0.26), (0.20, 0.36, 0.56))
    where = torch.stack([sky, sun, hills, lake]).float()
    light = 1.1 - 0.35 * y
    return sum(w[..., None] * torch.tensor(tone) for w, tone in zip(where, tones, strict=True)) * light[..., None], where


def said_of_tiles() -> torch.Tensor:
    """The landscape in four tiles, each with the words that belong to it."""
    from blending import TileLayout
    from blending.coherence.word_coverage import words_of_tiles

    pixels, where = landscape()
    layout = TileLayout.grid(SIDE, SIDE, TILE, TILE, 0)
    drawn = Image.fromarray((pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
    pen, letters = ImageDraw.Draw(drawn), ImageFont.load_default(30)
    for rect, words in zip(layout.tiles, words_of_tiles(where, layout, 0.15), strict=True):
        pen.rectangle((rect.x, rect.y, rect.x + rect.width - 1, rect.y + rect.height - 1), outline=INK, width=3)
        text = " ".join(WORDS[word] for word in words)
        pen.text((rect.x + TILE / 2, rect.y + TILE / 2), text, INK, letters, anchor="mm", stroke_width=3, stroke_fill=SHADE)
    return _pixels(drawn)


def panorama() -> list[torch.Tensor]:
    """Five tiles [1, 3, h, w] of one drawn shore, side by side, each in a light of its own."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 160), torch.linspace(0, 5, 800), indexing="ij")
    ridge = 0.42 - 0.10 * torch.sin(2.1 * x + 0.4) - 0.05 * torch.sin(5.3 * x) - 0.02 * torch.sin(17 * x)
    near = 0.68 + 0.06 * torch.sin(3.1 * x + 2) + 0.015 * torch.sin(23 * x)
    grain = 0.03 * torch.randn(160, 800, generator=torch.Generator().manual_seed(2))
    tones = ((0.50, 0.66, 0.86), (0.42, 0.46, 0.52), (0.34, 0.42, 0.26))
    where = (y < ridge, (y >= ridge) & (y < near), y >= near)
    drawn = sum(part.float() * torch.tensor(tone).view(3, 1, 1) for part, tone in zip(where, tones, strict=True))
    drawn = (drawn * (1.12 - 0.3 * y) + grain * (y >= ridge))[None]
    return [
        (tile - 0.5) * (1 + 0.6 * tone[0]) + 0.5 + torch.tensor(tone).view(1, 3, 1, 1)
        for tile, tone in zip(drawn.chunk(len(TONES), 3), TONES, strict=True)
    ]


def one_style(tiles: list[torch.Tensor], steps: int = 10) -> list[torch.Tensor]:
    """They after so many steps towards the one in the middle, of a model that answers with what it is given."""
    from blending.coherence.tile_style import style_change, style_gradient, style_of

    aim = style_of(tiles[len(tiles) // 2])
    made = []
    for tile in tiles:
        now = tile
        for _ in range(steps):
            now = now + style_change(*style_gradient(now, aim), 1.0, now.flatten(1).std(1))
        made.append(now)
    return made


def with_neighbours(tiles: list[torch.Tensor]) -> list[torch.Tensor]:
    """They with the means and deviations of a scan."""
    from blending.coherence.tile_moments import moments_of, neighbours, pulled
    from blending.layout.grid import Rect

    wide = tiles[0].shape[-1]
    rects = [Rect(0, index * wide, tile.shape[-2], wide) for index, tile in enumerate(tiles)]
    own = moments_of(tiles)
    aim = neighbours("scan", torch.cat(tiles, 3), own, rects)
    return [pulled(tile, own.mean[i], own.deviation[i], aim.mean[i], aim.deviation[i]) for i, tile in enumerate(tiles)]


def _pixels(image: Image.Image) -> torch.Tensor:
    return torch.frombuffer(bytearray(image.convert("RGB").tobytes()), dtype=torch.uint8).view(image.height, image.width, 3).float() / 255


def _joined(tiles: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat(tiles, 3)[0].movedim(0, -1).clamp(0, 1)


def coherent(_: torch.Tensor, folder: Path) -> None:
    """Auto Prompts per Tile, Unify Tile Style, Neighbour Context, Wavelet Edit."""
    write(folder, "TileworkTileWords", [("the picture, small", landscape()[0]), ("what each of 4 tiles is told", said_of_tiles())])
    tiles = panorama()
    before = ("five tiles, each in its own light", _joined(tiles))
    write(folder, "TileworkSyncTiles", [before, ("after ten steps: one light", _joined(one_style(tiles)))])
    write(folder, "TileworkTileContext", [before, ("scan, strength 1: nearer by half", _joined(with_neighbours(tiles)))])
    source, other, made = structure_kept()
    write(folder, "TileworkWaveletEdit", [("the source", source), ("what is painted", other), ("with the source's strongest bands", made)])


def structure_kept() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A drawn shore, a weave of another colour, and it with those bands of the shore in it that lead; [H, W, 3] each."""
    from blending.frequency.band_swap import with_bands_of

    source = landscape()[0].clamp(0, 1)
    y, x = torch.meshgrid(*[torch.arange(SIDE, dtype=torch.float32)] * 2, indexing="ij")
    weave = torch.sin(0.9 * x + 0.3 * y) * torch.sin(0.8 * y - 0.2 * x)
    grain = 0.2 * weave[..., None] + torch.tensor((0.75, 0.55, 0.42))
    made = with_bands_of(grain.movedim(2, 0), source.movedim(2, 0), 0.6, "haar", 3).movedim(0, 2)
    return source, grain.clamp(0, 1), made.clamp(0, 1)


def one_light() -> Image.Image:
    """Tiles of a panorama before and after, one above the other."""
    tiles = panorama()
    gap = torch.full((20, 800, 3), 0.1)
    both = torch.cat([_joined(tiles), gap, _joined(one_style(tiles)), gap, gap, gap, gap])
    return Image.fromarray((both * 255).round().to(torch.uint8).numpy())


def words_per_tile() -> Image.Image:
    """What the four tiles are told."""
    return Image.fromarray((said_of_tiles() * 255).round().to(torch.uint8).numpy()).resize((512, 512), Image.Resampling.LANCZOS)


def structure_halves() -> Image.Image:
    """Left the source, right what is painted with its strongest bands."""
    source, _, made = structure_kept()
    both = torch.where((torch.arange(SIDE) < SIDE // 2)[None, :, None], source, made)
    return Image.fromarray((both * 255).round().to(torch.uint8).numpy()).resize((512, 512), Image.Resampling.LANCZOS)
