"""An UPSCALE_MODEL as a plain function of tiles: on the host's device, under its memory management."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..blending.networks.memory_fit import MemoryFit
from ..blending.networks.tiled_run import OutOfMemoryError
from ..blending.pixels.counted import counted
from ..blending.whole_picture.one_at_a_time import OneAtATimeError
from ..host.memory import is_out_of_memory, run_device
from .memory import fit_for_upscaler

# What networks that shrink the picture on the inside do it by, at most; tiles that begin on multiples of it are treated alike.
USUAL_LATTICE = 8
SMALLEST_TILE = 64


class Upscaler:
    """What is known of an upscale model of the host's loader, or of anything called and described like one; read from it once.

    Args:
        model: spandrel's description of a single-image model: called with float32 or what `dtype` says, [N, C, h, w] in 0..1.

    Attributes:
        network: what the model runs; its `torch.nn.Module`, as a rule.
        patcher: how the host loads it; None on older hosts, where it is moved by hand.
        scale: output pixels per pixel.
        takes, gives: channels.
        needs: what sides must be multiples of, as the model says itself.
        multiple_of: sides and places of tiles should be multiples of it.
        cut_to: `needs`, for the model fills up other sides, as the host has it do with the whole picture. None for a model of
            squares, which would make a square of a tile that is cut off.
        minimum: side of the smallest picture that it takes, in pixels; 0 where it does not say.
        smallest: side of the smallest tile worth its while, in pixels.
        square: whether it takes square pictures only.
        tiling: what its authors say about tiles, "SUPPORTED", "DISCOURAGED" or "INTERNAL"; "" where they do not.
        device: where the host runs it.

    Raises:
        ValueError: for what is no upscale model.
    """

    def __init__(self, model: Any) -> None:
        scale = getattr(model, "scale", None)
        if not callable(model) or not isinstance(scale, int | float) or not 0 < scale <= 64:
            raise ValueError(f"upscale_model is a {type(model).__name__}, not an upscale model: connect the output of Load Upscale Model")
        self.model, self.scale = model, scale
        self.network, self.patcher = getattr(model, "model", model), getattr(model, "patcher", None)
        self.takes, self.gives = (int(getattr(model, name, 3)) for name in ("input_channels", "output_channels"))
        sizes = getattr(model, "size_requirements", None)
        self.needs, self.minimum = int(getattr(sizes, "multiple_of", 1) or 1), int(getattr(sizes, "minimum", 0) or 0)
        self.square = bool(getattr(sizes, "square", False))
        self.multiple_of = math.lcm(USUAL_LATTICE, self.needs)
        self.cut_to = None if self.square else self.needs
        self.smallest = max(SMALLEST_TILE, self.minimum)
        self.tiling = getattr(getattr(model, "tiling", None), "name", "")
        self.device = run_device() if self.patcher is None else torch.device(self.patcher.load_device)

    @property
    def dtype(self) -> torch.dtype:
        """What its weights are in; float32, as the host gives it, where that cannot be told."""
        try:
            dtype = getattr(self.model, "dtype", None)
        except StopIteration:
            dtype = None  # a network without weights
        return dtype if isinstance(dtype, torch.dtype) and dtype.is_floating_point else torch.float32

    @property
    def fit(self) -> MemoryFit:
        """Its memory per pixel of the tile that is given to it; worked out once for each network."""
        return fit_for_upscaler(self)

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """However the model is moved within, it is back where it was afterwards."""
        try:
            yield
        finally:
            # With a patcher the host itself decides how long the weights stay.
            if self.patcher is None:
                self.model.to("cpu")

    def load(self, needed: float) -> None:
        """Put the model on its device, with `needed` bytes asked of the host beside it."""
        import comfy.model_management as management

        if self.patcher is not None:
            # Whole: these networks are not made of the host's layers, which can run from main memory.
            management.load_models_gpu([self.patcher], memory_required=needed, force_full_load=True)
        else:
            management.free_memory(needed + management.module_size(self.network), self.device)
        # Later hosts leave the weights to the node, and what the model keeps besides them goes with this.
        self.model.to(self.device)

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Run the model on float32 [N, C, h, w], CPU to CPU.

        Raises:
            OutOfMemoryError: where the device has no memory left.
            OneAtATimeError: where it failed in another way and there were several tiles: some models take one picture only.
        """
        import comfy.model_management as management

        try:
            result = self.model(batch.to(self.device, self.dtype))
            # What is no tensor is refused by whoever called.
            return result.float().cpu() if isinstance(result, torch.Tensor) else result
        except Exception as error:
            if not is_out_of_memory(error):
                if len(batch) == 1:
                    raise
                logging.warning("Tilework: the model failed on %d tiles at once (%s): going on one by one", len(batch), error)
                raise OneAtATimeError(f"the model failed on {len(batch)} tiles at once: {error}") from error
        # Out here, where the error no longer holds on to the tensors of the run.
        management.soft_empty_cache()
        raise OutOfMemoryError(f"no memory for {counted(len(batch), 'tile')} of {batch.shape[3]} x {batch.shape[2]} px")
