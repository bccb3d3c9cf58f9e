"""Asking a model about small views of the whole canvas, from outside of the tiles.

The calls go the way that all predictions go, past the wrappers of other packs and through those of ours that stand inside,
but no tiles are cut of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..blending.fusion.fuse import View
from ..host.latents import pixels_per_cell
from ..host.progress import check_cancelled
from .conditions.notices import Notices
from .conditions.patch_contents import search
from .conditions.patches import tile_patches
from .conditions.whole_views import WholeViews
from .run_memory import memory_of
from .step_caches import check_caches
from .tile_batches import TileBatches, join
from .tile_place import as_whole


class WholeCanvas:
    """Small views of one canvas, for one run: their conditions, and how many of them go through the model together.

    Args:
        model: the BaseModel.
        shape: of the canvas [B, C, ..., H, W].
        device: where it is.
    """

    def __init__(self, model: Any, shape: Sequence[int], device: torch.device) -> None:
        self.cells = (shape[-2], shape[-1])
        self.notices = Notices()
        self._conditions = WholeViews(shape[2:], pixels_per_cell(model), device)
        self.batches = TileBatches(0)

    def asking(
        self, executor: Callable, model: Any, conds: list, times: torch.Tensor, options: dict, count: int = 1, sigma: float | None = None
    ) -> Callable[[torch.Tensor, Sequence[View]], list[torch.Tensor | None]]:
        """What `fuse` calls with the pictures of several views; the answers are None where nothing was asked.

        Args:
            executor: the host's next call, (model, conds, x, timestep, model_options) -> list of predictions.
            model, conds, times, options: as CALC_COND_BATCH got them, for the canvas.
            count: views of one size that there are.
            sigma: see `WholeViews.conds`.
        """
        options = as_whole(options)

        def ask(pictures: torch.Tensor, asked: list) -> list[torch.Tensor | None]:
            check_cancelled()
            at = times if not times.ndim or len(times) == len(pictures) else times.repeat(len(pictures) // len(times))
            said = executor(model, asked, pictures.contiguous(), at, options)
            return [None if entry is None else part for entry, part in zip(conds, said, strict=True)]

        def ask_together(pictures: torch.Tensor, views: Sequence[View]) -> list[torch.Tensor | None]:
            rows = len(pictures) // len(views)
            each = [self._conditions.conds(conds, view, sigma) for view in views]
            joined = self._conditions.joined(each, rows)
            if joined is not None:
                return ask(pictures, joined)
            return join([ask(picture, own) for picture, own in zip(pictures.split(rows), each, strict=True)])

        def predict(pictures: torch.Tensor, views: Sequence[View]) -> list[torch.Tensor | None]:
            rows = len(pictures) // len(views)
            shape = (rows, *pictures.shape[1:])
            self.batches.estimate(model, lambda: self._conditions.conds(conds, views[0], sigma), shape, count, pictures.device)
            return self.batches.run(ask_together, pictures, views)

        return predict


def whole_canvas(key: str, model: Any, x: torch.Tensor, options: dict[str, Any]) -> WholeCanvas:
    """A patch's own `WholeCanvas` for this run and this size; a new one outside of a sampler.

    Args:
        key: the patch's, of patch_order.
        model: the BaseModel.
        x: the canvas [B, C, ..., H, W].
        options: the model's.
    """
    memory = memory_of(options)
    if memory is None:
        return WholeCanvas(model, x.shape, x.device)
    canvases = memory.kept.setdefault(key, {})
    size = (x.shape[0], *x.shape[2:], x.device)
    if size not in canvases:
        canvases[size] = WholeCanvas(model, x.shape, x.device)
    return canvases[size]


def check_views(options: dict[str, Any]) -> None:
    """`check_parts` for a patch that looks at the whole picture in small."""
    check_parts(options, "views of the whole picture")


def check_parts(options: dict[str, Any], parts: str) -> None:
    """Refuse what remembers the model's last call and cannot tell one picture from another.

    Args:
        options: the model's.
        parts: what it will be called with, for the message.

    Raises:
        ValueError: for such a patch, by its name.
    """
    check_caches(options, search(tile_patches(options)), False, False, parts)
