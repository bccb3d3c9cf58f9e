"""A network run over a picture of any size, tile by tile, stage by stage.

Each pass reads a canvas, works through its steps with as many neighbours as they reach, and writes the cores of the tiles
to the next canvas. While it does so, it gathers the mean and variance that the next normalisation needs. So every number
is computed from the same inputs as in an untiled run, and every cell once, but for the halo of a convolution or two.

Where a pass holds normalisations that nobody has the statistics of (`StagePlan.lean`), they are estimated on a small copy
of what the pass begins with, and corrected by going over the picture once more without keeping anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch

from ..pixels.counted import counted
from ..pixels.memory import empty
from ..whole_picture.pooled_moments import PooledMoments
from .attention import KeysValues
from .plan import Pass, StagePlan, settled, stage_cores
from .pooled_norm import add_core, normalise
from .steps import Add, Attention, Keep, Local, Norm, Region

# Rows of a canvas whose statistics are taken at a time.
BAND = 256

# Statistics are estimated on this many samples along each side of the picture.
SAMPLES = 4


def _never(error: Exception) -> tuple[int, int] | None:
    return None


@dataclass
class Workplace:
    """Where and how the work is done.

    Attributes:
        device, dtype: of the network.
        canvas_device: where canvases are held.
        begin: what a tile of the source goes through first, to the network's device and dtype; None for only that.
        finish: what a finished tile goes through before it is written to the output.
        watch: called before each tile with what is done and what there is to do, in cells of the finest resolution.
        shrink: given an exception, the smaller tile (height, width) in coarsest cells to go on with, or None to let it pass.
        relieve: called before going on with a smaller tile, once everything of the failed one has been let go.
    """

    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32
    canvas_device: torch.device | str = "cpu"
    begin: Callable[[torch.Tensor], torch.Tensor] | None = None
    finish: Callable[[torch.Tensor], torch.Tensor] | None = None
    watch: Callable[[int, int], None] = lambda done, total: None
    shrink: Callable[[Exception], tuple[int, int] | None] = _never
    relieve: Callable[[], None] = lambda: None


@dataclass
class Kept:
    """What a Keep remembers: a canvas, or within a pass a tile's part of one.

    Attributes:
        values: [1, C, h, w].
        point: the step before which it was kept.
        region: the part of the picture it is; None for all of it.
    """

    values: torch.Tensor
    point: int
    region: Region | None = None


@dataclass
class StageRun:
    """One picture on its way through the passes of a plan.

    Attributes:
        plan: steps and passes.
        place: where the work is done.
        cells: (height, width) of the picture in coarsest cells.
        tile: (height, width) of a tile in coarsest cells.
        corrections: how often estimated statistics are corrected by going over the whole picture; 0 leaves the estimate.
        reach: how far a tile reads into its neighbours where the resolution is finest, in cells of it; None for as far as it sees.
        moments: the statistics of each normalisation, by its step.
        done, total: progress, in cells of the finest resolution.
    """

    plan: StagePlan
    place: Workplace
    cells: tuple[int, int]
    tile: tuple[int, int]
    corrections: int = 0
    reach: int | None = None
    moments: dict[int, PooledMoments] = field(default_factory=dict)
    done: int = 0
    total: int = 0

    def run(self, source: torch.Tensor, out: torch.Tensor) -> None:
        """Work through all passes.

        Args:
            source: [1, C, h, w], h and w being the cells times the plan's first scale; never written to.
            out: [1, C', h', w'] for the result, of the plan's last scale; any strides, any device.

        Raises:
            ValueError: where source or out do not fit the plan, the source has NaN or Inf in it, or the network overflows.
        """
        for name, tensor, scale in (("source", source, self.plan.scale[0]), ("output", out, self.plan.scale[-1])):
            if tuple(tensor.shape[2:]) != (self.cells[0] * scale, self.cells[1] * scale):
                raise ValueError(f"the {name} is {tuple(tensor.shape[2:])} and the plan is for {self.cells} times {scale}")
        plan = self.plan
        self.total = sum(plan.sweeps(one, self.corrections) * self._work(one, self._whole(1)) for one in plan.passes)
        current, kept = Kept(source, 0), []
        for one in plan.passes:
            current, kept = self._pass(one, current, kept, out)

    def _whole(self, scale: int) -> Region:
        return Region(0, self.cells[0] * scale, 0, self.cells[1] * scale)

    def _work(self, one: Pass, core: Region) -> int:
        height, width = core.size
        return height * width * self.plan.finest(one) ** 2

    def _pass(self, one: Pass, current: Kept, kept: list[Kept], out: torch.Tensor) -> tuple[Kept, list[Kept]]:
        """Work through one pass; the canvas it leaves, and what is kept beyond it."""
        plan, last = self.plan, one.stop == len(self.plan.steps)
        attention = self._gather_keys(one, current) if plan.attends(one) else None
        if attention is None and plan.guesses(one):
            self._find_statistics(one, current, kept)
        norm, moments = plan.norm_after(one), PooledMoments()
        canvases = {one.stop: out} if last else self._in_place(one, current, kept)

        def work(core: Region) -> None:
            x, region, stack = self._forward(one.start, one.stop, core, current, kept, attention)
            part = core.times(plan.scale[one.stop]).of(x, region)
            if last and self.place.finish is not None:
                part = self.place.finish(part)
            parts = {one.stop: part}
            for entry in stack:
                if entry.region is not None and settled(plan.steps, entry.point, one.stop) != one.stop:
                    parts[entry.point] = core.times(plan.scale[entry.point]).of(entry.values, entry.region)
            for point in parts.keys() - canvases.keys():
                canvases[point] = self._canvas(parts[point], point)
            # Last of all, and only once the whole tile has come through: after a failure it is done again.
            if norm is not None:
                add_core(moments, part, plan.steps[norm].groups)
            for point, values in parts.items():
                core.times(plan.scale[point]).of(canvases[point]).copy_(values)

        self._sweep(one, work)
        if norm is not None:
            self.moments[norm] = moments
        after = [entry if isinstance(entry, Kept) else Kept(canvases[entry], entry) for entry in plan.stack(one, kept)]
        return Kept(canvases[one.stop], one.stop), after

    def _in_place(self, one: Pass, current: Kept, kept: list[Kept]) -> dict[int, torch.Tensor]:
        """The canvas of what is added last, where the sum can be written over it."""
        if not self.plan.sums_in_place(one) or kept[-1].point == 0:
            return {}
        canvas = kept[-1].values
        around = any(isinstance(step, Local) and step.reach for step in self.plan.steps[one.start : one.stop])
        shared = sum(entry.values is canvas for entry in kept) > 1
        return {} if shared or (around and current.values is canvas) else {one.stop: canvas}

    def _canvas(self, like: torch.Tensor, point: int) -> torch.Tensor:
        whole = self._whole(self.plan.scale[point])
        return empty((1, like.shape[1], *whole.size), like.dtype, self.place.canvas_device)

    def _sweep(self, one: Pass, work: Callable[[Region], None]) -> None:
        """Do `work` for every core of a pass; smaller ones from where the memory runs out. What is finished stays."""
        todo = deque(stage_cores(self._whole(1), self.plan.tile(one, self.tile)))
        while todo:
            self.place.watch(self.done, self.total)
            if self._fits(partial(work, todo[0])):
                self.done += self._work(one, todo.popleft())
            else:
                todo = deque(part for core in todo for part in stage_cores(core, self.plan.tile(one, self.tile)))
        self.place.watch(self.done, self.total)

    def _fits(self, work: Callable[[], None]) -> bool:
        """Do the work; False where the memory ran out and the tile is smaller now."""
        try:
            work()
            return True
        except Exception as error:
            smaller = self.place.shrink(error)
            if smaller is None:
                raise
        # Out of the except block, which keeps alive what the failed tile had in hand.
        self.tile = smaller
        self.place.relieve()
        return False

    def _gather_keys(self, one: Pass, current: Kept) -> KeysValues:
        """The keys and values of the whole picture."""
        side = self.plan.scale[one.start]
        norm, step = self.plan.steps[one.start : one.start + 2]
        gathered = KeysValues(self.cells[0] * self.cells[1] * side * side)

        def work(core: Region) -> None:
            x = self._read(current, core.times(side))
            gathered.add(step, normalise(x, norm, self.moments[one.start]))

        self._sweep(one, work)
        return gathered

    def _find_statistics(self, one: Pass, current: Kept, kept: list[Kept]) -> None:
        """Statistics for the normalisations inside a pass: estimated, then corrected over the whole picture."""
        inside = self.plan.guesses(one)
        while not self._fits(partial(self._estimate, one, inside[-1], current, kept)):
            pass
        for _ in range(self.corrections):
            pooled = {index: PooledMoments() for index in inside}

            def work(core: Region, pooled: dict[int, PooledMoments] = pooled) -> None:
                seen: dict[int, PooledMoments] = {}
                self._forward(one.start, inside[-1] + 1, core, current, kept, None, seen)
                for index, found in seen.items():
                    pooled[index].merge(found.count, found.mean, found.variance)

            self._sweep(one, work)
            self.moments |= pooled

    def _estimate(self, one: Pass, last: int, current: Kept, kept: list[Kept]) -> None:
        """The statistics of samples from all over the picture that together are about one tile.

        The samples go through the steps side by side, so at every normalisation they have the statistics of all of them.
        """
        samples = self._samples(one)
        needs = [self._needs(one.start, last + 1, core) for core in samples]
        regions = [need[0] for need in needs]
        parts = self._standardised(current, regions)
        stacks = [list(kept) for _ in samples]
        for index in range(one.start, last + 1):
            step, scale = self.plan.steps[index], self.plan.scale[index]
            if isinstance(step, Norm) and index > one.start:
                self.moments[index] = PooledMoments()
                for core, region, x in zip(samples, regions, parts, strict=True):
                    add_core(self.moments[index], core.times(scale).of(x, region), step.groups)
            for number, (x, region) in enumerate(zip(parts, regions, strict=True)):
                wanted = needs[number][index + 1 - one.start]
                parts[number], regions[number] = self._step(index, x, region, wanted, stacks[number], None)

    def _samples(self, one: Pass) -> list[Region]:
        """Evenly spread parts of the picture; all of it where it is no larger than a tile."""
        if all(side <= tile for side, tile in zip(self.cells, self.tile, strict=True)):
            return [self._whole(1)]
        rows, columns = (_spread(side, max(1, min(tile, side) // SAMPLES)) for side, tile in zip(self.cells, self.tile, strict=True))
        return [Region(*row, *column) for row in rows for column in columns]

    def _standardised(self, entry: Kept, regions: list[Region]) -> list[torch.Tensor]:
        """Samples of a canvas, shifted and scaled to have together the canvas' own mean and spread in every channel."""
        parts = [region.of(entry.values) for region in regions]
        if len(parts) > 1:
            full, part = PooledMoments(), PooledMoments()
            for band in entry.values.split(BAND, dim=2):
                add_core(full, band, band.shape[1])
            for sample in parts:
                add_core(part, sample, sample.shape[1])
            gain = (full.variance / part.variance.clamp(min=1e-12)).sqrt()
            shift = full.mean - part.mean * gain
            gain, shift = (one.float().to(entry.values.device).reshape(1, -1, 1, 1) for one in (gain, shift))
            parts = [torch.addcmul(shift, sample.float(), gain).to(sample.dtype) for sample in parts]
        return [part.to(self.place.device) if entry.point else self._begin(part) for part in parts]

    def _begin(self, tile: torch.Tensor) -> torch.Tensor:
        return tile.to(self.place.device, self.place.dtype) if self.place.begin is None else self.place.begin(tile)

    def _read(self, entry: Kept, region: Region) -> torch.Tensor:
        tile = region.of(entry.values, entry.region)
        if entry.region is not None:
            return tile
        if entry.point:
            return tile.to(self.place.device)
        if not torch.isfinite(tile).all():
            raise ValueError(self._spoiled(tile, region))
        return self._begin(tile)

    def _spoiled(self, values: torch.Tensor, region: Region) -> str:
        """What of the source's part at `region` is not finite, and where: the tile of the finest grid, row and column."""
        bad = ~torch.isfinite(values)
        row, column = (int(at) for at in bad.nonzero()[0][-2:])
        row, column = region.top + row, region.left + column
        y, x = row // self.plan.scale[0], column // self.plan.scale[0]
        tiles = enumerate(stage_cores(self._whole(1), self.tile))
        index = next(i for i, one in tiles if one.top <= y < one.bottom and one.left <= x < one.right)
        what = "NaN" if torch.isnan(values).any() else "Inf"
        values = counted(int(bad.sum()), "value")
        return f"{what} ({values}) in tile {index}, the first at row {row}, column {column}: look at the node that made it"

    def _needs(self, start: int, stop: int, core: Region) -> list[Region]:
        """What of the plane before each step, and after the last, it takes to get the core right."""
        scale = self.plan.scale
        needs = [core.times(scale[stop])]
        pending: list[Region] = []
        for index in range(stop - 1, start - 1, -1):
            step, need = self.plan.steps[index], needs[0]
            whole = self._whole(scale[index])
            if isinstance(step, Local):
                need = step.needs(need, whole)
            elif isinstance(step, Add):
                pending.append(need if step.shortcut is None else step.shortcut.needs(need, whole))
            elif isinstance(step, Keep):
                need = need.join(pending.pop() if pending else core.times(scale[index]))
            needs.insert(0, need)
        return needs

    def _forward(
        self,
        start: int,
        stop: int,
        core: Region,
        current: Kept,
        kept: list[Kept],
        attention: KeysValues | None = None,
        seen: dict[int, PooledMoments] | None = None,
    ) -> tuple[torch.Tensor, Region, list[Kept]]:
        """A tile through the steps start..stop: its values, where they lie, and what is kept.

        With `seen`, the statistics of its core at every normalisation after the first step are left there.
        """
        needs = self._needs(start, stop, core)
        region = needs[0]
        if self.reach is not None and max(self.plan.scale[start : stop + 1]) == max(self.plan.scale):
            around = -(-self.reach * self.plan.scale[start] // max(self.plan.scale))
            inside = core.times(self.plan.scale[start])
            allowed = Region(inside.top - around, inside.bottom + around, inside.left - around, inside.right + around)
            region = region.meet(allowed)
        x = self._read(current, region)
        stack = list(kept)
        for index in range(start, stop):
            step = self.plan.steps[index]
            if seen is not None and isinstance(step, Norm) and index > start:
                seen[index] = PooledMoments()
                add_core(seen[index], core.times(self.plan.scale[index]).of(x, region), step.groups)
                if index + 1 == stop:
                    break
            x, region = self._step(index, x, region, needs[index + 1 - start], stack, attention)
        return x, region, stack

    def _step(
        self, index: int, x: torch.Tensor, region: Region, wanted: Region, stack: list[Kept], attention: KeysValues | None
    ) -> tuple[torch.Tensor, Region]:
        """A tile that lies at `region` through one step; of what comes out, what is wanted and where that lies."""
        step = self.plan.steps[index]
        if isinstance(step, Norm):
            return normalise(x, step, self.moments[index]), region
        if isinstance(step, Attention):
            return attention.attend(step, x), region
        if isinstance(step, Keep):
            stack.append(Kept(x, index, region))
            return x, region
        if isinstance(step, Add):
            return x + self._added(step, stack.pop(), region, index), region
        made = step.gives(region)
        kept = wanted.meet(made)
        return kept.of(step.run(x), made), kept

    def _added(self, step: Add, entry: Kept, region: Region, index: int) -> torch.Tensor:
        """What an Add adds to a tile that lies at `region`."""
        if step.shortcut is None:
            return self._read(entry, region)
        part = step.shortcut.needs(region, self._whole(self.plan.scale[index]))
        if entry.region is not None:
            part = part.meet(entry.region)
        return region.of(step.shortcut.run(self._read(entry, part)), part)


def _spread(side: int, length: int) -> list[tuple[int, int]]:
    """SAMPLES evenly spread pieces of a side, or fewer where it is too short for so many."""
    count = max(1, min(SAMPLES, side // length))
    starts = [(2 * i + 1) * side // (2 * count) - length // 2 for i in range(count)]
    return [(max(0, start), min(side, max(0, start) + length)) for start in starts]
