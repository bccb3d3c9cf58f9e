"""Running a network over a large picture: tile by tile, in batches, streamed into one result.

Where the memory runs out, the tile at hand and all later ones are made of smaller pieces that overlap by as much as
tiles do and are blended in the same way. The grid stays what it was: tiles that are done stay done, and the next ones
fit them as they would have. A piece sees what its tile saw, less what was too far away to matter.

A tile that reaches over the picture is cut off where the picture ends, so that the network treats the end as it does in
the whole picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

import torch

from ..composition.compose import compose, compose_on
from ..layout.cutting import crop
from ..layout.grid import Rect
from ..layout.grid_layout import GridLayout
from ..layout.mosaic import Mosaic
from ..layout.pieces import Piece, cores, piece_grid, pieces
from ..pixels.counted import counted
from ..pixels.memory import empty
from ..pixels.picture import Outside, is_finite, outside
from ..whole_picture.one_at_a_time import OneAtATimeError
from ..whole_picture.whole_image import Sample, WholeImageStatistics
from .channels import Channels, Input
from .tile_plan import TilePlan, even_batch


class OutOfMemoryError(RuntimeError):
    """The device has no memory left for what was asked of it. Whoever runs the network raises it."""


class Task(NamedTuple):
    """One input of one tile that the network is to be run on."""

    tile: int
    given: Input


class TiledRun:
    """A network over a picture, tile by tile.

        >>> run = TiledRun(torch.nn.Upsample(scale_factor=2), TileLayout.grid(64, 64, 32, 32, overlap=8), Channels(3, 3, 3), 2)
        >>> run(torch.rand(1, 64, 64, 3)).shape
        torch.Size([1, 128, 128, 3])

    Args:
        network: float32 [N, C, h, w] in 0..1 -> floating point [N, C', h * scale, w * scale], on the CPU both ways;
            raises OutOfMemoryError where the memory does not do, OneAtATimeError where several tiles do not go through together:
            they then go one by one for the rest of the run.
        layout: where the tiles are.
        channels: how pictures of any kind go through it.
        scale: output pixels per source pixel.
        trim: source pixels to disregard at sides that face a neighbour: how far the network sees, at most half the overlap.
        tile_batch: tiles that go through together.
        overlap: of pieces, where tiles must be cut; of the layout where None.
        multiple_of: sides and places of pieces are multiples of it.
        smaller: what to do after the memory ran out: the present plan -> the next, or RuntimeError (`tile_plan.BackOff.next`).
            None: let the error through.
        whole_image: pool the statistics of the whole picture (`whole_image.py`).
        watch: called before each run of the network with the number of tiles done and of tiles in all, passes counted;
            whatever it raises ends the run.
        cut_to: the network takes sides that are multiples of this. A tile at the end of the picture is as large as what it
            shows of it, rounded up to such a side; in what is wanting to that the picture is mirrored. None: it is as large as all others.

    Attributes:
        plan: the sizes that are in use now.
        statistics: of the last picture, where `whole_image`.
        one_at_a_time: whether the network failed on several tiles at once.
        clipped: what of the last result lay outside of 0..1 and was clipped; None for nothing.
        mirrored: whether tiles at the end of the picture are as large as all others, with the picture mirrored beyond its
            end: where the network failed on one that was cut off, or `cut_to` is None.
    """

    def __init__(
        self,
        network: Callable[[torch.Tensor], torch.Tensor],
        layout: GridLayout,
        channels: Channels,
        scale: int | float | Fraction,
        trim: int = 0,
        tile_batch: int = 1,
        overlap: int | None = None,
        multiple_of: int = 1,
        smaller: Callable[[TilePlan], TilePlan] | None = None,
        whole_image: bool = False,
        watch: Callable[[int, int], None] | None = None,
        cut_to: int | None = 1,
    ) -> None:
        if tile_batch < 1:
            raise ValueError(f"tile_batch {tile_batch} is no number of tiles: use 1 or more")
        self.network, self.layout, self.channels, self.scale, self.trim = network, layout, channels, Fraction(scale), trim
        self.multiple_of, self.smaller = multiple_of, smaller
        height, width = layout.tile_size
        if overlap is None:
            overlap = max(2 * trim + 1, min(height, width) // 8) if layout.least_overlap is None else layout.least_overlap
        self.plan = TilePlan(width, height, -(-overlap // multiple_of) * multiple_of, tile_batch)
        self.whole_image = whole_image
        self.statistics: WholeImageStatistics | None = None
        self.cores = cores(layout)
        self.frame = torch.empty(0)  # the picture at hand
        self.watch = watch or (lambda done, total: None)
        self.one_at_a_time, self.mirrored, self.cut_to = False, cut_to is None, cut_to or 1
        self.frames_left = 0
        self.clipped: Outside | None = None
        self.done, self.total = 0, len(layout) * layout.batch * (1 + self._in_parts)
        channels.scale, channels.always = float(self.scale), self.whole_image

    def __call__(self, image: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """Run the network over `image` [B, H, W, C] in 0..1, each picture of the batch for itself.

        Args:
            out: float32 [B, H * scale, W * scale, C'] to write to; made here where None.

        Returns:
            float32 [B, H * scale, W * scale, C'] in 0..1. Memory beside it: one batch of tiles with their results, and the
            rows in which two rows of tiles overlap; with alpha one row of tiles in colour.

        Raises:
            ValueError: for a tile that has NaN or Inf in it, going in or coming out, by its number; for a size or number of
                channels that is not as announced.
        """
        layout = self.layout
        if tuple(image.shape[1:3]) != layout.canvas:
            raise ValueError(
                f"the layout was planned for {layout.canvas[1]} x {layout.canvas[0]} and this picture is "
                f"{image.shape[2]} x {image.shape[1]}: resize one of them, or leave the layout away"
            )
        height, width = layout.tile_size
        mosaic = Mosaic(layout, (round(height * self.scale), round(width * self.scale)), "hann", self.trim, self.scale)
        if out is None:
            out = empty((image.shape[0], *mosaic.size, self.channels.result))
        for number, frame in enumerate(image):
            self.frame, self.statistics, self.frames_left = frame, None, len(image) - number
            self.channels.begin(frame)
            if self._in_parts:
                self._pool()
            compose_on(self._results(), mosaic, out=out[number : number + 1])
        self.clipped = outside(out)
        return out.clamp_(0, 1)

    @property
    def _in_parts(self) -> bool:
        """Whether the network is to have statistics of the whole picture and never sees the whole of it."""
        return self.whole_image and (len(self.layout) > 1 or self._cut)

    def _groups(self) -> Iterator[range]:
        """Numbers of tiles that go through together."""
        step = self.plan.tile_batch
        return (range(start, min(start + step, len(self.layout))) for start in range(0, len(self.layout), step))

    def _tile(self, index: int) -> torch.Tensor:
        tile = crop(self.frame, self.layout.tiles[index], (0, 1)).float().cpu()
        # Hidden colour may be anything: it is not looked at.
        seen = tile if self.channels.picture < 4 else torch.where(tile[..., 3:] == 0, torch.zeros_like(tile), tile)
        _check(seen, index, "goes into the model", "look at the node that made the picture")
        return seen if self.channels.picture == 4 and not is_finite(tile) else tile

    def _results(self) -> Iterator[torch.Tensor]:
        """Every tile's result [1, H, W, C'], in order."""
        for group in self._groups():
            prepared = [self.channels.prepare(self._tile(index)) for index in group]
            tasks = [Task(index, given) for index, (inputs, _) in zip(group, prepared, strict=True) for given in inputs]
            came = self._run(tasks)
            start = 0
            for index, (inputs, finish) in zip(group, prepared, strict=True):
                result = finish(came[start : start + len(inputs)])
                came[start : start + len(inputs)] = [None] * len(inputs)
                start += len(inputs)
                _check(result, index, "came out of the model", "a model in fp16 that overflows is the usual cause, try it in fp32 or bf16")
                yield result[None]
                self.done += 1
            self.watch(self.done, self.total)

    def _run(self, tasks: Sequence[Task]) -> list[torch.Tensor]:
        """The network's result [C', H, W] of every task, in smaller pieces where the memory runs out."""
        came: list[torch.Tensor] = []
        while len(came) < len(tasks):
            left = self._next(tasks, len(came))
            try:
                results = [self._in_pieces(left[0])] if self._cut else self._at_once([(task, self._whole(task)) for task in left])
                came += [_extended(result, self.layout.tile_size, self.scale) for result in results]
            except OneAtATimeError:
                self._give_one(len(left))
            except OutOfMemoryError:
                if self.smaller is None:
                    raise
                self.plan = self.smaller(self.plan)
                if self._in_parts and self.statistics is None:
                    # What was to be one run is none any more, for this picture and those after it.
                    self.total += len(self.layout) * self.frames_left
                    self._pool()
            except Exception:
                if not self._give_whole(left[0]):
                    raise
        return came

    def _next(self, tasks: Sequence[Task], start: int) -> Sequence[Task]:
        """The tasks from `start` on that go through together: as many as may, evenly full, of one size."""
        left = len(tasks) - start
        step = even_batch(left, self.plan.tile_batch)
        size = self._inside(tasks[start].tile)
        same = next((n for n in range(1, step) if self._inside(tasks[start + n].tile) != size), step)
        return tasks[start : start + same]

    def _give_one(self, tiles: int) -> None:
        """Give the network one tile at a time from here on, if there were several."""
        if tiles == 1:
            raise RuntimeError("the network says of one tile that it takes one at a time only")
        self.plan, self.one_at_a_time = replace(self.plan, tile_batch=1), True

    def _give_whole(self, task: Task) -> bool:
        """After a failure: whether this was a tile or piece cut off to a side of its own. There is none from here on."""
        if self.mirrored:
            return False
        self.mirrored = self._cut or self._inside(task.tile) != self.layout.tile_size
        return self.mirrored

    @property
    def _cut(self) -> bool:
        """Whether tiles must be cut into pieces."""
        height, width = self.layout.tile_size
        return self.plan.tile_height < height or self.plan.tile_width < width

    def _inside(self, tile: int) -> tuple[int, int]:
        """(height, width) of what the network is to be given of a tile."""
        rect, sides = self.layout.tiles[tile], self.layout.canvas
        if self.mirrored:
            return rect.height, rect.width
        left = (sides[0] - rect.y, sides[1] - rect.x)
        return tuple(min(side, -(-rest // self.cut_to) * self.cut_to) for side, rest in zip(rect[2:], left, strict=True))

    def _whole(self, task: Task) -> Piece:
        return Piece(Rect(0, 0, *self._inside(task.tile)), self.cores[task.tile])

    def _at_once(self, work: Sequence[tuple[Task, Piece]]) -> list[torch.Tensor]:
        """One run of the network on pieces of one size."""
        self.watch(self.done, self.total)
        batch = _stacked(work)
        context = nullcontext()
        if self.statistics is not None:
            context = self.statistics.applied(self._samples(work))
        with context:
            result = self.network(batch)
        if not isinstance(result, torch.Tensor) or result.ndim != 4:
            raise ValueError(
                f"the model made {_in_words(result)} of {_in_words(batch)}, and pictures [batch, channels, height, width] were "
                "expected: it is not an upscale model that can be tiled"
            )
        expected = (len(work), self.channels.gives, *(round(side * self.scale) for side in batch.shape[2:]))
        if len(work) > 1 and len(result) == 1:
            raise OneAtATimeError(f"the model made one picture of {len(work)} tiles")
        if tuple(result.shape) != expected:
            raise ValueError(
                f"the model made {_said(result.shape)} of a tile of {batch.shape[3]} x {batch.shape[2]}, and {_said(expected)} were "
                f"expected of its scale {float(self.scale):g}: it is not an upscale model that can be tiled"
            )
        return list(result)

    def _pieces(self, task: Task) -> tuple[GridLayout, list[Piece]]:
        """How a tile is cut where it is too large for the memory: the grid, and its pieces, cut off where the tile ends."""
        height, width = self._inside(task.tile)
        sides = min(self.plan.tile_height, height), min(self.plan.tile_width, width)
        # As small as the number of pieces allows: whole tiles would do most of the work twice.
        grid = piece_grid(height, width, *sides, self.plan.overlap, self.multiple_of)
        parts = pieces(grid, self.cores[task.tile])
        if not self.mirrored:
            parts = [part._replace(rect=_cut_off(part.rect, height, width)) for part in parts]
        return grid, parts

    def _in_pieces(self, task: Task) -> torch.Tensor:
        """A tile's result, put together from results of its pieces."""
        grid, parts = self._pieces(task)
        results = (_extended(self._at_once([(task, piece)])[0], grid.tile_size, self.scale) for piece in parts)
        return compose((one.movedim(0, -1)[None].float() for one in results), grid, trim=self.trim, scale=self.scale)[0].movedim(-1, 0)

    def _pool(self) -> None:
        """Collect the statistics of the whole picture, in as many passes over its tiles as that takes."""
        statistics = WholeImageStatistics()
        while not statistics.settled:
            with statistics.pass_over():
                for group in self._groups():
                    inputs = ((index, self.channels.prepare(self._tile(index))[0]) for index in group)
                    tasks = [Task(index, given) for index, several in inputs for given in several]
                    self._collect(tasks, statistics)
                    self.done += len(group)
            if not statistics.settled:
                self.total += len(self.layout)  # how many passes there are to be is not known before
        self.statistics = statistics

    def _collect(self, tasks: Sequence[Task], statistics: WholeImageStatistics) -> None:
        """Collect the statistics of all tasks."""
        start = 0
        while start < len(tasks):
            left = self._next(tasks, start)
            try:
                if self._cut:
                    left = left[:1]
                    for piece in self._pieces(left[0])[1]:
                        self._observe([(left[0], piece)], statistics)
                else:
                    self._observe([(task, self._whole(task)) for task in left], statistics)
            except OneAtATimeError:
                statistics.drop()
                self._give_one(len(left))
                continue
            except OutOfMemoryError:
                statistics.drop()
                if self.smaller is None:
                    raise
                self.plan = self.smaller(self.plan)
                continue
            except Exception:
                statistics.drop()
                if not self._give_whole(left[0]):
                    raise
                continue
            statistics.commit()
            start += len(left)

    def _samples(self, work: Sequence[tuple[Task, Piece]]) -> list[Sample]:
        # A part that was cut off where the picture ends was filled up as the whole picture would have been: all of that counts.
        cores = [piece.core if self.mirrored else piece.core.to_the_end(piece.rect.height, piece.rect.width) for _, piece in work]
        return [
            Sample(task.given.plane, task.tile, (piece.rect.height, piece.rect.width), core)
            for (task, piece), core in zip(work, cores, strict=True)
        ]

    def _observe(self, work: Sequence[tuple[Task, Piece]], statistics: WholeImageStatistics) -> None:
        self.watch(self.done, self.total)
        batch = _stacked(work)
        with statistics.collecting(self._samples(work)):
            self.network(batch)


def _stacked(work: Sequence[tuple[Task, Piece]]) -> torch.Tensor:
    """The pieces as one batch [N, C, h, w], channels last in memory: as pictures are, and twice as fast to convolve on a processor.

    Always a copy, of one piece too: some networks work in place, and the picture is the caller's.
    """
    parts = [crop(task.given.pixels, piece.rect, (1, 2)).movedim(0, -1) for task, piece in work]
    return torch.stack(parts).movedim(-1, 1)


def _extended(result: torch.Tensor, size: Sequence[int], scale: Fraction) -> torch.Tensor:
    """The result [C', H, W] of a part that was cut off, in the size of the whole; what is made up lies outside of the picture."""
    height, width = (round(side * scale) for side in size)
    return crop(result, Rect(0, 0, height, width), (1, 2))


def _cut_off(rect: Rect, height: int, width: int) -> Rect:
    """What of `rect` lies in a tile of `height` x `width`."""
    return rect._replace(height=min(rect.height, height - rect.y), width=min(rect.width, width - rect.x))


def _said(shape: Sequence[int]) -> str:
    return f"{shape[3]} x {shape[2]} with {counted(shape[1], 'channel')}" + (f" ({shape[0]} pictures)" if shape[0] > 1 else "")


def _in_words(result: Any) -> str:
    return f"a tensor of shape {tuple(result.shape)}" if isinstance(result, torch.Tensor) else f"a {type(result).__name__}"


def _check(pixels: torch.Tensor, index: int, when: str, mend: str) -> None:
    if is_finite(pixels):
        return
    what = "NaN" if bool(torch.isnan(pixels).any()) else "Inf"
    raise ValueError(f"tile {index} has {what} in it as it {when} ({counted(int((~torch.isfinite(pixels)).sum()), 'value')}): {mend}")
