"""Tiles for the models at hand: what is free, what each needs, what each asks of a tile."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ..blending.layout.captions import in_words
from ..blending.networks.memory_fit import SharedFit
from ..blending.networks.tile_plan import Needs, TilePlan, plan_tiles
from ..blending.pixels.counted import counted
from ..blending.receptive_field.measure import THRESHOLD
from ..host.memory import free_after_loading, run_device
from ..host.progress import Watch
from .cells_ratio import cells_ratio
from .memory import fit_for_model, fit_for_vae
from .native_size import lattice, native_size
from .receptive_fields import Findings, upscaler_field, vae_field
from .upscaler import Upscaler

SMALLEST = 64
STEP = 8
# One tile overlaps nothing. This is what it is said to, for who connects it to a node that asks for an overlap.
ONE_TILE_OVERLAP = 16
# Tiles at once at most. Beyond a handful nothing gets faster, and a cancel is heard later.
MOST_BATCH = 8
OVERLAP_SHARE = 8
FLOAT_RGB = 12


@dataclass
class Demand:
    """What one model asks of a tile.

    Attributes:
        name: for reports.
        fit: its memory.
        patcher: how the host loads it, None where it has none.
        multiple_of: sides of tiles, in pixels.
        overlap: in pixels; None to take an eighth of the tile.
        measure: finds out how large an overlap it wants, and on what its tiles start; None where that is known.
        largest: side in pixels, None for no limit.
        result: pixels of the result per pixel of the picture.
        notes: how all this is known.
    """

    name: str
    fit: Needs
    patcher: Any
    multiple_of: int
    overlap: int | None = None
    largest: int | None = None
    result: float = 1.0
    notes: list[str] = field(default_factory=list)
    measure: Callable[[], Findings] | None = None

    def measured(self) -> Demand:
        """The same with nothing left to find out."""
        if self.measure is None:
            return self
        found = self.measure()
        step = math.lcm(self.multiple_of, found.field.lattice)
        return replace(self, multiple_of=step, overlap=found.field.overlap, notes=[f"{self.name}: {found.headline}."], measure=None)

    def as_one_tile(self) -> Demand:
        """The same for a picture that is one tile, for which nothing need be found out."""
        if self.measure is None:
            return self
        notes = [f"{self.name}: one tile has no neighbours, so how far it sees was not measured."]
        return replace(self, overlap=ONE_TILE_OVERLAP, notes=notes, measure=None)


@dataclass(frozen=True)
class Budget:
    """A plan and its reasons.

    Attributes:
        plan: the tiles.
        free: bytes that may be used.
        margin: share that is kept.
        notes: sentences, why it came out like this.
    """

    plan: TilePlan
    free: int
    margin: float
    notes: tuple[str, ...]


def demand_of_model(model: Any) -> Demand:
    """Of a diffusion MODEL: never above the size it was made for."""
    native, step = native_size(model), lattice(model)
    notes = [f"MODEL: tiles never above {native.side} px: {native.reason}. Memory for both prompts at once, as ComfyUI estimates it."]
    return Demand("MODEL", fit_for_model(model), model, step, None, native.side, notes=notes)


def demand_of_upscaler(upscaler: Upscaler, watch: Watch | None = None) -> Demand:
    """Of an upscale model, its receptive field to be measured."""

    def measure() -> Findings:
        return upscaler_field(upscaler, THRESHOLD, watch)

    result = float(upscaler.scale) ** 2
    return Demand("UPSCALE_MODEL", upscaler.fit, upscaler.patcher, upscaler.multiple_of, result=result, measure=measure)


def demand_of_vae(vae: Any, watch: Watch | None = None) -> Demand:
    """Of a VAE: whatever needs more, decoding or encoding; its receptive field to be measured."""
    hungrier = SharedFit((fit_for_vae(vae, True), fit_for_vae(vae, False)))
    step = math.lcm(STEP, cells_ratio(vae))
    return Demand("VAE", hungrier, vae.patcher, step, measure=lambda: vae_field(vae, THRESHOLD, watch))


def budget(width: int, height: int, demands: list[Demand], margin: float, most_batch: int | None = None) -> Budget:
    """The tiles that suit all of the models, one after the other. What they see is measured only where there are several tiles.

    Raises:
        ValueError: where no tile fits.
    """
    device = run_device()
    free = free_after_loading([demand.patcher for demand in demands if demand.patcher is not None])
    notes = [f"{in_words(free)} are free on {device} once the model is loaded and others have made room."]
    if device.type in ("cpu", "mps"):
        result = int(width * height * FLOAT_RGB * max(demand.result for demand in demands))
        if result >= free:
            raise ValueError(
                f"the result alone takes {in_words(result)}, and {in_words(free)} of main memory are free: upscale a smaller picture, "
                "or parts of it, or close other programs"
            )
        free -= result
        notes = [f"{in_words(free)} of main memory are free when the result of {in_words(result)} is taken off."]
        most_batch = 1 if most_batch is None else most_batch
    fit = SharedFit(tuple(demand.fit for demand in demands))
    largest = min((demand.largest for demand in demands if demand.largest is not None), default=None)
    alone = _is_one_tile(width, height, fit, free / (1 + margin) if margin >= 0 else 0, demands, largest)
    demands = [demand.as_one_tile() if alone else demand.measured() for demand in demands]
    step = math.lcm(*(demand.multiple_of for demand in demands))
    asked = dict(
        margin=margin, multiple_of=step, smallest=SMALLEST, largest=largest, most_batch=most_batch or MOST_BATCH, inputs=("margin",)
    )  # fmt: skip
    measured = [demand.overlap for demand in demands if demand.overlap is not None]
    overlap = -(-max(measured, default=0) // STEP) * STEP
    if any(demand.overlap is None for demand in demands):
        plan = _eighth(width, height, fit, free, overlap, step, largest, asked)
        notes.append(f"Overlap {plan.overlap}: an eighth of the tile, as suits diffusion.")
    else:
        plan = plan_tiles(width, height, fit, free, overlap=overlap, **asked)
    for demand in demands:
        notes += demand.notes
    return Budget(plan, free, margin, tuple(notes))


def _is_one_tile(width: int, height: int, fit: SharedFit, room: float, demands: list[Demand], largest: int | None) -> bool:
    """Whether the picture goes through all models in one piece."""
    step = math.lcm(*(demand.multiple_of for demand in demands))
    sides = [max(-(-side // step), -(-SMALLEST // step)) * step for side in (width, height)]
    return (largest is None or max(sides) <= largest // step * step) and fit.needs(*sides) <= room


def _eighth(width: int, height: int, fit: SharedFit, free: int, least: int, step: int, largest: int, asked: dict) -> TilePlan:
    """The plan whose overlap is an eighth of its own tile, and `least` at least."""

    def share(side: int) -> int:
        return max(-(-side // (OVERLAP_SHARE * step)) * step, least)

    overlap = share(largest)
    while True:
        try:
            plan = plan_tiles(width, height, fit, free, overlap=overlap, **asked)
            wanted = share(min(plan.tile_width, plan.tile_height))
        except ValueError:
            # Too much overlap for any tile that fits: the least one of all, or the reason why not.
            plan, wanted = None, max(step, least)
        if wanted >= overlap:
            return plan or plan_tiles(width, height, fit, free, overlap=overlap, **asked)
        overlap = wanted


def table(plan: TilePlan) -> list[tuple[str, str]]:
    """(candidate, what it needs and whether it fits), largest first."""
    rows = []
    least = min(one.pixels for one in plan.candidates if one.chosen)
    for one in plan.candidates:
        tiles = counted(one.tiles, "tile") + (f", {one.batch} at once" if one.batch > 1 else "")
        more = "computes more" if one.pixels > least else "computes as much"
        verdict = "chosen" if one.chosen else f"fits, {more}" if one.fits else "too large"
        rows.append((f"{one.size[0]} x {one.size[1]}", f"{tiles}, {one.pixels / 1e6:.4g} MPix, {in_words(one.bytes)}: {verdict}"))
    return rows


def report(found: Budget, width: int, height: int) -> str:
    """The whole budget as text."""
    plan = found.plan
    chosen = (
        f"Tiles of {plan.tile_width} x {plan.tile_height}, overlap {plan.overlap}, {plan.tile_batch} at once, for {width} x {height} px."
    )
    rule = f"A tile fits where what it needs and {found.margin:.0%} more are free; of those that fit, the fewest pixels computed in all."
    rows = [f"  {size}: {words}" for size, words in table(plan)]
    return "\n".join([chosen, *found.notes, rule, *rows])
