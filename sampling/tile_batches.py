"""How many tiles go through the model together."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..host.memory import is_out_of_memory

# The host asks for this much more than its estimate before it joins prompts in one batch; tiles are asked the same.
HEADROOM = 1.5

Answers = list[torch.Tensor | None]


def fits(model: Any, conds: Sequence[list[dict] | None], shape: Sequence[int], count: int, free: float) -> int:
    """The largest number of tiles up to `count` that the host's own estimate says fit, prompts together; at least 1.

    Args:
        model: the BaseModel.
        conds: as CALC_COND_BATCH gets them, for one tile.
        shape: of one tile's latent [B, C, ..., h, w].
        count: tiles there are.
        free: bytes of memory.
    """
    sizes = defaultdict(list)
    prompts = 0
    for cond in (cond for cond_list in conds if cond_list for cond in cond_list):
        prompts += 1
        for name, value in cond["model_conds"].items():
            sizes[name].append(value.process_cond(batch_size=shape[0], area=None).size())
    for tiles in range(count, 1, -1):
        wanted = model.memory_required(
            [shape[0] * max(prompts, 1) * tiles, *shape[1:]], cond_shapes={name: size * tiles for name, size in sizes.items()}
        )
        if wanted * HEADROOM < free:
            return tiles
    return 1


class TileBatches:
    """How many tiles at once, for one run. What ran out of memory once is not tried again.

    Args:
        fixed: the user's number, 0 to take the host's estimate.
    """

    def __init__(self, fixed: int) -> None:
        self.limit = fixed or None

    def even(self, left: int) -> int:
        """How many of the tiles that are left go next: as many as may, spread evenly over the calls."""
        limit = self.limit or 1
        return -(-left // -(-left // limit))

    def estimate(self, model: Any, conds: Callable[[], Sequence[list[dict] | None]], tile: Sequence[int], count: int, device: Any) -> None:
        """Settle the number, where nobody has.

        Args:
            model: the BaseModel.
            conds: gives those of one tile.
            tile: shape of one tile's latent.
            count: tiles there are.
            device: where the model runs.
        """
        if self.limit is not None:
            return
        if torch.device(device).type == "cpu":
            # A batch takes a processor as long as its tiles one by one; one by one, a cancel is heard sooner.
            self.limit = 1
            return
        self.limit = fits(model, conds(), tile, count, model.current_patcher.get_free_memory(device))

    def run(self, call: Callable[[torch.Tensor, Sequence], Answers], pictures: torch.Tensor, views: Sequence) -> Answers:
        """Run tiles together; where memory runs out, in halves, down to one tile.

        Args:
            call: (pictures [n B, ...], views) -> answers.
            pictures: tile-major.
            views: the n of them.

        Raises:
            whatever `call` raises, except for memory that ran out with more than one tile.
        """
        import comfy.model_management

        rows = pictures.shape[0] // len(views)
        parts: list[Answers] = []
        first, count = 0, min(len(views), self.limit or len(views))
        while first < len(views):
            chunk = views[first : first + count]
            try:
                parts.append(call(pictures[first * rows : (first + len(chunk)) * rows], chunk))
                first += len(chunk)
                continue
            except Exception as error:
                if len(chunk) == 1 or not is_out_of_memory(error):
                    raise
            # Outside of the handler: the error holds on to everything that filled the memory.
            count = (len(chunk) + 1) // 2
            self.limit = min(self.limit or count, count)
            logging.warning("Tilework: out of memory with %d tiles at once; going on with %d", len(chunk), count)
            comfy.model_management.soft_empty_cache()
        return join(parts)


def join(parts: Sequence[Answers]) -> Answers:
    """The answers to several groups of tiles as the answers to all of them."""
    if len(parts) == 1:
        return parts[0]
    return [None if together[0] is None else torch.cat(together) for together in zip(*parts, strict=True)]
