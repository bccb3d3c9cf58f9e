"""Mosaics made to order: tiles whose faults are known, cut from one picture that is known too.

Every contestant gets the very same tiles. The picture's side is chosen so that all of
them would plan these tiles themselves: no tile is pulled back at the far side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from loading import blending
from scipy.ndimage import gaussian_filter, gaussian_filter1d

LEVEL = 1 / 255
SHIFTS = ((0, 0), (2, -3), (0, 0), (-2, 2), (3, 0), (0, 0), (0, -3))
MARGIN = 4  # pixels painted around the picture, so that a shifted tile has something to show


def plan(tile: int, overlap: int, count: int) -> Any:
    """A layout of count x count tiles that overlap by exactly `overlap`."""
    size = tile + (count - 1) * (tile - overlap)
    return blending().TileLayout.grid(size, size, tile, tile, overlap)


@dataclass(frozen=True)
class Made:
    """One mosaic.

    Attributes:
        key, label: its names.
        layout: where the tiles are.
        truth: the picture without any fault, [1, H, W, 3]; where tiles disagree in texture, its smooth part.
        tiles: what the contestants get.
        seamless: a picture with the same statistics that was never in tiles: what no blend can do better than.
        smooth_faults: whether each tile is the truth plus something smooth, so that what is left of the
            faults can be looked at by itself.
        disagree: per tile, a value that differs where neighbours disagree in texture; None where nobody does.
    """

    key: str
    label: str
    layout: Any
    truth: torch.Tensor
    tiles: list[torch.Tensor]
    seamless: torch.Tensor
    smooth_faults: bool
    disagree: list[Any] | None = None

    @property
    def reference(self) -> torch.Tensor:
        """What the picture was before it was processed, as far as colour goes: the truth without its detail."""
        soft = gaussian_filter(self.truth.numpy(), (0, 8, 8, 0), mode="nearest")
        return torch.from_numpy(np.ascontiguousarray(soft))


def _picture(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))[None]


def _cut(picture: torch.Tensor, layout: Any) -> list[torch.Tensor]:
    return [tile.clone() for tile in blending().cut(picture, layout)]


def _ramps(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    return np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None, :]


def backdrop(height: int, width: int) -> np.ndarray:
    """A studio backdrop [H, W, 3]: grey, a soft pool of light, a little bluer at the top."""
    y, x = _ramps(height, width)
    light = 0.34 + 0.30 * np.exp(-((x - 0.45) ** 2 + (y - 0.4) ** 2) / 0.35) + 0.06 * y
    return light[..., None] + (1 - y)[..., None] * np.array([-0.02, 0.0, 0.03])


def texture(rng: np.random.Generator, height: int, width: int, sd: float = 10 * LEVEL) -> np.ndarray:
    """Stationary texture [H, W, 1] about three pixels fine, the same in all channels."""
    noise = gaussian_filter(rng.standard_normal((height + 16, width + 16)), 1.2)[8:-8, 8:-8]
    return (noise * (sd / noise.std()))[..., None]


def studio(layout: Any) -> Made:
    """(a) A smooth gradient with grain, and tiles of a slightly different tone."""
    rng = np.random.default_rng(1)
    truth = backdrop(*layout.canvas)
    truth = _picture(truth + rng.standard_normal(truth.shape) * 2 * LEVEL)
    tones = rng.standard_normal(len(layout)) * 4 * LEVEL
    tiles = [tile + float(tone) for tile, tone in zip(_cut(truth, layout), tones, strict=True)]
    return Made("a", "(a) studio gradient, grain sd 2, tile tones sd 4", layout, truth, tiles, truth, True)


def brushed(layout: Any) -> Made:
    """(b) Brushed metal: streaks along x over a gradient, tiles that drift in gain, tone and slope."""
    rng = np.random.default_rng(2)
    height, width = layout.canvas
    streaks = gaussian_filter1d(rng.standard_normal((height, width)), 60, axis=1, mode="reflect")
    y, x = _ramps(height, width)
    metal = 0.5 + 0.18 * np.cos(2.2 * np.pi * (y + 0.15 * x)) + streaks * (5 * LEVEL / streaks.std())
    colour = metal[..., None] * np.array([1.0, 0.98, 0.95])
    truth = _picture(colour + rng.standard_normal(colour.shape) * LEVEL)  # without any grain every line would stand out
    tiles = []
    for tile in _cut(truth, layout):
        gain, tone, slope = 1 + 0.02 * rng.standard_normal(), 3 * LEVEL * rng.standard_normal(), 3 * LEVEL * rng.standard_normal()
        across = torch.linspace(-1, 1, tile.shape[2])[:, None]
        tiles.append((tile - 0.5) * gain + 0.5 + tone + slope * across)
    return Made(
        "b", "(b) brushed metal, grain sd 1, tiles drift in gain, tone and slope", layout, truth, [t.float() for t in tiles], truth, True
    )


def textures(layout: Any) -> Made:
    """(c) Every tile has a texture of its own: neighbours agree in tone and in nothing else."""
    rng = np.random.default_rng(3)
    height, width = layout.canvas
    smooth = _picture(backdrop(height, width))
    tiles = [tile + _picture(texture(rng, *layout.tile_size)) for tile in _cut(smooth, layout)]
    seamless = smooth + _picture(texture(rng, height, width))
    return Made("c", "(c) tiles with textures of their own, sd 10", layout, smooth, tiles, seamless, False, list(range(len(layout))))


def shifted(layout: Any) -> Made:
    """(d) One texture, and tiles of which every other one or so lies 2 to 3 px beside its place."""
    rng = np.random.default_rng(4)
    height, width = (side + 2 * MARGIN for side in layout.canvas)
    smooth = backdrop(height, width)
    wide = _picture(smooth + texture(rng, height, width))
    shifts = [SHIFTS[i % len(SHIFTS)] for i in range(len(layout))]
    tiles = []
    for rect, (dy, dx) in zip(layout.tiles, shifts, strict=True):
        top, left = rect.y + MARGIN + dy, rect.x + MARGIN + dx
        tiles.append(wide[:, top : top + rect.height, left : left + rect.width].clone())
    inner = slice(MARGIN, -MARGIN)
    truth, seamless = (plane[:, inner, inner].contiguous() for plane in (_picture(smooth), wide))
    return Made("d", "(d) texture sd 10, tiles 2 to 3 px beside their place", layout, truth, tiles, seamless, False, shifts)


MAKERS: tuple[Callable[[Any], Made], ...] = (studio, brushed, textures, shifted)


@dataclass(frozen=True)
class Drifted:
    """A mosaic whose tiles have drifted in colour, beside the source they were processed from.

    Attributes:
        layout: where the tiles are.
        truth: [1, H, W, 3], detail (and new objects) included, without drift.
        tiles: what came back from a model: the truth's tiles, each with a drift of its own.
        source: the picture before processing, [1, H, W, 3]: soft, and without new objects.
    """

    layout: Any
    truth: torch.Tensor
    tiles: list[torch.Tensor]
    source: torch.Tensor


DRIFTS = {
    "same": "a gain and an offset per channel",
    "objects": "a gain and an offset per channel, and an object in every fifth tile that the source has not",
    "bent": "a gamma per channel and a slope across the tile",
}


@cache
def drifted(layout: Any, kind: str) -> Drifted:
    """A colourful picture, and one of DRIFTS: gains sd 5 %, offsets sd 2 %, gammas sd 8 %, slopes sd 1.5 % to each side."""
    rng = np.random.default_rng(5)
    height, width = layout.canvas
    y, x = _ramps(height, width)
    phases = np.array([0.0, 1.3, 2.9])
    colours = 0.5 + 0.16 * np.sin(5 * x[..., None] + phases) + 0.12 * np.cos(4 * y[..., None] - 1.7 * phases)
    soft = colours + gaussian_filter(rng.standard_normal((height, width)), 12)[..., None] * 1.2
    detailed = soft + texture(rng, height, width, 6 * LEVEL)
    tile = layout.tile_size[0]
    for rect in layout.tiles[1::5] if kind == "objects" else ():
        cy, cx = rect.y + tile * rng.uniform(0.4, 0.6), rect.x + tile * rng.uniform(0.4, 0.6)
        distance = np.hypot(np.arange(height)[:, None] - cy, np.arange(width)[None, :] - cx)
        mask = np.clip((0.28 * tile - distance) / 2 + 0.5, 0, 1)[..., None]
        detailed = detailed * (1 - mask) + mask * (rng.uniform(0.2, 0.8, 3) + texture(rng, height, width, 4 * LEVEL))
    truth = _picture(detailed.clip(0.03, 0.97))
    tiles = []
    for piece in _cut(truth, layout):
        first, second = (torch.from_numpy(rng.standard_normal(3)).float() for _ in range(2))
        if kind == "bent":
            across = torch.linspace(-1, 1, piece.shape[2])[:, None]
            tiles.append(piece ** (1 + 0.08 * first) + 0.015 * second * across)
        else:
            tiles.append(piece * (1 + 0.05 * first) + 0.02 * second)
    return Drifted(layout, truth, tiles, _picture(soft.clip(0.03, 0.97)))
