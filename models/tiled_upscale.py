"""Tiled upscaling as one step: the tiles are planned, the model is loaded, and every tile goes through it."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..blending.layout.captions import in_words, true_overlap
from ..blending.layout.grid_layout import GridLayout
from ..blending.layout.pieces import snug_grid
from ..blending.layout.tile_layout import TileLayout
from ..blending.layout.unrolled import unrolled_picture
from ..blending.networks.back_off import BackOff
from ..blending.networks.channels import Channels
from ..blending.networks.tile_plan import TilePlan, batch_that_fits, plan_tiles
from ..blending.networks.tiled_run import TiledRun
from ..blending.pixels.counted import counted
from ..blending.pixels.picture import Outside, outside
from ..blending.receptive_field.measure import THRESHOLD
from ..host.memory import free_after_loading, free_memory
from ..host.progress import Watch
from .choices import IMAGE, TILE
from .receptive_fields import upscaler_field
from .upscaler import Upscaler

MARGIN = 0.1
# More tiles at once hardly make a graphics card faster that has a tile of this kind to work on.
MOST_BATCH = 4
# On a processor a larger tile is no faster, and main memory is wanted for the picture.
LARGEST_ON_CPU = 1024
# Pixels. Trimmed tiles agree within the threshold; the ramp takes what is left from a step to a slope. Tiles that differ in tone want
# a wide one.
RAMP, TONE_RAMP = 8, 64
NEAR, LEAST_BESIDE_EVERYTHING = 8, 16
NOT_POOLABLE = "the model looks at the whole tile in a way that cannot be pooled:", "tiles differ in tone; use larger tiles or Color Match"


@dataclass(frozen=True)
class Request:
    """What the user asked for; 0 and -1 (overlap) stand for "you choose".

    Attributes:
        tile_width, tile_height, overlap: pixels.
        statistics: TILE or IMAGE.
        tile_batch: tiles at once.
        layout: overrules the sizes.
    """

    tile_width: int = 0
    tile_height: int = 0
    overlap: int = -1
    statistics: str = TILE
    tile_batch: int = 0
    layout: GridLayout | None = None

    def check(self) -> None:
        """Raise ValueError for what cannot be, in words."""
        for name, value in (("tile_width", self.tile_width), ("tile_height", self.tile_height), ("tile_batch", self.tile_batch)):
            if value < 0:
                raise ValueError(f"{name} {value} is negative: use 0 to have it chosen, or 1 and more")
        if self.overlap < -1:
            raise ValueError(f"overlap {self.overlap} is negative: use -1 to have it measured, or 0 and more")
        if self.statistics not in (TILE, IMAGE):
            raise ValueError(f"statistics {self.statistics!r} is not known: use {TILE} or {IMAGE}")


@dataclass(frozen=True)
class UpscalePlan:
    """What was chosen.

    Attributes:
        layout: the tiles.
        overlap, trim: source pixels.
        tile_batch: tiles at once.
        needed: bytes for them.
        chosen: what was chosen and not asked for, in words.
    """

    layout: GridLayout
    overlap: int
    trim: int
    tile_batch: int
    needed: float
    chosen: tuple[str, ...]


def upscale(model: Any, image: torch.Tensor, request: Request) -> tuple[torch.Tensor, GridLayout, list[str]]:
    """Upscale IMAGE [B, H, W, C] in tiles; over its border where the request's layout wraps around.

    Then the tiles that reach over the border are run at both ends, and what is computed is by a tile larger than the picture.
    Otherwise as `upscale_flat`, which says the rest.
    """
    request.check()
    layout = request.layout
    if layout is None or not any(layout.wrap):
        return upscale_flat(model, image, request)
    batch, height, width, _ = image.shape
    plan = layout.fit(height, width, batch)
    if request.statistics == IMAGE:
        raise ValueError(
            "the layout wraps around, and statistics image would count the border twice: use statistics tile, or split with wrap "
            "set to none"
        )
    wide, grid, before = unrolled_picture(image, plan)
    result, _, lines = upscale_flat(model, wide, replace(request, layout=grid))
    for dim, (start, size) in enumerate(zip(before, plan.canvas, strict=True), 1):
        scale = result.shape[dim] // wide.shape[dim]
        result = result.narrow(dim, start * scale, size * scale)
    return result.contiguous(), plan, lines


def upscale_flat(model: Any, image: torch.Tensor, request: Request) -> tuple[torch.Tensor, GridLayout, list[str]]:
    """Upscale IMAGE [B, H, W, C] in tiles.

    Returns:
        the upscaled IMAGE, float32 on the host's intermediate device; the tiles it was made of; what was done, in a few lines.

    Raises:
        ValueError: for what does not fit together, in words for the user.
        RuntimeError: where the memory does not even do for small tiles.
    """
    import comfy.model_management as management

    request.check()
    upscaler = Upscaler(model)
    channels = Channels(image.shape[3], upscaler.takes, upscaler.gives)
    field = back_off = None

    def measured() -> Any:
        found = upscaler_field(upscaler, THRESHOLD).field
        upscaler.multiple_of = math.lcm(upscaler.multiple_of, found.lattice)
        return found

    def smaller(before: TilePlan) -> TilePlan:
        nonlocal field
        if field is None and before.tile_batch == 1:
            # One tile needed to know nothing of this; the pieces that it is cut into do.
            field = measured()
            overlap = max(before.overlap, _overlap(field, request.statistics, upscaler.multiple_of))
            before, run.trim = replace(before, overlap=overlap), _trim(field, overlap)
            run.multiple_of = back_off.multiple_of = upscaler.multiple_of
            upscaler.load(plan.needed)
        after = back_off.next(before)
        size = f"{after.tile_width} x {after.tile_height} px" + (", one at a time" if before.tile_batch > after.tile_batch else "")
        logging.warning("Tilework: out of memory, going on with tiles of %s; tiles that are done are kept", size)
        return after

    with upscaler.borrowed():
        plan = plan_one_tile(upscaler, image, request, channels.result)
        if plan is None:
            field = measured()
            plan = plan_upscale(upscaler, image, request, channels.result, field)
        back_off = BackOff(upscaler.multiple_of, upscaler.smallest)
        run = TiledRun(
            upscaler, plan.layout, channels, upscaler.scale, plan.trim, plan.tile_batch, plan.overlap, upscaler.multiple_of,
            smaller, request.statistics == IMAGE, Watch(), upscaler.cut_to,
        )  # fmt: skip
        upscaler.load(plan.needed)
        result = run(image)
    lines = _report(plan, run, upscaler, field, back_off.count) + _range_lines(outside(image), run.clipped)
    for line in lines:
        logging.info("Tilework: Tiled Upscale: %s", line)
    return result.to(management.intermediate_device()), plan.layout, lines


def plan_one_tile(upscaler: Upscaler, image: torch.Tensor, request: Request, channels: int) -> UpscalePlan | None:
    """The whole picture as one tile, where that was asked for or fits; None where there are to be several.

    One tile has no neighbour: nothing need be known of the model, and no overlap is too large for it.

    Raises:
        ValueError: for an overlap that leaves nothing but one tile, where that does not fit.
    """
    batch, height, width, _ = image.shape
    fit, lattice, chosen = upscaler.fit, upscaler.multiple_of, ()
    sides = [max(-(-side // lattice) * lattice, -(-upscaler.smallest // lattice) * lattice) for side in (height, width)]
    if request.layout is not None:
        layout = request.layout.fit(height, width, batch)
    elif request.tile_width or request.tile_height:
        asked = request.tile_height or request.tile_width, request.tile_width or request.tile_height
        if asked[0] < height or asked[1] < width:
            _check_tile(request, upscaler.multiple_of, height, width)
            return None
        layout = TileLayout.grid(height, width, *map(min, sides, asked), 0, lattice, batch)
    else:
        sides = [max(sides)] * 2 if upscaler.square else sides
        needed, free = fit.needs(sides[1], sides[0]), _free(upscaler, image, channels)
        # No tile that is smaller than the picture has room for such an overlap.
        only = request.overlap >= max(height, width)
        fits = needed * (1 + MARGIN) <= free
        if only and not fits:
            raise ValueError(
                f"overlap {request.overlap} is no smaller than the picture of {width} x {height}, which does not fit the memory as one "
                f"tile ({in_words(needed)} needed, {in_words(max(free, 0))} free): use a smaller overlap, or -1 to have it measured"
            )
        too_large = upscaler.device.type == "cpu" and max(sides) > max(LARGEST_ON_CPU, upscaler.smallest)
        if not fits or (too_large and not only):
            return None
        layout, chosen = TileLayout.grid(height, width, *sides, 0, lattice, batch), (_planned(needed, free),)
    if len(layout) > 1:
        return None
    tile_height, tile_width = layout.tile_size
    tile_batch = request.tile_batch or 1
    return UpscalePlan(layout, max(request.overlap, 0), 0, tile_batch, fit.needs(tile_width, tile_height, tile_batch), chosen)


def _planned(needed: float, free: float) -> str:
    return f"tile planned: {in_words(needed)} each, {in_words(free)} free"


def plan_upscale(upscaler: Upscaler, image: torch.Tensor, request: Request, channels: int, field: Any) -> UpscalePlan:
    """Work out tiles, overlap, trim and batch for what was not asked for."""
    batch, height, width, _ = image.shape
    fit, free = upscaler.fit, _free(upscaler, image, channels)
    on_cpu = upscaler.device.type == "cpu"
    most_batch = request.tile_batch or (1 if on_cpu else MOST_BATCH)
    lattice, chosen = upscaler.multiple_of, []
    overlap = request.overlap if request.overlap >= 0 else _overlap(field, request.statistics, lattice)
    if request.layout is not None:
        layout = request.layout.fit(height, width, batch)
        overlap, tile_batch = overlap if layout.least_overlap is None else layout.least_overlap, None
    elif request.tile_width or request.tile_height:
        layout = _asked(request, upscaler, height, width, overlap, batch)
        tile_batch = None
    else:
        largest = LARGEST_ON_CPU // lattice * lattice if on_cpu else None
        if largest is not None and largest <= overlap:
            largest = None
        plan = plan_tiles(
            width, height, fit, free, margin=MARGIN, overlap=overlap, multiple_of=lattice, smallest=upscaler.smallest,
            largest=largest, most_batch=most_batch, inputs=("overlap",),
        )  # fmt: skip
        sides = (max(plan.tile_height, plan.tile_width),) * 2 if upscaler.square else (plan.tile_height, plan.tile_width)
        layout, tile_batch = TileLayout.grid(height, width, *sides, overlap, lattice, batch), plan.tile_batch
        chosen.append(_planned(fit.needs(plan.tile_width, plan.tile_height), free))
    tile_height, tile_width = layout.tile_size
    if len(layout) == 1:
        # There is no neighbour to overlap; but there may be, where the memory runs out and it is cut.
        overlap = max(overlap, _overlap(field, request.statistics, lattice))
    if request.tile_batch:
        tile_batch = request.tile_batch
    elif tile_batch is None:
        tile_batch = batch_that_fits(fit, tile_width, tile_height, most_batch, len(layout), free / (1 + MARGIN))
    return UpscalePlan(layout, overlap, _trim(field, overlap), tile_batch, fit.needs(tile_width, tile_height, tile_batch), tuple(chosen))


def _asked(request: Request, upscaler: Upscaler, height: int, width: int, overlap: int, batch: int) -> GridLayout:
    """Tiles of the size that was asked for, no larger than their number needs."""
    tile_width, tile_height = request.tile_width or request.tile_height, request.tile_height or request.tile_width
    if request.overlap < 0 and overlap >= min(tile_width, tile_height):
        least = overlap + upscaler.multiple_of
        raise ValueError(
            f"a tile of {tile_width} x {tile_height} has no room for the overlap of {overlap} px that was measured for this model: "
            f"use a tile of {2 * overlap} or more (at least {least}), or type a smaller overlap"
        )
    lattice = upscaler.multiple_of
    _check_tile(request, lattice, height, width)
    if 0 < min(tile_width, tile_height) - overlap < lattice <= min(tile_width, tile_height):
        raise ValueError(
            f"tiles of {tile_width} x {tile_height} with overlap {overlap} have nowhere to go: this model's tiles start on multiples of "
            f"{lattice} px; use an overlap of {min(tile_width, tile_height) - lattice} or less, or a larger tile"
        )
    # Nothing need be larger than the picture; but an overlap must have its room also where there is no neighbour.
    room = (overlap // lattice + 1) * lattice
    sides = (min(tile, max(-(-size // lattice) * lattice, room)) for tile, size in ((tile_height, height), (tile_width, width)))
    return snug_grid(height, width, *sides, overlap, lattice, batch)


def _check_tile(request: Request, lattice: int, height: int, width: int) -> None:
    """Refuse a tile that the model does not take where there are to be several; the name is that of the input that was typed."""
    for name, other, size in (("tile_width", "tile_height", width), ("tile_height", "tile_width", height)):
        typed = name if getattr(request, name) else other
        tile = getattr(request, typed)
        if tile < min(lattice, size):
            raise ValueError(f"{typed} {tile} is smaller than the {lattice} px this model works in: use {lattice} or more")


def _reach(field: Any) -> int:
    """How far into a tile its border is to be kept out of the result."""
    if field.full_known and field.full_radius <= field.trim + NEAR:
        return field.full_radius  # hardly dearer, and exact
    # Beside what it sees of the whole tile, what a border does was measured only roughly.
    return max(2 * field.trim, LEAST_BESIDE_EVERYTHING) if field.sees_everything else field.trim


def _overlap(field: Any, statistics: str, lattice: int) -> int:
    """The overlap for this model: its reach on both sides, and a ramp in between."""
    overlap = 2 * _reach(field) + RAMP
    if field.sees_everything and statistics == TILE:
        overlap = max(overlap, TONE_RAMP)
    return -(-overlap // lattice) * lattice


def _trim(field: Any, overlap: int) -> int:
    """How far the model sees at all where the overlap has room for that twice, else how far it sees enough to matter.

    Where there is no room for that either, a quarter of the overlap, which leaves half of it for the ramp.
    """
    wanted = [field.full_radius] * field.full_known + [_reach(field), field.trim]
    fitting = next((radius for radius in wanted if 2 * radius + 1 <= overlap), overlap // 4)
    return max(fitting, overlap // 4) if field.sees_everything else fitting


def _free(upscaler: Upscaler, image: torch.Tensor, channels: int) -> float:
    """Bytes that tiles may use."""
    if upscaler.device.type == "cpu":
        # The result is to fit in the same memory.
        return free_memory(upscaler.device) - image[..., :1].nelement() * channels * 4 * upscaler.scale**2
    if upscaler.patcher is None:
        return free_memory(upscaler.device)
    return free_after_loading([upscaler.patcher], upscaler.device)


def _report(plan: UpscalePlan, run: TiledRun, upscaler: Upscaler, field: Any, back_offs: int) -> list[str]:
    """What was done, in a few short lines."""
    ys, xs = plan.layout.axes
    height, width = plan.layout.tile_size
    size = f"{plan.layout.canvas[1] * upscaler.scale:g} x {plan.layout.canvas[0] * upscaler.scale:g}"
    at_once = min(plan.tile_batch, run.plan.tile_batch)
    several = f", {at_once} at once" if at_once > 1 else ""
    grid = f"{len(xs.origins)} x {len(ys.origins)}"
    lines = [f"{counted(len(plan.layout), 'tile')} of {width} x {height} ({grid}){several}; x{upscaler.scale:g}: {size} px"]
    if len(plan.layout) > 1:
        short = f", and it wants {field.trim}" if plan.trim < field.trim else ""
        lines.append(f"true overlap {true_overlap(plan.layout)} px; {plan.trim} px of each border left out{short}")
        lines += _reach_lines(field)
    lines += plan.chosen
    lines += _statistics_lines(run, field)
    if run.one_at_a_time:
        lines.append("the model failed on several tiles at once: they went one by one")
    if run.mirrored and upscaler.cut_to is not None:
        lines.append("the model failed on a tile as small as the picture's end: it sees the picture mirrored there")
    if back_offs:
        now = run.plan
        times = "once" if back_offs == 1 else f"{back_offs} times"
        lines.append(f"memory ran out {times}: went on with pieces of at most {now.tile_width} x {now.tile_height}")
    return lines


def _range_lines(given: Outside | None, clipped: Outside | None) -> list[str]:
    """What of the picture and of the result lay outside of what pictures may have."""
    words = [] if given is None else [f"the picture is not within 0..1: {given}"]
    return words if clipped is None else [*words, f"the result was clipped to 0..1: {clipped}"]


def _reach_lines(field: Any) -> list[str]:
    # Where an end of all influence was seen, trim and overlap are of that: that of the radius is none to be said.
    if field.radius_known or field.full_known:
        return []
    return [f"the model sees at least {field.radius} px far, its end was not seen: use larger tiles"]


def _statistics_lines(run: TiledRun, field: Any) -> list[str]:
    if field is None:
        return []  # one tile
    if run.statistics is not None:
        layers, passes = len(run.statistics.layers), run.statistics.passes
        if layers:
            lines = [f"statistics of the image: pooled in {passes + 1} passes"]
        elif field.sees_everything:
            lines = list(NOT_POOLABLE)
        else:
            lines = ["the model takes no statistics of the image"]
        return lines + [f"not pooled: {name}" for name in run.statistics.unpooled]
    if field.sees_everything:
        why = f" ({', '.join(field.statistics)})" if field.statistics else ""
        attends = bool(field.statistics) and all(name.startswith("attention") for name in field.statistics)
        mend = "larger tiles differ less in tone" if attends else "statistics = image takes steps of tone out"
        return [f"the model looks at the whole tile{why}:", mend]
    return []
