"""The pictures of Whole-Canvas Views, Hide Patch Grid and of what prepares a latent that was enlarged."""

from __future__ import annotations

import importlib
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from blending.coherence.few_steps import slerp
from blending.coherence.match_statistics import match_tile_statistics
from blending.coherence.size_schedule import shifted_sigmas
from blending.fusion.dilated import strided_views

from .composition import LARGER, SEED, bed
from .sheet import PANEL, apart, write

STRIDE = 3
PATCHES = ("canvas_guide", "dilated_views", "sampling_range")
BLOCK, PATCH, ZOOM = (240, 180), 12, 24
CHART = (PANEL, 240)
LINES = ((1.0, "model's own size", (150, 150, 150)), (2.0, "2 x", (110, 180, 255)), (4.0, "4 x", (255, 170, 80)))


def whole_canvas_views(photo: torch.Tensor, folder: Path) -> None:
    """All of them."""
    _whole_canvas(folder, photo)
    _patches(folder, photo)
    _schedules(folder)
    _statistics(folder)
    _mixed_noise(folder)


def demofusion() -> torch.Tensor:
    """The test bed's scene, three times larger: held by skip residual, and seen whole; [1, h, w, 3]."""
    made = bed()
    coherence = "tilework_test.coherence"
    scenes, models, guide, dilated, ranges = (
        importlib.import_module(name)
        for name in (f"{coherence}.scenes", f"{coherence}.models", *(f"tilework.sampling.{one}" for one in PATCHES))
    )
    model = models.scene_model("dit")
    small, large = (made.Job(scale=scale, count=1, seed=SEED, steps=8) for scale in (1, LARGER))
    side = scenes.NATIVE * made.PIXELS
    held = guide.Guide("skip residual", made.sample(model, small), side, ranges.SamplingRange(0.0, 1.0))
    patched = dilated.with_dilated_views(guide.guided(model, held), side, side, 1.0, 1.0, False)
    return scenes.rgb(made.sample(made.in_tiles(patched, large), large)).movedim(1, -1)


def _whole_canvas(folder: Path, photo: torch.Tensor) -> None:
    planes = photo.movedim(-1, 1)
    parts = [view.gather(planes).movedim(1, -1) for view in strided_views(tuple(planes.shape[-2:]), STRIDE)]
    write(folder, "TileworkDilatedViews", [("The canvas", photo[0]), ("Its views: the scene, nine times", apart(parts, STRIDE, 4))])


def _patches(folder: Path, photo: torch.Tensor) -> None:
    y, x = BLOCK
    side = PATCH * 3
    large = photo[0, y : y + side, x : x + side].repeat_interleave(ZOOM, 0).repeat_interleave(ZOOM, 1)
    panels = []
    for title, start in (("Steps 1, 3, 5 ...: patches of the model", 0), ("Steps 2, 4, 6 ...: half a patch on", PATCH // 2)):
        ruled = large.clone()
        for at in range(start * ZOOM, side * ZOOM, PATCH * ZOOM):
            for line in (ruled[at : at + 5], ruled[:, at : at + 5]):
                line.copy_(torch.tensor([1.0, 0.75, 0.2]))
        panels.append((title, ruled))
    write(folder, "TileworkPatchShift", panels)


def _schedules(folder: Path) -> None:
    time = torch.linspace(1.0, 0.0, 41, dtype=torch.float64)
    diffusion = torch.exp(torch.linspace(2.68, -3.5, 41, dtype=torch.float64))
    flow = [shifted_sigmas(time, scale, "signal", True, 1.0) for scale, *_ in LINES]
    others = [shifted_sigmas(diffusion, scale, "signal", False, 14.6).log() for scale, *_ in LINES]
    panels = [("Flow models: noise level, step by step", _chart(flow)), ("SD 1.5, SDXL: its logarithm", _chart(others))]
    write(folder, "TileworkShiftSigmas", panels)


def _chart(curves: list[torch.Tensor]) -> torch.Tensor:
    """Curves of one length, under one another's ranges: [H, W, 3]."""
    width, height = CHART
    sheet = Image.new("RGB", (2 * width, 2 * height), (24, 26, 30))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(28)
    low, high = min(float(curve.min()) for curve in curves), max(float(curve.max()) for curve in curves)
    for index, (curve, (_, name, ink)) in enumerate(zip(curves, LINES, strict=True)):
        points = [
            (30 + (2 * width - 60) * at / (len(curve) - 1), 2 * height - 30 - (2 * height - 60) * (float(value) - low) / (high - low))
            for at, value in enumerate(curve)
        ]
        draw.line(points, ink, 5)
        draw.text((50, 2 * height - 130 + 34 * index), name, ink, font)
    return torch.frombuffer(bytearray(sheet.tobytes()), dtype=torch.uint8).view(2 * height, 2 * width, 3).float() / 255


def _noise(side: int, seed: int) -> torch.Tensor:
    return torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(seed))


def _grey(latent: torch.Tensor) -> torch.Tensor:
    return (latent[0, 0] * 0.2 + 0.5).clamp(0, 1).repeat_interleave(8, 0).repeat_interleave(8, 1)


def _statistics(folder: Path) -> None:
    small = _noise(24, 1) * torch.linspace(0.5, 1.5, 24)
    large = torch.nn.functional.interpolate(small, scale_factor=2, mode="bicubic")
    latents = (small, large, match_tile_statistics(large, small, 16))
    spreads = (f"spread {float(one.std()):.2f}" for one in latents)
    names = ("A small latent", "Enlarged", "Matched")
    titles = [f"{name}: {spread}" for name, spread in zip(names, spreads, strict=True)]
    write(folder, "TileworkMatchLatents", list(zip(titles, map(_grey, latents), strict=True)))


def _mixed_noise(folder: Path) -> None:
    random, found = _noise(48, 2), _noise(48, 3)
    straight, arc = 0.5 * (random + found), slerp(random, found, 0.5)
    titles = (f"Two noises, mixed straight: spread {float(straight.std()):.2f}", f"Along the arc: spread {float(arc.std()):.2f}")
    write(folder, "TileworkFewStepRefine", list(zip(titles, map(_grey, (straight, arc)), strict=True)))
