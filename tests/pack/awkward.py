"""Denoisers that give their caller trouble: a slow one, one that runs out of memory. Plain torch: no ComfyUI."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from .convolution import ConvDenoiser

NAP = 0.02


class SlowDenoiser(ConvDenoiser):
    """Takes its time for every call, and says that it was called.

    Args:
        tell: called with the latent's shape as each call begins.
        seconds: per call, slept in small naps: an interrupt is heard when it comes.
    """

    def __init__(self, *args: Any, tell: Callable[[tuple[int, ...]], None], seconds: float = 0.6) -> None:
        super().__init__(*args)
        self.tell, self.seconds = tell, seconds

    def forward(self, x: torch.Tensor, *args: Any, **more: Any) -> torch.Tensor:
        """As a ConvDenoiser, slowly."""
        self.tell(tuple(x.shape))
        for _ in range(round(self.seconds / NAP)):
            time.sleep(NAP)
        return super().forward(x, *args, **more)


class TightDenoiser(ConvDenoiser):
    """Has memory for a few pictures at once and no more.

    Args:
        room: pictures at once, prompts counted.

    Attributes:
        sizes: how many pictures each call that went well had.
    """

    def __init__(self, *args: Any, room: int = 4) -> None:
        super().__init__(*args)
        self.room, self.sizes = room, []

    def forward(self, x: torch.Tensor, *args: Any, **more: Any) -> torch.Tensor:
        """As a ConvDenoiser, for at most `room` pictures."""
        if len(x) > self.room:
            raise torch.OutOfMemoryError(f"fake: no memory for {len(x)} pictures, only for {self.room}")
        self.sizes.append(len(x))
        return super().forward(x, *args, **more)
