"""Whole-image statistics held still, so that what is left of a network's reach can be measured.

A norm over the picture answers to every change in it, and drowns what a tile's border does. Here the statistics of one
run are noted, and the same ones are used in the runs that follow: norms normalise by them, and means and maxima over the
picture are what they were. The calls are watched from outside (`whole_map_calls.py`), so that a mean in a forward counts
like a module. What attention over the whole picture adds is held still, too, module by module; attention in windows,
which are many in one batch, goes on working.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .reductions import Reduction
from .suspects import attention_modules
from .whole_map_calls import WholeMapCalls


class FrozenStatistics:
    """In the first run it takes notes, in all later ones it answers with them.

        with frozen.run(picture):
            network(picture)

    Args:
        network: where to look for attention; None to leave it alone.

    Attributes:
        noted: name and values of the statistics, in order of execution.
        attended: what attention made, in order of execution.
    """

    def __init__(self, network: torch.nn.Module | None = None) -> None:
        self.modules = [] if network is None else attention_modules(network)
        self.attended: list[torch.Tensor] = []
        self.noted: list[tuple[str, Any]] = []
        self.noting = self.fresh = True
        self.turn = 0

    @contextmanager
    def run(self, picture: torch.Tensor) -> Iterator[None]:
        """Run the network on `picture` [N, C, h, w] within."""
        self.noting, self.fresh, self.turn = self.fresh, False, 0
        hooks = [module.register_forward_hook(self._attend) for module in self.modules]
        try:
            with _Held(self, picture):
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _attend(self, module: torch.nn.Module, inputs: tuple, output: Any) -> Any:
        """After an attention module: what it added is what it added then, at the same place."""
        made = output[0] if isinstance(output, tuple) else output
        result = inputs[0] if inputs else None
        if not isinstance(made, torch.Tensor) or not isinstance(result, torch.Tensor) or result.shape[0] > 1:
            return None
        # Blocks that work on the picture or the film itself have their shortcut inside: only what they add is held still.
        shortcut = result if made.ndim in (4, 5) and made.shape == result.shape else torch.zeros_like(made)
        if self.noting:
            self.attended.append(made - shortcut)
            return None
        self.turn += 1
        if self.turn > len(self.attended) or self.attended[self.turn - 1].shape != made.shape:
            return None
        held = self.attended[self.turn - 1] + shortcut
        return (held, *output[1:]) if isinstance(output, tuple) else held


class _Held(WholeMapCalls):
    """One run."""

    def __init__(self, owner: FrozenStatistics, picture: torch.Tensor) -> None:
        super().__init__(picture.shape[0], tuple(picture.shape[-2:]), placed=False)
        self.owner, self.index = owner, 0

    def answer(self, reduction: Reduction) -> Any:
        """The next statistic: noted now, or then."""
        noted = self.owner.noted
        if self.owner.noting:
            noted.append((reduction.name, reduction.whole_values()))
        elif self.index >= len(noted) or noted[self.index][0] != reduction.name:
            return reduction.local()  # the network takes another way
        self.index += 1
        return reduction.with_values(noted[self.index - 1][1])
