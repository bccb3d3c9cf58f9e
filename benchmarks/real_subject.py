"""A trained network with what was computed with it, and the photograph that it is tried on."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from loading import blending, load_pack, load_upscale_model, note

load_pack()
networks = importlib.import_module("tilework.benchmarks.real_networks")

PASS = 256 * 256  # pixels: what costs are counted in


class StoppedError(BaseException):
    """Enough was counted. No exception that a program would handle."""


class Subject:
    """One network, and what was computed with it so far.

    Args:
        name: of real_networks.NETWORKS.
        most: passes after which whoever runs it is stopped.

    Attributes:
        model: as the host's loader gives it.
        pixels: that went through the network, whoever ran it.
    """

    def __init__(self, name: str, most: float = float("inf")) -> None:
        self.name, self.most, self.pixels = name, most, 0
        self.model = load_upscale_model(networks.trained_network(name, note))
        self.scale = int(self.model.scale)
        self.model.model.register_forward_pre_hook(self._count)
        self._results: dict[Any, Any] = {}

    def _count(self, _network: torch.nn.Module, given: tuple[Any, ...]) -> None:
        picture = given[0]
        if not picture.is_meta:  # which costs nothing
            self.pixels += picture.shape[0] * picture.shape[-2] * picture.shape[-1]
        if self.pixels > self.most * PASS:
            raise StoppedError

    def __call__(self, picture: torch.Tensor) -> torch.Tensor:
        """IMAGE [1, H, W, 3] -> IMAGE, in one piece, 0..1 as the host's node gives it."""
        return self.model(picture.movedim(-1, 1)).movedim(1, -1).clamp(0, 1)

    def untiled(self, picture: torch.Tensor) -> torch.Tensor:
        """The same, computed once for a picture of this size."""
        return self._once(tuple(picture.shape), lambda: self(picture))

    def tiles(self, picture: torch.Tensor, layout: Any) -> list[torch.Tensor]:
        """The tiles of a picture, upscaled one by one; computed once."""
        return self._once(layout, lambda: [self(tile).clone() for tile in blending().cut(picture, layout)])

    def _once(self, key: Any, do: Callable[[], Any]) -> Any:
        if key not in self._results:
            self._results[key] = do()
        return self._results[key]

    def field(self) -> Any:
        """What Measure Safe Overlap finds, with its own threshold."""
        fields = importlib.import_module("tilework.models.receptive_fields")
        upscaler = importlib.import_module("tilework.models.upscaler").Upscaler(self.model)
        return fields.upscaler_field(upscaler, blending("receptive_field.measure").THRESHOLD)

    def cost(self, do: Callable[[], Any]) -> tuple[Any, float, float]:
        """(what `do` returns, passes, seconds)."""
        before, start = self.pixels, time.perf_counter()
        came = do()
        return came, (self.pixels - before) / PASS, time.perf_counter() - start


class Photograph:
    """One of scikit-image's pictures, or a file."""

    def __init__(self, name: str) -> None:
        self.source, self.name = name, Path(name).name

    @cached_property
    def whole(self) -> torch.Tensor:
        """float32 [1, H, W, 3]."""
        import skimage

        if Path(self.source).is_file():
            picture = skimage.io.imread(self.source)
        elif hasattr(skimage.data, self.source):
            picture = getattr(skimage.data, self.source)()
        else:
            sys.exit(f"{self.source} is neither a file nor one of scikit-image's pictures: use for example astronaut, coffee or rocket")
        if picture.ndim == 2:
            picture = skimage.color.gray2rgb(picture)
        return torch.from_numpy(skimage.util.img_as_float32(picture[..., :3]).copy())[None]

    def crop(self, height: int, width: int) -> torch.Tensor:
        """Its middle, [1, height, width, 3]."""
        whole = self.whole
        if whole.shape[1] < height or whole.shape[2] < width:
            sys.exit(f"{self.name} is {whole.shape[2]} x {whole.shape[1]}, smaller than {width} x {height}: use another --photo or --size")
        top, left = (whole.shape[1] - height) // 2, (whole.shape[2] - width) // 2
        return whole[:, top : top + height, left : left + width].contiguous()
