"""Everything that one run of a sampler has to remember, and nothing else does.

Wrappers are shared by all clones of a model, so they may hold no state. A `SamplingRun` is
born when a sampler starts, travels in that run's own model options, and dies with it.
"""

from __future__ import annotations

import copy
import logging
import threading
from typing import Any

import torch

from ..blending.fusion.jitter import offsets, stride
from ..blending.fusion.views import RectView, grid_views
from ..blending.layout.grid_layout import GridLayout
from ..host.latents import cells_per_patch, pixels_per_cell
from .conditions.cropping import ConditionCropper
from .last_call import LastCall
from .positions import heeds_positions, warn_unheeded
from .settings import TileSettings
from .tile_batches import TileBatches


class CanvasTiles:
    """The tiles of one canvas: its layout, its views at each step, and its condition cropper.

    Args:
        settings: what the user asked for.
        model: the BaseModel.
        shape: of the canvas [B, C, ..., H, W].
        seed: of the run.

    Raises:
        ValueError: in words for the user, where the canvas cannot be tiled so.
    """

    def __init__(self, settings: TileSettings, model: Any, shape: tuple[int, ...], seed: int) -> None:
        self.settings, self.seed = settings, seed
        self.patch = cells_per_patch(model)
        unit = pixels_per_cell(model)
        cells = (shape[-2], shape[-1])
        self.layout: GridLayout = settings.plan(cells, shape[0], unit, self.patch)
        self.cropper = ConditionCropper(
            shape[2:], unit, settings.reference_latents, patch=self.patch, tiles=len(self.layout), wrap=self.layout.wrap
        )
        self.trim = settings.trim // unit
        # Of the last step, by device: a model on several cards is asked on each.
        self._views: dict[torch.device, tuple[tuple[int, int] | None, list[RectView]]] = {}
        # The cropper knows one tile at a time, and with several cards several are at work.
        self.cropping = threading.Lock()

    @property
    def tile(self) -> tuple[int, int]:
        """(height, width) of a tile in cells."""
        return tuple(length // self.layout.unit for length in self.layout.tile_size)

    @property
    def covered_by_one(self) -> bool:
        """Whether one tile covers the canvas exactly, so that there is nothing to tile."""
        return len(self.layout) == 1

    def views(self, step: int, device: torch.device | str) -> list[RectView]:
        """The tiles at a sampler step, with their weights on `device`."""
        device, offset = torch.device(device), self._offset_at(step)
        if device not in self._views or self._views[device][0] != offset:
            self._views[device] = offset, grid_views(self.layout, self.settings.fusion, self.trim, offset, device)
        return self._views[device][1]

    def _offset_at(self, step: int) -> tuple[int, int] | None:
        if self.settings.grid == "fixed":
            return None
        strides = tuple(stride(axis) // self.layout.unit for axis in self.layout.axes)
        return offsets(self.seed, step, strides, (self.patch, self.patch))


class SamplingRun:
    """The state of one run of a sampler.

    Args:
        settings: what the user asked for.
        seed: of the run; None where the sampler has none.
        noise: the whole canvas' noise. One tensor for all tiles: tiles that are to know what a finished neighbour
            looked like at some noise level need the very noise it began with.

    Attributes:
        settings, seed, noise: as given.
        batches: how many tiles run at once on the device where the latent is.
        stop: set where a device has failed, so that the others end as well.
        alone: the tile that is sampled by itself just now (order sequential), else None.
        cells: (height, width) of the whole canvas.
    """

    def __init__(self, settings: TileSettings, seed: int | None = None, noise: torch.Tensor | None = None) -> None:
        self.settings, self.seed, self.noise = settings, seed or 0, noise
        self.batches = TileBatches(settings.tile_batch)
        self.stop = threading.Event()
        self.alone: RectView | None = None
        self.cells: tuple[int, int] | None = None if noise is None else tuple(noise.shape[-2:])
        self._canvases: dict[tuple[int, ...], CanvasTiles] = {}
        self._last_call: LastCall | None = None
        self._elsewhere: dict[torch.device, TileBatches] = {}
        self._said: set[str] = set()

    def canvas(self, model: Any, shape: tuple[int, ...]) -> CanvasTiles:
        """The tiles of a canvas of this shape. Context windows along a picture side hand on parts of the canvas: each is one."""
        key = (shape[0], *shape[2:])
        if key not in self._canvases:
            self._canvases[key] = CanvasTiles(self.settings, model, tuple(shape), self.seed)
        return self._canvases[key]

    def last_call(self, model_options: dict[str, Any]) -> LastCall:
        """What the model's patches remember of its last call. They are looked through at the run's first prediction."""
        if self._last_call is None:
            self._last_call = LastCall(model_options)
        return self._last_call

    def moves_positions(self, model: Any) -> bool:
        """Whether tiles are told where they lie; says so once in the log where the user asked and the model cannot."""
        if self.settings.positions == "local":
            return False
        if heeds_positions(model):
            return True
        if "positions" not in self._said:
            self._said.add("positions")
            warn_unheeded(model)
        return False

    def batches_elsewhere(self, device: torch.device) -> TileBatches:
        """How many tiles run at once on another device, which holds a copy of the model."""
        return self._elsewhere.setdefault(device, TileBatches(self.settings.tile_batch))

    def for_tile(self, view: RectView) -> SamplingRun:
        """This run, as the sampler of a tile that is sampled by itself knows it. Several tiles may be at work at the same time."""
        mine = copy.copy(self)
        mine.alone = view
        return mine

    def say(self, words: str) -> None:
        """Say something in the log, once in a run."""
        if words not in self._said:
            self._said.add(words)
            logging.info("Tilework: %s", words)

    def end(self) -> None:
        """Let go of everything, also where somebody still holds the run."""
        self._canvases.clear()
        self._last_call = None
        self.noise = None


def step_of(sigma: torch.Tensor, model_options: dict[str, Any]) -> int:
    """Which step of the schedule a noise level belongs to, counted from 0.

    Samplers that call the model several times in a step do so at noise levels between two of the schedule, which
    belong to the step that began at the higher one. Without a schedule, the level's own bits tell levels apart.
    """
    level = float(sigma.flatten()[0])
    schedule = model_options.get("transformer_options", {}).get("sample_sigmas")
    if schedule is None:
        return int(torch.tensor(level, dtype=torch.float32).view(torch.int32)) % 65_521
    # A level computed by way of its logarithm is off by a few units in the last place.
    return max(int((schedule.flatten().float().cpu() >= level * (1 - 1e-5)).sum()) - 1, 0)
