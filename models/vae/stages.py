"""Known VAEs, stage by stage, under the host's memory management."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ...blending.layout.captions import in_words
from ...blending.pixels.counted import counted
from ...blending.pixels.memory import empty
from ...blending.pixels.picture import check_finite
from ...blending.stages.plan import StagePlan, trace
from ...blending.stages.run import StageRun, Workplace
from ...blending.stages.steps import Step
from ...host.progress import Watch
from ..memory import fit_for_vae
from .tiles import SMALLEST, Outcome, Shrinking, VAETiles, even_layout, load, planned_tile

CORRECTIONS = {"exact": 0, "statistics": 2, "fast": 0}

# What may be held in memory that is free when the run begins.
SHARE_OF_FREE = 0.9


def decode_by_stages(vae: Any, steps: list[Step], asked: VAETiles, samples: torch.Tensor) -> tuple[torch.Tensor, Outcome]:
    """`tiling.decode` for a VAE whose decoder is `steps`; samples [B, C, h, w]."""
    return _Job(vae, steps, asked, samples, True).run()


def encode_by_stages(vae: Any, steps: list[Step], asked: VAETiles, pixels: torch.Tensor) -> tuple[torch.Tensor, Outcome]:
    """`tiling.encode` for a VAE whose encoder is `steps`; pixels [B, H, W, C], cropped to whole cells."""
    return _Job(vae, steps, asked, pixels.movedim(-1, 1), False).run()


class _Job:
    """One run of either node.

    Args:
        vae: the host's VAE.
        steps: of its decoder or encoder.
        asked: mode and tile.
        source: [B, C, h, w].
        decode: or encode.
    """

    def __init__(self, vae: Any, steps: list[Step], asked: VAETiles, source: torch.Tensor, decode: bool) -> None:
        self.vae, self.asked, self.source, self.decode = vae, asked, source, decode
        self.plan = StagePlan.exact(steps) if asked.mode == "exact" else StagePlan.lean(steps)
        self.device, self.dtype = torch.device(vae.device), vae.vae_dtype
        self.ratio = max(self.plan.scale)
        self.cells = source.shape[2] // self.plan.scale[0], source.shape[3] // self.plan.scale[0]
        self.size = self.cells[0] * self.ratio, self.cells[1] * self.ratio
        finest = [one for one in self.plan.passes if self.plan.finest(one) == self.ratio]
        self.halo = max(self.plan.halo(one) for one in finest)
        self.reach = None if asked.overlap < 0 or asked.mode == "exact" else asked.overlap // 2
        self.guesses = any(self.plan.guesses(one) for one in finest)
        self.channels: list[int] = []
        self.held = self.keys = 0
        self.on_device = False

    def run(self) -> tuple[torch.Tensor, Outcome]:
        """All pictures of the batch, one after the other."""
        import comfy.model_management as management

        with management.cuda_device_context(self.vae.device):
            tile = self._prepare()
            shrinking, watch = Shrinking(tile, self.ratio), Watch(self.source.shape[0])
            out, view = self._output()
            place = self._place(watch, shrinking)
            for index in range(self.source.shape[0]):
                watch.part = index
                now = shrinking.tile[0] // self.ratio, shrinking.tile[1] // self.ratio
                run = StageRun(self.plan, place, self.cells, now, CORRECTIONS[self.asked.mode], self.reach)
                try:
                    run.run(self.source[index : index + 1], view[index : index + 1])
                except ValueError as error:
                    raise ValueError(f"{'latent' if self.decode else 'picture'} {index}: {error}") from error
        outcome = Outcome(shrinking.tile, even_layout(self.size, shrinking.tile, self.ratio))
        outcome.lines += self._lines(shrinking, outcome.grid)
        return out, outcome

    def _prepare(self) -> tuple[int, int]:
        """Load the VAE, plan the tile and decide where canvases are held."""
        import comfy.model_management as management

        vae, plan = self.vae, self.plan
        load(vae, self.decode, (SMALLEST, SMALLEST))
        side = 2 * plan.scale[0]
        self.channels = trace(plan.steps, torch.zeros(1, self.source.shape[1], side, side, device=self.device, dtype=self.dtype))
        self.held = plan.held(self.channels, self.cells) * self.dtype.itemsize
        self.keys = self._keys()
        shared = self.device.type in ("cpu", "mps")
        if shared:
            self._check_main_memory()
        tile = planned_tile(vae, self.decode, self.size, self.asked, self.ratio, self.halo, self.keys + self.held * shared)
        around = tile[0] + 2 * self.halo, tile[1] + 2 * self.halo
        load(vae, self.decode, around, self.keys)
        if self.device.type != "cpu":
            left = management.get_free_memory(self.device) - fit_for_vae(vae, self.decode).needs(around[1], around[0]) - self.keys
            self.on_device = self.held < SHARE_OF_FREE * left
        if not (self.on_device or shared):
            self._check_main_memory()
        return tile

    def _keys(self) -> int:
        """Bytes of the keys and values of the largest attention, which lie on the device."""
        plan = self.plan
        sizes = [self.channels[one.start] * plan.scale[one.start] ** 2 for one in plan.passes if plan.attends(one)]
        return 2 * max(sizes, default=0) * self.cells[0] * self.cells[1] * self.dtype.itemsize

    def _check_main_memory(self) -> None:
        """Refuse, before anything is computed, what would not fit."""
        import comfy.model_management as management

        free = management.get_free_memory(torch.device("cpu"))
        if self.held <= SHARE_OF_FREE * free:
            return
        words = f"mode {self.asked.mode} holds up to {in_words(self.held)} of main memory for this picture, and {in_words(free)} are free"
        if self.asked.mode == "exact":
            lean = StagePlan.lean(self.plan.steps).held(self.channels, self.cells) * self.dtype.itemsize
            raise ValueError(f"{words}: use mode statistics or fast, which hold {in_words(lean)}, or close other programs")
        raise ValueError(f"{words}: close other programs, or use a smaller picture")

    def _place(self, watch: Callable[[int, int], None], shrinking: Shrinking) -> Workplace:
        import comfy.model_management as management

        return Workplace(
            device=self.device,
            dtype=self.dtype,
            canvas_device=self.device if self.on_device else "cpu",
            begin=None if self.decode else self._begin,
            finish=self._finish if self.decode else None,
            watch=watch,
            shrink=shrinking,
            relieve=management.soft_empty_cache,
        )

    def _begin(self, tile: torch.Tensor) -> torch.Tensor:
        """A tile of the picture as the encoder takes it. A copy, because a VAE's `process_input` may work in place."""
        return self.vae.process_input(tile.clone()).to(self.dtype).to(self.device)

    def _finish(self, tile: torch.Tensor) -> torch.Tensor:
        """A decoded tile as the host's IMAGE has it."""
        check_finite(tile, "the decoded tile", f"the VAE in {self.dtype}", "start ComfyUI with --bf16-vae or --fp32-vae")
        return self.vae.process_output(tile.to(dtype=self.vae.vae_output_dtype(), copy=True))

    def _output(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What is returned, and the same [B, C, h, w] to be written to."""
        batch, size = self.source.shape[0], [side * self.plan.scale[-1] for side in self.cells]
        shape = (batch, *size, self.channels[-1]) if self.decode else (batch, self.channels[-1], *size)
        out = empty(shape, self.vae.vae_output_dtype(), self.vae.output_device)
        return out, out.movedim(-1, 1) if self.decode else out

    def _lines(self, shrinking: Shrinking, grid: tuple[int, ...]) -> list[str]:
        """What was done, in a few short lines."""
        height, width = shrinking.tile
        exact = self.asked.mode == "exact"
        around = self.halo if self.reach is None else min(self.halo, self.reach)
        if exact or not self.guesses:
            how = "tiled equals untiled" if around == self.halo else "tiles see less than the VAE does"
        else:
            how = "statistics estimated from samples" if self.asked.mode == "fast" else "statistics of the whole picture"
        where = "on the graphics card" if self.on_device else "in main memory"
        again = f", gone over {CORRECTIONS['statistics']} times more" if self.asked.mode == "statistics" else ""
        lines = [
            f"{self.asked.mode}: {counted(grid[0] * grid[1], 'tile')} of {width} x {height} ({grid[1]} x {grid[0]}), "
            f"{len(self.plan.passes)} stages{again}",
            f"{how}; tiles read {around} px around them",
            f"{self.size[1]} x {self.size[0]} px; up to {in_words(self.held)} held {where}",
        ]
        if exact and self.asked.overlap >= 0:
            lines.append("mode exact takes its overlap from the VAE")
        if shrinking.back_off.count:
            lines.append(f"memory ran out {counted(shrinking.back_off.count, 'time')}: tiles made smaller")
        return lines
