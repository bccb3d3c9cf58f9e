"""Who puts tiles together: Tilework with every method it knows, and the libraries that take tiles as they are."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import stitchers
import torch
from loading import blending, load_host, monai_inference


class Work(NamedTuple):
    """What there is to put together: tiles [1, h, w, C] in the layout's order, and what the picture was before, or None."""

    tiles: list[torch.Tensor]
    layout: Any
    reference: torch.Tensor | None = None


@dataclass(frozen=True)
class Merger:
    """One contestant.

    Attributes:
        key, label: its names.
        prepare: turns the tiles into what it takes, outside of any timing, and returns the call that merges them.
        read: turns what the call returns into float32 [1, H, W, C].
        ours: whether it is Tilework.
        depth: what it counts in.
        absent: why it is not here, or None.
        no_float: why values outside 0..1 cannot be asked of it, or None.
        no_alpha: why pictures with alpha cannot be, or None.
        timed: whether it is in the tables of time and memory.
        outside: whether it runs in a process of its own, whose memory is then counted instead.
    """

    key: str
    label: str
    prepare: Callable[[Work], Callable[[], Any]]
    read: Callable[[Any], torch.Tensor] = lambda came: came
    ours: bool = False
    depth: str = "float32"
    absent: str | None = None
    no_float: str | None = None
    no_alpha: str | None = None
    timed: bool = True
    outside: bool = False

    def merge(self, work: Work) -> torch.Tensor:
        """Prepare, call and read."""
        return self.read(self.prepare(work)())


def _compose(method: str, with_reference: bool, work: Work) -> Callable[[], torch.Tensor]:
    compose = blending().compose
    if with_reference:
        return lambda: compose(iter(work.tiles), work.layout, method=method, reference=work.reference)
    return lambda: compose(iter(work.tiles), work.layout, method=method)


def takes_reference() -> bool:
    """Whether this Tilework's compose can be given a reference."""
    return "reference" in inspect.signature(blending().compose).parameters


def _core(work: Work) -> Callable[[], torch.Tensor]:
    from comfy_extras.nodes_images import ImageMergeTileList

    height, width = work.layout.canvas
    overlap = work.layout.axes[0].overlap
    return lambda: ImageMergeTileList.execute(work.tiles, [width], [height], [overlap]).result[0]


def _monai(mode: str, work: Work) -> Callable[[], torch.Tensor]:
    inference = monai_inference()
    height, width = work.layout.canvas
    tile, overlap = work.layout.axes[0].tile, work.layout.axes[0].overlap
    planar = [t.movedim(-1, 1).contiguous() for t in work.tiles]
    canvas = torch.empty(1, 1, 1, 1).expand(1, planar[0].shape[1], height, width)  # only its shape is looked at
    scratch = torch.empty_like(planar[0])

    def run() -> torch.Tensor:
        ready = iter(planar)
        # Weights are multiplied into the tensor that the predictor returns, and the tiles must outlive that.
        return inference(
            canvas, (tile, tile), 1, lambda _: scratch.copy_(next(ready)), overlap=overlap / tile, mode=mode, sigma_scale=0.125
        )

    return run


def _blended_tiling(work: Work) -> Callable[[], torch.Tensor]:
    from blended_tiling import TilingModule

    axis = work.layout.axes[0]
    stack = torch.cat([t.movedim(-1, 1) for t in work.tiles])
    share = axis.overlap / axis.tile

    def run() -> torch.Tensor:
        module = TilingModule(tile_size=list(work.layout.tile_size), tile_overlap=[share, share], base_size=list(work.layout.canvas))
        return module.rebuild_with_masks(stack)

    return run


def _tiler(window: str, work: Work) -> Callable[[], np.ndarray]:
    from tiler import Merger as TilerMerger
    from tiler import Tiler

    axis = work.layout.axes[0]
    arrays = [t[0].numpy() for t in work.tiles]
    channels = arrays[0].shape[2]

    def run() -> np.ndarray:
        plan = Tiler((*work.layout.canvas, channels), arrays[0].shape, overlap=(axis.overlap, axis.overlap, 0), channel_dimension=2)
        merger = TilerMerger(plan, window=window, save_visits=False)
        for index, array in enumerate(arrays):
            merger.add(index, array)
        return merger.merge()

    return run


def _unless(found: bool, what: str) -> str | None:
    return None if found else f"{what} is not installed"


def _here(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _planar_last(came: torch.Tensor) -> torch.Tensor:
    return came.movedim(1, -1)


def _ours() -> list[Merger]:
    made = []
    for method in blending().METHODS:
        made.append(Merger(f"tilework-{method}", f"**Tilework** {method}", partial(_compose, method, False), ours=True))
        if takes_reference():
            label = f"**Tilework** {method}, with reference"
            made.append(Merger(f"tilework-{method}-reference", label, partial(_compose, method, True), ours=True, timed=False))
    return made


def all_mergers() -> list[Merger]:
    """Every contestant, those that are not installed included."""
    monai = _unless(monai_inference() is not None, "MONAI")
    blended, tiler = _unless(_here("blended_tiling"), "blended-tiling"), _unless(_here("tiler"), "tiler")
    peers = [
        Merger("core", "ComfyUI core, merge node", _core, absent=_unless(load_host(), "ComfyUI")),
        Merger("monai-gaussian", "MONAI sliding window, gaussian", partial(_monai, "gaussian"), _planar_last, absent=monai),
        Merger("monai-constant", "MONAI sliding window, constant", partial(_monai, "constant"), _planar_last, absent=monai),
        Merger("blended-tiling", "blended-tiling", _blended_tiling, _planar_last, absent=blended),
        Merger("tiler", "tiler, triangular window", partial(_tiler, "triang"), lambda a: torch.from_numpy(a)[None], absent=tiler),
    ]
    cv2 = _unless(_here("cv2"), "OpenCV")
    no_float, no_alpha = "8-bit input and output", "three channels only"
    peers += [
        Merger(
            "seamless-clone",
            "OpenCV seamlessClone",
            stitchers.seamless_clone,
            stitchers.read_bytes,
            depth="8-bit",
            absent=cv2,
            no_float=no_float,
            no_alpha=no_alpha,
        ),
        Merger(
            "multiband-middle",
            "OpenCV MultiBandBlender, middle cut",
            partial(stitchers.multiband, "middle"),
            stitchers.read_fine,
            depth="int16",
            absent=cv2,
            no_alpha=no_alpha,
        ),
        Merger(
            "multiband-graphcut",
            "OpenCV MultiBandBlender, graph cut",
            partial(stitchers.multiband, "graphcut"),
            stitchers.read_fine,
            depth="int16",
            absent=cv2,
            no_alpha=no_alpha,
        ),
        Merger(
            "enblend",
            "enblend, graph cut",
            stitchers.enblend,
            stitchers.read_tiff,
            depth="16-bit",
            outside=True,
            absent=stitchers.enblend_absent(),
            no_float="16-bit files hold 0..1",
            no_alpha="alpha says where a picture is, not how clear",
        ),
    ]
    return [*_ours(), *peers]


def find(key: str) -> Merger:
    """The contestant of that name."""
    return next(merger for merger in all_mergers() if merger.key == key)
