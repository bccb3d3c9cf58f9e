"""How many bytes of tensors a network has alive at once, counted without running it.

On the meta device tensors have a shape and no numbers: a network runs there in a moment, whatever the picture's size, and
every tensor that it makes and lets go can be watched. What a single operation needs inside of itself is not seen.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")


class LiveBytes(TorchDispatchMode):
    """Within `with` it counts the bytes of the tensors that are made there.

    Attributes:
        live: of those that are alive now.
        peak: of those that were alive at once, at most.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._storages: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Called by torch for every operation."""
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self.add(tensor)
        return made

    def add(self, tensor: torch.Tensor) -> None:
        """Count a tensor until it is gone; views share the memory of what they show."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._storages:
            return

        def gone(_: object) -> None:
            self.live -= size
            del self._storages[key]

        self._storages[key] = weakref.ref(storage, gone)
        self.live += size
        self.peak = max(self.peak, self.live)


def peak_bytes(run: Callable[[torch.Tensor], object], given: torch.Tensor) -> int:
    """The most bytes that are alive at once while `run` works on `given`, both `given` and the result counted."""
    counter = LiveBytes()
    # Outside of inference mode operations are told of in their parts, and what is held between those is seen, too.
    with torch.inference_mode(False), torch.no_grad():
        given = given.clone()
        with counter:
            counter.add(given)
            result = run(given)
    del result
    return counter.peak


def without_numbers(thing: Any, modules: torch.nn.Module, shared: tuple[Any, ...] = ()) -> Any:
    """A copy of something that runs `modules`, all tensors of which are on the meta device; no number and no hook is copied.

    Args:
        thing: a network, or what describes one.
        modules: the network in it.
        shared: what of it the copy may share.
    """
    memo = {id(one): one for one in shared}
    with torch.inference_mode(False):
        for tensor in _tensors(modules):
            bare = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META)
            memo[id(tensor)] = torch.nn.Parameter(bare, requires_grad=False) if isinstance(tensor, torch.nn.Parameter) else bare
    made = copy.deepcopy(thing, memo)
    for module in memo[id(modules)].modules():
        # Whoever counts or watches runs is not to be told of these.
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    return made


def _tensors(modules: torch.nn.Module) -> Iterator[torch.Tensor]:
    """Parameters, buffers, and tensors that modules keep as plain attributes."""
    for module in modules.modules():
        for values in (vars(module), module._parameters, module._buffers):
            yield from (value for value in values.values() if isinstance(value, torch.Tensor))
