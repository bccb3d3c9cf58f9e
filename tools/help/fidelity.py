"""The pictures of Fidelity Check: a photograph with four faults put into it, on its help page and its template."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from .sheet import write

WORD, CHANGED = "TILEWORK", "TILEWCRK"
WORD_AT = (470, 40)  # the middle of the first letter, y and x
WEAVE, OBJECT, TO = (60, 372, 96), (205, 262, 56), (220, 430)
EYE, REACH = (118, 230), 30
SCALE = 2


def source_and_result(photo: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A source with lettering and a weave, and its enlargement in which a letter, an edge, the weave and an object were changed."""
    source = lettered(woven(photo), WORD)
    big = enlarged(lettered(woven(photo), CHANGED))
    y, x, side = (SCALE * value for value in WEAVE)
    patch = (slice(None), slice(y + side // 3, y + side), slice(x, x + side))
    planes = big[patch].movedim(-1, 1)
    big[patch] = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(planes, (12,) * 4, mode="replicate"), 25, 1).movedim(1, -1)
    (y, x, side), (to_y, to_x) = (SCALE * value for value in OBJECT), (SCALE * value for value in TO)
    big[:, to_y : to_y + side, to_x : to_x + side] = big[:, y : y + side, x : x + side].clone()
    return source, moved(big)


def woven(photo: torch.Tensor) -> torch.Tensor:
    """The photograph with a weave laid over a part of it."""
    y, x, side = WEAVE
    at = torch.arange(float(side))
    weave = 0.05 * ((at[:, None] * 1.25 + at * 0.3).sin() + (at * 1.25 - at[:, None] * 0.3).sin())
    out = photo.clone()
    out[:, y : y + side, x : x + side] += weave[..., None]
    return out.clamp(0, 1)


def lettered(photo: torch.Tensor, word: str) -> torch.Tensor:
    """The photograph with a word on it."""
    sheet = Image.new("L", (photo.shape[2], photo.shape[1]))
    font = ImageFont.load_default(26)
    for index, letter in enumerate(word):  # each at its own place, so that one letter changes no other
        ImageDraw.Draw(sheet).text((WORD_AT[1] + 21 * index, WORD_AT[0]), letter, 255, font, anchor="mm")
    ink = torch.frombuffer(bytearray(sheet.tobytes()), dtype=torch.uint8).view(photo.shape[1:3]).float()[..., None] / 255
    return torch.lerp(photo, torch.full_like(photo, 0.95), ink)


def enlarged(photo: torch.Tensor) -> torch.Tensor:
    """Twice the size, by a formula."""
    planes = torch.nn.functional.interpolate(photo.movedim(-1, 1), scale_factor=SCALE, mode="bicubic")
    return planes.movedim(1, -1).clamp(0, 1).contiguous()


def moved(big: torch.Tensor) -> torch.Tensor:
    """The result with the surroundings of one eye moved sideways by two pixels."""
    height, width = big.shape[1:3]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    far = torch.hypot(y - SCALE * EYE[0], x - SCALE * EYE[1]) / (SCALE * REACH)
    x = x - 3 * (1 - far.square()).clamp_min(0)
    grid = torch.stack((2 * x / width - 1, 2 * y / height - 1), -1)[None]
    return torch.nn.functional.grid_sample(big.movedim(-1, 1), grid, "bicubic", "border", align_corners=False).movedim(1, -1).clamp(0, 1)


def fidelity(photo: torch.Tensor, folder: Path) -> None:
    """Fidelity Check: the result, its heat map, one of the worst places."""
    from blending.fidelity.check import check_fidelity
    from blending.fidelity.heat_map import fidelity_map, worst_places

    source, result = source_and_result(photo)
    report = check_fidelity(result, source)
    panels = [("the result, four faults in it", result[0]), ("heatmap", fidelity_map(result, report)[0])]
    panels += [("worst: source and result", strip) for strip in worst_places(result, source, report)[1:2]]
    write(folder, "TileworkFidelityCheck", panels)


def nothing_invented(photo: torch.Tensor) -> torch.Tensor:
    """Left the source, right the heat map of its result, for the template: [512, 512, 3]."""
    from blending.fidelity.check import check_fidelity
    from blending.fidelity.heat_map import fidelity_map

    source, result = source_and_result(photo)
    both = fidelity_map(result, check_fidelity(result, source))[0]
    middle = photo.shape[2] // 2
    both[:, :middle] = source[0, :, :middle]
    both[:, middle - 1 : middle + 2] = 1
    return both
