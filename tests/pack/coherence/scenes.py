"""Drawn scenes: a gradient sky, one sun, one horizon, one house, a ground of fine texture.

A scene lives in the unit square and is drawn through a window into it, at any size: the whole of it ("scene"), or a part
of it seen closely ("detail"). Texture is drawn at the size of the pixels whatever the window, as photographs have detail
at every scale.

Latents have four channels: red, green and blue around their middle, and the texture of the ground.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F

NATIVE = 32  # cells of a side that the models are trained on
CHANNELS = 4
GAIN = 3.2  # latents then have a standard deviation of about one
KINDS = ("day", "night", "nosun")
SCOPES = ("scene", "detail")
CONTEXT_DIM, TOKENS, POOLED_DIM = 16, 4, 8

SUN, WALL, DOOR, ROOF = (1.0, 0.85, 0.22), (0.86, 0.80, 0.68), (0.25, 0.16, 0.12), (0.78, 0.17, 0.14)
WHOLE = torch.tensor([[0.0, 0.0, 1.0]])


def prompts() -> dict[tuple, tuple[torch.Tensor, torch.Tensor]]:
    """(kind, scope) -> (context [1, TOKENS, CONTEXT_DIM], pooled [1, POOLED_DIM]); () is the empty prompt.

    The tokens are: "a", the kind, the scope, "b".
    """
    drawn = torch.Generator().manual_seed(7)
    words = {word: torch.randn(CONTEXT_DIM, generator=drawn) for word in (*KINDS, *SCOPES, "a", "b")}
    pooled = {word: torch.randn(POOLED_DIM, generator=drawn) for word in (*KINDS, *SCOPES)}
    said = {(): (torch.zeros(1, TOKENS, CONTEXT_DIM), torch.zeros(1, POOLED_DIM))}
    for kind in KINDS:
        for scope in SCOPES:
            context = torch.stack([words["a"], words[kind], words[scope], words["b"]])[None]
            said[kind, scope] = context, (pooled[kind] + pooled[scope])[None] / 2
    return said


class _Chance:
    """Random numbers of `count` scenes, in the order they are asked for."""

    def __init__(self, generator: torch.Generator, count: int) -> None:
        self.generator, self.count = generator, count

    def between(self, low: float, high: float) -> torch.Tensor:
        """[n, 1, 1]"""
        return (low + (high - low) * torch.rand(self.count, generator=self.generator)).view(-1, 1, 1)

    def colour(self, one: tuple, other: tuple) -> torch.Tensor:
        """A colour between two, [n, 3, 1, 1]."""
        share = torch.rand(self.count, 1, generator=self.generator)
        return (torch.tensor(one) * (1 - share) + torch.tensor(other) * share).view(-1, 3, 1, 1)


class _Places(NamedTuple):
    """Where the cells lie in the unit square (y, x), each [n, size, size]; how wide one is there [n, 1, 1]."""

    y: torch.Tensor
    x: torch.Tensor
    cell: torch.Tensor

    def cover(self, distance: torch.Tensor) -> torch.Tensor:
        """How much of each cell lies inside a shape, [n, 1, h, w]; its signed distance is negative inside."""
        return (0.5 - distance / self.cell).clamp(0, 1)[:, None]


def _places(windows: torch.Tensor, size: int) -> _Places:
    count = len(windows)
    line = (torch.arange(size) + 0.5) / size
    y = (windows[:, 0, None] + line * windows[:, 2, None]).view(count, size, 1).expand(count, size, size)
    x = (windows[:, 1, None] + line * windows[:, 2, None]).view(count, 1, size).expand(count, size, size)
    return _Places(y, x, (windows[:, 2] / size).view(count, 1, 1))


def _paint(picture: torch.Tensor, colour: tuple | torch.Tensor, cover: torch.Tensor, light: torch.Tensor | float = 1.0) -> torch.Tensor:
    over = colour if isinstance(colour, torch.Tensor) else torch.tensor(colour).view(1, 3, 1, 1)
    return picture * (1 - cover) + over * light * cover


def _sky(chance: _Chance, at: _Places, night: torch.Tensor, nosun: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The sky [n, 3, h, w], the horizon's height [n, 1, 1] and its line [n, h, w]."""
    top = (1 - night - nosun) * chance.colour((0.15, 0.35, 0.85), (0.45, 0.30, 0.80))
    top = top + night * chance.colour((0.02, 0.03, 0.15), (0.12, 0.03, 0.22))
    top = top + nosun * chance.colour((0.45, 0.50, 0.58), (0.60, 0.62, 0.68))
    low = (1 - night - nosun) * chance.colour((0.55, 0.75, 0.95), (0.75, 0.65, 0.90))
    low = low + night * chance.colour((0.10, 0.14, 0.38), (0.26, 0.14, 0.42))
    low = low + nosun * chance.colour((0.70, 0.74, 0.80), (0.78, 0.79, 0.84))
    height = chance.between(0.56, 0.68)
    slope = chance.between(-0.03, 0.03) * (at.x - 0.5)
    swell, waves, phase = chance.between(0, 0.018), chance.between(4, 9), chance.between(0, 6.28)
    down = (at.y / height).clamp(0, 1)[:, None]
    return top * (1 - down) + low * down, height, height + (slope + swell * torch.sin(at.x * waves + phase))


def _sun(picture: torch.Tensor, chance: _Chance, at: _Places, nosun: torch.Tensor) -> torch.Tensor:
    y, x, radius = chance.between(0.12, 0.27), chance.between(0.13, 0.87), chance.between(0.075, 0.095)
    away = ((at.y - y) ** 2 + (at.x - x) ** 2).sqrt()
    picture = _paint(picture, SUN, 0.22 * torch.exp(-((away / (2 * radius)) ** 2))[:, None] * (1 - nosun))
    return _paint(picture, SUN, at.cover(away - radius) * (1 - nosun))


def _texture(chance: _Chance, size: int) -> torch.Tensor:
    fine = torch.randn(chance.count, 1, size, size, generator=chance.generator)
    fine = F.conv2d(F.pad(fine, (1, 1, 0, 0), mode="reflect"), torch.tensor([[[[0.3, 0.6, 0.3]]]])) / 0.73
    coarse = torch.randn(chance.count, 1, size // 4 + 1, size // 4 + 1, generator=chance.generator)
    return fine * 0.085 + F.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=True) * 0.045


def draw(generator: torch.Generator, kinds: torch.Tensor, windows: torch.Tensor, size: int = NATIVE) -> torch.Tensor:
    """New scenes.

    Args:
        generator: the only source of chance.
        kinds: [n], numbers of KINDS.
        windows: [n, 3], (y, x, side) in the unit square.
        size: cells of a side.

    Returns:
        latents [n, 4, size, size].
    """
    chance, at = _Chance(generator, len(kinds)), _places(windows, size)
    night, nosun = ((kinds == which).float().view(-1, 1, 1, 1) for which in (1, 2))
    picture, height, horizon = _sky(chance, at, night, nosun)
    picture = _sun(picture, chance, at, nosun)
    ground = chance.colour((0.22, 0.48, 0.18), (0.50, 0.44, 0.22)) * (1 - 0.45 * night)
    texture = _texture(chance, size)
    land = at.cover(horizon - at.y)
    near = ((at.y - height) / 0.4).clamp(0, 1)[:, None]
    picture = picture * (1 - land) + (ground * (0.85 + 0.25 * near) + texture * (1 - 0.3 * night)) * land
    foot, middle = height + chance.between(0.07, 0.20), chance.between(0.17, 0.83)
    half, tall, roof = chance.between(0.10, 0.13), chance.between(0.12, 0.16), chance.between(0.09, 0.12)
    beside = (at.x - middle).abs()
    wall = at.cover(torch.maximum(beside - half, torch.maximum(at.y - foot, foot - tall - at.y)))
    door = at.cover(torch.maximum(beside - 0.028, torch.maximum(at.y - foot, foot - 0.085 - at.y)))
    rise = (foot - tall - at.y) / roof  # 0 at the eaves, 1 at the ridge
    gable = at.cover(torch.maximum((beside - (half + 0.03) * (1 - rise)) * 0.8, at.y - (foot - tall)))
    picture = _paint(picture, WALL, wall, 1 - 0.5 * night)
    picture = _paint(picture, DOOR, door)
    picture = _paint(picture, ROOF, gable, 1 - 0.3 * night)
    return torch.cat([(picture - 0.5) * GAIN, texture * land * (1 - wall) * (1 - gable) * 3 * GAIN], 1)


def drawn(count: int, seed: int, size: int = NATIVE, kind: str = "day") -> torch.Tensor:
    """Whole scenes of one kind, [count, 4, size, size]: what stands for the small picture that is to be enlarged."""
    return draw(torch.Generator().manual_seed(seed), torch.full((count,), KINDS.index(kind)), WHOLE.expand(count, 3), size)


def _windows(generator: torch.Generator, scopes: torch.Tensor, stray: float) -> torch.Tensor:
    """[n, 3]: the whole square for scope 0 (but for a share of `stray`), a part of a third to nine tenths of it for 1."""
    count = len(scopes)
    side = 1 / (1.1 + 2.4 * torch.rand(count, generator=generator))
    y, x = torch.rand(count, generator=generator) * (1 - side), torch.rand(count, generator=generator) * (1 - side)
    part = (scopes == 1) | (torch.rand(count, generator=generator) < stray)
    return torch.where(part[:, None], torch.stack([y, x, side], 1), WHOLE.expand(count, 3))


def lesson(generator: torch.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What to train on: latents [n, 4, 32, 32], contexts [n, TOKENS, CONTEXT_DIM] and pooled prompts [n, POOLED_DIM].

    Half by day, a quarter by night and a quarter without a sun; 45 % details; one in eight without a prompt.
    """
    kinds = torch.multinomial(torch.tensor([0.5, 0.25, 0.25]), count, replacement=True, generator=generator)
    scopes = (torch.rand(count, generator=generator) < 0.45).long()
    latents = draw(generator, kinds, _windows(generator, scopes, stray=0.1))
    dropped = (torch.rand(count, generator=generator) < 0.12).tolist()
    known = prompts()
    said = [known[() if gone else (KINDS[kind], SCOPES[scope])] for gone, kind, scope in zip(dropped, kinds, scopes, strict=True)]
    return latents, torch.cat([context for context, _ in said]), torch.cat([pooled for _, pooled in said])


def rgb(latents: torch.Tensor) -> torch.Tensor:
    """[n, 3, h, w] in 0..1 of latents."""
    return (latents[:, :3] / GAIN + 0.5).clamp(0, 1)


def save_sheet(pictures: torch.Tensor, path: Path, columns: int = 8, zoom: int = 4) -> None:
    """Write a contact sheet of pictures [n, 3, h, w] in 0..1."""
    from PIL import Image
    from torchvision.utils import make_grid

    sheet = make_grid(pictures, nrow=columns, padding=1, pad_value=1.0)
    image = Image.fromarray((sheet.movedim(0, -1) * 255).round().byte().numpy())
    image.resize((image.width * zoom, image.height * zoom), Image.NEAREST).save(path)
